"""Taking up a workflow that is gone: its state comes from the records, and only with the ticket that `Reconcile` gave out."""

import hashlib
import secrets
from datetime import datetime
from typing import TypeVar

from pydantic import BaseModel
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from temporalio import activity

from activities.errors import refused
from database.engine import Sessions
from database.tables import (
    AuditRow,
    EmailRow,
    IncidentRow,
    JourneyRow,
    Practice,
    Prescriber,
    ResumptionRow,
    ReturnRow,
    TokenRow,
)
from domain.address import Address
from domain.calendar import business_deadline
from domain.chronicle import LATEST, Chronicle, Happening, Promise, Refusal
from domain.incident import Incident, IncidentStatus
from domain.journey import COMING_BACK, PROCESSED, Journey
from domain.policy import Policy
from domain.reasons import LOSS, DeactivationReason
from domain.resumption import How
from domain.returning import FROM_CARRIER, Return, ReturnStatus
from domain.status import ENDED, Kind, Status
from domain.token_state import TokenState

NOT_YOURS = "`{name}` was not taken: `resume` is not yours to set; leave it out, or start `Reconcile`, which takes up what is gone."

C = TypeVar("C", bound=Chronicle)


class Claim(BaseModel):
    """A workflow that was started to go on, with the ticket it shows."""

    name: str
    workflow_id: str
    run_id: str
    ticket: str


class Resumed(BaseModel):
    """What it goes on with. `first_run_id`: under which its records and letters are known."""

    how: How
    why: str
    first_run_id: str


class ResumedJourney(Resumed):
    state: Journey


class ResumedReturn(Resumed):
    state: Return


class ResumedIncident(Resumed):
    state: Incident


def offer(session: Session, workflow_id: str, how: How, why: str, at: datetime) -> str:
    """A ticket for one start under that id; an older one is good for nothing any more."""
    ticket = secrets.token_urlsafe(24)
    row = session.get(ResumptionRow, workflow_id)
    if row is None:
        row = ResumptionRow(workflow_id=workflow_id)
        session.add(row)
    row.ticket_hash, row.how, row.why, row.offered_at, row.taken_by = _hash(ticket), how, why, at, None
    return ticket


class Resumptions:
    """Given the database, and the policy for what has none of its own on record."""

    def __init__(self, sessions: Sessions, policy: Policy) -> None:
        self._sessions = sessions
        self._policy = policy

    @activity.defn(name="resumptions.journey")
    def journey(self, claim: Claim) -> ResumedJourney:
        """A token's journey as its records have it. Asked again by the same run, it answers the same. Raises `refused`: no
        such ticket, or records that do not fit it."""
        with self._sessions.begin() as session:
            how, why = _taken(session, claim)
            row = session.get(JourneyRow, claim.workflow_id)
            if row is None or row.live != (how is not How.RETIRE):
                raise refused(NOT_YOURS.format(name=claim.name))
            state = Journey(
                promises=[Promise.model_validate(each) for each in row.promises],
                policy=_policy_of(row),
                shipping_address=Address.model_validate(row.shipping_address) if row.shipping_address else None,
                **{name: getattr(row, name) for name in _COPIED},
            )
            if state.needs_attention:
                state.matters = {"before": state.needs_attention}
            state.queue_alert_at = next((each.due for each in state.promises if each.what == PROCESSED), None)
            if state.queue_alert_at is None:
                zone = session.get_one(Practice, session.get_one(Prescriber, row.prescriber_id).practice_id).time_zone
                state.queue_alert_at = business_deadline(row.requested_at, state.policy.queue_alert_business_days, zone)
            state.link_sent_at = session.scalars(
                select(func.min(EmailRow.composed_at)).where(
                    EmailRow.journey_id == row.journey_id,
                    EmailRow.letter.in_(("vendor_activation_hard", "vendor_download_soft")),
                )
            ).first()
            _remember(session, state, row.first_run_id)
            in_hand = state.delivered_at is not None or state.enrolled_at is not None
            state.sent_back = not in_hand and any(COMING_BACK in each.what for each in state.timeline)
            if row.status in ENDED:
                _ending(session, state)
            return ResumedJourney(how=how, why=why, first_run_id=row.first_run_id, state=state)

    @activity.defn(name="resumptions.of_return")
    def of_return(self, claim: Claim) -> ResumedReturn:
        """A return as its records have it. Raises `refused`, as above."""
        with self._sessions.begin() as session:
            how, why = _taken(session, claim)
            row = session.scalars(
                select(ReturnRow).where(ReturnRow.return_id == claim.workflow_id, ReturnRow.open)
            ).first()
            if row is None:
                raise refused(NOT_YOURS.format(name=claim.name))
            journey = session.get_one(JourneyRow, row.journey_id)
            state = Return(
                journey_id=row.journey_id,
                return_id=row.return_id,
                prescriber_id=journey.prescriber_id,
                serial_number=row.serial_number,
                status=ReturnStatus(row.status),
                policy=self._policy,
                sender=Address.model_validate(journey.shipping_address),
                outbound_tracking_number=journey.tracking_number,
                tracking_number=row.tracking_number,
                needs_attention=row.needs_attention,
                matters={"before": row.needs_attention} if row.needs_attention else {},
                started_at=row.started_at,
            )
            _remember(session, state, row.first_run_id)
            state.sent_back = any(FROM_CARRIER in each.what for each in state.timeline)
            return ResumedReturn(how=how, why=why, first_run_id=row.first_run_id, state=state)

    @activity.defn(name="resumptions.incident")
    def incident(self, claim: Claim) -> ResumedIncident:
        """An incident as its records have it. Raises `refused`, as above."""
        with self._sessions.begin() as session:
            how, why = _taken(session, claim)
            row = session.get(IncidentRow, claim.workflow_id)
            if row is None or row.status == IncidentStatus.CLOSED:
                raise refused(NOT_YOURS.format(name=claim.name))
            state = Incident(
                journey_id=row.journey_id,
                incident_id=row.incident_id,
                prescriber_id=row.prescriber_id,
                kind=Kind(session.get_one(JourneyRow, row.journey_id).kind),
                status=IncidentStatus(row.status),
                policy=self._policy,
                reason=DeactivationReason(row.reason),
                serial_number=row.serial_number,
                opened_at=row.opened_at,
                due_at=row.due_at,
                due_day=row.due_day,
                calendar=row.calendar,
            )
            _remember(session, state, row.first_run_id)
            return ResumedIncident(how=how, why=why, first_run_id=row.first_run_id, state=state)


