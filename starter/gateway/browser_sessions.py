"""What holds for the sessions of operators and of prescribers alike: kept in the database, so that every copy of the gateway
knows them, found by the hash of an id that only the browser has, and over when nobody uses them."""

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import delete
from sqlalchemy.orm import Session

from database.tables import OperatorSession, SessionRow

S = TypeVar("S", OperatorSession, SessionRow)

_TOUCH = timedelta(minutes=1)
"""How exactly it is known when somebody was last seen; more would cost a write for every page."""
_KEPT = timedelta(days=30)
"""How long a row is kept after its session can have been used last."""


def new_id() -> str:
    """What the browser is given; only its hash is kept."""
    return secrets.token_urlsafe(32)


def hash_of(session_id: str) -> str:
    return hashlib.sha256(session_id.encode()).hexdigest()


def csrf_of(session_id: str) -> str:
    """What each form of this session must bring back."""
    return hmac.digest(session_id.encode(), b"csrf", "sha256").hex()


def sweep(table: type[S], session: Session, now: datetime) -> None:
    """Forgets those of long ago."""
    session.execute(delete(table).where(table.expires_at < now - _KEPT))


def find(table: type[S], session_id: str, session: Session, now: datetime, idle_minutes: int) -> S | None:
    """The session, unless it was ended, has expired, or nobody has used it for so long."""
    row = session.get(table, hash_of(session_id))
    if row is None or row.ended_at is not None or row.expires_at <= now:
        return None
    return row if now - row.seen_at < timedelta(minutes=idle_minutes) else None


def touch(row: OperatorSession | SessionRow, now: datetime) -> None:
    """Somebody has used it: idling begins anew."""
    if now - row.seen_at >= _TOUCH:
        row.seen_at = now


def end(table: type[S], session_id: str | None, session: Session, now: datetime) -> None:
    """Signs out. Harmless when repeated."""
    row = session.get(table, hash_of(session_id)) if session_id else None
    if row is not None and row.ended_at is None:
        row.ended_at = now
