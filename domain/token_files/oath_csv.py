"""OATH CSV: one token a line.

Without a header: `serial, seed[, type[, digits[, interval or counter[, hash]]]]`, as LinOTP, privacyIDEA and NetIQ take it (type
`hotp` unless said, six digits, 30 seconds; a seed of 32 or 64 bytes in hex means SHA-256 or SHA-512 unless said), with the user before
it in privacyIDEA's version 2; `serial, seed[, counter]` is what Duo, PingID and IBM take for HOTP. With a header, in any order and
among columns that mean nothing here; one with a column for the interval and none for type or counter goes by time, as Microsoft
Entra's (`upn,serial number,secret key,time interval,manufacturer,model`, seeds in base32), Thales' and Deepnet's do.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from domain.token_files.row import Encoding, Given, Row, bad_row, row_of
from domain.token_files.text import UNREADABLE, cells, lines, separator

_NAMES = {
    "serial": "serial serialnumber serialno tokenserial tokenserialnumber tokenserialno sn tokenid tokenidentifier deviceserialnumber",
    "seed": "seed secret secretkey key otpkey otpsecret hmackey tokenseed seedvalue sharedsecret secrethex seedhex secretkeyhex "
    "secretbase32 seedbase32 secretkeybase32",
    "algorithm": "type tokentype otptype mode oathtype",
    "digits": "digits otpdigits otplen otplength length passcodelength responselength",
    "period": "interval timeinterval timestep step period timeperiod timeintervalinseconds timeintervalseconds timestepinseconds",
    "counter": "counter movingfactor count initialcounter startcounter",
    "digest": "digest hash hashlib hashalgorithm hashfunction algorithmsuite hmac",
    "batch": "batch lot batchnumber lotnumber",
}
_FIELDS = {name: field for field, names in _NAMES.items() for name in names.split()}
_TYPES_AND_DIGESTS = {"algorithm", "algo", "suite"}
"""Headings under which some write HOTP or TOTP, and some SHA1."""
_BY_LENGTH = {64: "sha256", 128: "sha512"}
"""Hex digits of a seed to its hash, as LinOTP and privacyIDEA document it for files without a header."""
_WITH_USERS = re.compile(r"\s*#\s*version:\s*2\b", re.IGNORECASE)
"""How a file begins in which user, resolver and realm stand before the serial (privacyIDEA)."""


@dataclass(frozen=True)
class _Layout:
    """The field of each column; an empty name where it means nothing here."""

    fields: Sequence[str]
    encoding: Encoding | None = None
    goes_by_time: bool = False

    def given(self, row: Sequence[str]) -> Given:
        said: dict[str, str] = {}
        for field, cell in zip(self.fields, row, strict=False):
            if field == "either":
                field = "digest" if "sha" in cell.lower() else "algorithm"
            if field and cell:
                said.setdefault(field, cell)
        if self.goes_by_time:
            said.setdefault("algorithm", "totp")
        return Given(**{"serial": "", "seed": "", **said}, encoding=self.encoding)  # type: ignore[arg-type]


def rows(path: Path) -> Iterator[Row]:
    """Each line's token, good or bad."""
    layout: _Layout | None = None
    parted_by = ","
    users = 0
    for number, line in lines(path, comments=True):
        if line.lstrip().startswith("#"):
            if layout is None and _WITH_USERS.match(line):
                users = 3
            continue
        if layout is None:
            parted_by = separator(line)
            layout = _header(cells(line, parted_by))
            if layout is not None:
                continue
            layout = _Layout(())
        row = cells(line, parted_by)
        if not any(row):
            continue
        if UNREADABLE in line or "\0" in line:
            yield bad_row(
                number,
                row[users:][0] if row[users:] else "",
                "it has bytes that can't be read as text (UTF-8, or UTF-16 with its mark)",
            )
        elif not layout.fields:
            yield _without_header(number, row[users:])
        else:
            yield row_of(number, layout.given(row))


def _header(row: Sequence[str]) -> _Layout | None:
    """What the first line says of the columns; None where it is a token's already."""
    names = ["".join(character for character in cell.lower() if character.isalnum()) for cell in row]
    fields = ["either" if name in _TYPES_AND_DIGESTS else _FIELDS.get(name, "") for name in names]
    if "serial" not in fields or "seed" not in fields:
        return None
    said = names[fields.index("seed")]
    # Entra's own heading: its documentation asks for base32, in which a seed may look like hex.
    base32 = said.endswith("base32") or (said == "secretkey" and "upn" in names)
    encoding: Encoding | None = "base32" if base32 else "hex" if said.endswith("hex") else None
    return _Layout(fields, encoding, "period" in fields and not {"algorithm", "either", "counter"} & set(fields))


def _without_header(number: int, row: Sequence[str]) -> Row:
    serial, seed, algorithm, digits, last, digest = [*row, "", "", "", "", "", ""][:6]
    if algorithm.isdigit() and not (digits or last or digest):
        if algorithm in ("30", "60"):
            unclear = "its third column may be a counter or a time interval; put the type (hotp or totp) before it"
            return bad_row(number, serial, unclear)
        algorithm, last = "hotp", algorithm
    by_time = algorithm.lower().startswith("totp")
    return row_of(
        number,
        Given(
            serial=serial,
            seed=seed,
            algorithm=algorithm,
            digits=digits,
            digest=digest or _BY_LENGTH.get(len(seed), ""),
            period=last if by_time else "",
            counter="" if by_time else last,
        ),
    )
