"""The application's own database: who may request, the journeys' rows, the audit trail, what a journey's end means for its
token and links."""

from datetime import datetime

from pydantic import BaseModel
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from temporalio import activity

from activities.errors import refused
from database import audit
from database.engine import Sessions
from database.tables import ActivationLink, JourneyRow, Practice, Prescriber, TokenRow
from domain import address, email_address
from domain.address import Address
from domain.calendar import business_deadline
from domain.journey import Entry, Journey
from domain.policy import Policy
from domain.status import Kind, Status


class Admission(BaseModel):
    """A request as it came in; `at` (UTC) is the journey's time."""

    journey_id: str
    run_id: str
    at: datetime
    prescriber_id: str
    kind: Kind
    email: str | None = None
    shipping_address: Address | None = None
    replaces: str | None = None
    requested_by: str | None = None


class Admitted(BaseModel):
    """What an accepted request starts with."""

    policy: Policy
    email: str
    shipping_address: Address | None
    queue_alert_at: datetime


class Contact(BaseModel):
    email: str | None = None
    shipping_address: Address | None = None


class TurnedAway(BaseModel):
    journey_id: str
    run_id: str
    entry: Entry


class Writing(BaseModel):
    """A journey's row as it is now, and the audit entries that are not written yet."""

    run_id: str
    journey: Journey


class Records:
    """Given the database and the policy that new journeys start with."""

    def __init__(self, sessions: Sessions, policy: Policy) -> None:
        self._sessions = sessions
        self._policy = policy

    @activity.defn(name="records.admit")
    def admit(self, request: Admission) -> Admitted:
        """Checks a request and records it as `Requested`, both in one transaction.

        Raises `refused`: unknown prescriber, ID proofing not complete, bad email or address, another live token of the
        kind, an id that another journey has used.
        """
        try:
            with self._sessions.begin() as session:
                return self._admit(session, request)
        except IntegrityError as fault:
            # Two requests at the same instant: the index lets one in.
            with self._sessions.begin() as session:
                _refuse_second(session, request)
            raise fault

    def _admit(self, session: Session, request: Admission) -> Admitted:
        prescriber = session.get(Prescriber, request.prescriber_id)
        if prescriber is None:
            raise refused(f"Prescriber {request.prescriber_id} is not known; check the id, or add the account first.")
        if not prescriber.id_proofed:
            raise refused(
                f"Prescriber {request.prescriber_id} has not completed ID proofing, which a token needs; complete it and request again."
            )
        email = _email(request.email or prescriber.email)
        shipping_address = None
        if request.kind is Kind.HARD:
            shipping_address = _address(request.shipping_address or Address.model_validate(prescriber.address))
        practice = session.get_one(Practice, prescriber.practice_id)
        admitted = Admitted(
            policy=self._policy,
            email=email,
            shipping_address=shipping_address,
            queue_alert_at=business_deadline(request.at, self._policy.queue_alert_business_days, practice.time_zone),
        )
        known = session.get(JourneyRow, request.journey_id)
        if known is not None:
            if known.first_run_id == request.run_id:
                return admitted
            raise refused(
                f"The id {request.journey_id} belongs to a journey of {known.requested_at:%d %B %Y}; start this request under another id."
            )
        _refuse_second(session, request)
        session.add(
            JourneyRow(
                journey_id=request.journey_id,
                first_run_id=request.run_id,
                prescriber_id=request.prescriber_id,
                kind=request.kind,
                status=Status.REQUESTED,
                live=True,
                email=email,
                shipping_address=shipping_address.model_dump() if shipping_address else None,
                requested_by=request.requested_by,
                replaces=request.replaces,
                requested_at=request.at,
                promises=[],
            )
        )
        return admitted

    @activity.defn(name="records.refuse")
    def refuse(self, turned_away: TurnedAway) -> None:
        """Keeps a request that was refused at the door in the audit trail; it has no row of its own."""
        with self._sessions.begin() as session:
            audit.append(session, turned_away.journey_id, turned_away.run_id, [turned_away.entry])

    @activity.defn(name="records.check_contact")
    def check_contact(self, contact: Contact) -> Contact:
        """The same, normalised. Raises `refused` for a bad email or address."""
        return Contact(
            email=_email(contact.email) if contact.email else None,
            shipping_address=_address(contact.shipping_address) if contact.shipping_address else None,
        )

    @activity.defn(name="records.write")
    def write(self, writing: Writing) -> None:
        """Brings the journey's row, its token's state and its links to what the journey says, and appends to the audit
        trail: one transaction, harmless when repeated."""
        journey = writing.journey
        with self._sessions.begin() as session:
            row = session.get_one(JourneyRow, journey.journey_id)
            for column in _COPIED:
                setattr(row, column, getattr(journey, column))
            row.live = not journey.ended
            row.shipping_address = journey.shipping_address.model_dump() if journey.shipping_address else None
            row.promises = [promise.model_dump(mode="json") for promise in journey.promises]
            row.action_due_by = journey.action_due_by
            _follow(session, journey)
            audit.append(session, journey.journey_id, writing.run_id, journey.unwritten)


_COPIED = (
    "status",
    "email",
    "replaced_by",
    "serial_number",
    "tracking_number",
    "needs_attention",
    "processed_at",
    "shipped_at",
    "delivered_at",
    "enrolled_at",
    "active_at",
    "ended_at",
)


def _follow(session: Session, journey: Journey) -> None:
    """What the status means for the token and the links. A released serial is `stock.release`'s work."""
    state = None
    match journey.status:
        case Status.SHIPPED | Status.DELIVERED | Status.SYNCING if journey.kind is Kind.HARD:
            state = "shipped"
        case Status.ACTIVE:
            state = "active"
        case Status.CANCELLED if journey.shipped:
            state = "written_off" if journey.lost_in_transit else "coming_back"
        case Status.DEACTIVATED if journey.kind is Kind.HARD:
            state = "coming_back" if journey.in_possession else "written_off"
        case Status.DEACTIVATED | Status.CANCELLED if journey.kind is Kind.SOFT:
            state = "revoked"
    if state:
        session.execute(update(TokenRow).where(TokenRow.journey_id == journey.journey_id).values(state=state))
    if journey.enrolled_at or journey.ended:
        session.execute(
            update(ActivationLink)
            .where(ActivationLink.journey_id == journey.journey_id, ActivationLink.ended_at.is_(None))
            .values(
                ended_at=journey.enrolled_at or journey.ended_at,
                ended_because="used" if journey.enrolled_at else "withdrawn",
            )
        )


def _refuse_second(session: Session, request: Admission) -> None:
    """One live token per prescriber and kind, whoever starts it."""
    other = session.scalars(
        select(JourneyRow).where(
            JourneyRow.prescriber_id == request.prescriber_id, JourneyRow.kind == request.kind, JourneyRow.live
        )
    ).first()
    if other is None:
        return
    instead = (
        "replace or deactivate that one instead"
        if other.status == Status.ACTIVE
        else "wait for that one, or cancel it first"
    )
    raise refused(
        f"Prescriber {request.prescriber_id} already has a {request.kind} token: journey {other.journey_id} is {other.status}; {instead}."
    )


def _email(text: str) -> str:
    try:
        return email_address.checked(text)
    except ValueError as fault:
        raise refused(str(fault)) from None


def _address(given: Address) -> Address:
    problems = address.problems(given)
    if problems:
        raise refused(" ".join(problems))
    return given
