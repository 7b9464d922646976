"""Returns by mail: which token may be awaited, and the records of it."""

from datetime import datetime, timedelta

from pydantic import BaseModel
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from temporalio import activity

from activities.behind import telling_behind
from activities.errors import behind, refused
from activities.metrics import PROMISES, judged
from database import audit, promises
from database.engine import Sessions
from database.tables import JourneyRow, ReturnRow, TokenRow
from domain.address import Address
from domain.policy import Policy
from domain.returning import Return, ReturnStatus
from domain.status import Kind
from domain.token_state import MAY_COME_BACK, TokenState, in_words


class ReturnAdmission(BaseModel):
    """A return as it was started; `at` (UTC) is its own time."""

    return_id: str
    run_id: str
    at: datetime
    journey_id: str
    serial_number: str


class ReturnAdmitted(BaseModel):
    """What an accepted return starts with."""

    policy: Policy
    prescriber_id: str
    sender: Address
    outbound_tracking_number: str | None


class ReturnWriting(BaseModel):
    """A return's row as it is now, and the audit entries that are not written yet."""

    run_id: str
    state: Return
    again: bool = False
    """The database may have been restored to an earlier state, so that even the row may be missing."""


class Returns:
    """Given the database and the policy that new returns start with."""

    def __init__(self, sessions: Sessions, policy: Policy) -> None:
        self._sessions = sessions
        self._policy = policy

    @activity.defn(name="returns.admit")
    def admit(self, wanted: ReturnAdmission) -> ReturnAdmitted:
        """Checks that the token is one to be awaited, and records that it is. One that was written off is awaited again.

        Raises `refused`: no such journey, another journey's serial, a soft token, a token that is still in use or here already, a
        token that is awaited by another return.
        """
        try:
            with self._sessions.begin() as session:
                return self._admit(session, wanted)
        except IntegrityError:
            # Two returns at the same instant: the index lets one in.
            with self._sessions.begin() as session:
                return self._admit(session, wanted)

    def _admit(self, session: Session, wanted: ReturnAdmission) -> ReturnAdmitted:
        journey = session.get(JourneyRow, wanted.journey_id)
        if journey is None:
            raise refused(f"There is no journey {wanted.journey_id}; look its id up by the serial number.")
        token = session.get(TokenRow, wanted.serial_number)
        if token is None or token.journey_id != wanted.journey_id:
            raise refused(
                f"Serial {wanted.serial_number} is not the token of journey {wanted.journey_id}; read the back of the token "
                "again, below the bar code."
            )
        if journey.kind == Kind.SOFT:
            raise refused(
                f"{wanted.journey_id} is a soft token, an app that nobody can send by mail; deactivate it, and nothing has to come back."
            )
        admitted = ReturnAdmitted(
            policy=self._policy,
            prescriber_id=journey.prescriber_id,
            sender=Address.model_validate(journey.shipping_address),
            outbound_tracking_number=journey.tracking_number,
        )
        row = session.get(ReturnRow, wanted.run_id)
        if row is not None:
            return admitted
        if journey.live:
            what = "deactivate it" if journey.status == "Active" else "cancel it"
            raise refused(
                f"Serial {wanted.serial_number} can't be returned: its journey is {journey.status}; {what} first, and the return "
                "starts by itself if the token is in the prescriber's hands."
            )
        if token.state not in MAY_COME_BACK:
            raise refused(
                f"Serial {wanted.serial_number} can't be returned: it is {in_words(token.state)} already; nothing is left to do."
            )
        other = session.scalars(
            select(ReturnRow).where(ReturnRow.serial_number == wanted.serial_number, ReturnRow.open)
        ).first()
        if other is not None:
            raise refused(
                f"Serial {wanted.serial_number} is awaited already by {other.return_id}; send `received` to that one."
            )
        token.state = TokenState.COMING_BACK
        session.add(
            ReturnRow(
                first_run_id=wanted.run_id,
                return_id=wanted.return_id,
                journey_id=wanted.journey_id,
                serial_number=wanted.serial_number,
                status=ReturnStatus.AWAITED,
                open=True,
                started_at=wanted.at,
                return_by=wanted.at + timedelta(days=self._policy.return_written_off_days),
            )
        )
        session.flush()
        return admitted

    @activity.defn(name="returns.write")
    def write(self, writing: ReturnWriting) -> None:
        """Brings the return's row and the token's state to what the return says, and appends to the audit trail: one
        transaction, harmless when repeated. Raises `behind`."""
        state = writing.state
        with telling_behind(), self._sessions.begin() as session:
            row = session.get(ReturnRow, writing.run_id)
            if row is None and not writing.again:
                raise behind()
            if row is None:
                row = ReturnRow(
                    first_run_id=writing.run_id,
                    return_id=state.return_id,
                    journey_id=state.journey_id,
                    serial_number=state.serial_number,
                    open=True,
                    started_at=state.started_at,
                    return_by=state.return_by,
                )
                session.add(row)
            for column in _COPIED:
                setattr(row, column, getattr(state, column))
            ends = row.open and state.ended
            if ends:
                row.open = False
                token = {
                    ReturnStatus.RECEIVED: TokenState.DESTROYED if state.destroyed else TokenState.RETURNED,
                    ReturnStatus.WRITTEN_OFF: TokenState.WRITTEN_OFF,
                }[state.status]
                session.execute(
                    update(TokenRow).where(TokenRow.serial_number == state.serial_number).values(state=token)
                )
            promises.store(session, writing.run_id, state.journey_id, state.promises, state.written_off_at)
            audit.append(
                session, state.journey_id, writing.run_id, state.unwritten, after=0 if writing.again else state.written
            )
        for what, kept in judged([], state.promises) if ends else ():
            PROMISES.labels(what, "yes" if kept else "no").inc()


_COPIED = (
    "status",
    "tracking_number",
    "needs_attention",
    "received_at",
    "received_by",
    "condition",
    "written_off_at",
)
