"""`ReturnByMail`: a hard token that has ended comes back by mail, or is written off.

Started by the token's journey where the device is in the prescriber's hands, and by hand where one turns up that nobody
awaited. It is over when the mail room has it; the carrier's word alone closes nothing.
"""

import asyncio
from collections.abc import Collection
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from activities.carrier import Carrier, ReturnLabelOrder
from activities.resumptions import Resumptions
from activities.returns import ReturnAdmission, Returns, ReturnWriting
from domain.resumption import How
from domain.returning import FROM_CARRIER, Return, ReturnStatus
from domain.status import Kind
from workflows import calls
from workflows import search_attributes as attributes
from workflows.answers import Next, Outcome, ReturnSnapshot
from workflows.details import offered_of, return_details
from workflows.messages import DESCRIPTIONS, RETURN_BODIES, Body, CarrierEvent, Received, ReturnRequest, return_example
from workflows.reading import Refused, read
from workflows.recorded import RecordedWorkflow, last_step
from workflows.stages import promises


@workflow.defn(name="ReturnByMail")
class ReturnByMail(RecordedWorkflow[Return]):
    """Awaits one token. Input: `ReturnRequest` as one JSON object. Fails with type `Refused` and one sentence when there is
    nothing to await; otherwise ends `Received` or `Written off`."""

    starts_with = ReturnRequest

    @workflow.init
    def __init__(self, *bodies: Any) -> None:
        super().__init__()
        self.request = ReturnRequest(journey_id=workflow.info().workflow_id, serial_number="unknown")
        try:
            self.request = read(ReturnRequest, bodies, "ReturnByMail", as_0_1=not self.since_0_2)
        except Refused as fault:
            self.problem = fault
        self.label_wanted = False
        """The carrier has been asked for the prepaid label."""
        self.owed: int | None = None
        """The day of the latest reminder that could not be sent when it fell due."""
        self.state = Return(
            journey_id=self.request.journey_id,
            return_id=workflow.info().workflow_id,
            prescriber_id="unknown",
            serial_number=self.request.serial_number,
            sent_back=self.request.sent_back,
        )

    @workflow.run
    async def run(self, *bodies: Any) -> Outcome:
        if self.problem:
            raise await self.turned_away(self.problem, by=None)
        await self.carry()
        return self.outcome()

    async def live(self) -> None:
        await (self.take_up(self.request.resume) if self.request.resume else self.admit())
        # Beside the clock: a carrier that is down for weeks keeps nobody from receiving the token, or writing it off.
        label = asyncio.create_task(self.send_label())
        await self.await_token()
        if not label.done():
            self.leaving = True
            label.cancel()
            await workflow.wait([label])
        if not label.cancelled():
            label.result()
        self.leaving = False
        if self.since_0_2 and self.label_wanted and self.state.label_url is None:
            # The carrier may have made one whose answer was lost.
            await self.insist(Carrier.void, self.first_run_id, summary="Void the prepaid label")
        await workflow.wait_condition(self.quiet)

    async def await_token(self) -> None:
        """Returns when the token is here, or written off."""
        state, policy = self.state, self.state.policy
        assert state.started_at
        for day in policy.return_reminder_days:
            if self.passed(state.started_at + timedelta(days=day)):
                continue
            if await self.came_by(day, f"returned by day {day}?"):
                return
            self.remind(day)
        if not await self.came_by(policy.return_written_off_days, "written off?"):
            now = self.now()
            state.breach(promises.RETURNED, "it did not come")
            state.write_off(now)
            facts = {"waiting_since": state.started_at}
            if not state.sent_back:
                state.post("return_written_off", now, step="written_off", facts=facts)
            state.post("team_return_written_off", now, step="team_written_off", facts=facts)

    async def admit(self) -> None:
        """Awaited: checked and recorded."""
        state, now = self.state, self.now()
        admission = ReturnAdmission(
            return_id=state.return_id,
            run_id=self.first_run_id,
            at=now,
            journey_id=state.journey_id,
            serial_number=state.serial_number,
        )
        try:
            admitted = await calls.local(Returns.admit, admission, summary="Check that the token is to be awaited")
        except ApplicationError as failure:
            raise await self.turned_away(Refused(failure.message), by=None) from None
        state.policy, state.prescriber_id, state.started_at = admitted.policy, admitted.prescriber_id, now
        state.outbound_tracking_number, state.sender = admitted.outbound_tracking_number, admitted.sender
        how = FROM_CARRIER if state.sent_back else "by mail"
        state.note(now, f"token {state.serial_number} is awaited {how}")
        state.promise(promises.RETURNED, state.return_by)
        if self.request.received_by:
            self.receive(self.request.received_by, self.request.condition)
        self.admitted = True

    async def take_up(self, ticket: str) -> None:
        """The workflow was gone, and `Reconcile` lets it go on: the token still has to come back, or the records have to say
        how it had ended, of which nobody is told a second time."""
        resumed = await self.resume(Resumptions.of_return, ticket, "What do the records know?")
        self.state, state, now = resumed.state, resumed.state, self.now()
        state.note(now, f"taken up again: {resumed.why}", by="Reconcile")
        state.promise(promises.RETURNED, state.return_by)
        match resumed.how:
            case How.RECEIVED:
                at = min(now, state.return_by)  # later it would have been written off
                state.receive(at, self.request.received_by or "unknown", self.request.condition)
                state.keep(promises.RETURNED, at)
            case How.WRITTEN_OFF:
                state.breach(promises.RETURNED, "it did not come")
                state.write_off(now)
            case _:
                pass
        self.admitted = True

    async def send_label(self) -> None:
        """A prepaid label, by email."""
        state = self.state
        if state.ended or state.sent_back:
            return  # it came with the start, or comes by itself
        assert state.sender
        self.label_wanted = True
        order = ReturnLabelOrder(
            return_id=state.return_id, run_id=self.first_run_id, sender=state.sender, to=state.policy.return_address
        )
        label = await self.insist(Carrier.return_label, order, summary="Buy the prepaid label")
        state.tracking_number, state.label_url = label.tracking_number, label.label_url
        self.settle("the label is there", "Buy the prepaid label")
        if self.resumed_at is None:
            state.note(self.now(), f"prepaid label {label.tracking_number} sent")
        state.post("return_label", self.now(), step="label", facts=self.label_facts())
        self.remind_after_all()

    def remind(self, day: int) -> None:
        """Nobody is asked to mail what the carrier has already, nor without a label: such a reminder is owed, until the label
        is there or the parcel has gone back to the sender."""
        state, now = self.state, self.now()
        if state.status is ReturnStatus.ON_ITS_WAY or state.label_url is None:
            self.owed = day
            return
        self.owed = None
        days_left = (
            max((state.return_by - now).days, 1) if self.since_0_2 else state.policy.return_written_off_days - day
        )
        facts = {**self.label_facts(), "days_left": days_left}
        state.post("return_reminder", now, step=f"reminder-{day}", facts=facts)
        state.note(now, f"reminded on day {day}")

    def remind_after_all(self) -> None:
        """The reminder that fell due while nobody could be reminded."""
        if self.since_0_2 and self.owed and not self.state.ended:
            self.remind(self.owed)

    def label_facts(self) -> dict[str, Any]:
        state = self.state
        return {
            "serial_number": state.serial_number,
            "tracking_number": state.tracking_number,
            "label_url": state.label_url,
            "return_by": state.return_by,
        }

    async def came_by(self, day: int, summary: str) -> bool:
        """Whether the token is here `day` days after it was asked back."""
        assert self.state.started_at
        at = self.state.started_at + timedelta(days=day)
        return await self.waited(lambda: self.state.ended, at=at, summary=summary)

    # Messages

    def known(self) -> Collection[str]:
        return RETURN_BODIES

    def welcome(self) -> list[str]:
        return offered_of(self.state, RETURN_BODIES)

    def check(self, name: str, bodies: tuple[Any, ...]) -> Body:
        self.refuse_if_turned_away()
        message = read(RETURN_BODIES[name], bodies, name, as_0_1=not self.since_0_2)
        self.refuse_unneeded(name)
        if self.state.ended:
            raise Refused(
                f"The return is closed: token {self.state.serial_number} is {self.state.status.lower()}; nothing is left to do."
                if self.state.status is ReturnStatus.RECEIVED
                else f"The return is closed: token {self.state.serial_number} was written off; start ReturnByMail again for it."
            )
        if isinstance(message, Received) and message.serial_number != self.state.serial_number:
            raise Refused(
                f"Token {message.serial_number} was not taken: this return awaits {self.state.serial_number}; read the back of the "
                "token again, or close the return of the one you hold."
            )
        return message

    async def on_received(self, received: Received) -> None:
        self.receive(received.received_by, received.condition)
        # Whoever has the answer relies on it: the stock shows the token as returned.
        await self.recorded()

    def receive(self, by: str, condition: str | None) -> None:
        """The mail room has it."""
        state, now = self.state, self.now()
        state.receive(now, by, condition)
        state.keep(promises.RETURNED, now)
        if not state.sent_back:
            state.post("return_received", now, step="received", facts={"received_at": now, "condition": condition})

    async def on_carrier_event(self, event: CarrierEvent) -> None:
        state, now = self.state, self.now()
        if event.tracking_number not in (state.tracking_number, state.outbound_tracking_number):
            raise Refused(
                "The carrier's event changes nothing: it is about another parcel than this return's; check the number."
            )
        key = f"{event.tracking_number} {event.status} {event.occurred_at.isoformat()}"
        if key in state.carrier_events:
            raise Refused("The carrier's event changes nothing: it has been taken before; send each event once.")
        state.carrier_events = [*state.carrier_events[-49:], key]
        said = event.status.replace("_", " ")
        if event.tracking_number == state.outbound_tracking_number:
            state.note(
                now, f"carrier, of the parcel that brought the token: {said}", by="carrier", message="carrier_event"
            )
            return
        if event.status not in ("pre_transit", "failure", "returned"):
            state.status = ReturnStatus.ON_ITS_WAY
        state.note(now, f"carrier, of the return parcel: {said}", by="carrier", message="carrier_event")
        match event.status:
            case "delivered":
                self.alarm(
                    "the carrier has delivered the return parcel, and the mail room has not confirmed it yet",
                    about="parcel",
                )
            case "failure" | "returned":
                self.alarm("the carrier could not deliver the return parcel to us", about="parcel")
                if self.since_0_2:
                    # It goes back to the prescriber, who has to mail it once more.
                    state.status = ReturnStatus.AWAITED
                    self.remind_after_all()

    async def asked_to_cancel(self) -> None:
        await workflow.wait_condition(lambda: self.admitted or self.problem is not None)
        days = self.state.policy.return_written_off_days
        reason = f"The return can't be cancelled: it ends when the token is received, or after {days} days; send `received` instead."
        self.state.refuse(self.now(), "cancel", reason, by="Temporal")

    @workflow.signal(name="received", description=DESCRIPTIONS["received"])
    async def received_signal(self, *bodies: Any) -> None:
        await self.take("received", bodies)

    @workflow.update(name="received", description=DESCRIPTIONS["received"])
    async def received(self, *bodies: Any) -> Outcome:
        return await self.answer("received", bodies)

    @received.validator
    def _may_be_received(self, *bodies: Any) -> None:
        self.check("received", bodies)

    @workflow.signal(name="carrier_event", description=DESCRIPTIONS["carrier_event"])
    async def carrier_event_signal(self, *bodies: Any) -> None:
        await self.label_known()
        await self.take("carrier_event", bodies)

    async def label_known(self) -> None:
        """Whoever goes by the records, or by the carrier's own, may be ahead of this run, which learns the label's number anew
        where its worker has died before it could say so; the carrier's word is told once."""
        if self.since_0_2:
            await workflow.wait_condition(
                lambda: (
                    self.problem is not None
                    or (self.admitted and (self.state.sent_back or self.state.ended))
                    or self.state.tracking_number is not None
                )
            )

    # What it says for itself

    async def write(self, state: Return, *, again: bool) -> None:
        writing = ReturnWriting(run_id=self.first_run_id, state=state, again=again)
        await calls.record(Returns.write, writing, summary=last_step(state))

    def attributes(self) -> list[tuple[Any, Any]]:
        state = self.state
        return [
            (attributes.TOKEN_KIND, Kind.HARD.value),
            (attributes.PRESCRIBER_ID, state.prescriber_id),
            (attributes.SERIAL_NUMBER, state.serial_number),
            (attributes.NEEDS_ATTENTION, state.needs_attention is not None),
            (attributes.ACTION_DUE_BY, state.action_due_by),
        ]

    def details(self) -> str:
        return return_details(self.state)

    @workflow.query(description="Where the return stands, what may be done next")
    def status(self) -> ReturnSnapshot:
        state = self.state
        return ReturnSnapshot(
            **state.model_dump(include=set(ReturnSnapshot.model_fields) - {"next"}),
            next=[Next(message=name, example=return_example(name, state)) for name in self.welcome()],
        )
