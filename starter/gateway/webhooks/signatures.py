"""What the senders' signature schemes have in common, and our own scheme for senders that have published none."""

import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

REPLAY_WINDOW = 300
"""Seconds by which a webhook's time stamp may be off; an older one may be a replay."""

_LONGEST_STAMP = 12


@dataclass(frozen=True)
class Call:
    """A webhook as it came in, before anything in it is believed. `now` is Unix time in seconds."""

    body: bytes
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    now: float = field(default_factory=time.time)


def digest(secret: str, *parts: bytes | str) -> str:
    """HMAC-SHA256 over the parts, one after the other, in hex."""
    signed = b"".join(part.encode() if isinstance(part, str) else part for part in parts)
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def same(given: str, expected: str) -> bool:
    """Whether they are equal; how long it takes tells nothing of where they differ."""
    return hmac.compare_digest(given.encode(), expected.encode())


def fresh(stamp: str, now: float) -> bool:
    """Whether a stamp in Unix seconds lies within the replay window."""
    return stamp.isdecimal() and len(stamp) <= _LONGEST_STAMP and abs(now - int(stamp)) <= REPLAY_WINDOW


def stamped(call: Call, secret: str) -> bool:
    """Our own scheme: `X-Tokens-Signature: sha256=<hex>` over `<X-Tokens-Timestamp>.<body>`."""
    stamp = call.headers.get("X-Tokens-Timestamp", "")
    if not fresh(stamp, call.now):
        return False
    return same(call.headers.get("X-Tokens-Signature", ""), f"sha256={digest(secret, stamp, '.', call.body)}")
