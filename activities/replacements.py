"""Replacements: all that could refuse the new request is asked here, before the old token is touched."""

from datetime import datetime

from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.eligibility import address_for, email_for, known_prescriber, refuse_without_id_proofing
from activities.errors import refused
from database import audit
from database.engine import Sessions
from database.tables import JourneyRow, Prescriber, ReplacementRow
from domain.address import Address
from domain.chronicle import Entry
from domain.peers import successor_id
from domain.reasons import REPLACEMENT_REASONS, DeactivationReason
from domain.status import Kind, Status

BEING_REPLACED = "BeingReplaced"


class Claim(BaseModel):
    """A replacement as it was started; `at` (UTC) is its own time."""

    workflow_id: str
    run_id: str
    at: datetime
    journey_id: str
    prescriber_id: str | None = None
    reason: DeactivationReason | None = None
    email: str | None = None
    shipping_address: Address | None = None
    requested_by: str | None = None
    instead_of: str | None = None
    """A replacement (its run) that began and is not running any more; this one takes it up."""


class Claimed(BaseModel):
    """What the replacement goes on with: everything is checked, and the place is kept."""

    successor_id: str
    prescriber_id: str
    kind: Kind
    email: str
    shipping_address: Address | None


class Replacements:
    """Given the database."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    @activity.defn(name="replacements.claim")
    def claim(self, wanted: Claim) -> Claimed:
        """Checks all that could refuse, and keeps the prescriber's place for the new token, in one transaction.

        Raises `refused`: no such journey, somebody else's, not active, replaced already, a reason that is none for its
        kind, ID proofing not complete, bad email or address. Raises type `BeingReplaced`, with the workflow's id and run
        as details, where another replacement has the place: whether it still runs is for the caller to find out.
        """
        try:
            with self._sessions.begin() as session:
                return self._claim(session, wanted)
        except IntegrityError:
            # Two replacements at the same instant: the key lets one in.
            with self._sessions.begin() as session:
                return self._claim(session, wanted)

    def _claim(self, session: Session, wanted: Claim) -> Claimed:
        old = session.get(JourneyRow, wanted.journey_id)
        if old is None:
            raise refused(f"There is no journey {wanted.journey_id} to replace; look its id up with `tokens list`.")
        self._refuse_anothers(session, old, wanted)
        kind = Kind(old.kind)
        held = session.get(ReplacementRow, wanted.journey_id)
        if held is not None and held.finished_at is not None and held.run_id != wanted.run_id:
            raise refused(
                f"Token {wanted.journey_id} has been replaced already: journey {held.successor_id} was requested for it; go on "
                "with that one."
            )
        if held is not None and held.run_id not in (wanted.run_id, wanted.instead_of):
            raise ApplicationError(
                f"Token {wanted.journey_id} is being replaced by {held.workflow_id}; wait for that one.",
                held.workflow_id,
                held.run_id,
                type=BEING_REPLACED,
                non_retryable=True,
            )
        if held is None:
            _refuse_unfit(old, kind, wanted)
        prescriber = known_prescriber(session, old.prescriber_id)
        email, address = wanted.email, wanted.shipping_address
        if held is None:
            refuse_without_id_proofing(prescriber)
        else:
            # `Reconcile` starts it again by its records alone.
            email = email or held.email
            address = address or (Address.model_validate(held.shipping_address) if held.shipping_address else None)
        claimed = Claimed(
            successor_id=successor_id(wanted.journey_id, kind),
            prescriber_id=old.prescriber_id,
            kind=kind,
            email=email_for(email, prescriber),
            shipping_address=address_for(address, prescriber, kind),
        )
        if held is not None:
            held.workflow_id, held.run_id = wanted.workflow_id, wanted.run_id
            return claimed
        if session.get(JourneyRow, claimed.successor_id) is not None:
            raise refused(
                f"Token {wanted.journey_id} can't be replaced: the id of the new journey, {claimed.successor_id}, is taken; "
                "deactivate the token and request a new one."
            )
        session.add(
            ReplacementRow(
                journey_id=wanted.journey_id,
                workflow_id=wanted.workflow_id,
                run_id=wanted.run_id,
                successor_id=claimed.successor_id,
                prescriber_id=claimed.prescriber_id,
                kind=kind,
                reason=wanted.reason,
                requested_by=wanted.requested_by,
                email=wanted.email and claimed.email,
                shipping_address=address.model_dump() if address and claimed.shipping_address else None,
                claimed_at=wanted.at,
            )
        )
        session.flush()
        said = f"to be replaced{f', {wanted.reason}' if wanted.reason else ''}: {claimed.successor_id}"
        entry = Entry(number=1, at=wanted.at, what=said, by=wanted.requested_by, status=old.status, message="replace")
        audit.append_beside(session, wanted.journey_id, entry)
        return claimed

    def _refuse_anothers(self, session: Session, old: JourneyRow, wanted: Claim) -> None:
        """The sender may say for whom it acts, or be a prescriber; then it must be the holder."""
        holder = old.prescriber_id
        named = wanted.prescriber_id or holder
        sender = session.scalars(
            select(Prescriber.prescriber_id).where(Prescriber.prescriber_id == (wanted.requested_by or ""))
        ).first()
        if named != holder or (sender or holder) != holder:
            raise refused(
                f"Token {wanted.journey_id} can't be replaced: it is somebody else's; name a token of your own."
            )

    @activity.defn(name="replacements.deactivated")
    def deactivated(self, journey_id: str) -> bool:
        """Whether the token's journey has ended in favour of its successor, whoever got the answer."""
        with self._sessions() as session:
            old = session.get_one(JourneyRow, journey_id)
            return old.status == Status.DEACTIVATED and old.replaced_by == successor_id(journey_id, Kind(old.kind))

    @activity.defn(name="replacements.release")
    def release(self, journey_id: str) -> None:
        """Gives the place back: the old token was not touched. Harmless when repeated."""
        with self._sessions.begin() as session:
            held = session.get(ReplacementRow, journey_id)
            if held is not None and held.finished_at is None:
                session.delete(held)


def _refuse_unfit(old: JourneyRow, kind: Kind, wanted: Claim) -> None:
    if old.status != Status.ACTIVE:
        instead = "request a new token instead" if not old.live else "wait until it is active, or cancel it"
        raise refused(
            f"Token {wanted.journey_id} can't be replaced: only an active token is, and it is {old.status}; {instead}."
        )
    reasons = REPLACEMENT_REASONS[kind]
    if wanted.reason is None and kind is Kind.SOFT:
        return  # the article's screens ask for none
    if wanted.reason not in reasons:
        named = ", ".join(reasons[:-1]) + f" or {reasons[-1]}"
        raise refused(f"Token {wanted.journey_id} was not replaced: a {kind} token needs a reason; send {named}.")
