"""The messages of `TokenJourney`: each as a signal, an update, or both.

All take `*bodies: Any`, so that whatever is pasted arrives: typed parameters would drop a bad signal in silence, and two
payloads would fail the whole journey. A refused update is rejected by its validator and leaves nothing; a refused signal
is kept with its reason.
"""

import asyncio
import re
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from activities.enrollment import Enrollment, HardAttempt, SoftAttempt, Verdict
from activities.records import Contact, Records
from activities.stock import NONE_LEFT, Allocation, Stock, Taking, TakingOrder
from domain.journey import COMING_BACK, Journey
from domain.peers import successor_id
from domain.reasons import HARD_REASONS, LOSS, DeactivationReason
from domain.status import Kind, Status, refusal
from workflows import calls
from workflows.answers import Outcome
from workflows.details import may_be_sent
from workflows.messages import (
    BODIES,
    DESCRIPTIONS,
    Body,
    Cancel,
    CarrierEvent,
    Deactivate,
    DirectoryEvent,
    Edit,
    EnrollHard,
    EnrollSoft,
    Process,
    Resend,
    VendorEvent,
)
from workflows.reading import CHANGED, Refused, read
from workflows.recorded import RecordedWorkflow
from workflows.stages import promises

ACTIVATION_EMAIL_WITHIN = timedelta(hours=1)
OUT_OF_STOCK = "no hard token is in stock"
BOUNCED = "the activation email came back, says the vendor"
_CODE = re.compile(r"[a-z][a-z_]{0,59}")


