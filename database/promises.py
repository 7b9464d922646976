"""What was promised, and whether it was kept: rows beside those of journeys, returns and incidents, for reports."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from database.tables import PromiseRow
from domain.chronicle import Promise


def store(
    session: Session, run_id: str, journey_id: str, promises: Sequence[Promise], ended_at: datetime | None
) -> None:
    """Brings the rows of one journey, return or incident, named by its first run, to `promises`; harmless when repeated. What is
    not met when it ends (`ended_at`, UTC) is owed no more."""
    known = {row.number: row for row in session.scalars(select(PromiseRow).where(PromiseRow.run_id == run_id))}
    for number, promise in enumerate(promises, 1):
        row = known.get(number)
        if row is None:
            row = PromiseRow(run_id=run_id, number=number, journey_id=journey_id, what=promise.what)
            session.add(row)
        row.due, row.met_at = promise.due, promise.met_at
        row.broken = promise.broken[:255] if promise.broken else None
        row.ended_at = None if promise.met_at else ended_at
