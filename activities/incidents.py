"""Security incidents: when the report of a lost or stolen token falls due, and the records of it."""

from datetime import datetime
from zoneinfo import ZoneInfo

from pydantic import BaseModel
from temporalio import activity

from activities.behind import telling_behind
from activities.errors import behind, refused
from activities.metrics import PROMISES, judged
from database import audit, promises
from database.engine import Sessions
from database.tables import IncidentRow, JourneyRow, Practice, Prescriber
from domain.calendar import business_deadline
from domain.incident import Incident, IncidentStatus
from domain.policy import Policy
from domain.reasons import DeactivationReason
from domain.status import Kind
from domain.wording import last_instant


class Loss(BaseModel):
    """An incident as it was started; from `at` (UTC) the clock runs: when the loss was reported."""

    incident_id: str
    run_id: str
    at: datetime
    journey_id: str
    reason: DeactivationReason


class Opened(BaseModel):
    """What an incident starts with. `due_day` is a day in the practice's zone (ISO 8601)."""

    policy: Policy
    prescriber_id: str
    kind: Kind
    serial_number: str | None
    due_at: datetime
    due_day: str
    calendar: str


class IncidentWriting(BaseModel):
    """An incident's row as it is now, and the audit entries that are not written yet."""

    run_id: str
    state: Incident
    again: bool = False
    """The database may have been restored to an earlier state, so that even the row may be missing."""


class Incidents:
    """Given the database and the policy that new incidents start with."""

    def __init__(self, sessions: Sessions, policy: Policy) -> None:
        self._sessions = sessions
        self._policy = policy

    @activity.defn(name="incidents.open")
    def open(self, loss: Loss) -> Opened:
        """Records the incident with the day on which its report falls due (21 CFR 1311.102(d), 1311.150), counted in
        federal business days in the practice's zone. Raises `refused`: no such journey, a used id, a live token."""
        with self._sessions.begin() as session:
            journey = session.get(JourneyRow, loss.journey_id)
            if journey is None:
                raise refused(f"There is no journey {loss.journey_id}; look its id up by the serial number.")
            if journey.live:
                what = "deactivate it" if journey.status == "Active" else "cancel it"
                raise refused(
                    f"Journey {loss.journey_id} is {journey.status}, so its token still counts as held; {what} with the loss as "
                    "its reason first."
                )
            prescriber = session.get_one(Prescriber, journey.prescriber_id)
            zone = session.get_one(Practice, prescriber.practice_id).time_zone
            due_at = business_deadline(loss.at, self._policy.incident_business_days, zone)
            opened = Opened(
                policy=self._policy,
                prescriber_id=journey.prescriber_id,
                kind=Kind(journey.kind),
                serial_number=journey.serial_number,
                due_at=due_at,
                due_day=last_instant(due_at).astimezone(ZoneInfo(zone)).date().isoformat(),
                calendar=f"federal business days, {zone}",
            )
            row = session.get(IncidentRow, loss.incident_id)
            if row is not None:
                if row.first_run_id == loss.run_id:  # asked again, perhaps under other figures
                    return opened.model_copy(
                        update={"due_at": row.due_at, "due_day": row.due_day, "calendar": row.calendar}
                    )
                raise refused(
                    f"The id {loss.incident_id} belongs to an incident of {row.opened_at:%d %B %Y}; start this one under another id."
                )
            session.add(
                IncidentRow(
                    incident_id=loss.incident_id,
                    first_run_id=loss.run_id,
                    journey_id=loss.journey_id,
                    prescriber_id=opened.prescriber_id,
                    serial_number=opened.serial_number,
                    reason=loss.reason,
                    status=IncidentStatus.OPEN,
                    opened_at=loss.at,
                    due_at=due_at,
                    due_day=opened.due_day,
                    calendar=opened.calendar,
                )
            )
            return opened

    @activity.defn(name="incidents.write")
    def write(self, writing: IncidentWriting) -> None:
        """Brings the incident's row to what it says of itself, and appends to the audit trail: one transaction, harmless
        when repeated. Raises `behind`."""
        state = writing.state
        with telling_behind(), self._sessions.begin() as session:
            row = session.get(IncidentRow, state.incident_id)
            if row is None and not writing.again:
                raise behind()
            if row is None:
                columns = (
                    "incident_id",
                    "journey_id",
                    "prescriber_id",
                    "serial_number",
                    "reason",
                    "opened_at",
                    "due_at",
                    "due_day",
                    "calendar",
                )
                row = IncidentRow(first_run_id=writing.run_id, **{name: getattr(state, name) for name in columns})
                session.add(row)
            ends = row.closed_at is None and state.closed_at is not None
            row.status, row.closed_at, row.closed_by = state.status, state.closed_at, state.closed_by
            promises.store(session, row.first_run_id, state.journey_id, state.promises, state.closed_at)
            audit.append(
                session, state.journey_id, writing.run_id, state.unwritten, after=0 if writing.again else state.written
            )
        for what, kept in judged([], state.promises) if ends else ():
            PROMISES.labels(what, "yes" if kept else "no").inc()