class TokenMessages(RecordedWorkflow[Journey]):
    """The handlers. `TokenJourney` sets up what they lean on."""

    one_at_a_time: asyncio.Lock
    directory_has_news = False
    """Surescripts has told of a sync: the directory is to be asked at once."""

    def check(self, name: str, bodies: tuple[Any, ...]) -> Body:
        self.refuse_if_turned_away()
        message = read(BODIES[name], bodies, name, as_0_1=not self.since_0_2)
        self.refuse_unneeded(name)
        sentence = (
            (None if name == "acknowledge" else refusal(name, self.state.kind, self.state.status))
            or _unfit(message, self.state)
            or self._contradictory(message)
            or self._too_often(message)
        )
        if sentence:
            raise Refused(sentence)
        if isinstance(message, Edit) and message.if_match not in (None, self.state.edition):
            raise Refused(
                "The request was not edited: it has been changed since it was read; read it again, and send what is still to change.",
                CHANGED,
            )
        return message

    def known(self) -> Collection[str]:
        return BODIES

    def welcome(self) -> list[str]:
        return may_be_sent(self.state)

    def _contradictory(self, message: Body) -> str | None:
        """A loss of what is in hand would open an incident and ask for the token back, both at once."""
        if (
            self.since_0_2
            and isinstance(message, Deactivate)
            and message.in_possession
            and message.reason in LOSS
            and self.state.kind is Kind.HARD
        ):
            return (
                f"The token was not deactivated: it can't be {message.reason} and in possession at once; leave in_possession out, "
                "or give another reason."
            )
        return None

    def _too_often(self, message: Body) -> str | None:
        """Each sends emails, and Temporal takes 2,000 updates of a run: a caller gone wild must not use them up."""
        state, most = self.state, self.state.policy
        if not self.since_0_2:
            return None
        if isinstance(message, Edit) and state.edits >= most.most_edits:
            return (
                f"The request was not edited: it has been edited {state.edits} times, and no more is possible; cancel it, and send a "
                "new one."
            )
        if isinstance(message, Resend) and state.resends >= most.most_resends:
            return (
                f"No activation email was sent: it has been sent again {state.resends} times, and no more is possible; cancel this "
                "request, and send a new one."
            )
        return None

    def outcome(self) -> Outcome:
        """The answer to an accepted update."""
        state = self.state
        return Outcome(journey_id=state.journey_id, status=state.status, serial_number=state.serial_number)

    # What each message does

    async def on_edit(self, edit: Edit) -> None:
        contact = Contact(email=edit.email, shipping_address=edit.shipping_address)
        try:
            contact = await calls.local(Records.check_contact, contact, summary="Check the new email or address")
        except ApplicationError as failure:
            raise Refused(failure.message) from None
        self.check("edit", (edit,))
        changed = []
        if contact.email and contact.email != self.state.email:
            self.state.email = contact.email
            changed.append("email")
        if contact.shipping_address and contact.shipping_address != self.state.shipping_address:
            self.state.shipping_address = contact.shipping_address
            changed.append("shipping address")
        if not changed:
            raise Refused("Nothing was edited: email and shipping address are already as sent; send what is to change.")
        now = self.now()
        self.state.edits += 1
        self.state.note(now, f"edited: {' and '.join(changed)}", by=edit.by, message="edit")
        self.state.post("request_changed", now, facts={"changed": changed, "who": edit.by})

    async def on_process(self, order: Process) -> None:
        async with self.one_at_a_time:
            self.check("process", (order,))
            serial = None
            if self.state.kind is Kind.HARD:
                serial = await self._allocated(order)
                self.check("process", (order,))  # cancelled meanwhile: the retiring stage releases the token
            now = self.now()
            self.state.serial_number = serial
            self.state.enter(
                Status.PROCESSED, now, f"processed{f', token {serial}' if serial else ''}", by=order.operator
            )
            self.state.keep(promises.PROCESSED, now)
            self.state.promise(promises.ACTIVATION_EMAIL, now + ACTIVATION_EMAIL_WITHIN)
            self.settle("the request is processed", "stock", "queue")

    async def _allocated(self, order: Process) -> str:
        try:
            taking = await self._taken(order)
        except ApplicationError as failure:
            raise Refused(failure.message) from None
        if taking.serial_number is None:
            if self.since_0_2:
                self.check("process", (order,))  # cancelled meanwhile: nobody needs stock for it any more
            if OUT_OF_STOCK not in (self.state.needs_attention or ""):
                self.state.attend(self.now(), OUT_OF_STOCK, "stock")
                self.state.post("team_out_of_stock", self.now(), facts={"who": order.operator})
            raise Refused(NONE_LEFT)
        if taking.low:
            # The journey with whose token the stock runs low tells the team, even if it is cancelled meanwhile.
            self.state.post("team_low_stock", self.now(), facts={"low": [str(each) for each in taking.low]})
        return taking.serial_number

    async def _taken(self, order: Process) -> Taking:
        journey_id, serial_number, summary = self.state.journey_id, order.serial_number, "Take a token out of stock"
        if not self.since_0_2:
            allocation = Allocation(journey_id=journey_id, serial_number=serial_number)
            return Taking(serial_number=await calls.remote(Stock.allocate, allocation, summary=summary))
        taking = TakingOrder(journey_id=journey_id, serial_number=serial_number, at=self.now())
        return await calls.remote(Stock.take, taking, summary=summary, here_first=True)

    async def on_cancel(self, cancel: Cancel) -> None:
        if self.since_0_2 and self.state.status is Status.PROCESSED:
            # A parcel that has left has to come back, whatever became of the task that knew.
            await self.catch_up_with_records()
            self.check("cancel", (cancel,))
        self.end_request(cancel.reason, by=cancel.by, told={"reason": cancel.reason, "who": cancel.by})
        if self.since_0_2:
            # Whoever has the answer may request another token, which our own records would refuse.
            await self.recorded()

    def end_request(self, reason: str | None, by: str | None, told: dict[str, Any] | None = None) -> None:
        """Ends the request; what was done for it is undone by the retiring stage. `told`: what the prescriber's email says of it,
        where that is more than that it was cancelled. `lost` and `stolen` are taken as the
        contract's reasons where there is a token to lose: its loss is an incident, and nobody is asked to mail it back."""
        now = self.now()
        named = (reason or "").strip().lower()
        if self.since_0_2 and named in LOSS and (self.state.shipped or self.state.enrolled_at):
            self.state.reason = DeactivationReason(named)
        self.state.enter(Status.CANCELLED, now, f"cancelled: {reason}" if reason else "cancelled", by=by)
        letter = "cancelled_return" if self.state.asked_back else "request_cancelled"
        return_by = self.return_by(now) if self.state.asked_back else None
        self.state.post(letter, now, step="cancelled", facts={**(told or {}), "return_by": return_by})

    async def on_carrier_event(self, event: CarrierEvent) -> None:
        state, now = self.state, self.now()
        if event.tracking_number != state.tracking_number:
            raise Refused(
                "The carrier's event changes nothing: it is about another parcel than this journey's; check the number."
            )
        key = f"{event.status} {event.occurred_at.isoformat()}"
        if key in state.carrier_events:
            raise Refused("The carrier's event changes nothing: it has been taken before; send each event once.")
        state.carrier_events = [*state.carrier_events[-49:], key]
        match event.status:
            case "delivered":
                # A late report must not cost the carrier's promise; a wrong clock must not lead out of the journey.
                delivered = min(max(event.occurred_at, state.shipped_at or now), now)
                state.sent_back = False  # a word that was too early
                state.enter(Status.DELIVERED, now, "delivered, says the carrier", by="carrier")
                state.delivered_at = delivered
                state.keep(promises.DELIVERED, delivered)
            case "failure" | "returned":
                what = "could not be delivered" if event.status == "failure" else COMING_BACK
                # A code such as `package_lost` says what to do; free text may name people.
                said = event.detail or ""
                why = f" ({said.replace('_', ' ')})" if _CODE.fullmatch(said) else ""
                state.sent_back = state.sent_back or (self.since_0_2 and event.status == "returned")
                self.alarm(f"the carrier says that the parcel {what}{why}", about="parcel")
            case _:
                state.note(now, f"carrier: {event.status.replace('_', ' ')}", by="carrier", message="carrier_event")

    async def catch_up_with_records(self) -> None:
        """Whoever goes by the records, as the gateway's webhooks do, may be ahead of this run: what a workflow task has written stays
        written where its worker dies before it has said so, and the task is done anew only after the carrier's word, which is
        told once."""
        if not self.since_0_2 or self.state.kind is not Kind.HARD or self.shipped_or_over():
            return
        if await calls.local(
            Records.say_shipped, self.state.journey_id, summary="Has it been shipped, say the records?"
        ):
            await workflow.wait_condition(self.shipped_or_over)

    def shipped_or_over(self) -> bool:
        return self.problem is not None or self.state.status not in (Status.REQUESTED, Status.PROCESSED)

    async def on_vendor_event(self, event: VendorEvent) -> None:
        self._first_time("vendor", event)
        match event.event:
            case "provisioned":
                self.state.note(self.now(), "vendor: provisioned", by="vendor", message="vendor_event")
            case "activation_email_bounced":
                self.alarm(BOUNCED, about="activation email")
            case "revoked":
                # The journey's own end is what ends a token; a vendor that is ahead of it has made a mistake, or knows more.
                self.alarm("the vendor says that it has revoked the token, which nobody here asked for", about="vendor")

    async def on_directory_event(self, event: DirectoryEvent) -> None:
        self._first_time("directory", event)
        if event.event == "rejected":
            self.alarm("Surescripts says that it has rejected the token", about="sync")
            return
        self.state.note(
            self.now(), "Surescripts says that it has synced; it is asked", by="Surescripts", message="directory_event"
        )
        self.directory_has_news = True

    def _first_time(self, party: str, event: VendorEvent | DirectoryEvent) -> None:
        """Raises Refused for an event that has been taken before."""
        key = f"{party} {event.event} {event.occurred_at.isoformat()}"
        if key in self.state.party_events:
            raise Refused(f"The {party}'s event changes nothing: it has been taken before; send each event once.")
        self.state.party_events = [*self.state.party_events[-49:], key]

    async def on_enroll_hard(self, enrolment: EnrollHard) -> None:
        async with self.one_at_a_time:
            self.check("enroll_hard", (enrolment,))
            attempt = HardAttempt(
                journey_id=self.state.journey_id,
                at=self.now(),
                policy=self.state.policy,
                asked_as=asked.id if (asked := workflow.current_update_info()) else None,
                **enrolment.model_dump(),
            )
            verdict = await calls.remote(
                Enrollment.verify_hard, attempt, summary="Judge serial number and passcode", here_first=True
            )
            self.enrolled(verdict, "enroll_hard", enrolment, "enrolled by serial number and passcode")

    async def on_enroll_soft(self, enrolment: EnrollSoft) -> None:
        async with self.one_at_a_time:
            self.check("enroll_soft", (enrolment,))
            attempt = SoftAttempt(journey_id=self.state.journey_id, at=self.now(), **enrolment.model_dump())
            try:
                verdict = await calls.remote(
                    Enrollment.link_soft, attempt, summary="Link the soft token", here_first=True
                )
            except ApplicationError as failure:
                raise Refused(failure.message) from None
            self.enrolled(verdict, "enroll_soft", enrolment, "enrolled by name and PIN")

    def enrolled(self, verdict: Verdict, name: str, message: Body, what: str) -> None:
        """Moves on to Syncing, unless the verdict or a cancellation meanwhile says no."""
        if verdict.refusal:
            raise Refused(verdict.refusal)
        self.check(name, (message,))
        now = self.now()
        self.state.serial_number = verdict.serial_number
        self.state.sent_back = False  # it is in the prescriber's hands, whatever the carrier has said
        self.state.enter(Status.SYNCING, now, what)
        self.state.keep(promises.DELIVERED, now)  # enrolment proves delivery

    async def on_resend_activation(self, resend: Resend) -> None:
        state, now = self.state, self.now()
        state.resends += 1
        valid_until = None
        if state.kind is Kind.SOFT or state.status is Status.DELIVERED:
            valid_until = now + timedelta(days=state.policy.link_validity_days)
        state.note(now, "a fresh activation link is sent; older ones end", by=resend.by, message="resend_activation")
        if self.since_0_2:
            self.settle("what came back is sent again", "activation email")
        if state.needs_attention == BOUNCED:
            state.settle(now, "the activation email is sent again")
        state.post(
            "vendor_activation_hard" if state.kind is Kind.HARD else "vendor_download_soft",
            now,
            link=True,
            link_valid_until=valid_until,
            older_links="end",
            unlocks=resend.unlock,
            facts={"renewed": True},
        )

    async def on_deactivate(self, order: Deactivate) -> None:
        now = self.now()
        self.state.in_possession = order.in_possession and self.state.kind is Kind.HARD
        self.state.reason, self.state.replaced_by = order.reason, order.replaced_by
        why = f"deactivated: {order.reason.replace('_', ' ')}" if order.reason else "deactivated"
        self.state.enter(Status.DEACTIVATED, now, why, by=order.by)
        self.state.post(
            "deactivated",
            now,
            step="deactivated",
            facts={
                "in_possession": self.state.in_possession,
                "reason": order.reason,
                "who": order.by,
                "replaced": order.replaced_by is not None,
                "return_by": self.return_by(now) if self.state.comes_back else None,
            },
        )
        # Whoever has the answer relies on it: from here on our own records refuse the token.
        await self.recorded()

    def return_by(self, ended_at: datetime) -> datetime:
        """When a token that is asked back is written off."""
        return ended_at + timedelta(days=self.state.policy.return_written_off_days)

    # The names by which Temporal knows them

    @workflow.signal(name="edit", description=DESCRIPTIONS["edit"])
    async def edit_signal(self, *bodies: Any) -> None:
        await self.take("edit", bodies)

    @workflow.update(name="edit", description=DESCRIPTIONS["edit"])
    async def edit(self, *bodies: Any) -> Outcome:
        return await self.answer("edit", bodies)

    @edit.validator
    def _may_edit(self, *bodies: Any) -> None:
        self.check("edit", bodies)

    @workflow.signal(name="process", description=DESCRIPTIONS["process"])
    async def process_signal(self, *bodies: Any) -> None:
        await self.take("process", bodies)

    @workflow.update(name="process", description=DESCRIPTIONS["process"])
    async def process(self, *bodies: Any) -> Outcome:
        return await self.answer("process", bodies)

    @process.validator
    def _may_process(self, *bodies: Any) -> None:
        self.check("process", bodies)

    @workflow.signal(name="cancel", description=DESCRIPTIONS["cancel"])
    async def cancel_signal(self, *bodies: Any) -> None:
        await self.take("cancel", bodies)

    @workflow.update(name="cancel", description=DESCRIPTIONS["cancel"])
    async def cancel(self, *bodies: Any) -> Outcome:
        return await self.answer("cancel", bodies)

    @cancel.validator
    def _may_cancel(self, *bodies: Any) -> None:
        self.check("cancel", bodies)

    @workflow.signal(name="resend_activation", description=DESCRIPTIONS["resend_activation"])
    async def resend_activation_signal(self, *bodies: Any) -> None:
        await self.take("resend_activation", bodies)

    @workflow.update(name="resend_activation", description=DESCRIPTIONS["resend_activation"])
    async def resend_activation(self, *bodies: Any) -> Outcome:
        return await self.answer("resend_activation", bodies)

    @resend_activation.validator
    def _may_resend_activation(self, *bodies: Any) -> None:
        self.check("resend_activation", bodies)

    @workflow.signal(name="deactivate", description=DESCRIPTIONS["deactivate"])
    async def deactivate_signal(self, *bodies: Any) -> None:
        await self.take("deactivate", bodies)

    @workflow.update(name="deactivate", description=DESCRIPTIONS["deactivate"])
    async def deactivate(self, *bodies: Any) -> Outcome:
        return await self.answer("deactivate", bodies)

    @deactivate.validator
    def _may_deactivate(self, *bodies: Any) -> None:
        self.check("deactivate", bodies)

    @workflow.signal(name="carrier_event", description=DESCRIPTIONS["carrier_event"])
    async def carrier_event_signal(self, *bodies: Any) -> None:
        await self.catch_up_with_records()
        await self.take("carrier_event", bodies)

    @workflow.signal(name="vendor_event", description=DESCRIPTIONS["vendor_event"])
    async def vendor_event_signal(self, *bodies: Any) -> None:
        await self.take("vendor_event", bodies)

    @workflow.signal(name="directory_event", description=DESCRIPTIONS["directory_event"])
    async def directory_event_signal(self, *bodies: Any) -> None:
        await self.take("directory_event", bodies)

    @workflow.update(name="enroll_hard", description=DESCRIPTIONS["enroll_hard"])
    async def enroll_hard(self, *bodies: Any) -> Outcome:
        return await self.answer("enroll_hard", bodies)

    @enroll_hard.validator
    def _may_enroll_hard(self, *bodies: Any) -> None:
        self.check("enroll_hard", bodies)

    @workflow.update(name="enroll_soft", description=DESCRIPTIONS["enroll_soft"])
    async def enroll_soft(self, *bodies: Any) -> Outcome:
        return await self.answer("enroll_soft", bodies)

    @enroll_soft.validator
    def _may_enroll_soft(self, *bodies: Any) -> None:
        self.check("enroll_soft", bodies)


def _unfit(message: Body, state: Journey) -> str | None:
    """What is wrong with a well-formed message for this journey, as one sentence."""
    match message:
        case Edit() if message.email is None and message.shipping_address is None:
            return "Nothing was edited: neither email nor shipping_address was sent; send what is to change."
        case Edit() if message.shipping_address is not None and state.kind is Kind.SOFT:
            return "The shipping address can't be edited: a soft token is not shipped; edit the email instead."
        case Process() if message.serial_number is not None and state.kind is Kind.SOFT:
            return "The request can't be processed with a serial number: a soft token has none in stock; leave it out."
        case Deactivate() if not message.confirmed:
            return 'The token was not deactivated: it must be confirmed, since it can\'t be undone; send "confirmed": true.'
        case Deactivate() if state.kind is Kind.HARD and message.reason not in HARD_REASONS:
            reasons = ", ".join(sorted(HARD_REASONS))
            return f"The token was not deactivated: a hard token needs a reason; send one of {reasons}."
        case Deactivate() if message.replaced_by not in (None, successor_id(state.journey_id, state.kind)):
            return (
                "The token was not deactivated: `replaced_by` is not yours to set; start `ReplaceToken` to replace it."
            )
        case _:
            return None
