"""OATH CSV: one token a line.

Without a header: `serial, seed[, type[, digits[, interval or counter]]]`, as LinOTP, privacyIDEA and NetIQ take it (type
`hotp` unless said, six digits, 30 seconds); two columns alone are what Duo and IBM take for HOTP. With a header, in any order
and among columns that mean nothing here; one with a column for the interval and none for type or counter goes by time, as
Microsoft Entra's (`upn,serial number,secret key,time interval,manufacturer,model`, seeds in base32) does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from domain.token_files.row import Encoding, Given, Row, bad_row, row_of
from domain.token_files.text import UNREADABLE, cells, lines, separator

_NAMES = {
    "serial": {"serial", "serialnumber", "serialno", "tokenserial", "tokenserialnumber", "sn", "tokenid"},
    "seed": {
        "seed",
        "secret",
        "secretkey",
        "key",
        "otpkey",
        "hmackey",
        "tokenseed",
        "sharedsecret",
        "secrethex",
        "seedhex",
    }
    | {"secretbase32", "seedbase32", "secretkeybase32"},
    "algorithm": {"type", "tokentype", "otptype", "mode", "oathtype"},
    "digits": {"digits", "otplen", "otplength", "length", "passcodelength", "responselength"},
    "period": {"interval", "timeinterval", "timestep", "step", "period", "timeintervalinseconds"},
    "counter": {"counter", "movingfactor", "count", "initialcounter"},
    "digest": {"digest", "hash", "hashlib", "hashalgorithm", "hashfunction", "algorithmsuite", "hmac"},
    "batch": {"batch", "lot", "batchnumber", "lotnumber"},
}
_FIELDS = {name: field for field, names in _NAMES.items() for name in names}
_TYPES_AND_DIGESTS = {"algorithm", "algo", "suite"}
"""Headings under which some write HOTP or TOTP, and some SHA1."""


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
    for number, line in lines(path):
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
            yield bad_row(number, row[0], "it has bytes that can't be read as text (UTF-8, or UTF-16 with its mark)")
        elif not layout.fields:
            yield row_of(number, _without_header(row))
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


def _without_header(row: Sequence[str]) -> Given:
    serial, seed, algorithm, digits, last = [*row, "", "", "", ""][:5]
    return Given(
        serial=serial,
        seed=seed,
        algorithm=algorithm,
        digits=digits,
        period=last if algorithm.lower() == "totp" else "",
        counter=last if algorithm.lower() != "totp" else "",
    )
