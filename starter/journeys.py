"""Speaks with journeys, for the command, the API and the pages alike: starts them, sends them messages, asks them where they
stand. Whatever can come of it is a result or one of four exceptions, each with a sentence for whoever asked."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

from temporalio.client import (
    Client,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import Priority, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from connection import TASK_QUEUE
from domain.priority import URGENT, URGENT_WORKFLOWS
from domain.status import Kind
from workflows.details import summary

PATIENCE = timedelta(seconds=10)
"""How long an answer is waited for; what was sent goes on without whoever sent it."""
_HEALTH = timedelta(seconds=2)
_BETWEEN_LOOKS = 0.05

T = TypeVar("T")


class NotDone(Exception):
    """What was asked for is not done; the text is one sentence of what, why and what instead."""


class Refused(NotDone):
    """The journey says no, and nothing was changed. The sentence is its own; so are the `details`, for programs."""

    def __init__(self, sentence: str, *details: Any) -> None:
        super().__init__(sentence)
        self.details = details


class Unknown(NotDone):
    """There is no such journey, or it has ended and takes no messages."""


class Unanswered(NotDone):
    """It was sent, and the answer did not come in time; it may still be done. `journey_id`: where to look."""

    def __init__(self, journey_id: str) -> None:
        super().__init__(f"{journey_id} has not answered yet; it goes on, so look at it in a moment.")
        self.journey_id = journey_id


class Unreachable(NotDone):
    """Temporal does not answer. Sending the same again is safe."""

    def __init__(self) -> None:
        super().__init__("Temporal does not answer, and nothing was done; send the same again in a moment.")


class Journeys:
    """Given a Temporal client, and the task queue on which what it starts is worked."""

    def __init__(self, client: Client, task_queue: str = TASK_QUEUE, patience: timedelta = PATIENCE) -> None:
        self._client = client
        self._task_queue = task_queue
        self._patience = patience

    async def request(self, journey_id: str, order: dict[str, Any]) -> bool:
        """Starts a `TokenJourney` and returns when it is admitted: whether it was started now, or had been before under the
        same id. `order`: the contract's JSON. Raises NotDone."""
        handle = await self._start(
            "TokenJourney",
            order,
            journey_id,
            WorkflowIDReusePolicy.REJECT_DUPLICATE,
            WorkflowIDConflictPolicy.FAIL,
            summary(Kind(order["kind"]), order["prescriber_id"]),
        )
        await self._answer(journey_id, lambda: _admitted(handle or self._handle(journey_id)))
        return handle is not None

    async def admitted(self, journey_id: str) -> None:
        """Returns when the journey has been admitted. Raises NotDone: Refused where its request was."""
        await self._answer(journey_id, lambda: _admitted(self._handle(journey_id)))

    async def run(self, name: str, order: dict[str, Any], workflow_id: str, *, anew: bool = False) -> Any:
        """Starts a workflow that ends by itself, and its result. The same id again gives the same result, unless it failed
        or `anew`. Raises NotDone."""
        reuse = WorkflowIDReusePolicy.ALLOW_DUPLICATE if anew else WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY
        handle = await self._start(name, order, workflow_id, reuse, WorkflowIDConflictPolicy.USE_EXISTING, None)
        return await self._answer(workflow_id, (handle or self._handle(workflow_id)).result)

    async def tell(self, journey_id: str, message: str, body: dict[str, Any], update_id: str | None = None) -> Any:
        """Sends an update, and its answer. The same `update_id` twice is one update. Raises NotDone."""
        handle = self._handle(journey_id)
        return await self._answer(journey_id, lambda: handle.execute_update(message, body, id=update_id))

    async def ask(self, journey_id: str) -> dict[str, Any]:
        """The `status` snapshot of a journey, also of one that has ended. Raises NotDone."""
        return await self._answer(journey_id, lambda: self._handle(journey_id).query("status"))

    def _handle(self, workflow_id: str) -> WorkflowHandle[Any, Any]:
        return self._client.get_workflow_handle(workflow_id)

    async def _start(
        self,
        name: str,
        order: dict[str, Any],
        workflow_id: str,
        reuse: WorkflowIDReusePolicy,
        conflict: WorkflowIDConflictPolicy,
        said: str | None,
    ) -> WorkflowHandle[Any, Any] | None:
        """None: it is there already."""
        try:
            return await self._answer(
                workflow_id,
                lambda: self._client.start_workflow(
                    name,
                    order,
                    id=workflow_id,
                    task_queue=self._task_queue,
                    id_reuse_policy=reuse,
                    id_conflict_policy=conflict,
                    static_summary=said,
                    priority=Priority(priority_key=URGENT) if name in URGENT_WORKFLOWS else Priority.default,
                ),
            )
        except WorkflowAlreadyStartedError:
            return None

    async def _answer(self, workflow_id: str, asked: Callable[[], Awaitable[T]]) -> T:
        """What comes of asking, with everything that can go wrong sorted into the four kinds."""
        try:
            return await asyncio.wait_for(asked(), self._patience.total_seconds())
        except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
            raise (Unanswered(workflow_id) if await self._healthy() else Unreachable()) from None
        except (WorkflowUpdateFailedError, WorkflowFailureError) as failure:
            cause = failure.cause
            if isinstance(cause, ApplicationError):
                raise Refused(cause.message, *cause.details) from None
            raise Refused(str(cause)) from None
        except (WorkflowQueryFailedError, WorkflowQueryRejectedError):
            raise Unanswered(workflow_id) from None
        except RuntimeError as fault:
            if "client connect" not in str(fault):
                raise
            raise Unreachable from None  # how a client that connects at its first need says that it can't
        except RPCError as fault:
            match fault.status:
                case RPCStatusCode.NOT_FOUND:
                    raise Unknown(f"There is no running journey {workflow_id}; look its id up in the list.") from None
                case RPCStatusCode.FAILED_PRECONDITION | RPCStatusCode.CANCELLED | RPCStatusCode.DEADLINE_EXCEEDED:
                    raise (Unanswered(workflow_id) if await self._healthy() else Unreachable()) from None
                case RPCStatusCode.UNAVAILABLE | RPCStatusCode.RESOURCE_EXHAUSTED:
                    raise Unreachable from None
                case _:
                    raise

    async def _healthy(self) -> bool:
        try:
            return await asyncio.wait_for(self._client.service_client.check_health(), _HEALTH.total_seconds())
        except (TimeoutError, RPCError, RuntimeError):
            return False


async def _admitted(handle: WorkflowHandle[Any, Any]) -> None:
    """Returns when the journey is recorded as requested. Raises WorkflowFailureError where it was refused."""
    ended = asyncio.create_task(handle.result())
    try:
        while not ended.done():
            try:
                if (await handle.query("status"))["timeline"]:
                    return
            except RPCError as fault:
                if fault.status is not RPCStatusCode.FAILED_PRECONDITION:  # no worker has taken it up yet
                    raise
            await asyncio.wait({ended}, timeout=_BETWEEN_LOOKS)
        ended.result()
    finally:
        ended.cancel()
