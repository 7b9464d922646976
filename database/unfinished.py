"""Enrolments of soft tokens that were begun and never finished. Each holds a seed and the hash of a PIN, so none is kept for
longer than it can be used."""

from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.orm import Session

from database.tables import SoftEnrollment


def drop_of(session: Session, journey_id: str) -> None:
    """Drops this journey's: a new one takes its place, or the journey can't be enrolled any more."""
    session.execute(
        delete(SoftEnrollment).where(SoftEnrollment.journey_id == journey_id, SoftEnrollment.used_at.is_(None))
    )


def drop_older_than(session: Session, moment: datetime) -> None:
    """Drops all that were begun before `moment` (UTC)."""
    session.execute(delete(SoftEnrollment).where(SoftEnrollment.stored_at < moment, SoftEnrollment.used_at.is_(None)))
