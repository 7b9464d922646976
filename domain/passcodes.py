"""One-time passcodes: HOTP (RFC 4226) and TOTP (RFC 6238), judged as `rules.md`, "Activation", says.

Nothing is kept here. Whoever calls `judge` or `resynchronise` stores the counters that come back in the same transaction
as the outcome, with the token's row locked: only then is no passcode taken twice.
"""

import base64
import hashlib
import hmac
import math
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from pyotp.hotp import HOTP

from domain.policy import Policy

Outcome = Literal["accepted", "wrong", "wait", "locked", "spent"]

_DIGESTS = {"SHA1": hashlib.sha1, "SHA256": hashlib.sha256, "SHA512": hashlib.sha512}
_SHORTEST_SEED = 14
"""Bytes: 112 bits (NIST SP 800-63B-4, 3.1.4.1)."""


@dataclass(frozen=True)
class Device:
    """What is known of a token. `period` (seconds) is a TOTP step and means nothing to HOTP.

    Raises ValueError for figures that no passcode can be made of.
    """

    algorithm: Literal["HOTP", "TOTP"]
    seed: bytes = field(repr=False)
    digits: int = 6
    digest: Literal["SHA1", "SHA256", "SHA512"] = "SHA1"
    period: int = 30

    def __post_init__(self) -> None:
        if self.algorithm not in ("HOTP", "TOTP"):
            raise ValueError("a token's algorithm is HOTP or TOTP")
        if self.digest not in _DIGESTS:
            raise ValueError("a token's digest is SHA1, SHA256 or SHA512")
        if not 6 <= self.digits <= 8:
            raise ValueError("a passcode has six to eight digits")
        if self.algorithm == "TOTP" and self.period < 1:
            raise ValueError("a TOTP step lasts at least one second")
        if len(self.seed) < _SHORTEST_SEED:
            raise ValueError(f"a seed has at least {_SHORTEST_SEED} bytes")


@dataclass(frozen=True)
class Counters:
    """What is kept of a token between attempts. `last_failure_at` has an offset."""

    counter: int = 0
    """The lowest moving factor (HOTP counter, TOTP step) that may still be accepted."""
    drift: int = 0
    """TOTP: by how many steps the device's clock is ahead of ours, as the last resynchronisation found it (RFC 6238, 6)."""
    resync_at: int | None = None
    """HOTP: the moving factor, beyond the look-ahead, that the last attempt matched."""
    failures: int = 0
    """Wrong ones in a row since the token was last unlocked: so many lock it."""
    failures_in_a_row: int = 0
    """Wrong ones in a row, whatever link was sent or lock lifted in between: they make each next one wait, and a hundred
    end it."""
    last_failure_at: datetime | None = None
    locked: bool = False


@dataclass(frozen=True)
class Verdict:
    """`counters` are to be stored whatever the outcome. `wait_seconds`: how long from now further attempts are refused
    unjudged. `step`: the moving factor that was accepted.
    """

    outcome: Outcome
    counters: Counters
    wait_seconds: int = 0
    step: int | None = None


def current(device: Device, factor: int) -> str:
    """The passcode for a moving factor: the HOTP counter, or the TOTP step (see `step`). ValueError below 0."""
    return HOTP(
        base64.b32encode(device.seed).decode().rstrip("="), digits=device.digits, digest=_DIGESTS[device.digest]
    ).at(factor)


def step(device: Device, at: datetime) -> int:
    """The number of the TOTP step that `at` (with an offset) falls into, counted from 1970."""
    return math.floor(_aware(at).timestamp()) // device.period


def judge(device: Device, counters: Counters, passcode: str, at: datetime, policy: Policy) -> Verdict:
    """Judges one attempt at the moment `at`, which needs an offset (else ValueError).

    - "spent", "locked", "wait": not judged at all, see `unjudged`.
    - "accepted": the counter moves past what matched; failures are forgotten.
    - "wrong": everything else, malformed passcodes among it. So is the first half of a resynchronisation: it counts as
      a failure like any other and gets the same answer, so that nobody learns from it that a guess was near. Only the
      attempt right after it can complete the pair. The attempt that locks is still answered "wrong", with its
      `counters.locked` set.
    """
    standing = unjudged(counters, at, policy)
    if standing:
        return standing
    matched, near = _match(device, counters, passcode, at, policy)
    if matched is None:
        return _wrong(counters, near, at, policy)
    return Verdict("accepted", Counters(counter=matched + 1, drift=counters.drift), step=matched)


