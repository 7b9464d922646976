"""The log that Yubico's Personalization Tool writes, in its two fixed formats. Only OATH-HOTP tokens can be taken: a Yubico
OTP, a static password and a challenge-response slot give no six-digit passcode.

Traditional (18 columns, first the kind of event): event, time, slot, token identifier, private id, secret, two access codes,
three flags, digits, moving factor, five flags. Yubico format (7 columns, first the serial number): serial, token identifier,
moving factor, secret, access code, time, nothing. In it a challenge-response slot is written as an OATH-HOTP token with counter 0
is; no reader can tell the two apart.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from domain.token_files.row import Given, Row, bad_row, row_of
from domain.token_files.text import UNREADABLE, cells, lines

_EVENTS = (
    "oath-hotp",
    "yubico otp",
    "static password",
    "challenge-response",
    "configuration update",
    "configuration swap",
)
_TRADITIONAL = 18
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


def looks_like(row: Sequence[str]) -> bool:
    """Whether a file that begins with this row is one of Yubico's."""
    if not row:
        return False
    first = row[0].lower()
    return first == "logging start" or first.startswith(_EVENTS) or (len(row) >= 6 and bool(_STAMP.fullmatch(row[5])))


def rows(path: Path) -> Iterator[Row]:
    """Each line's token, good or bad."""
    for number, line in lines(path):
        row = cells(line)
        first = row[0].lower() if row else ""
        if first == "logging start":
            continue
        if UNREADABLE in line or "\0" in line:
            yield bad_row(number, "", "it has bytes that can't be read as text (UTF-8, or UTF-16 with its mark)")
        elif first == "oath-hotp":
            yield _traditional(number, row)
        elif first.startswith(_EVENTS):
            yield bad_row(
                number, row[3] if len(row) > 3 else "", "it is no OATH-HOTP token, and no other kind is supported"
            )
        else:
            yield _yubico(number, row)


def _traditional(number: int, row: Sequence[str]) -> Row:
    # The time is written as the country writes it, in some with a comma in it.
    row = [row[0], "", *row[2 + max(0, len(row) - _TRADITIONAL) :]]
    if len(row) < _TRADITIONAL:
        return bad_row(number, "", f"it has not the {_TRADITIONAL} columns of Yubico's traditional format")
    if not row[3]:
        return bad_row(
            number,
            "",
            "it has no token identifier to know the token by; log in Yubico format, which has the serial number",
        )
    return row_of(
        number, Given(row[3], row[5], "hex", "hotp", digits="" if row[11] == "0" else row[11], counter=row[12])
    )


def _yubico(number: int, row: Sequence[str]) -> Row:
    if len(row) < 6:
        return bad_row(number, row[0] if row else "", "it has not the columns of either of Yubico's formats")
    serial, _, factor, secret = row[:4]
    if not factor:
        return bad_row(number, serial, "it is a static password, and only OATH-HOTP is supported")
    if len(factor) == 12 and len(secret) == 32:
        return bad_row(number, serial, "it is a Yubico OTP, and only OATH-HOTP is supported")
    return row_of(number, Given(serial, secret, "hex", "hotp", counter=factor))
