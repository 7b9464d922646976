"""The application's own database: who may request, the journeys' rows, the audit trail, what a journey's end means for its
token and links."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, SerializerFunctionWrapHandler, model_serializer
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from temporalio import activity

from activities.behind import telling_behind
from activities.eligibility import (
    address_for,
    checked_address,
    checked_email,
    email_for,
    known_prescriber,
    refuse_second,
    refuse_without_id_proofing,
)
from activities.errors import behind, refused
from activities.metrics import PROMISES, SYNC_SECONDS, judged
from activities.stock import put_back
from database import audit, promises, unfinished
from database.engine import Sessions
from database.tables import ActivationLink, JourneyRow, Practice, ReplacementRow, TokenRow
from domain.address import Address
from domain.calendar import business_deadline
from domain.chronicle import Entry
from domain.journey import Journey
from domain.policy import Policy
from domain.status import Kind, Status
from domain.token_state import IN_THE_JOURNEYS_HANDS, TokenState


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
    written: bool = False
    """The journey's first words are written with it; False: release 0.1, which writes them afterwards."""


class Admitted(BaseModel):
    """What an accepted request starts with."""

    policy: Policy
    email: str
    shipping_address: Address | None
    queue_alert_at: datetime
    practice_id: str | None = None
    """Whose turn its activities take where many wait; None: admitted by release 0.1."""


class Contact(BaseModel):
    email: str | None = None
    shipping_address: Address | None = None


class TurnedAway(BaseModel):
    """A start that was refused, and what was sent to it."""

    journey_id: str
    run_id: str
    entries: list[Entry]


class Aside(BaseModel):
    """What a workflow that has no row of its own has to say for the audit trail, of `journey_id` if there is such a one."""

    workflow_id: str
    run_id: str
    journey_id: str | None = None
    entry: Entry


