"""Sessions of operators: `browser_sessions` holds what they share with those of prescribers."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from database.engine import Sessions
from database.tables import ApiKey, OperatorSession
from settings import Settings
from starter.api_keys import Caller, Scope
from starter.gateway import browser_sessions


@dataclass(frozen=True)
class Operator:
    """Who is signed in: the key's id and the name it was made for. `csrf`: what each form of this session must bring back."""

    key_id: str
    name: str
    csrf: str


def begin(caller: Caller, sessions: Sessions, settings: Settings, instead_of: str | None) -> str:
    """A new session's id; only its hash is kept. Ends the browser's session `instead_of`, if it had one."""
    now = datetime.now(UTC)
    session_id = browser_sessions.new_id()
    with sessions.begin() as session:
        browser_sessions.sweep(OperatorSession, session, now)
        browser_sessions.end(OperatorSession, instead_of, session, now)
        session.add(
            OperatorSession(
                session_hash=browser_sessions.hash_of(session_id),
                key_id=caller.key_id,
                signed_in_at=now,
                seen_at=now,
                expires_at=now + timedelta(hours=settings.operator_session_hours),
            )
        )
    return session_id


def find(session_id: str, sessions: Sessions, settings: Settings) -> Operator | None:
    """Whose session it is; None where it is over, or its key was revoked. Idling begins anew."""
    now = datetime.now(UTC)
    with sessions.begin() as session:
        row = browser_sessions.find(OperatorSession, session_id, session, now, settings.operator_idle_minutes)
        if row is None:
            return None
        key = session.get_one(ApiKey, row.key_id)
        if key.revoked_at is not None or Scope.OPERATE not in key.scopes:
            return None
        browser_sessions.touch(row, now)
        return Operator(key.key_id, key.name, browser_sessions.csrf_of(session_id))


def end(session_id: str, sessions: Sessions) -> None:
    """Signs out. Harmless when repeated."""
    with sessions.begin() as session:
        browser_sessions.end(OperatorSession, session_id, session, datetime.now(UTC))
