"""One token of a file, good or bad, and what is asked of every seed, whichever format it came in."""

import base64
import binascii
import re
import string
from dataclasses import dataclass, field
from typing import Literal

from domain.passcodes import Device

Algorithm = Literal["HOTP", "TOTP"]
Digest = Literal["SHA1", "SHA256", "SHA512"]
Encoding = Literal["hex", "base32"]

_SERIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}")
_LIKE_A_SEED = re.compile(r"(0[xX])?[A-Za-z0-9+/=]{28,}")
_HIGHEST_COUNTER = 2_000_000_000
_LONGEST_SEED = 128
"""Bytes: the block of SHA-512, beyond which HMAC hashes a key first (RFC 2104)."""


@dataclass(frozen=True, slots=True)
class Token:
    """A good row. `line`: the row or the key's place in the file, from 1. `counter`: HOTP, the first one to be accepted."""

    line: int
    serial: str
    device: Device
    counter: int = 0
    batch: str | None = None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that can't be taken: `reason` is half a sentence. `serial` is None where what stands in its place might be a
    seed."""

    line: int
    serial: str | None
    reason: str


Row = Token | BadRow


class FileRefused(Exception):
    """The file as a whole can't be read; one sentence says why and what to do instead."""


@dataclass(frozen=True)
class Unlock:
    """What an encrypted file is opened with."""

    key: bytes | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)


class Unfit(ValueError):
    """Why a row can't be taken; never holds what stood in it."""


@dataclass(frozen=True)
class Given:
    """What a row says, as it stands there. An empty text means that it says nothing."""

    serial: str
    seed: str | bytes = field(repr=False)
    encoding: Encoding | None = None
    """None: hex where it can be hex, else base32."""
    algorithm: str = ""
    digits: str = ""
    digest: str = ""
    period: str = ""
    counter: str = ""
    batch: str = ""


def row_of(line: int, given: Given) -> Row:
    """The token that the row describes, or why it can't be taken."""
    try:
        return _token(line, given)
    except Unfit as fault:
        return bad_row(line, given.serial, str(fault))


def bad_row(line: int, serial: str, reason: str) -> BadRow:
    """A refused row; a serial that may be a seed in the wrong column is left out."""
    shown = serial.strip()
    return BadRow(line, shown if _SERIAL.fullmatch(shown) and not _LIKE_A_SEED.fullmatch(shown) else None, reason)


def _token(line: int, given: Given) -> Token:
    serial = given.serial.strip()
    if not serial:
        raise Unfit("it has no serial number")
    if not _SERIAL.fullmatch(serial):
        raise Unfit("its serial number is not 1 to 64 letters, digits and . _ : @ -, beginning with a letter or digit")
    algorithm, digits_of_type = _algorithm(given.algorithm)
    seed = given.seed if isinstance(given.seed, bytes) else _decoded(given.seed, given.encoding)
    if not seed or (len(seed) > 1 and len(set(seed)) == 1):
        raise Unfit("its seed is blank")
    if len(seed) > _LONGEST_SEED:
        raise Unfit(f"its seed is longer than {_LONGEST_SEED} bytes")
    period = _number(given.period, "time interval", 30)
    counter = _number(given.counter, "counter", 0)
    if algorithm == "TOTP" and period not in (30, 60):
        raise Unfit("its time interval is neither 30 nor 60 seconds")
    if counter > _HIGHEST_COUNTER:
        raise Unfit(f"its counter is over {_HIGHEST_COUNTER}")
    digits = _number(given.digits, "number of digits", digits_of_type)
    if digits not in (6, 8):
        raise Unfit("its passcodes have neither six nor eight digits")
    try:
        device = Device(algorithm, seed, digits, _digest(given.digest), period if algorithm == "TOTP" else 0)
    except ValueError as fault:  # such as a seed that is too short
        raise Unfit(str(fault)) from None
    return Token(line, serial, device, counter if algorithm == "HOTP" else 0, given.batch.strip()[:100] or None)


_TYPE = re.compile(r"(?:oath[-_ ]?)?(hotp|totp|event|time)(?:[-_ ]?([68]))?")


def _algorithm(text: str) -> tuple[Algorithm, int]:
    """With the number of digits that some write into the type (`HOTP-8`), or six."""
    found = _TYPE.fullmatch(text.strip().lower() or "hotp")
    if found is None:
        raise Unfit("its type is neither HOTP nor TOTP, and no other algorithm is supported")
    return "TOTP" if found[1] in ("totp", "time") else "HOTP", int(found[2] or 6)


def _digest(text: str) -> Digest:
    match text.strip().lower().replace("hmac", "").replace("-", "").replace("_", "").strip():
        case "" | "sha1":
            return "SHA1"
        case "sha256":
            return "SHA256"
        case "sha512":
            return "SHA512"
        case _:
            raise Unfit("its hash algorithm is none of SHA1, SHA256 and SHA512")


def _number(text: str, what: str, default: int) -> int:
    text = text.strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise Unfit(f"its {what} is not a whole number")
    return int(text)


def _decoded(text: str, encoding: Encoding | None) -> bytes:
    text = re.sub(r"\s", "", text)
    if text[:2] in ("0x", "0X") and encoding != "base32":
        text = text[2:]
    if not text:
        raise Unfit("its seed is blank")
    if encoding != "base32" and set(text) <= set(string.hexdigits):
        if len(text) % 2:
            raise Unfit("its seed has an odd number of hex digits")
        return bytes.fromhex(text)
    if encoding != "hex":
        try:
            bare = text.rstrip("=").upper()
            return base64.b32decode(bare + "=" * (-len(bare) % 8))
        except (binascii.Error, ValueError):
            pass
    kinds = {"hex": "hex", "base32": "base32"}.get(encoding or "")
    raise Unfit(f"its seed is not {kinds}" if kinds else "its seed is neither hex nor base32")
