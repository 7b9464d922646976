"""How a row of the audit trail is hashed.

Version 1 (release 0.1.0) hashes all of the row's content. Version 2 hashes salted commitments in place of what may name people,
so that a text and its salt can be erased and the chain still holds; without its salt a commitment tells nothing, not even to
somebody who guesses the name.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from database.tables import AuditPurge, AuditRow

START = "0" * 64
"""What the first row of a chain follows from."""
ERASED = "(erased)"
ERASURE = "erase_personal_data"
"""`message` of the entry that witnesses an erasure; its facts: `{"to": number, "older": {number: digest}}`."""
PURGE = "purge_audit"
"""`message` of the entry that witnesses a purge; its facts: `{"purge_id", "journeys": how many, "digest"}`."""
OWN = "audit-trail"
"""The chain about the trail itself: purges, and restores that were accepted."""


def head_and_words(what: str) -> tuple[str, str | None]:
    """A happening's fixed beginning, and the words after it, which a person may have typed."""
    head, colon, words = what.partition(": ")
    return head, words if colon else None


def texts(row: AuditRow) -> dict[str, str | None]:
    """The row's personal fields."""
    return {"by": row.by, "words": head_and_words(row.what)[1], "refused": row.refused}


def commit(row: AuditRow) -> None:
    """Fills in salts and commitments of a new row."""
    given = {name: text for name, text in texts(row).items() if text is not None}
    salts = {name: secrets.token_hex(16) for name in given}
    row.version, row.salts = 2, salts
    row.commitments = {name: _commitment(salts[name], name, text) for name, text in given.items()}


def erase(row: AuditRow) -> None:
    """Takes out what may name people. The hash stays as it is, and so does all that it covers of a version 2 row."""
    head, words = head_and_words(row.what)
    row.what = head if words is None else f"{head}: {ERASED}"
    row.by = row.refused = row.salts = None


def erased(row: AuditRow) -> bool:
    """Whether personal texts have been taken out."""
    return bool(row.commitments) and not row.salts


def commitments_hold(row: AuditRow) -> bool:
    """Whether the texts of a version 2 row are those that were committed to, or are erased all together."""
    committed, salts = row.commitments or {}, row.salts or {}
    for name, text in texts(row).items():
        if name not in committed:
            if text is not None:
                return False
        elif name in salts:
            if text is None or not hmac.compare_digest(_commitment(salts[name], name, text), committed[name]):
                return False
        elif salts or (text is not None and text != ERASED):
            return False
    return True


def hash_of(row: AuditRow, number: int | None = None) -> str:
    """The hash that the row ought to have, at its own place or at another of its chain."""
    number = row.number if number is None else number
    if row.version == 1:
        content: list[Any] = [row.journey_id, number, row.entry, _moment(row.at), row.what, row.by]
        content += [row.status, row.message, row.refused, row.previous]
        return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()
    content = [row.version, row.journey_id, number, row.entry, _moment(row.at), head_and_words(row.what)[0]]
    content += [row.status, row.message, row.commitments or {}, row.facts, row.previous]
    return digest(content)


def remainder(row: AuditRow) -> str:
    """Digest of what an erasure leaves of a version 1 row, whose hash can't be worked out any more."""
    head, words = head_and_words(row.what)
    left = [row.journey_id, row.number, row.entry, _moment(row.at), head, words is not None]
    return digest([*left, row.status, row.message, row.previous, row.hash])


def digest_of_purge(purges: Iterable[AuditPurge]) -> str:
    """Digest over all that one purge removed."""
    removed = [[p.journey_id, p.number, p.hash, _moment(p.first_at), _moment(p.last_at)] for p in purges]
    return digest(sorted(removed))


def digest(content: Any) -> str:
    """SHA-256 over canonical JSON, in hex."""
    canonical = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")


def _commitment(salt: str, name: str, text: str) -> str:
    return digest([salt, name, text])
