"""What holds for the runs of every workflow: who may hand a state on, and how work outlives Temporal's own cancellation."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from temporalio import workflow

from workflows.messages import Continued, Refused

C = TypeVar("C", bound=Continued)


def own(order: C, name: str) -> tuple[C, Refused | None]:
    """The order with its `carried` state, if that is of an earlier run of this very workflow, which has continued as new;
    anybody else's would be a forged one, so it is taken out, and the refusal to raise comes with it."""
    info = workflow.info()
    if order.carried is None or (info.continued_run_id is not None and order.carries_of(info.workflow_id)):
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
