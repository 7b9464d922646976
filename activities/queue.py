"""The processing queue: which requests are next."""

from pydantic import BaseModel
from sqlalchemy import func, select
from temporalio import activity

from database.engine import Sessions
from database.queue import waiting
from database.tables import TokenRow
from domain.queue import Reached, Waiting
from domain.status import Kind
from domain.token_state import TokenState


class QueueQuestion(BaseModel):
    """Of which kind, beyond which places, and how many at most."""

    kind: Kind | None = None
    after: Reached = Reached()
    most: int


class QueuePage(BaseModel):
    """The next requests; how many there are with those behind them; whether a hard token is in stock."""

    requests: list[Waiting]
    waiting: int
    in_stock: bool


class Queue:
    """Given the database."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    @activity.defn(name="queue.next")
    def next(self, question: QueueQuestion) -> QueuePage:
        """The requests that are to be processed next, in their order."""
        query = waiting(question.kind, question.after)
        in_stock = select(TokenRow.serial_number).where(
            TokenRow.kind == Kind.HARD, TokenRow.state == TokenState.IN_STOCK
        )
        with self._sessions() as session:
            return QueuePage(
                requests=[
                    Waiting(
                        journey_id=row.journey_id, kind=Kind(row.kind), urgent=urgent, requested_at=row.requested_at
                    )
                    for row, urgent in session.execute(query.limit(question.most))
                ],
                waiting=session.scalar(select(func.count()).select_from(query.order_by(None).subquery())) or 0,
                in_stock=session.scalars(in_stock.limit(1)).first() is not None,
            )
