"""Anchors: what the ends of all chains were at some moment, signed, in a folder outside the database.

Each is a file of its own, is never changed, names the hash of the one before it, and lists the heads that have changed since.
"""

import base64
import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from database.audit_verification import Point
from database.tables import AuditHead, AuditPurge, AuditRow

_NAME = re.compile(r"anchor-(\d{8})\.json")
_NONE = "0" * 64
_AT_ONCE = 400


class NotAnchored(Exception):
    """No anchor was written; one sentence says why, and what to do."""


class AnchorKey:
    """What anchors are signed with (Ed25519, RFC 8032): the private key as 64 hex digits. Raises ValueError."""

    def __init__(self, private: str) -> None:
        if not re.fullmatch(r"[0-9a-fA-F]{64}", private):
            raise ValueError("TOKENS_AUDIT_KEY must be 64 hex digits, such as `openssl rand -hex 32` makes")
        self._key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(private))

    @property
    def public(self) -> str:
        """The public key, as 64 hex digits: all that is needed to verify."""
        return self._key.public_key().public_bytes_raw().hex()

    def sign(self, content: bytes) -> str:
        return base64.b64encode(self._key.sign(content)).decode()


@dataclass
class Anchored:
    """What the anchors of a folder say. `problems`: a sentence for each anchor that can't be relied on. `points`: by journey,
    oldest first. `restores`: those that were accepted."""

    count: int = 0
    latest_at: datetime | None = None
    latest_hash: str = _NONE
    latest_digest: str | None = None
    points: dict[str, list[Point]] = field(default_factory=dict)
    restores: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def latest(self) -> dict[str, tuple[int, str]]:
        """The last anchored end of each chain."""
        return {
            journey_id: (points[-1].number, points[-1].hash) for journey_id, points in self.points.items() if points
        }


def read(folder: Path, public_keys: Iterable[str]) -> Anchored:
    """All anchors of the folder, each checked by its signature and by the next one. `public_keys`: 64 hex digits each."""
    trusted = {_key_id(key): Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)) for key in public_keys}
    anchored = Anchored()
    files = (
        sorted(path for path in folder.glob("anchor-*.json") if _NAME.fullmatch(path.name)) if folder.is_dir() else []
    )
    for path in files:
        content = path.read_bytes()
        number = int(path.name[7:15])
        if number != anchored.count + 1:
            anchored.problems.append(f"{_missing(anchored.count + 1, number - 1)} missing in {folder}.")
        try:
            document = json.loads(content)
            body, signature = document["anchor"], base64.b64decode(document["signature"])
            key = trusted.get(body["key"])
            if key is None:
                problem = f"is signed with key {body['key']}, which is not among the trusted ones"
            else:
                key.verify(signature, _canonical(body))
                problem = None if body["number"] == number else f"says that it is number {body['number']}"
                if number == anchored.count + 1 and body["previous"] != anchored.latest_hash:
                    problem = "does not follow from the one before it"
            if problem is None:
                _take(anchored, body, number)
        except (ValueError, KeyError, TypeError, InvalidSignature):
            problem = "was changed: its signature does not fit"
        if problem:
            anchored.problems.append(f"Anchor {number} ({path.name}) {problem}.")
        anchored.count, anchored.latest_hash = number, hashlib.sha256(content).hexdigest()
    if anchored.latest_digest and not anchored.problems and _digest(anchored.latest()) != anchored.latest_digest:
        anchored.problems.append(f"Anchor {anchored.count} does not fit the heads which the anchors up to it name.")
    return anchored


def write(
    session: Session, folder: Path, key: AnchorKey, public_keys: Iterable[str] = (), at: datetime | None = None
) -> dict[str, Any]:
    """Anchors the chains as they are now. Returns `{"number", "made_at", "journeys", "changed", "file"}`. Raises NotAnchored when
    the database is behind what was anchored, or the anchors can't be relied on: either would be covered up."""
    anchored = _sound(folder, key, public_keys)
    heads = _heads(session)
    behind = _behind(session, anchored, heads)
    if behind:
        raise NotAnchored(
            f"Nothing was anchored: {_journeys(len(behind))} not what anchor {anchored.count} says, such as {min(behind)}; run "
            "`tokens audit verify`, and where a backup was restored `tokens audit accept-restore`."
        )
    return _write(folder, key, anchored, heads, at)


