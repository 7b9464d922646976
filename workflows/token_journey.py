"""`TokenJourney`: one EPCS token from its request to its end.

Handlers that need an outside answer (allocation, passcode, address) await one activity under `one_at_a_time` and ask again
afterwards whether they are still legal, since a cancellation may have come meanwhile. A cancellation or a deactivation stops
the stages from outside.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError, is_cancelled_exception

from activities.mail import MailReport
from activities.records import Admission, Records, Writing
from activities.resumptions import Resumptions
from domain.calendar import DeliveryWindow
from domain.journey import Journey
from domain.resumption import How
from domain.status import Kind, Status, refusal
from workflows import calls
from workflows import search_attributes as attributes
from workflows.answers import Next, Outcome, Snapshot
from workflows.details import details, may_be_sent
from workflows.messages import TokenRequest, example
from workflows.reading import Refused
from workflows.recorded import last_step
from workflows.runs import Unmended, begin
from workflows.stages import promises
from workflows.stages.activate import activate
from workflows.stages.deliver import deliver
from workflows.stages.fulfil import fulfil
from workflows.stages.queue import queue
from workflows.stages.retire import retire
from workflows.stages.serve import serve
from workflows.stages.sync import sync
from workflows.token_messages import TokenMessages

_STAGES = (queue, fulfil, deliver, activate, sync)
_BEGINS_WITH = {
    Status.REQUESTED: 0,
    Status.PROCESSED: 1,
    Status.SHIPPED: 2,
    Status.DELIVERED: 3,
    Status.SYNCING: 4,
    **dict.fromkeys((Status.ACTIVE, Status.DEACTIVATED, Status.CANCELLED), len(_STAGES)),
}
"""The stage with which a journey goes on that is taken up at a status; a new one begins at the first."""


@workflow.defn(name="TokenJourney")
class TokenJourney(TokenMessages):
    """Carries one token through its life. Input: `TokenRequest` as one JSON object. Fails with type `Refused` and one
    sentence when the request is not acceptable; otherwise ends with the token, `Cancelled` or `Deactivated`."""

    starts_with = TokenRequest

    @workflow.init
    def __init__(self, *bodies: Any) -> None:
        super().__init__()
        self.request = TokenRequest(prescriber_id="unknown", kind=Kind.HARD)
        self.unmended: Unmended | None = None
        try:
            self.request, forged = begin(TokenRequest, bodies, "TokenJourney", as_0_1=not self.since_0_2)
            self.problem = forged or self.problem
        except Refused as fault:
            self.problem = fault
        except Unmended as fault:
            self.unmended = fault  # raised by `run`: here the SDK would leave a coroutine behind
        self.state = self.request.carried or Journey(
            journey_id=workflow.info().workflow_id,
            prescriber_id=self.request.prescriber_id,
            kind=self.request.kind,
            requested_by=self.request.requested_by,
            replaces=self.request.replaces,
        )
        self.first_run_id = self.state.known_under or self.first_run_id
        self.admitted = self.request.carried is not None
        self.one_at_a_time = asyncio.Lock()
        self.expected: DeliveryWindow | None = None
        """When the parcel will be there, where it leaves on the day that was planned."""

    @workflow.run
    async def run(self, *bodies: Any) -> Outcome:
        if self.unmended:
            raise self.unmended
        if self.problem:
            raise await self.turned_away(self.problem, by=None)
        await self.carry()
        if not self.state.ended:
            workflow.continue_as_new(self.request.model_copy(update={"carried": self.state, "resume": None}))
        return Outcome(journey_id=self.state.journey_id, status=self.state.status, detail=self.state.why_ended)

    async def live(self) -> None:
        """The journey as the article tells it. Returns when it has ended, or is to continue as new."""
        if not self.admitted:
            await (self.take_up(self.request.resume) if self.request.resume else self.admit())
        stages = asyncio.create_task(self.stages())
        await workflow.wait_condition(lambda: stages.done() or self.state.ended)
        if not stages.done():
            self.leaving = True
            stages.cancel()
            await workflow.wait([stages])
            self.leaving = False
        if not stages.cancelled():
            fault = stages.exception()
            # A step that the end of the journey has interrupted says so in one of several ways.
            if fault and not (self.state.ended and is_cancelled_exception(fault)):
                raise fault
        if not self.state.ended:
            # The history has grown long. What comes in before the last letter is out may still end the journey.
            await workflow.wait_condition(lambda: self.quiet() or self.state.ended)
        if self.state.ended:
            await retire(self)
            await workflow.wait_condition(self.quiet)

    async def stages(self) -> None:
        """Each stage waits for what ends it. A cancellation or deactivation stops them from outside."""
        for stage in _STAGES[_BEGINS_WITH[self.state.status] :]:
            await stage(self)
            if self.state.ended:
                return  # lost in transit, or never activated
        await serve(self)

    async def take_up(self, ticket: str) -> None:
        """The workflow was gone, and `Reconcile` lets the journey go on from what its records know."""
        resumed = await self.resume(Resumptions.journey, ticket, "What do the records know?")
        self.state, state, now = resumed.state, resumed.state, self.now()
        state.known_under = resumed.first_run_id
        state.note(now, f"taken up again ({resumed.how}): {resumed.why}", by="Reconcile")
        match resumed.how:
            case How.CANCEL:
                self.end_request(resumed.why, by="Reconcile")
            case How.END:
                ended = Status.DEACTIVATED if state.status is Status.ACTIVE else Status.CANCELLED
                state.enter(ended, now, f"ended before: {resumed.why}", by="Reconcile")
            case _:
                pass
        self.admitted = True

    async def admit(self) -> None:
        """Requested: checked and recorded; team and prescriber are told."""
        state, request, now = self.state, self.request, self.now()
        admission = Admission(
            journey_id=state.journey_id,
            run_id=self.first_run_id,
            at=now,
            written=self.since_0_2,
            **request.model_dump(exclude={"carried", "resume"}, exclude_none=True),
        )
        try:
            admitted = await calls.local(Records.admit, admission, summary="Check and record the request")
        except ApplicationError as failure:
            raise await self.turned_away(Refused(failure.message), by=request.requested_by) from None
        state.policy, state.email = admitted.policy, admitted.email
        state.practice_id = admitted.practice_id
        state.shipping_address = admitted.shipping_address
        state.admit(now, admitted.queue_alert_at)
        if self.since_0_2:
            self.is_written(state.entries)
            self.publish()
        facts = {"due_at": admitted.queue_alert_at, "who": request.requested_by}
        state.post("team_request_waiting", now, step="team_request_waiting", facts=facts)
        state.post("request_received", now, step="request_received", facts={"due_at": admitted.queue_alert_at})
        self.admitted = True

    # What it says for itself, and what its stages are given beside what every journey has

    async def write(self, state: Journey, *, again: bool) -> None:
        writing = Writing(run_id=self.first_run_id, journey=state, again=again)
        await calls.record(Records.write, writing, summary=last_step(state))

    def sent(self, report: MailReport) -> None:
        renewed = ("vendor_activation_hard-", "vendor_download_soft-")
        if "activation" in report.sent or (self.since_0_2 and any(step.startswith(renewed) for step in report.sent)):
            self.state.keep(promises.ACTIVATION_EMAIL, self.now())

    def attributes(self) -> list[tuple[Any, Any]]:
        state = self.state
        return [
            (attributes.TOKEN_STATUS, state.status.value),
            (attributes.TOKEN_KIND, state.kind.value),
            (attributes.PRESCRIBER_ID, state.prescriber_id),
            (attributes.SERIAL_NUMBER, state.serial_number),
            (attributes.NEEDS_ATTENTION, state.needs_attention is not None),
            (attributes.ACTION_DUE_BY, state.action_due_by),
        ]

    @property
    def urgent(self) -> bool:
        """A token that has ended must stop signing everywhere, at once."""
        return self.state.ended

    def details(self) -> str:
        return details(self.state)

    def days_after(self, since: datetime, days: int) -> datetime:
        return since + timedelta(days=days)

    async def until(self, condition: Callable[[], bool], *, at: datetime | None = None, summary: str = "") -> bool:
        """Waits for the condition, at the longest until `at`; says whether it holds. A journey that has ended never
        comes back from here: its stages are over."""
        if not await self.waited(lambda: condition() or self.state.ended, at=at, summary=summary):
            return False
        if self.state.ended:
            raise asyncio.CancelledError
        return True

    async def pause(self, at: datetime, *, summary: str) -> None:
        """Waits until `at`."""
        await self.until(lambda: False, at=at, summary=summary)

    async def asked_to_cancel(self) -> None:
        """Temporal's own cancellation request acts as `cancel` where that is legal, and is refused otherwise."""
        await workflow.wait_condition(lambda: self.admitted or self.problem is not None)
        if self.state.status is Status.PROCESSED:
            await self.catch_up_with_records()
        reason = self.problem.message if self.problem else refusal("cancel", self.state.kind, self.state.status)
        if reason:
            self.state.refuse(self.now(), "cancel", reason, by="Temporal")
        else:
            self.end_request("in Temporal", by="Temporal")

    @workflow.query(description="Where the journey stands, what is promised, what may be done next")
    def status(self) -> Snapshot:
        state = self.state
        return Snapshot(
            **state.model_dump(include=set(Snapshot.model_fields) - {"next"}),
            next=[Next(message=name, example=example(name, state)) for name in may_be_sent(state)],
        )
