"""What holds for the runs of every workflow: who may hand a state on, and how work outlives Temporal's own cancellation."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import ValidationError
from temporalio import workflow

from workflows.messages import AS_0_1, Continued
from workflows.reading import Refused, Unreadable, problems_of, read

C = TypeVar("C", bound=Continued)


class Unmended(Exception):
    """The state that a run carries on can't be read by this release. Not a refusal: the workflow task fails, and is tried
    again, until a worker comes that can."""


def begin(body: type[C], bodies: tuple[Any, ...], name: str, *, as_0_1: bool = False) -> tuple[C, Refused | None]:
    """What starts a run. Raises Refused as `read` does.

    A run that continues as new was begun by our own hand, perhaps by a newer or an older release's: what this one does not
    know is passed over, and Unmended raised where the rest can't be read. `carried` state that is not of an earlier run of
    this very workflow would be a forged one, so it is taken out, and the refusal to raise comes with the order.
    """
    info = workflow.info()
    value = bodies[0] if len(bodies) == 1 else None
    continued = info.continued_run_id is not None
    if continued and isinstance(value, Unreadable):
        raise Unmended(f"`{name}` can't be carried on: {value.reason}.")
    if continued and isinstance(value, dict) and "carried" in value:
        try:
            order = body.model_validate(
                {field: said for field, said in value.items() if field in body.model_fields}, context=AS_0_1
            )
        except ValidationError as fault:
            raise Unmended(f"`{name}` can't be carried on by this release: {problems_of(body, fault)}.") from None
    else:
        order = read(body, bodies, name, as_0_1=as_0_1)
    if order.carried is None or (continued and order.carries_of(info.workflow_id)):
        return order, None
    refusal = Refused(f"`{name}` was not taken: `carried` is not yours to set; leave it out.")
    return order.model_copy(update={"carried": None}), refusal


async def outlive(done: Callable[[], bool], cancelled: Callable[[], None]) -> None:
    """Returns when `done`, whatever is cancelled: only this wait is by Temporal's own request, and `cancelled` says what becomes
    of it."""
    while not done():
        try:
            await workflow.wait_condition(done)
        except asyncio.CancelledError:
            cancelled()
