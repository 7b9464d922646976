"""How a letter becomes an email: multipart/alternative, text and HTML, ready for SMTP."""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime
from email.errors import HeaderParseError
from email.headerregistry import Address as Mailbox
from email.message import EmailMessage
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, TemplateError, select_autoescape

from activities.letters.catalogue import LETTERS, LetterType
from activities.letters.facts import Unusable, known_facts, one_line
from activities.letters.texts import begin, in_words, listed, reflow, sentence, trim
from domain.wording import by_when, day, days_since, moment

TEMPLATES = Path(__file__).resolve().parents[2] / "templates" / "email"


class LetterError(Exception):
    """The letter can't be composed; the text is one sentence that says which letter and why."""


def compose(
    letter: str,
    *,
    to: str,
    sender: str,
    message_id: str,
    at: datetime,
    zone: str,
    facts: Mapping[str, object],
) -> EmailMessage:
    """The finished email: multipart/alternative, text and HTML, ready for SMTP.

    In: `letter`, a key of `LETTERS`; `to`, `sender`, one mailbox each ("Name <a@b>" or "a@b");
    `message_id` in its angle brackets; `at`, the journey's time (aware), which becomes the Date; `zone`, the reader's
    IANA zone, in which every time is written; `facts` as `LETTERS[letter]` names them. Addresses may be
    `domain.address.Address` or its JSON object; days `date`, moments aware `datetime`, or either as ISO 8601 text.
    Raises LetterError: unknown letter, missing or unusable fact, bad header.
    """
    kind_of_letter = LETTERS.get(letter)
    if kind_of_letter is None:
        raise LetterError(f"There is no letter named {letter!r}.")
    try:
        return _compose(kind_of_letter, to, sender, message_id, at, zone, facts)
    except Unusable as problem:
        raise LetterError(f"The letter {letter} can't be composed: {problem}.") from problem
    except TemplateError as problem:
        raise LetterError(f"The letter {letter} can't be composed: its template says {problem}.") from problem


def _compose(
    letter: LetterType,
    to: str,
    sender: str,
    message_id: str,
    at: datetime,
    zone: str,
    facts: Mapping[str, object],
) -> EmailMessage:
    try:
        where = ZoneInfo(zone)
    except (KeyError, OSError, ValueError) as problem:  # unknown, a folder of the database, not a key at all
        raise Unusable(f"{zone!r} is not a time zone") from problem
    if at.tzinfo is None:
        raise Unusable("its time `at` says no UTC offset")
    if not re.fullmatch(r"<[!-;=?A-~]+@[!-;=?A-~]+>", message_id) or len(message_id) > 250:
        raise Unusable("its Message-ID is not of the form <left@right>")
    from_whom = _mailbox("sender", sender)
    known = known_facts(letter, facts)
    known |= {
        "letter": letter.key,
        "audience": letter.audience,
        "about_token": letter.about_token,
        "from_name": from_whom.display_name or "EPCS Tokens",
        "to": _mailbox("recipient", to).addr_spec,
        "at": at,
        "zone": where,
    }
    # The subject goes through the same flattening as a fact: whatever it is made of, it is one line.
    subject = one_line(_subject(letter.subject).render(known), 200)

    message = EmailMessage()
    message["From"] = from_whom
    message["To"] = _mailbox("recipient", to)
    message["Subject"] = subject
    message["Date"] = at.astimezone(where)
    message["Message-ID"] = message_id
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message["X-Token-Letter"] = letter.key
    message["X-Token-Journey"] = "".join(filter(str.isprintable, str(known.get("journey_id", letter.key))))[:250]
    _set_text(message.set_content, reflow(_templates().get_template(f"{letter.key}.txt").render(known)), "plain")
    html = _templates().get_template(f"{letter.key}.html").render({**known, "subject": subject})
    _set_text(message.add_alternative, trim(html), "html")
    message["Content-Language"] = "en-US"  # last: setting the content drops the Content- headers that were there
    # A boundary of its own making instead of a random one: a retry is then the same message, byte for byte.
    message.set_boundary("letter-" + hashlib.sha256(message_id.encode()).hexdigest()[:32])
    if all(str(value).isascii() for value in message.values()):
        # Not folded: they are shorter than SMTP's 998 bytes, and the library folds a subject of 70 to 77 characters so
        # that its first line is empty. Encoded words are limited to 75, so what is not ASCII is left to its folding.
        message.policy = message.policy.clone(max_line_length=None)
    return message


def _set_text(put: Callable[..., None], text: str, subtype: str) -> None:
    """7bit where it is plain ASCII in short lines (readable in the raw), quoted-printable otherwise; never 8bit."""
    short = text.isascii() and all(len(line) <= 100 for line in text.splitlines())
    put(text, subtype=subtype, charset="utf-8", cte="7bit" if short else "quoted-printable")


def _mailbox(what: str, text: str) -> Mailbox:
    """One mailbox. Anything that could add a header or a second recipient is refused, not repaired."""
    match = re.fullmatch(r'\s*(?:"?(?P<name>[^"<>\x00-\x1f\x7f]*?)"?\s*<(?P<in>[^<>\s]+)>|(?P<bare>[^<>\s]+))\s*', text)
    if match is None or any(unicodedata.category(sign) in {"Cc", "Zl", "Zp"} for sign in text):
        raise Unusable(f"its {what} is not one email address")
    local, _, host = (match["in"] or match["bare"]).rpartition("@")
    try:
        # idna: the domain of an address may be written in any script; on the wire it is ASCII.
        box = Mailbox((match["name"] or "").strip(), addr_spec=f"{local}@{host.encode('idna').decode()}")
    except (HeaderParseError, ValueError, IndexError):
        raise Unusable(f"its {what} is not one email address") from None
    if not (box.username and "." in box.domain.strip(".")) and box.domain != "localhost":
        raise Unusable(f"its {what} is not one email address")
    return box


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(enabled_extensions=("html",), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return _with_filters(environment)


@cache
def _plain() -> Environment:
    """For subjects: no HTML, so no escaping."""
    return _with_filters(Environment(undefined=StrictUndefined, autoescape=False))  # noqa: S701


@cache
def _subject(text: str) -> Template:
    """Compiled once for each letter: that takes longer than all the rest of a letter's subject."""
    return _plain().from_string(text)


def _with_filters(environment: Environment) -> Environment:
    environment.filters |= {
        "day": day,
        "moment": moment,
        "by_when": by_when,
        "days_since": days_since,
        "sentence": sentence,
        "begin": begin,
        "words": in_words,
        "listed": listed,
    }
    return environment
