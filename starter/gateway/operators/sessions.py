"""Sessions of operators, kept in the database so that every copy of the gateway knows them."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete

from database.engine import Sessions
from database.tables import ApiKey, OperatorSession
from settings import Settings
from starter.api_keys import Caller, Scope

_TOUCH = timedelta(minutes=1)
"""How exactly it is known when somebody was last seen; more would cost a write for every payload that the UI shows."""
_KEPT = timedelta(days=30)


@dataclass(frozen=True)
class Operator:
    """Who is signed in: the key's id and the name it was made for. `csrf`: what each form of this session must bring back."""

    key_id: str
    name: str
    csrf: str


def begin(caller: Caller, sessions: Sessions, settings: Settings, instead_of: str | None) -> str:
    """A new session's id; only its hash is kept. Ends the browser's session `instead_of`, if it had one."""
    now = datetime.now(UTC)
    session_id = secrets.token_urlsafe(32)
    with sessions.begin() as session:
        session.execute(delete(OperatorSession).where(OperatorSession.expires_at < now - _KEPT))
        session.add(
            OperatorSession(
                session_hash=_hash(session_id),
                key_id=caller.key_id,
                signed_in_at=now,
                seen_at=now,
                expires_at=now + timedelta(hours=settings.operator_session_hours),
            )
        )
    if instead_of:
        end(instead_of, sessions)
    return session_id


def find(session_id: str, sessions: Sessions, settings: Settings) -> Operator | None:
    """Whose session it is; None where it is over, or its key was revoked. Idling begins anew."""
    now = datetime.now(UTC)
    with sessions.begin() as session:
        row = session.get(OperatorSession, _hash(session_id))
        if row is None or row.ended_at is not None or row.expires_at <= now:
            return None
        if now - row.seen_at >= timedelta(minutes=settings.operator_idle_minutes):
            return None
        key = session.get_one(ApiKey, row.key_id)
        if key.revoked_at is not None or Scope.OPERATE not in key.scopes:
            return None
        if now - row.seen_at >= _TOUCH:
            row.seen_at = now
        return Operator(key.key_id, key.name, hmac.digest(session_id.encode(), b"csrf", "sha256").hex())


def end(session_id: str, sessions: Sessions) -> None:
    """Signs out. Harmless when repeated."""
    with sessions.begin() as session:
        row = session.get(OperatorSession, _hash(session_id))
        if row is not None and row.ended_at is None:
            row.ended_at = datetime.now(UTC)


def _hash(session_id: str) -> str:
    return hashlib.sha256(session_id.encode()).hexdigest()