_COPIED = (
    *("journey_id", "prescriber_id", "kind", "status", "email", "requested_by", "replaces", "replaced_by"),
    *("serial_number", "tracking_number", "needs_attention", "requested_at", "processed_at", "shipped_at"),
    *("delivered_at", "enrolled_at", "active_at", "ended_at"),
)


def _hash(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()


def _taken(session: Session, claim: Claim) -> tuple[How, str]:
    row = session.get(ResumptionRow, claim.workflow_id, with_for_update=True)
    if row is None or row.ticket_hash != _hash(claim.ticket) or row.taken_by not in (None, claim.run_id):
        raise refused(NOT_YOURS.format(name=claim.name))
    row.taken_by = claim.run_id
    return How(row.how), row.why


def _remember(session: Session, state: Chronicle, first_run_id: str) -> None:
    """Timeline and refusals from the audit trail. Its entries and numbered letters go on behind those that are there."""
    trail = select(AuditRow).where(AuditRow.journey_id == state.journey_id, AuditRow.entry.startswith(first_run_id))
    latest = session.scalars(trail.order_by(AuditRow.number.desc()).limit(2 * LATEST)).all()
    for row in reversed(latest):
        if row.refused is None:
            state.timeline.append(Happening(at=row.at, what=row.what, by=row.by))
        else:
            state.refused.append(Refusal(at=row.at, message=row.message or "request", reason=row.refused, by=row.by))
    state.timeline, state.refused = state.timeline[-LATEST:], state.refused[-LATEST:]
    state.entries = session.scalar(select(func.count()).select_from(trail.subquery())) or 0
    emails = select(func.count()).select_from(EmailRow).where(EmailRow.journey_id == state.journey_id)
    state.steps = session.scalar(emails) or 0


def _ending(session: Session, state: Journey) -> None:
    """How it ended, as far as it can be seen: from the audit trail, the device and the incident."""
    state.why_ended = next(
        (
            each.what
            for each in reversed(state.timeline)
            if each.what.startswith(("deactivated", "cancelled", "lost", "never"))
        ),
        None,
    )
    state.lost_in_transit = (state.why_ended or "").startswith("lost in transit")
    said = (state.why_ended or "").partition(": ")[2].strip().lower().replace(" ", "_")
    lost = said in LOSS and (state.shipped or state.enrolled_at is not None)
    if state.status is Status.DEACTIVATED or lost:  # a cancelled request's reason is free text otherwise
        state.reason = next((each for each in DeactivationReason if each == said), None)
    token = session.scalars(select(TokenRow).where(TokenRow.journey_id == state.journey_id)).first()
    state.in_possession = token is not None and token.state == TokenState.COMING_BACK and state.reason not in LOSS


def _policy_of(row: JourneyRow) -> Policy:
    return Policy.model_validate(row.policy) if row.policy else Policy()
