"""`TokenJourney`: one EPCS token from its request to its end.

How messages interleave: handlers only change `self.state` (or refuse), and run to their next await without interruption.
Those that need an outside answer (allocation, passcode, address) await one activity under `one_at_a_time` and ask again
afterwards whether they are still legal, since a cancellation may have come meanwhile. The stages wait on the state and do
the work. Two tasks run beside them: one writes what has happened to the database, one sends the letters, so that neither
a mail server nor anything else that is down holds up a shipment.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from activities.errors import NEEDS_PERSON
from activities.mail import Mail, Mailing
from activities.records import Admission, Records, TurnedAway, Writing
from domain.journey import Entry, Journey
from domain.status import Kind, Status, accepted, refusal
from workflows import calls
from workflows import search_attributes as attributes
from workflows.details import details
from workflows.messages import (
    Next,
    Outcome,
    Refused,
    Snapshot,
    TokenRequest,
    example,
    read,
)
from workflows.stages import promises
from workflows.stages.activate import activate
from workflows.stages.deliver import deliver
from workflows.stages.fulfil import fulfil
from workflows.stages.queue import queue
from workflows.stages.retire import retire
from workflows.stages.serve import serve
from workflows.stages.sync import sync
from workflows.token_messages import TokenMessages

ASK_AGAIN = timedelta(hours=1)
"""A party that has refused is asked again after this; only its answer tells when a person has mended it."""

LONGEST_ID = 200


@workflow.defn(name="TokenJourney")
class TokenJourney(TokenMessages):
    """Carries one token through its life. Input: `TokenRequest` as one JSON object. Fails with type `Refused` and one
    sentence when the request is not acceptable; otherwise ends with the token, `Cancelled` or `Deactivated`."""

    @workflow.init
    def __init__(self, *bodies: Any) -> None:
        self.problem: Refused | None = None
        self.request = TokenRequest(prescriber_id="unknown", kind=Kind.HARD)
        try:
            self.request = read(TokenRequest, bodies, "TokenJourney")
        except Refused as fault:
            self.problem = fault
        info = workflow.info()
        if len(info.workflow_id) > LONGEST_ID:
            self.problem = Refused(
                f"The journey's id has more than {LONGEST_ID} characters, which records can't hold; start it under a shorter one."
            )
        self.state = self.request.carried or Journey(
            journey_id=info.workflow_id,
            prescriber_id=self.request.prescriber_id,
            kind=self.request.kind,
            requested_by=self.request.requested_by,
            replaces=self.request.replaces,
        )
        self.admitted = self.request.carried is not None
        self.first_run_id = info.first_execution_run_id
        self.one_at_a_time = asyncio.Lock()
        self.leaving = False
        self.cancel_request: asyncio.Task[None] | None = None

    @workflow.run
    async def run(self, *bodies: Any) -> Outcome:
        if self.problem:
            raise self.problem
        tasks = [asyncio.create_task(work()) for work in (self.live, self.keep_records, self.send_letters)]
        while not any(task.done() for task in tasks):
            try:
                await workflow.wait_condition(lambda: any(task.done() for task in tasks))
            except asyncio.CancelledError:
                # Only this wait is cancelled by Temporal's own request; the journey decides what becomes of it.
                self.cancel_request = asyncio.create_task(self.asked_to_cancel())
        for task in tasks:
            if task.done():
                task.result()  # only `live` ever returns; the others can only fail
        for task in tasks[1:]:
            task.cancel()
        if not self.state.ended:
            workflow.continue_as_new(self.request.model_copy(update={"carried": self.state}))
        return Outcome(journey_id=self.state.journey_id, status=self.state.status, detail=self.state.why_ended)

    async def live(self) -> None:
        """The journey as the article tells it. Returns when it has ended, or is to continue as new."""
        if not self.admitted:
            await self.admit()
        stages = asyncio.create_task(self.stages())
        await workflow.wait_condition(lambda: stages.done() or self.state.ended)
        if not stages.done():
            self.leaving = True
            stages.cancel()
            await workflow.wait([stages])
            self.leaving = False
        if not stages.cancelled():
            stages.result()
        if not self.state.ended:
            # The history has grown long. What comes in before the last letter is out may still end the journey.
            await workflow.wait_condition(lambda: self.quiet() or self.state.ended)
        if self.state.ended:
            await retire(self)
            await workflow.wait_condition(self.quiet)

    async def stages(self) -> None:
        """Each stage waits for what ends it. A cancellation or deactivation stops them from outside."""
        if self.state.status is not Status.ACTIVE:
            for stage in (queue, fulfil, deliver, activate, sync):
                await stage(self)
                if self.state.ended:
                    return  # lost in transit, or never activated
        await serve(self)

    async def admit(self) -> None:
        """Requested: checked and recorded; team and prescriber are told."""
        state, request, now = self.state, self.request, self.now()
        admission = Admission(
            journey_id=state.journey_id,
            run_id=self.first_run_id,
            at=now,
            **request.model_dump(exclude={"carried"}, exclude_none=True),
        )
        try:
            admitted = await calls.local(Records.admit, admission, summary="Check and record the request")
        except ApplicationError as failure:
            raise await self.turned_away(failure.message) from None
        state.policy, state.email = admitted.policy, admitted.email
        state.shipping_address = admitted.shipping_address
        state.requested_at, state.queue_alert_at = now, admitted.queue_alert_at
        state.note(now, "requested", by=state.requested_by)
        state.promise(promises.PROCESSED, admitted.queue_alert_at)
        state.post("team_request_waiting", now, step="team_request_waiting", facts={"due_at": admitted.queue_alert_at})
        state.post("request_received", now, step="request_received", facts={"due_at": admitted.queue_alert_at})
        self.admitted = True

    async def turned_away(self, sentence: str) -> Refused:
        entry = Entry(
            number=1,
            at=self.now(),
            what="refused: request",
            by=self.request.requested_by,
            status=Status.REQUESTED,
            message="request",
            refused=sentence,
        )
        turned_away = TurnedAway(journey_id=self.state.journey_id, run_id=self.first_run_id, entry=entry)
        await calls.local(Records.refuse, turned_away, summary="Record the refusal")
        return Refused(sentence)

    # What runs beside the stages

    async def keep_records(self) -> None:
        """Writes what has happened, as it happens: database row, audit trail, search attributes, details."""
        while True:
            await workflow.wait_condition(lambda: bool(self.state.unwritten))
            self.publish()
            writing = self.state.model_copy(update={"timeline": [], "refused": [], "letters": []}, deep=True)
            await calls.local(
                Records.write,
                Writing(run_id=self.first_run_id, journey=writing),
                summary=writing.unwritten[-1].what[:150],
            )
            del self.state.unwritten[: len(writing.unwritten)]

    async def send_letters(self) -> None:
        """Sends what lies in the outbox, in order; each batch only after the records that it speaks of."""
        while True:
            await workflow.wait_condition(lambda: bool(self.state.letters) and not self.state.unwritten)
            batch = list(self.state.letters)
            mailing = Mailing(journey_id=self.state.journey_id, letters=batch)
            report = await calls.remote(
                Mail.send, mailing, summary="Email: " + ", ".join(letter.letter for letter in batch)
            )
            del self.state.letters[: len(batch)]
            now = self.now()
            if "activation" in report.sent:
                self.state.keep(promises.ACTIVATION_EMAIL, now)
            for letter in batch:
                if letter.step in report.refused:
                    self.alarm(f"the mail server refuses the email `{letter.letter}`", tell=False)

    def quiet(self) -> bool:
        """Nothing is left to write, to send or to answer."""
        return not self.state.unwritten and not self.state.letters and workflow.all_handlers_finished()

    async def recorded(self) -> None:
        """Returns when the database says what the state says."""
        await workflow.wait_condition(lambda: not self.state.unwritten)

    def publish(self) -> None:
        """Search attributes and details, true to the state."""
        state = self.state
        workflow.set_current_details(details(state))
        known = workflow.info().typed_search_attributes
        wanted: list[tuple[Any, Any]] = [
            (attributes.TOKEN_STATUS, state.status.value),
            (attributes.TOKEN_KIND, state.kind.value),
            (attributes.PRESCRIBER_ID, state.prescriber_id),
            (attributes.SERIAL_NUMBER, state.serial_number),
            (attributes.NEEDS_ATTENTION, state.needs_attention is not None),
            (attributes.ACTION_DUE_BY, state.action_due_by),
        ]
        changes = [
            key.value_unset() if value is None else key.value_set(value)
            for key, value in wanted
            if known.get(key) != value
        ]
        if changes:
            workflow.upsert_search_attributes(changes)

    # What the stages are given

    def now(self) -> datetime:
        return workflow.now()

    def days_after(self, since: datetime, days: int) -> datetime:
        return since + timedelta(days=days)

    async def until(self, condition: Callable[[], bool], *, at: datetime | None = None, summary: str = "") -> bool:
        """Waits for the condition, at the longest until `at`; says whether it holds. A journey that has ended never
        comes back from here: its stages are over."""
        timeout = None if at is None else max(at - self.now(), timedelta(0))
        try:
            await workflow.wait_condition(
                lambda: condition() or self.state.ended, timeout=timeout, timeout_summary=summary or None
            )
        except TimeoutError:
            return False
        if self.state.ended:
            raise asyncio.CancelledError
        return True

    async def pause(self, at: datetime, *, summary: str) -> None:
        """Waits until `at`."""
        await self.until(lambda: False, at=at, summary=summary)

    async def insist(
        self, method: Callable[[Any, Any], calls.A], body: Any, *, summary: str, **options: Any
    ) -> calls.A:
        """A party's answer, for as long as it takes. A refusal needs a person: the team is told, and it is asked again
        each hour. Raises ActivityError when `within` runs out."""
        while True:
            try:
                answer = await calls.remote(method, body, summary=summary, **options)
            except ActivityError:
                if self.leaving:
                    raise asyncio.CancelledError from None
                raise
            except ApplicationError as failure:
                if self.leaving:
                    raise asyncio.CancelledError from None
                if failure.type != NEEDS_PERSON:
                    raise
                self.alarm(failure.message)
                await workflow.sleep(ASK_AGAIN, summary=f"{summary}: try again in an hour")
            else:
                if self.leaving:
                    raise asyncio.CancelledError
                return answer

    def alarm(self, reason: str, *, tell: bool = True) -> None:
        """A person is needed, and the team is told; once for the same reason."""
        if self.state.needs_attention == reason:
            return
        self.state.attend(self.now(), reason)
        if tell:
            self.state.post("team_needs_attention", self.now(), facts={"reason": reason})

    async def asked_to_cancel(self) -> None:
        """Temporal's own cancellation request acts as `cancel` where that is legal, and is refused otherwise."""
        await workflow.wait_condition(lambda: self.admitted)
        reason = refusal("cancel", self.state.kind, self.state.status)
        if reason:
            self.state.refuse(self.now(), "cancel", reason, by="Temporal")
        else:
            self.end_request("in Temporal", by="Temporal")

    @workflow.query(description="Where the journey stands, what is promised, what may be done next")
    def status(self) -> Snapshot:
        state = self.state
        return Snapshot(
            **state.model_dump(include=set(Snapshot.model_fields) - {"next"}),
            next=[Next(message=name, example=example(name, state)) for name in accepted(state.kind, state.status)],
        )
