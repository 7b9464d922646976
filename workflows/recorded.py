"""What every journey does beside its own stages: it answers or keeps each message, writes what has happened as it happens,
sends its letters, and shows itself in the UI.

How messages interleave: handlers only change `self.state` (or refuse), and run to their next await without interruption. The
stages wait on the state and do the work. Two tasks run beside them: one writes what has happened to the database, one sends
the letters, so that neither a mail server nor anything else that is down holds up a stage.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from temporalio import workflow
from temporalio.common import Priority
from temporalio.exceptions import ActivityError, ApplicationError

from activities.errors import BEHIND, NEEDS_PERSON
from activities.mail import Mail, Mailing, MailReport
from activities.records import Records, TurnedAway
from activities.resumptions import Claim, Resumed
from domain.chronicle import Chronicle, Letter
from domain.priority import ROUTINE, URGENT, URGENT_WORKFLOWS, turn_of
from workflows import calls
from workflows.answers import Outcome
from workflows.details import not_started
from workflows.messages import DESCRIPTIONS, Acknowledge, Body
from workflows.reading import Refused
from workflows.runs import outlive
from workflows.unknown import LONGEST_ID, AnyMessage

ASK_AGAIN = timedelta(hours=1)
"""A party that has refused is asked again after this; only its answer tells when a person has mended it."""

_SOONEST = timedelta(minutes=1)
_LATEST = timedelta(hours=4)

S = TypeVar("S", bound=Chronicle)
R = TypeVar("R", bound=Resumed)


class RecordedWorkflow(AnyMessage, Generic[S]):
    """What a journey leans on. Each kind of journey sets the state up in its `__init__` and fills in the first part."""

    state: S
    starts_with: type[Body]
    """What it is started with."""

    def __init__(self) -> None:
        info = workflow.info()
        self.since_0_2 = workflow.patched("0.2")
        """False: a run that began under release 0.1, which goes on as it did then (docs/decisions/0006-patches.md)."""
        self.turn = calls.Turn(takes_attempts=self.since_0_2)
        self.admitted = False
        self.to_write_again = False
        self.resumed_at: datetime | None = None
        """When `Reconcile` has let it go on after its workflow was gone."""
        self.problem: Refused | None = None
        """Why the start is refused; whatever is sent to such a journey is answered with it."""
        self.first_run_id = info.first_execution_run_id
        self.leaving = False
        self.recorded_face: Any = None
        """What records and lists say; see `face`."""
        self.later: dict[str, datetime] = {}
        """Steps whose letters the mail server has put off, and when they are tried again."""
        self.cancel_request: asyncio.Task[None] | None = None
        if len(info.workflow_id) > LONGEST_ID:
            self.problem = Refused(
                f"The journey's id has more than {LONGEST_ID} characters, which records can't hold; start it under a shorter one."
            )

    # What each kind of journey says for itself

    def check(self, name: str, bodies: tuple[Any, ...]) -> Body:
        """The message, if it is well formed and legal now. Raises Refused. Pure: validators call it."""
        raise NotImplementedError

    def outcome(self) -> Any:
        """The answer to an accepted update."""
        return Outcome(journey_id=self.state.journey_id, status=str(self.state.status))

    async def live(self) -> None:
        """The journey's stages."""
        raise NotImplementedError

    async def write(self, state: S, *, again: bool) -> None:
        """Writes `state` and its `unwritten` entries into the database. `again`: also what it had written before, since the
        database may have been restored to an earlier state."""
        raise NotImplementedError

    def attributes(self) -> list[tuple[Any, Any]]:
        """Search attributes and what they are now; None where there is nothing to say."""
        raise NotImplementedError

    def details(self) -> str:
        """Markdown for the UI."""
        raise NotImplementedError

    async def asked_to_cancel(self) -> None:
        """Temporal's own cancellation request, for which most journeys have no use."""
        raise NotImplementedError

    @property
    def urgent(self) -> bool:
        """Whether what it does now goes before what others do."""
        return workflow.info().workflow_type in URGENT_WORKFLOWS

    @property
    def priority(self) -> Priority:
        """Of its activities, where more waits than the workers can do."""
        return Priority(priority_key=URGENT if self.urgent else ROUTINE, fairness_key=turn_of(self.state.practice_id))

    def sent(self, report: MailReport) -> None:
        """Letters have gone out."""

    # Messages

    async def take(self, name: str, bodies: tuple[Any, ...]) -> None:
        """A signal: what is refused changes nothing, and `answer` has kept it with its reason."""
        with suppress(Refused):
            await self.answer(name, bodies)

    async def answer(self, name: str, bodies: tuple[Any, ...]) -> Any:
        """An accepted message is done and answered. Raises Refused, after keeping the refusal."""
        # A message that came together with a start that is refused must be answered, too.
        await workflow.wait_condition(lambda: self.admitted or self.problem is not None)
        asked = self.begin_answer()
        self.turn.asked += asked
        try:
            self.refuse_if_turned_away()
            # Asked again after the validator: another message may have come first.
            message = self.check(name, bodies)
            await getattr(self, f"on_{name}")(message)
        except Refused as refused:
            self.state.refuse(self.now(), name, refused.message, by=_sender(bodies))
            raise
        finally:
            self.turn.asked -= asked
            self.turn.answering = self.turn.answering or asked
        return self.outcome()

    def begin_answer(self) -> bool:
        """Whether whoever has sent the message that is taken now waits for an answer."""
        asked = workflow.current_update_info() is not None
        self.turn.begin(answering=asked)
        return asked

    async def keep_unknown(self, name: str, sentence: str, bodies: tuple[Any, ...]) -> None:
        if not self.since_0_2:
            return
        await workflow.wait_condition(lambda: self.admitted or self.problem is not None)
        self.state.refuse(self.now(), name, sentence, by=_sender(bodies))

    def refuse_if_turned_away(self) -> None:
        """Raises Refused where the start itself was refused."""
        if self.problem:
            raise Refused(self.problem.message)

    async def turned_away(self, problem: Refused, by: str | None) -> Refused:
        """Keeps a refused start, with what was sent to it, in the audit trail. Returns what `run` has to raise."""
        self.problem = problem
        workflow.set_current_details(not_started(workflow.info().workflow_type, problem.message, self.starts_with))
        self.state.refuse(self.now(), "request", problem.message, by=by)
        await workflow.wait_condition(workflow.all_handlers_finished)
        workflow_id = workflow.info().workflow_id
        while self.state.unwritten and len(workflow_id) <= LONGEST_ID:
            entries = list(self.state.unwritten)
            turned_away = TurnedAway(journey_id=workflow_id, run_id=self.first_run_id, entries=entries)
            await calls.local(Records.refuse, turned_away, summary="Record the refusal")
            del self.state.unwritten[: len(entries)]
        return Refused(problem.message)

    def refuse_unneeded(self, name: str) -> None:
        """Raises Refused for an acknowledgement of nothing."""
        if name == "acknowledge" and not self.state.needs_attention:
            raise Refused("There is nothing to acknowledge: nothing here needs attention.")

    async def on_acknowledge(self, seen: Acknowledge) -> None:
        """What needs attention is taken back; what is still so after it will say so again."""
        note = f": {seen.note}" if seen.note else ""
        reason = self.state.needs_attention
        self.state.forget_matters()
        self.state.note(self.now(), f"acknowledged ({reason}){note}", by=seen.by, message="acknowledge")

    @workflow.signal(name="acknowledge", description=DESCRIPTIONS["acknowledge"])
    async def acknowledge_signal(self, *bodies: Any) -> None:
        await self.take("acknowledge", bodies)

    @workflow.update(name="acknowledge", description=DESCRIPTIONS["acknowledge"])
    async def acknowledge(self, *bodies: Any) -> Any:
        return await self.answer("acknowledge", bodies)

    @acknowledge.validator
    def _may_acknowledge(self, *bodies: Any) -> None:
        self.check("acknowledge", bodies)

    @workflow.signal(name="record_again", description=DESCRIPTIONS["record_again"])
    async def record_again(self, *_bodies: Any) -> None:
        self.to_write_again = True

    async def resume(self, method: Callable[[Any, Claim], R], ticket: str, summary: str) -> R:
        """Goes on with what the records know, for a ticket of `Reconcile`'s. Raises Refused."""
        info = workflow.info()
        claim = Claim(name=info.workflow_type, workflow_id=info.workflow_id, run_id=self.first_run_id, ticket=ticket)
        try:
            resumed = await calls.local(method, claim, summary=summary)
        except ApplicationError as failure:
            raise await self.turned_away(Refused(failure.message), by=None) from None
        self.first_run_id = resumed.first_run_id
        self.resumed_at = self.now()
        return resumed

    def passed(self, at: datetime) -> bool:
        """That moment had passed when the workflow was taken up again: what was due then is not made up for."""
        return self.resumed_at is not None and at <= self.resumed_at

    # The tasks

    async def carry(self) -> None:
        """Runs the stages, and records and letters beside them. Returns when `live` does."""
        tasks = [asyncio.create_task(work()) for work in (self.live, self.keep_records, self.send_letters)]
        await outlive(lambda: any(task.done() for task in tasks), self.asked)
        for task in tasks:
            if task.done():
                task.result()  # only `live` ever returns; the others can only fail
        for task in tasks[1:]:
            task.cancel()

    def asked(self) -> None:
        """By Temporal's own cancellation request; the journey decides what becomes of it."""
        self.cancel_request = asyncio.create_task(self.asked_to_cancel())

    async def keep_records(self) -> None:
        """Writes what has happened, as it happens: database row, audit trail, search attributes, details."""
        await workflow.wait_condition(lambda: self.admitted)
        while True:
            await workflow.wait_condition(
                lambda: bool(self.state.unwritten) or self.to_write_again or self.looks_otherwise()
            )
            if self.since_0_2:
                # What goes on right now is one writing, too; but an end is written at once.
                await workflow.wait_condition(lambda: not self.turn.under_way or self.state.ended)
            face = self.face()
            self.publish()
            without = {"timeline": [], "refused": [], "letters": [], "latest": []}
            writing = self.state.model_copy(update=without, deep=True)
            written, again = len(writing.unwritten), self.to_write_again
            if again and written <= len(self.state.latest):
                # The database knows which of them it has, and takes the others in their order.
                writing.unwritten = list(self.state.latest)
            try:
                await self.write(writing, again=again)
            except ApplicationError as failure:
                if failure.type != BEHIND:
                    raise
                if again:
                    # There is no place for it while another one is live; a person decides which of the two ends.
                    self.to_write_again = False
                    at, summary = self.now() + ASK_AGAIN, "Is there a place in the records?"
                    await self.waited(lambda: self.state.ended or self.to_write_again, at=at, summary=summary)
                self.to_write_again = True
                continue
            self.is_written(written, face)
            self.to_write_again = self.to_write_again and not again

    def is_written(self, entries: int, face: Any = None) -> None:
        """The records have the first so many of the unwritten entries, and say what the face said."""
        self.recorded_face = face or self.face()
        del self.state.unwritten[:entries]

    def face(self) -> Any:
        """What lists and reports show of it."""
        return self.attributes(), [promise.model_copy() for promise in self.state.promises]

    def looks_otherwise(self) -> bool:
        """Lists and reports do not show it as it is: a promise was made or kept, beside what has happened; or this run has
        taken it over, and has shown nothing yet."""
        return self.since_0_2 and self.recorded_face != self.face()

    async def send_letters(self) -> None:
        """Sends what lies in the outbox, in order; each batch only after the records that it speaks of."""
        while True:
            batch = await self.letters_due()
            report = await calls.remote(
                Mail.send,
                self.mailing(batch),
                summary="Email: " + ", ".join(letter.letter for letter in batch),
                attempt=calls.SENDING,
                beats_within=calls.SILENCE,
            )
            gone = {letter.step for letter in batch} - set(report.deferred)
            self.state.letters = [letter for letter in self.state.letters if letter.step not in gone]
            self.put_off(letter for letter in batch if letter.step in report.deferred)
            self.sent(report)
            for letter in batch:
                if letter.step in report.refused:
                    refused = f"the mail server refuses the email `{letter.letter}`"
                    if self.since_0_2 and self.state.ended:
                        # Nothing would ever settle it any more: it is on record, and keeps no closed journey on the list.
                        self.state.note(self.now(), refused)
                    else:
                        self.alarm(refused, about=f"email {letter.letter}", tell=False)

    async def letters_due(self) -> list[Letter]:
        """The letters that may go now. One whose recipient is put off by the mail server holds up no other."""
        later = self.later
        if not later:
            # One wait and no more: older histories replay in this order.
            await workflow.wait_condition(lambda: bool(self.state.letters) and not self.state.unwritten)
            return list(self.state.letters)
        await self.waited(
            lambda: any(letter.step not in later for letter in self.state.letters) and not self.state.unwritten,
            at=min(later.values(), default=None),
            summary="Try again what the mail server has put off",
        )
        await self.recorded()
        now = self.now()
        return [letter for letter in self.state.letters if later.get(letter.step, now) <= now]

    def put_off(self, deferred: Iterable[Letter]) -> None:
        """They are tried again after as long as they have waited, at least a minute and at most four hours."""
        now = self.now()
        self.later = {letter.step: now + min(max(now - letter.at, _SOONEST), _LATEST) for letter in deferred} | {
            letter.step: self.later[letter.step]
            for letter in self.state.letters
            if letter.step in self.later and self.later[letter.step] > now
        }

    def mailing(self, batch: list[Letter]) -> Mailing:
        """The letters as the activity takes them, now. A return and an incident may come again over the same token, so their
        letters are told apart by the run."""
        info = workflow.info()
        if info.workflow_id == self.state.journey_id:
            return Mailing(journey_id=self.state.journey_id, letters=batch, at=self.now(), may_defer=self.since_0_2)
        return Mailing(
            journey_id=self.state.journey_id,
            workflow_id=info.workflow_id,
            run_id=self.first_run_id,
            letters=batch,
            at=self.now(),
            may_defer=self.since_0_2,
        )

    def quiet(self) -> bool:
        """Nothing is left to write, to send or to answer."""
        written = not self.state.unwritten and not self.looks_otherwise()
        return written and not self.state.letters and workflow.all_handlers_finished()

    async def recorded(self) -> None:
        """Returns when the database says what the state says."""
        await workflow.wait_condition(lambda: not self.state.unwritten)

    def publish(self) -> None:
        """Search attributes and details, true to the state."""
        workflow.set_current_details(self.details())
        known = workflow.info().typed_search_attributes
        changes = [
            key.value_unset() if value is None else key.value_set(value)
            for key, value in self.attributes()
            if known.get(key) != value
        ]
        if changes:
            workflow.upsert_search_attributes(changes)

    # What the stages are given

    def now(self) -> datetime:
        """The journey's own time, UTC."""
        return workflow.now()

    async def waited(self, condition: Callable[[], bool], *, at: datetime | None = None, summary: str = "") -> bool:
        """Waits for the condition, at the longest until `at`; says whether it holds."""
        timeout = None if at is None else max(at - self.now(), timedelta(0))
        if self.since_0_2 and timeout == timedelta(0) and condition():
            return True  # a wait that is over before it has begun would not ask
        try:
            await workflow.wait_condition(condition, timeout=timeout, timeout_summary=summary or None)
        except TimeoutError:
            self.turn.begin()
            return False
        return True

    async def insist(
        self,
        method: Callable[[Any, Any], calls.A],
        body: Any,
        *,
        summary: str,
        by: datetime | None = None,
        **options: Any,
    ) -> calls.A:
        """A party's answer, for as long as it takes. A refusal needs a person: the team is told, and it is asked again
        each hour. Raises ActivityError when `within` runs out, and TimeoutError where there is no answer `by` then."""
        while True:
            if by:
                options["within"] = by - self.now()
                if options["within"] <= timedelta(0):
                    raise TimeoutError
            try:
                answer = await calls.remote(method, body, summary=summary, **options)
            except ActivityError:
                if self.leaving:
                    raise asyncio.CancelledError from None
                if not by:
                    raise
                # Temporal gives up as soon as there is no time for another attempt.
                await workflow.sleep(max(by - self.now(), timedelta(0)), summary=f"{summary}: the time is nearly over")
            except ApplicationError as failure:
                if self.leaving:
                    raise asyncio.CancelledError from None
                if failure.type != NEEDS_PERSON:
                    raise
                self.alarm(failure.message, about=summary)
                again = ASK_AGAIN if by is None else max(min(ASK_AGAIN, by - self.now()), timedelta(0))
                await workflow.sleep(again, summary=f"{summary}: try again in an hour")
                self.turn.begin()
            else:
                if self.leaving:
                    raise asyncio.CancelledError
                if self.since_0_2 and summary in self.state.matters:
                    self.settle(f"done at last: {summary[:1].lower()}{summary[1:]}", summary)
                return answer

    def settle(self, what: str, *about: str) -> None:
        """The matters `about` have come right."""
        self.state.settle(self.now(), what, *(about if self.since_0_2 else ()))

    def alarm(self, reason: str, *, about: str, tell: bool = True) -> None:
        """A person is needed over the matter `about`, and the team is told; once for the same reason."""
        known = self.state.matters.get(about) if self.since_0_2 else self.state.needs_attention
        if known == reason:
            return
        self.state.attend(self.now(), reason, about if self.since_0_2 else "")
        if tell:
            self.state.post("team_needs_attention", self.now(), facts={"reason": reason})


def last_step(state: Chronicle) -> str:
    """What is about to be written, in a line for the UI."""
    return state.unwritten[-1].what[:150] if state.unwritten else "what is promised by when"


def _sender(bodies: tuple[Any, ...]) -> str | None:
    """Who says to have sent it, if that can be read."""
    if len(bodies) != 1 or not isinstance(bodies[0], dict):
        return None
    for name in ("by", "operator", "received_by"):
        sender = bodies[0].get(name)
        if isinstance(sender, str) and sender:
            return sender[:200]
    return None
