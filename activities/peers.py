"""How journeys start and signal one another: by deterministic ids, so that a step done twice is done once."""

import asyncio
from datetime import datetime

from pydantic import BaseModel
from temporalio import activity
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import Priority, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.errors import needs_person, refused
from domain.address import Address
from domain.peers import incident_id, return_id
from domain.priority import URGENT, URGENT_WORKFLOWS
from domain.reasons import DeactivationReason
from domain.status import Kind, Status, refusal

_LOOKS = 100
_BETWEEN_LOOKS = 0.1
"""Seconds. Ten seconds of looking in one attempt; the retry looks again."""
_ANSWER_WITHIN = 10.0
"""Seconds. A journey that does not answer by then is asked once more under the same update id."""


class ReturnOrder(BaseModel):
    """`sent_back`: the carrier brings the token, and the prescriber is not asked for it."""

    journey_id: str
    serial_number: str
    sent_back: bool = False


class LossOrder(BaseModel):
    """`reported_at` (UTC): when the token was deactivated for it."""

    journey_id: str
    reason: DeactivationReason
    reported_at: datetime | None = None


class SuccessorOrder(BaseModel):
    """The request for the token that replaces `replaces`."""

    journey_id: str
    prescriber_id: str
    kind: Kind
    email: str
    shipping_address: Address | None
    replaces: str
    requested_by: str | None


class EndOrder(BaseModel):
    """How a token is to end. `update_id` makes asking twice asking once."""

    journey_id: str
    update_id: str
    reason: DeactivationReason | None = None
    in_possession: bool = False
    by: str | None = None
    replaced_by: str | None = None


class ProcessOrder(BaseModel):
    """A queued request that is to be processed. `update_id` makes asking twice asking once."""

    journey_id: str
    kind: Kind
    update_id: str
    operator: str


class Peers:
    """Given a Temporal client. What is started runs on the task queue of the worker that starts it."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @activity.defn(name="peers.start_return")
    async def start_return(self, order: ReturnOrder) -> None:
        """Starts the token's `ReturnByMail`; one that runs or has ended is left as it is."""
        # Without defaults: a worker of an older release does not know the newer of them.
        body = order.model_dump(mode="json", exclude_defaults=True)
        await self._start("ReturnByMail", body, return_id(order.journey_id), f"Return of token {order.serial_number}")

    @activity.defn(name="peers.open_incident")
    async def open_incident(self, order: LossOrder) -> None:
        """Starts the token's `SecurityIncident`; one that runs or has ended is left as it is."""
        await self._start(
            "SecurityIncident", order, incident_id(order.journey_id), f"Security incident: {order.reason}"
        )

    @activity.defn(name="peers.request_successor")
    async def request_successor(self, order: SuccessorOrder) -> None:
        """Starts the new token's journey and returns when it is `Requested`. Raises `needs_person` if it is refused after
        all, which its claim should make impossible."""
        body = order.model_dump(mode="json", exclude={"journey_id"}, exclude_none=True)
        summary = f"{order.kind.capitalize()} token for prescriber {order.prescriber_id}"
        await self._start("TokenJourney", body, order.journey_id, summary)
        handle = self._client.get_workflow_handle(order.journey_id)
        for _ in range(_LOOKS):
            if (await handle.describe()).status is WorkflowExecutionStatus.FAILED:
                try:
                    await handle.result()
                except WorkflowFailureError as failure:
                    raise needs_person(f"the new request {order.journey_id} was refused: {failure.cause}") from None
            try:
                if (await handle.query("status"))["timeline"]:
                    return
            except RPCError as fault:
                if fault.status is not RPCStatusCode.FAILED_PRECONDITION:
                    raise  # FAILED_PRECONDITION: no worker has taken it up yet
            await asyncio.sleep(_BETWEEN_LOOKS)
        raise ApplicationError(f"{order.journey_id} is not requested yet", type="NotYet")

    @activity.defn(name="peers.deactivate")
    async def deactivate(self, order: EndOrder) -> None:
        """Deactivates an active token. Raises `refused` with its journey's own sentence."""
        body = order.model_dump(mode="json", exclude={"journey_id", "update_id"}, exclude_none=True)
        await self._update(order, "deactivate", {**body, "confirmed": True})

    @activity.defn(name="peers.cancel")
    async def cancel(self, order: EndOrder) -> None:
        """Cancels a request that is not active yet. Raises `refused` with its journey's own sentence."""
        why = order.reason.replace("_", " ") if order.reason else None
        await self._update(order, "cancel", {"reason": why, "by": order.by})

    @activity.defn(name="peers.process")
    async def process(self, order: ProcessOrder) -> str | None:
        """Processes a queued request, and the serial that it got; None for a soft token. Raises `refused` with its journey's
        own sentence, and ApplicationError of type NotYet where the journey does not answer."""
        handle = self._client.get_workflow_handle(order.journey_id)
        try:
            async with asyncio.timeout(_ANSWER_WITHIN):
                outcome = await handle.execute_update("process", {"operator": order.operator}, id=order.update_id)
        except WorkflowUpdateFailedError as failure:
            cause = failure.cause
            raise refused(cause.message if isinstance(cause, ApplicationError) else str(cause)) from None
        except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
            raise ApplicationError(f"{order.journey_id} has not answered yet", type="NotYet") from None
        except RPCError as fault:
            if fault.status is RPCStatusCode.NOT_FOUND:
                raise refused(await self._why_not(handle, order)) from None
            raise
        return outcome.get("serial_number")

    async def _why_not(self, handle: WorkflowHandle[object, object], order: ProcessOrder) -> str:
        """Why a journey that is not running any more could not be processed."""
        try:
            ended = await handle.result()
        except (WorkflowFailureError, RPCError):
            ended = None
        sentence = refusal("process", order.kind, Status(ended["status"])) if isinstance(ended, dict) else None
        return sentence or f"Journey {order.journey_id} is not running any more; look at it in the Temporal UI."

    @activity.defn(name="peers.is_running")
    async def is_running(self, workflow_id: str) -> bool:
        """Whether a workflow of that id is open."""
        try:
            described = await self._client.get_workflow_handle(workflow_id).describe()
        except RPCError as fault:
            if fault.status is RPCStatusCode.NOT_FOUND:
                return False
            raise
        return described.status is WorkflowExecutionStatus.RUNNING

    async def _start(self, name: str, body: object, workflow_id: str, summary: str) -> None:
        try:
            await self._client.start_workflow(
                name,
                body,
                id=workflow_id,
                task_queue=activity.info().task_queue,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                static_summary=summary,
                priority=Priority(priority_key=URGENT) if name in URGENT_WORKFLOWS else Priority.default,
            )
        except WorkflowAlreadyStartedError:
            return

    async def _update(self, order: EndOrder, name: str, body: dict[str, object]) -> None:
        handle = self._client.get_workflow_handle(order.journey_id)
        try:
            async with asyncio.timeout(_ANSWER_WITHIN):
                await handle.execute_update(name, body, id=order.update_id)
        except WorkflowUpdateFailedError as failure:
            cause = failure.cause
            raise refused(cause.message if isinstance(cause, ApplicationError) else str(cause)) from None
        except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
            raise ApplicationError(f"{order.journey_id} has not answered yet", type="NotYet") from None
        except RPCError as fault:
            if fault.status is RPCStatusCode.NOT_FOUND:
                raise refused(f"Journey {order.journey_id} is not running any more; nothing is left to end.") from None
            raise
