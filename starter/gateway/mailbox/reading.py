"""Reads the Maildir of the embedded stack's mail sink."""

import mailbox
import re
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from email.utils import getaddresses, parsedate_to_datetime
from pathlib import Path

_NUMBER = "X-Sink-Number"
_TARGET = re.compile(r'\btarget="_blank"')


@dataclass(frozen=True)
class Envelope:
    """An email in the list. `number`: the order of arrival; `at`: when it was written, with an offset."""

    number: int
    sender: str
    recipient: str
    subject: str
    at: datetime | None


@dataclass(frozen=True)
class Opened:
    """An email to read. `html` is None where it has none."""

    envelope: Envelope
    text: str
    html: str | None


def envelopes(folder: Path) -> list[Envelope]:
    """Every email, newest first; none where there is no Maildir yet."""
    if not (folder / "new").is_dir():
        return []
    box = mailbox.Maildir(folder, create=False)
    parser = BytesHeaderParser(policy=policy.default)
    found = [_envelope(parser.parsebytes(box.get_bytes(key))) for key in box.iterkeys()]
    return sorted(found, key=lambda envelope: envelope.number, reverse=True)


def opened(folder: Path, number: int) -> Opened | None:
    """The email with this number. What names it is never a path."""
    if not (folder / "new").is_dir():
        return None
    box = mailbox.Maildir(folder, create=False)
    parser = BytesHeaderParser(policy=policy.default)
    for key in box.iterkeys():
        content = box.get_bytes(key)
        if _envelope(parser.parsebytes(content)).number == number:
            message = message_from_bytes(content, policy=policy.default)
            return Opened(_envelope(message), _part(message, "plain") or "", _part(message, "html"))
    return None


def _envelope(message: EmailMessage) -> Envelope:
    number = str(message[_NUMBER] or "")
    recipients = getaddresses([str(message["To"] or "")])
    return Envelope(
        number=int(number) if number.isascii() and number.isdecimal() else 0,
        sender=str(message["From"] or ""),
        recipient=recipients[0][1].lower() if recipients else "",
        subject=str(message["Subject"] or "(no subject)"),
        at=_date(message),
    )


def _date(message: EmailMessage) -> datetime | None:
    try:
        at = parsedate_to_datetime(str(message["Date"]))
    except ValueError:
        return None
    return at if at.tzinfo else None


def _part(message: EmailMessage, kind: str) -> str | None:
    part = message.get_body((kind,))
    if part is None:
        return None
    content = part.get_content()
    # Out of the frame in which it is shown, into the reader's own window.
    return _TARGET.sub('target="_top"', content) if kind == "html" else content
