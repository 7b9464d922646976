"""`SecurityIncident`: a lost or stolen token, to be reported within one business day (21 CFR 1311.102(d), 1311.150)."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from activities.incidents import Incidents, IncidentWriting, Loss
from activities.resumptions import Resumptions
from domain.incident import Incident, IncidentStatus
from domain.status import Kind
from workflows import calls
from workflows import search_attributes as attributes
from workflows.answers import IncidentSnapshot, Next, Outcome
from workflows.details import incident_details, offered_of
from workflows.messages import DESCRIPTIONS, INCIDENT_BODIES, Body, Close, IncidentReport
from workflows.reading import Refused, read
from workflows.recorded import RecordedWorkflow, last_step
from workflows.stages import promises


@workflow.defn(name="SecurityIncident")
class SecurityIncident(RecordedWorkflow[Incident]):
    """Keeps the clock of one report. Input: `IncidentReport` as one JSON object. Fails with type `Refused` and one sentence
    when there is no such loss; otherwise ends when somebody says that it has been reported."""

    starts_with = IncidentReport

    @workflow.init
    def __init__(self, *bodies: Any) -> None:
        super().__init__()
        self.report = IncidentReport(journey_id=workflow.info().workflow_id)
        try:
            self.report = read(IncidentReport, bodies, "SecurityIncident", as_0_1=not self.since_0_2)
        except Refused as fault:
            self.problem = fault
        self.state = Incident(
            journey_id=self.report.journey_id,
            incident_id=workflow.info().workflow_id,
            prescriber_id="unknown",
            kind=Kind.HARD,
            reason=self.report.reason,
        )

    @workflow.run
    async def run(self, *bodies: Any) -> Outcome:
        if self.problem:
            raise await self.turned_away(self.problem, by=None)
        await self.carry()
        return self.outcome()

    async def live(self) -> None:
        await (self.take_up(self.report.resume) if self.report.resume else self.open())
        state, policy = self.state, self.state.policy
        assert state.due_at
        warning = state.due_at - timedelta(hours=policy.incident_warning_hours)
        in_good_time = await self.closed_by(warning, "reported in good time?")
        if not in_good_time and not (self.since_0_2 and self.now() >= state.due_at):
            self.tell("due soon")
            state.attend(self.now(), f"the report of the loss falls due on {state.due_day}", "report")
        overdue_since = state.due_at
        while not await self.closed_by(overdue_since, "reported?"):
            if state.status is IncidentStatus.OPEN:
                state.status = IncidentStatus.OVERDUE
                state.breach(promises.REPORTED, "nobody has said that it was reported")
                state.attend(self.now(), f"the report of the loss was due on {state.due_day} and is overdue", "report")
            self.tell("overdue")
            overdue_since += timedelta(hours=policy.incident_reminder_hours)
            while self.since_0_2 and self.now() >= overdue_since:  # told late, it is told once
                overdue_since += timedelta(hours=policy.incident_reminder_hours)
        await workflow.wait_condition(self.quiet)

    async def open(self) -> None:
        """Recorded, with the day on which the report falls due and in whose calendar; the team is told."""
        state, now = self.state, self.now()
        reported_at = min(self.report.reported_at or now, now)
        loss = Loss(
            incident_id=state.incident_id,
            run_id=self.first_run_id,
            at=reported_at,
            journey_id=state.journey_id,
            reason=state.reason,
        )
        try:
            opened = await calls.local(Incidents.open, loss, summary="When does the report fall due?")
        except ApplicationError as failure:
            raise await self.turned_away(Refused(failure.message), by=None) from None
        state.opened_at = reported_at
        for name in ("policy", "prescriber_id", "kind", "serial_number", "due_at", "due_day", "calendar"):
            setattr(state, name, getattr(opened, name))
        state.note(now, f"token {state.reason}: to be reported by {state.due_day} ({state.calendar})")
        state.promise(promises.REPORTED, opened.due_at)
        self.tell("opened")
        self.admitted = True

    async def take_up(self, ticket: str) -> None:
        """The workflow was gone, and `Reconcile` lets it go on: the loss still has to be reported."""
        resumed = await self.resume(Resumptions.incident, ticket, "What do the records know?")
        self.state = resumed.state
        assert self.state.due_at
        self.state.note(self.now(), f"taken up again: {resumed.why}", by="Reconcile")
        self.state.promise(promises.REPORTED, self.state.due_at)
        self.admitted = True

    def tell(self, stage: str) -> None:
        """The team, by email."""
        state = self.state
        facts = {
            "stage": stage,
            "reason": state.reason.value,
            "opened_at": state.opened_at,
            "due_at": state.due_at,
            "calendar": state.calendar,
            "serial_number": state.serial_number,
        }
        state.post("team_incident", self.now(), facts=facts)

    async def closed_by(self, at: Any, summary: str) -> bool:
        """Whether it is closed at that moment."""
        return await self.waited(lambda: self.state.ended, at=at, summary=summary)

    # Messages

    def known(self) -> Collection[str]:
        return INCIDENT_BODIES

    def welcome(self) -> list[str]:
        return offered_of(self.state, INCIDENT_BODIES)

    def check(self, name: str, bodies: tuple[Any, ...]) -> Body:
        self.refuse_if_turned_away()
        message = read(INCIDENT_BODIES[name], bodies, name, as_0_1=not self.since_0_2)
        self.refuse_unneeded(name)
        if self.state.ended:
            raise Refused(f"The incident is closed already, by {self.state.closed_by}; nothing is left to do.")
        return message

    async def on_close(self, close: Close) -> None:
        state, now = self.state, self.now()
        state.status, state.closed_at, state.closed_by = IncidentStatus.CLOSED, now, close.by
        state.keep(promises.REPORTED, now)
        state.forget_matters()
        state.note(now, f"closed{f': {close.note}' if close.note else ''}", by=close.by, message="close")
        await self.recorded()

    async def asked_to_cancel(self) -> None:
        await workflow.wait_condition(lambda: self.admitted or self.problem is not None)
        reason = (
            "The incident can't be cancelled: a loss has to be reported; send `close` with who reported it instead."
        )
        self.state.refuse(self.now(), "cancel", reason, by="Temporal")

    @workflow.signal(name="close", description=DESCRIPTIONS["close"])
    async def close_signal(self, *bodies: Any) -> None:
        await self.take("close", bodies)

    @workflow.update(name="close", description=DESCRIPTIONS["close"])
    async def close(self, *bodies: Any) -> Outcome:
        return await self.answer("close", bodies)

    @close.validator
    def _may_be_closed(self, *bodies: Any) -> None:
        self.check("close", bodies)

    # What it says for itself

    async def write(self, state: Incident, *, again: bool) -> None:
        writing = IncidentWriting(run_id=self.first_run_id, state=state, again=again)
        await calls.record(Incidents.write, writing, summary=last_step(state))

    def attributes(self) -> list[tuple[Any, Any]]:
        state = self.state
        return [
            (attributes.INCIDENT_STATUS, state.status.value),
            (attributes.TOKEN_KIND, state.kind.value),
            (attributes.PRESCRIBER_ID, state.prescriber_id),
            (attributes.SERIAL_NUMBER, state.serial_number),
            (attributes.NEEDS_ATTENTION, state.needs_attention is not None),
            (attributes.ACTION_DUE_BY, state.action_due_by),
        ]

    def details(self) -> str:
        return incident_details(self.state)

    @workflow.query(description="What was lost, when its report falls due, who closed it")
    def status(self) -> IncidentSnapshot:
        state = self.state
        return IncidentSnapshot(
            **state.model_dump(include=set(IncidentSnapshot.model_fields) - {"next"}),
            next=[Next(message=name, example=dict(INCIDENT_BODIES[name].example)) for name in self.welcome()],
        )
