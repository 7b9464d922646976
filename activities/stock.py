"""Hard tokens in stock: two operators can never get the same one, and the team hears in time that they run out."""

from datetime import datetime

from pydantic import BaseModel
from sqlalchemy import ScalarSelect, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from temporalio import activity

from activities.errors import refused
from database.engine import Sessions
from database.tables import JourneyRow, StockAlert, TokenRow
from domain.policy import Policy
from domain.status import Kind
from domain.token_state import TokenState, in_words

NONE_LEFT = "The request can't be processed: no hard token is in stock; it stays queued, so take tokens in and process it again."
ALL_BATCHES = ""
"""Stands for the whole kind where a batch is asked for."""


def put_back(session: Session, journey_id: str, unless: str | None = None) -> None:
    """Into stock with the serials that the journey holds and has not shipped, but for `unless`."""
    held = update(TokenRow).where(TokenRow.journey_id == journey_id, TokenRow.state == TokenState.ASSIGNED)
    if unless is not None:
        held = held.where(TokenRow.serial_number != unless)
    session.execute(held.values(state=TokenState.IN_STOCK, journey_id=None))


class Allocation(BaseModel):
    """Which token to take for a journey: the scanned serial, or the next one."""

    journey_id: str
    serial_number: str | None = None


class Taken(BaseModel):
    """A journey has taken a token out of stock; `at` is its own time, UTC."""

    journey_id: str
    at: datetime


class TakingOrder(Allocation):
    """`at` is the journey's own time, UTC."""

    at: datetime


class Low(BaseModel):
    """No more than `figure` hard tokens are left, in all or, where `batch` is given, of that batch."""

    batch: str | None
    left: int
    figure: int

    def __str__(self) -> str:
        what = f"batch {self.batch}" if self.batch else "hard tokens in all"
        return f"{what}: {self.left} left"


class Taking(BaseModel):
    """The serial now assigned; None when nothing is in stock. `low`: what the journey has to tell the team of what is left."""

    serial_number: str | None
    low: list[Low] = []


