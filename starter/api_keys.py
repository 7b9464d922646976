"""Keys of upstream systems: made, listed, revoked, recognised. A key reads `<key id>.<secret>`; only the secret's hash is kept."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select

from database.engine import Sessions
from database.tables import ApiKey

_NOBODY = hashlib.sha256(b"").hexdigest()


class Scope(StrEnum):
    """What a system may do with its key."""

    REQUEST = "request"
    """What a prescriber may: request, edit, cancel, have the link sent again, deactivate, replace."""
    OPERATE = "operate"
    """What the fulfilment team may: process, see the queue, and the same to a journey as a prescriber."""
    READ = "read"
    VERIFY = "verify"
    """Sign in with active tokens."""


class NoSuchKey(Exception):
    """One sentence says what to do."""


@dataclass(frozen=True)
class Caller:
    """The system behind a request."""

    key_id: str
    name: str
    scopes: frozenset[str]


def create(sessions: Sessions, name: str, scopes: Iterable[Scope], at: datetime) -> str:
    """The new key, which is kept nowhere. `at`: UTC. Raises ValueError with a sentence: no name, or no scope."""
    granted = sorted(set(scopes))
    if not name.strip() or len(name) > 100 or not name.isprintable():
        raise ValueError("a key needs the name of the system that holds it, of at most 100 characters")
    if not granted:
        raise ValueError(f"a key without a scope opens nothing; give at least one of {', '.join(Scope)}")
    key = drawn()
    with sessions.begin() as session:
        session.add(_row(key, name.strip(), granted, at))
    return key


def drawn() -> str:
    """A fresh key, which opens nothing yet."""
    return f"tok-{secrets.token_hex(6)}.{secrets.token_urlsafe(32)}"


def enter(sessions: Sessions, key: str, name: str, scopes: Iterable[Scope], at: datetime) -> None:
    """Makes a key that was `drawn` open something. One that is entered already, or was revoked, stays as it is. `at`: UTC."""
    with sessions.begin() as session:
        if session.get(ApiKey, key.partition(".")[0]) is None:
            session.add(_row(key, name, sorted(set(scopes)), at))


def listed(sessions: Sessions) -> list[ApiKey]:
    """All keys, the newest first; revoked ones, too."""
    with sessions() as session:
        return list(session.scalars(select(ApiKey).order_by(ApiKey.created_at.desc(), ApiKey.key_id)))


def revoke(sessions: Sessions, key_id: str, at: datetime) -> ApiKey:
    """From now on the key opens nothing. One that is revoked already stays as it is. Raises NoSuchKey."""
    with sessions.begin() as session:
        key = session.get(ApiKey, key_id)
        if key is None:
            raise NoSuchKey(f"There is no key {key_id}; look its id up with `tokens keys list`.")
        key.revoked_at = key.revoked_at or at
        return key


def caller_of(sessions: Sessions, key_id: str, secret: str) -> Caller | None:
    """Whose key it is; None where there is no such key, the secret is wrong, or it was revoked."""
    with sessions() as session:
        key = session.get(ApiKey, key_id)
    fits = hmac.compare_digest(key.key_hash if key else _NOBODY, _hash(secret))
    if key is None or not fits or key.revoked_at is not None:
        return None
    return Caller(key.key_id, key.name, frozenset(key.scopes))


def _row(key: str, name: str, scopes: list[Scope], at: datetime) -> ApiKey:
    key_id, _, secret = key.partition(".")
    names = [str(scope) for scope in scopes]
    return ApiKey(key_id=key_id, name=name, scopes=names, key_hash=_hash(secret), created_at=at)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
