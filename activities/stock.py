"""Hard tokens in stock: two operators can never get the same one."""

from pydantic import BaseModel
from sqlalchemy import select, update
from temporalio import activity

from activities.errors import refused
from database.engine import Sessions
from database.tables import TokenRow
from domain.status import Kind

OUT_OF_STOCK = "OutOfStock"


class Allocation(BaseModel):
    """Which token to take for a journey: the scanned serial, or the next one."""

    journey_id: str
    serial_number: str | None = None


class Stock:
    """Given the database."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    @activity.defn(name="stock.allocate")
    def allocate(self, order: Allocation) -> str | None:
        """The serial now assigned to the journey; None when nothing is in stock. Asked again, it answers the same.

        Raises `refused` for a scanned serial that is unknown or not in stock.
        """
        while True:
            with self._sessions.begin() as session:
                held = session.scalars(select(TokenRow).where(TokenRow.journey_id == order.journey_id)).first()
                if held is not None:
                    return held.serial_number
                if order.serial_number is None:
                    serial = session.scalars(
                        select(TokenRow.serial_number)
                        .where(TokenRow.kind == Kind.HARD, TokenRow.state == "in_stock")
                        .order_by(TokenRow.taken_in_at, TokenRow.serial_number)
                        .limit(1)
                    ).first()
                    if serial is None:
                        return None
                else:
                    serial = self._scanned(session.get(TokenRow, order.serial_number), order.serial_number)
                taken = session.execute(
                    update(TokenRow)
                    .where(TokenRow.serial_number == serial, TokenRow.state == "in_stock")
                    .values(state="assigned", journey_id=order.journey_id)
                    .returning(TokenRow.serial_number)
                ).first()
                if taken is not None:
                    return serial
                # Another operator was quicker between the two statements: look again.

    def _scanned(self, token: TokenRow | None, serial: str) -> str:
        if token is None or token.kind != Kind.HARD:
            raise refused(
                f"Serial {serial} is not in the inventory; scan it again, or leave it out to take the next token."
            )
        if token.state != "in_stock":
            state = token.state.replace("_", " ")
            raise refused(
                f"Serial {serial} can't be used: it is {state}; take another one, or leave it out to take the next."
            )
        return token.serial_number

    @activity.defn(name="stock.release")
    def release(self, journey_id: str) -> None:
        """Puts a token that was assigned but never shipped back into stock."""
        with self._sessions.begin() as session:
            session.execute(
                update(TokenRow)
                .where(TokenRow.journey_id == journey_id, TokenRow.state == "assigned")
                .values(state="in_stock", journey_id=None)
            )