def accept_restore(
    session: Session,
    folder: Path,
    key: AnchorKey,
    public_keys: Iterable[str] = (),
    *,
    by: str,
    reason: str,
    record: Callable[[dict[str, Any]], None],
    at: datetime | None = None,
) -> dict[str, Any]:
    """Anchors that the database was brought back to an earlier moment: from here on its chains are what counts, and what was
    anchored before of those that went back is kept in the anchor. `record` is called with the facts before the heads are read,
    to write them into the trail in the same transaction. Returns as `write` does, with `back`. Raises NotAnchored."""
    anchored = _sound(folder, key, public_keys)
    behind = _behind(session, anchored, _heads(session))
    if not behind:
        raise NotAnchored(
            "Nothing was accepted: the database is not behind its anchors; no restore has to be accepted."
        )
    record({"journeys": len(behind), "behind_anchor": anchored.count})
    heads = _heads(session)
    back = {
        journey_id: {"anchored": list(anchored.latest()[journey_id]), "found": list(heads.get(journey_id, (0, _NONE)))}
        for journey_id in behind
    }
    written = _write(folder, key, anchored, heads, at, {"by": by, "reason": reason, "back": back})
    return {**written, "back": back}


def _sound(folder: Path, key: AnchorKey, public_keys: Iterable[str]) -> Anchored:
    anchored = read(folder, {key.public, *public_keys})
    if anchored.problems:
        raise NotAnchored(f"Nothing was anchored: {anchored.problems[0]} Run `tokens audit verify`.")
    return anchored


def _heads(session: Session) -> dict[str, tuple[int, str]]:
    rows = session.execute(select(AuditHead.journey_id, AuditHead.number, AuditHead.hash))
    return {journey_id: (number, hash_) for journey_id, number, hash_ in rows}


def _behind(session: Session, anchored: Anchored, heads: Mapping[str, tuple[int, str]]) -> set[str]:
    """Journeys whose chain does not hold the row that was anchored last."""
    known = anchored.latest()
    purged = dict(
        session.execute(
            select(AuditPurge.journey_id, func.max(AuditPurge.number)).group_by(AuditPurge.journey_id)
        ).all()
    )
    behind = {journey_id for journey_id, (number, _) in known.items() if heads.get(journey_id, (0, ""))[0] < number}
    moved = [
        (journey_id, number)
        for journey_id, (number, hash_) in known.items()
        if journey_id not in behind and heads[journey_id] != (number, hash_) and number > purged.get(journey_id, 0)
    ]
    for start in range(0, len(moved), _AT_ONCE):
        keys = moved[start : start + _AT_ONCE]
        query = select(AuditRow.journey_id, AuditRow.hash).where(tuple_(AuditRow.journey_id, AuditRow.number).in_(keys))
        found = {row.journey_id: row.hash for row in session.execute(query)}
        behind |= {journey_id for journey_id, _ in keys if found.get(journey_id) != known[journey_id][1]}
    return behind


def _write(
    folder: Path,
    key: AnchorKey,
    anchored: Anchored,
    heads: Mapping[str, tuple[int, str]],
    at: datetime | None,
    restore: dict[str, Any] | None = None,
) -> dict[str, Any]:
    known, number = anchored.latest(), anchored.count + 1
    changed = {journey_id: list(head) for journey_id, head in heads.items() if known.get(journey_id) != head}
    made_at = (at or datetime.now(UTC)).isoformat(timespec="seconds")
    body = {
        "number": number,
        "made_at": made_at,
        "previous": anchored.latest_hash,
        "key": _key_id(key.public),
        "journeys": len(heads),
        "digest": _digest(heads),
        "heads": changed,
        "restore": restore,
    }
    path = folder / f"anchor-{number:08}.json"
    _put(path, json.dumps({"anchor": body, "signature": key.sign(_canonical(body))}, indent=1, sort_keys=True))
    return {"number": number, "made_at": made_at, "journeys": len(heads), "changed": len(changed), "file": path.name}


def _put(path: Path, content: str) -> None:
    """Writes the file whole or not at all, and never over another one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444), "w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(temporary)
    except FileExistsError:
        raise NotAnchored("Nothing was anchored: somebody else has just done it; that one counts.") from None
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _take(anchored: Anchored, body: dict[str, Any], number: int) -> None:
    """Adds what one anchor says."""
    made_at = datetime.fromisoformat(body["made_at"])
    restore = body["restore"]
    if restore:
        anchored.restores.append({"anchor": number, "made_at": body["made_at"], **restore})
        for journey_id in restore["back"]:
            anchored.points[journey_id] = []
    for journey_id, (row, hash_) in body["heads"].items():
        anchored.points.setdefault(journey_id, []).append(Point(row, hash_, number, made_at))
    anchored.latest_at, anchored.latest_digest = made_at, body["digest"]


def _digest(heads: Mapping[str, tuple[int, str]]) -> str:
    lines = (f"{journey_id}\t{number}\t{hash_}\n" for journey_id, (number, hash_) in sorted(heads.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _canonical(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _key_id(public: str) -> str:
    return hashlib.sha256(bytes.fromhex(public)).hexdigest()[:16]


def _missing(first: int, last: int) -> str:
    return f"Anchor {first} is" if first == last else f"Anchors {first} to {last} are"


def _journeys(number: int) -> str:
    return "1 journey is" if number == 1 else f"{number} journeys are"