class Writing(BaseModel):
    """A journey's row as it is now, and the audit entries that are not written yet. `again`: the database may have been restored
    to an earlier state, so that even the row may be missing."""

    run_id: str
    journey: Journey
    again: bool = False

    @model_serializer(mode="wrap")
    def _short(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what has its default when it is missing: where the writing is a regular activity, it stays in the history. The
        policy stands in the row since the admission."""
        value = whole(self)
        journey = {name: said for name, said in value["journey"].items() if said not in (None, [], {})}
        if not self.again:
            journey.pop("policy", None)
        return {**value, "journey": journey}


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
                refuse_second(session, request.prescriber_id, request.kind, request.replaces)
            raise fault

    def _admit(self, session: Session, request: Admission) -> Admitted:
        prescriber = known_prescriber(session, request.prescriber_id)
        replacement = session.get(ReplacementRow, request.replaces) if request.replaces else None
        if replacement is None or replacement.successor_id != request.journey_id:
            # A replacement has asked this before it touched the old token, and must not be refused now.
            refuse_without_id_proofing(prescriber)
        admitted = Admitted(
            policy=self._policy,
            email=email_for(request.email, prescriber),
            shipping_address=address_for(request.shipping_address, prescriber, request.kind),
            queue_alert_at=business_deadline(
                request.at,
                self._policy.queue_alert_business_days,
                session.get_one(Practice, prescriber.practice_id).time_zone,
            ),
            practice_id=prescriber.practice_id,
        )
        known = session.get(JourneyRow, request.journey_id)
        if known is not None:
            if known.first_run_id == request.run_id:
                return admitted
            raise refused(
                f"The id {request.journey_id} belongs to a journey of {known.requested_at:%d %B %Y}; start this request under another id."
            )
        refuse_second(session, request.prescriber_id, request.kind, request.replaces)
        if request.replaces:
            _link(session, request, replacement)
        row = JourneyRow(
            journey_id=request.journey_id,
            first_run_id=request.run_id,
            prescriber_id=request.prescriber_id,
            kind=request.kind,
            status=Status.REQUESTED,
            live=True,
            email=admitted.email,
            shipping_address=admitted.shipping_address.model_dump() if admitted.shipping_address else None,
            requested_by=request.requested_by,
            replaces=request.replaces,
            requested_at=request.at,
            promises=[],
            policy=self._policy.model_dump(mode="json"),
        )
        session.add(row)
        if request.written:
            journey = Journey(journey_id=request.journey_id, prescriber_id=request.prescriber_id, kind=request.kind)
            journey.requested_by = request.requested_by
            journey.admit(request.at, admitted.queue_alert_at)
            _write_promises(session, row, journey)
            audit.append(session, request.journey_id, request.run_id, journey.unwritten)
        return admitted

    @activity.defn(name="records.refuse")
    def refuse(self, turned_away: TurnedAway) -> None:
        """Keeps a request that was refused at the door in the audit trail; it has no row of its own."""
        with self._sessions.begin() as session:
            audit.append(session, turned_away.journey_id, turned_away.run_id, turned_away.entries)

    @activity.defn(name="records.keep")
    def keep(self, aside: Aside) -> None:
        """One row of the audit trail, harmless when repeated: in the chain of the journey that it is about, or where there
        is none in one of the workflow's own."""
        with self._sessions.begin() as session:
            journey = session.get(JourneyRow, aside.journey_id) if aside.journey_id else None
            entry = aside.entry.model_copy(update={"status": journey.status if journey else ""})
            chain = journey.journey_id if journey else aside.workflow_id
            audit.append(session, chain, aside.run_id, [entry])

    @activity.defn(name="records.check_contact")
    def check_contact(self, contact: Contact) -> Contact:
        """The same, normalised. Raises `refused` for a bad email or address."""
        return Contact(
            email=checked_email(contact.email) if contact.email else None,
            shipping_address=checked_address(contact.shipping_address) if contact.shipping_address else None,
        )

    @activity.defn(name="records.say_shipped")
    def say_shipped(self, journey_id: str) -> bool:
        """Whether the records have the journey as shipped, or past it."""
        with self._sessions() as session:
            return bool(
                session.scalar(select(JourneyRow.shipped_at.is_not(None)).where(JourneyRow.journey_id == journey_id))
            )

    @activity.defn(name="records.write")
    def write(self, writing: Writing) -> None:
        """Brings the journey's row, its token's state and its links to what the journey says, and appends to the audit
        trail: one transaction, harmless when repeated. Raises `behind`."""
        journey, after = writing.journey, 0 if writing.again else writing.journey.written
        with telling_behind(), self._sessions.begin() as session:
            row = _regained(session, writing) if writing.again else session.get(JourneyRow, journey.journey_id)
            if row is None:
                raise behind()
            if not row.live and not journey.ended:
                # A journey that was restored to an earlier state must not bring back a token that is refused by now.
                audit.append(session, journey.journey_id, writing.run_id, journey.unwritten, after=after)
                return
            settled, synced_before = judged(row.promises or [], journey.promises), row.active_at is not None
            for column in _COPIED:
                setattr(row, column, getattr(journey, column))
            row.live = not journey.ended
            if journey.replaced_by:
                # Only then: a token that was lost in the post is linked to its successor by the successor's admission.
                row.replaced_by = journey.replaced_by
            row.shipping_address = journey.shipping_address.model_dump() if journey.shipping_address else None
            _write_promises(session, row, journey)
            _follow(session, journey)
            audit.append(session, journey.journey_id, writing.run_id, journey.unwritten, after=after)
        # Once it is written: what is rolled back and written again counts once.
        for what, kept in settled:
            PROMISES.labels(what, "yes" if kept else "no").inc()
        if journey.active_at and journey.enrolled_at and not synced_before:
            SYNC_SECONDS.observe((journey.active_at - journey.enrolled_at).total_seconds())


def _write_promises(session: Session, row: JourneyRow, journey: Journey) -> None:
    row.promises = [promise.model_dump(mode="json") for promise in journey.promises]
    row.action_due_by = journey.action_due_by
    promises.store(session, row.first_run_id, row.journey_id, journey.promises, journey.ended_at)


_COPIED = (
    "status",
    "email",
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


def _regained(session: Session, writing: Writing) -> JourneyRow:
    """The row, and the token that the journey holds, where a backup has lost them. A token that another journey has got
    meanwhile stays with that one: `Reconcile` tells a person."""
    journey = writing.journey
    if journey.serial_number and journey.kind is Kind.HARD and (journey.shipped or not journey.ended):
        # Before it took this one it may have had another, which is scanned instead.
        put_back(session, journey.journey_id, unless=journey.serial_number)
        session.execute(
            update(TokenRow)
            .where(TokenRow.serial_number == journey.serial_number, TokenRow.state == TokenState.IN_STOCK)
            .values(state=TokenState.ASSIGNED, journey_id=journey.journey_id)
        )
    row = session.get(JourneyRow, journey.journey_id)
    if row is None:
        place = select(JourneyRow.journey_id).where(
            JourneyRow.live, JourneyRow.prescriber_id == journey.prescriber_id, JourneyRow.kind == journey.kind
        )
        if not journey.ended and session.scalars(place).first() is not None:
            raise behind()  # another one has its place: a person decides, as `Reconcile` says
        row = JourneyRow(
            journey_id=journey.journey_id,
            first_run_id=writing.run_id,
            prescriber_id=journey.prescriber_id,
            kind=journey.kind,
            live=True,
            requested_by=journey.requested_by,
            replaces=journey.replaces,
            requested_at=journey.requested_at,
            policy=journey.policy.model_dump(mode="json"),
        )
        session.add(row)
    return row


def _link(session: Session, request: Admission, replacement: ReplacementRow | None) -> None:
    """Links the journey that this one replaces with it. Raises `refused` where it isn't one that can be replaced."""
    old = session.get(JourneyRow, request.replaces)
    if old is None or (old.prescriber_id, old.kind) != (request.prescriber_id, request.kind):
        raise refused(
            f"Journey {request.replaces} is not a {request.kind} token of prescriber {request.prescriber_id}, so this request "
            "can't replace it; name the person's own token, or leave `replaces` out."
        )
    if old.replaced_by not in (None, request.journey_id):
        raise refused(
            f"Journey {request.replaces} has been replaced by journey {old.replaced_by}; leave `replaces` out for another token."
        )
    old.replaced_by = request.journey_id
    if replacement is not None and replacement.successor_id == request.journey_id:
        replacement.finished_at = request.at
        replacement.email = replacement.shipping_address = None  # they stand in the new journey's own row


def _follow(session: Session, journey: Journey) -> None:
    """What the status means for the token and the links. A released serial is `stock.release`'s work; one that has ended is
    the return's, which may be ahead of the journey's last writing."""
    state = None
    match journey.status:
        case Status.SHIPPED | Status.DELIVERED | Status.SYNCING if journey.kind is Kind.HARD:
            state = TokenState.SHIPPED
        case Status.ACTIVE:
            state = TokenState.ACTIVE
        case Status.DEACTIVATED | Status.CANCELLED if journey.kind is Kind.SOFT:
            state = TokenState.REVOKED
        case Status.DEACTIVATED | Status.CANCELLED if journey.shipped:
            state = TokenState.COMING_BACK if journey.comes_back else TokenState.WRITTEN_OFF
    if state:
        session.execute(
            update(TokenRow)
            .where(TokenRow.journey_id == journey.journey_id, TokenRow.state.in_(IN_THE_JOURNEYS_HANDS))
            .values(state=state)
        )
    if journey.enrolled_at or journey.ended:
        unfinished.drop_of(session, journey.journey_id)
        session.execute(
            update(ActivationLink)
            .where(ActivationLink.journey_id == journey.journey_id, ActivationLink.ended_at.is_(None))
            .values(
                ended_at=journey.enrolled_at or journey.ended_at,
                ended_because="used" if journey.enrolled_at else "withdrawn",
            )
        )