def resynchronise(
    device: Device, counters: Counters, passcodes: tuple[str, str], at: datetime, policy: Policy
) -> Verdict:
    """Judges two passcodes that the device has shown one after the other, asked for by name: one attempt, with the
    outcomes of `judge`. Accepted uses both up.

    HOTP (RFC 4226, 7.4): within `hotp_resynchronisation` presses ahead. TOTP (RFC 6238, 6): within
    `totp_resynchronisation` steps either side of our own clock, however far it had drifted before, so that repeating it
    leads no further away; the drift is kept, and `judge` goes by it from then on.
    """
    standing = unjudged(counters, at, policy)
    if standing:
        return standing
    first, drift = counters.counter, 0
    if device.algorithm == "TOTP":
        now = step(device, at)
        beginnings = range(
            max(0, first, now - policy.totp_resynchronisation), max(0, now + policy.totp_resynchronisation)
        )
    else:
        now = None
        beginnings = range(first, first + policy.hotp_resynchronisation + 1)
    matched = _matching(device, passcodes, beginnings)
    if matched is None:
        return _wrong(counters, None, at, policy)
    if now is not None:
        drift = matched + 1 - now
    return Verdict("accepted", Counters(counter=matched + 2, drift=drift), step=matched + 1)


def unjudged(counters: Counters, at: datetime, policy: Policy) -> Verdict | None:
    """Why an attempt at the moment `at` (with an offset) is not even looked at: it does not count, and nothing changes.
    None where it is to be judged.

    - "spent": a hundred wrong ones in a row, over all links; nothing takes that back.
    - "locked": too many wrong ones since the last link or unlocking.
    - "wait": inside the wait after a wrong one.
    """
    at = _aware(at)
    if counters.failures_in_a_row >= policy.most_failures_in_a_row:
        return Verdict("spent", counters)
    if counters.locked:
        return Verdict("locked", counters)
    wait = _wait(counters, at, policy)
    return Verdict("wait", counters, wait_seconds=wait) if wait else None


def _wrong(counters: Counters, near: int | None, at: datetime, policy: Policy) -> Verdict:
    failures = counters.failures + 1
    after = replace(
        counters,
        resync_at=near,
        failures=failures,
        failures_in_a_row=counters.failures_in_a_row + 1,
        last_failure_at=at.astimezone(UTC),
        locked=failures >= policy.lock_after_failures,
    )
    return Verdict("wrong", after, wait_seconds=0 if after.locked else _wait(after, at, policy))


def _wait(counters: Counters, at: datetime, policy: Policy) -> int:
    """Seconds until the next attempt is judged, rounded up (RFC 4226, 7.3: the delay grows with the failures)."""
    if counters.last_failure_at is None or counters.failures_in_a_row < policy.throttle_from_failure:
        return 0
    pause = timedelta(seconds=policy.throttle_seconds_per_failure * counters.failures_in_a_row)
    return max(0, math.ceil((counters.last_failure_at + pause - at) / timedelta(seconds=1)))


def _match(
    device: Device, counters: Counters, passcode: str, at: datetime, policy: Policy
) -> tuple[int | None, int | None]:
    """The moving factor that is accepted, and the one that may begin a resynchronisation."""
    first = counters.counter
    if device.algorithm == "TOTP":
        now = step(device, at) + counters.drift
        earliest = max(0, first, now - policy.totp_steps_either_side)
        return _matching(device, (passcode,), range(earliest, now + policy.totp_steps_either_side + 1)), None
    following = None if counters.resync_at is None else counters.resync_at + 1
    ahead = _matching(device, (passcode,), range(first, first + policy.hotp_look_ahead + 1))
    beyond = range(first + policy.hotp_look_ahead + 1, first + policy.hotp_resynchronisation + 1)
    near = _matching(device, (passcode,), beyond)
    pair = None if following is None else _matching(device, (passcode,), range(following, following + 1))
    return (ahead if pair is None else pair), near


def _matching(device: Device, passcodes: tuple[str, ...], beginnings: range) -> int | None:
    """The lowest of `beginnings` from which on the device shows these passcodes one after the other.

    Every one is worked out and compared, each in constant time, also for something malformed that can't match: the time
    taken tells nothing of where a match was, nor why there was none.
    """
    typed = [passcode if _well_formed(device, passcode) else "-" * device.digits for passcode in passcodes]
    shown = [current(device, factor) for factor in range(beginnings.start, beginnings.stop + len(typed) - 1)]
    found = [
        beginning
        for place, beginning in enumerate(beginnings)
        if hmac.compare_digest("".join(shown[place : place + len(typed)]), "".join(typed))
    ]
    return found[0] if found else None


def _well_formed(device: Device, passcode: str) -> bool:
    return len(passcode) == device.digits and passcode.isascii() and passcode.isdigit()


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a time without an offset can't be judged")
    return moment