class Stock:
    """Given the database and the figures at which the team is told. They are about the stock, which all journeys share, so a
    changed figure holds at once."""

    def __init__(self, sessions: Sessions, policy: Policy | None = None) -> None:
        self._sessions = sessions
        self._policy = policy or Policy()

    @activity.defn(name="stock.allocate")
    def allocate(self, order: Allocation) -> str | None:
        """The serial now assigned to the journey; None when nothing is in stock. Asked again, it answers the same; asked for
        another serial before the first is shipped, it takes that one instead.

        Raises `refused` for a scanned serial that is unknown or not in stock, and for a journey that has ended.
        """
        wait = False
        while True:
            try:
                with self._sessions.begin() as session:
                    held = session.execute(
                        select(TokenRow.serial_number, TokenRow.state).where(TokenRow.journey_id == order.journey_id)
                    ).first()
                    if held is not None:
                        if order.serial_number in (None, held.serial_number) or held.state != TokenState.ASSIGNED:
                            return held.serial_number
                        # Taken by a `process` of which Temporal has lost word; the operator holds another one now.
                        put_back(session, order.journey_id)
                    self._refuse_ended(session, order.journey_id)
                    if order.serial_number is None:
                        serial = self._take(session, self._next(wait), order.journey_id)
                        if serial is None and not self._any_in_stock(session):
                            return None
                    else:
                        scanned = self._scanned(session.get(TokenRow, order.serial_number), order.serial_number)
                        serial = self._take(session, scanned, order.journey_id)
                    if serial is not None:
                        return serial
            except IntegrityError:
                pass  # an attempt that was given up for lost has taken one for this journey after all: it is held now
            # Other operators hold all that is left, or one was quicker to a scanned serial: look again, and wait for them.
            wait = True

    @activity.defn(name="stock.take")
    def take(self, order: TakingOrder) -> Taking:
        """A token for the journey as by `allocate`, and then what `watch` has to say. Asked again, it answers the same. Raises
        `refused` as `allocate` does."""
        serial = self.allocate(order)
        if serial is None:
            return Taking(serial_number=None)
        return Taking(serial_number=serial, low=self.watch(Taken(journey_id=order.journey_id, at=order.at)))

    def _refuse_ended(self, session: Session, journey_id: str) -> None:
        """An attempt that outlives its journey must not take a token that nobody would put back. Locked, since the end is
        recorded before the token is released."""
        live = session.scalars(
            select(JourneyRow.live).where(JourneyRow.journey_id == journey_id).with_for_update(read=True)
        ).first()
        if live is False:
            raise refused("The request can't be processed: its journey has ended; request a new token instead.")

    def _next(self, wait: bool) -> ScalarSelect[str]:
        """The token that came first. On PostgreSQL operators at the same instant pass by what another is about to take;
        on SQLite the transaction has the database to itself."""
        return (
            select(TokenRow.serial_number)
            .where(TokenRow.kind == Kind.HARD, TokenRow.state == TokenState.IN_STOCK)
            .order_by(TokenRow.taken_in_at, TokenRow.serial_number)
            .limit(1)
            .with_for_update(skip_locked=not wait)
            .scalar_subquery()
        )

    def _any_in_stock(self, session: Session) -> bool:
        in_stock = select(TokenRow.serial_number).where(
            TokenRow.kind == Kind.HARD, TokenRow.state == TokenState.IN_STOCK
        )
        return session.scalars(in_stock.limit(1)).first() is not None

    def _take(self, session: Session, serial: str | ScalarSelect[str], journey_id: str) -> str | None:
        """The serial, where it was still there to take."""
        return session.scalars(
            update(TokenRow)
            .where(TokenRow.serial_number == serial, TokenRow.state == TokenState.IN_STOCK)
            .values(state=TokenState.ASSIGNED, journey_id=journey_id)
            .returning(TokenRow.serial_number)
        ).first()

    def _scanned(self, token: TokenRow | None, serial: str) -> str:
        if token is None or token.kind != Kind.HARD:
            raise refused(
                f"Serial {serial} is not in the inventory; scan it again, or leave it out to take the next token."
            )
        if token.state != TokenState.IN_STOCK:
            raise refused(
                f"Serial {serial} can't be used: it is {in_words(token.state)}; take another one, or leave it out to "
                "take the next."
            )
        return token.serial_number

    @activity.defn(name="stock.release")
    def release(self, journey_id: str) -> None:
        """Puts a token that was assigned but never shipped back into stock."""
        with self._sessions.begin() as session:
            put_back(session, journey_id)

    @activity.defn(name="stock.watch")
    def watch(self, taken: Taken) -> list[Low]:
        """What this journey has to tell the team: with its token the stock has come down to the figure, in all or of its
        batch. One journey tells it, and none does again until there have been more. Asked again, it answers the same.

        Asked after the token is taken, in a transaction of its own: so the last one of several at the same instant sees
        what all of them have taken.
        """
        low = []
        with self._sessions.begin() as session:
            batch = session.scalars(select(TokenRow.batch).where(TokenRow.journey_id == taken.journey_id)).first()
            watched = [(ALL_BATCHES, self._policy.low_stock_tokens)]
            if batch:
                watched.append((batch, self._policy.low_stock_tokens_of_batch))
            raised = session.scalars(select(StockAlert.batch).where(StockAlert.kind == Kind.HARD)).all()
            for which, figure in watched:
                left = _left(session, which, figure + 1)
                if left > figure:
                    if which in raised:
                        session.execute(
                            delete(StockAlert).where(StockAlert.kind == Kind.HARD, StockAlert.batch == which)
                        )
                elif self._tells(session, which, taken):
                    low.append(Low(batch=which or None, left=left, figure=figure))
        return low

    def _tells(self, session: Session, batch: str, taken: Taken) -> bool:
        """Whether it is this journey that raises the alert, or has raised it."""
        alert = session.get(StockAlert, (Kind.HARD, batch))
        if alert is None:
            alert = StockAlert(kind=Kind.HARD, batch=batch, journey_id=taken.journey_id, raised_at=taken.at)
            try:
                with session.begin_nested():
                    session.add(alert)
            except IntegrityError:
                return False  # another journey was quicker, and tells it
        return alert.journey_id == taken.journey_id


def _left(session: Session, batch: str, most: int) -> int:
    """How many hard tokens are in stock, counted up to `most`: of a full stock nobody needs the number."""
    tokens = select(TokenRow.serial_number).where(TokenRow.kind == Kind.HARD, TokenRow.state == TokenState.IN_STOCK)
    if batch:
        tokens = tokens.where(TokenRow.batch == batch)
    return session.scalar(select(func.count()).select_from(tokens.limit(most).subquery())) or 0
