"""The letters: what each one is called, whom it speaks to, what it has to know, and how it becomes an email.

Rendering only. Nothing here sends, stores or looks anything up: the same facts give the same email, byte for byte, so
that a retry composes what the first try composed. The words are in `templates/email/`.
"""

import hashlib
import re
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from email.errors import HeaderParseError
from email.headerregistry import Address as Mailbox
from email.message import EmailMessage
from functools import cache
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, TemplateError, select_autoescape

TEMPLATES = Path(__file__).resolve().parent.parent / "templates" / "email"

Audience = Literal["team", "prescriber", "vendor_to_prescriber"]
BOTH = ("hard", "soft")
HARD = ("hard",)
SOFT = ("soft",)

COMMON = ("journey_id", "kind", "prescriber_name", "practice_name", "manage_url", "return_address")
"""Facts that every letter needs; letters to the team need `ui_url` too."""


class LetterError(Exception):
    """The letter can't be composed; the text is one sentence that says which letter and why."""


@dataclass(frozen=True)
class LetterType:
    """One kind of letter.

    `needs`: facts beyond `COMMON` without which it is refused; `needs_hard`: those that only a hard token's letter
    needs; `may`: facts that it uses where they are given. Any other fact is kept from the template, so that for
    example a serial number given by mistake can't get into the activation email.
    """

    key: str
    audience: Audience
    subject: str
    needs: tuple[str, ...] = ()
    needs_hard: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    kinds: tuple[str, ...] = BOTH
    about_token: bool = True
    """False: it is about no token in particular, and knows nothing of any."""

    def needed(self, kind: str) -> tuple[str, ...]:
        """All facts without which this letter is refused for a token of `kind` ("hard" or "soft")."""
        team = ("ui_url",) if self.audience == "team" else ()
        return (*(COMMON if self.about_token else ()), *team, *self.needs, *(self.needs_hard if kind == "hard" else ()))


_TYPES = (
    # To the team
    LetterType(
        "team_request_waiting",
        "team",
        "{{ kind|capitalize }} token request waiting: {{ practice_name }} ({{ journey_id }})",
        needs=("requested_at", "due_at"),
        may=("who",),
    ),
    LetterType(
        "team_still_waiting",
        "team",
        "Still waiting: {{ kind }} token request, {{ practice_name }} ({{ journey_id }})",
        needs=("waiting_since", "due_at"),
    ),
    LetterType(
        "team_out_of_stock",
        "team",
        "Out of stock: hard token request on hold, {{ practice_name }} ({{ journey_id }})",
        needs=("waiting_since",),
        may=("due_at", "who"),
        kinds=HARD,
    ),
    LetterType(
        "team_low_stock",
        "team",
        "Low stock: {{ low|join('; ') }}",
        needs=("low",),
        kinds=HARD,
    ),
    LetterType(
        "team_needs_attention",
        "team",
        "Needs attention: {{ kind }} token, {{ practice_name }} ({{ journey_id }})",
        needs=("reason", "status"),
        may=("due_at", "requested_at"),
    ),
    LetterType(
        "team_sync_late",
        "team",
        "Surescripts sync is late: {{ kind }} token, {{ practice_name }} ({{ journey_id }})",
        needs=("waiting_since",),
        may=("due_at",),
    ),
    # To the prescriber: the request
    LetterType(
        "request_received",
        "prescriber",
        "We have your {{ kind }} token request",
        needs=("requested_at", "due_at"),
        needs_hard=("address",),
    ),
    LetterType(
        "request_changed",
        "prescriber",
        "Your {{ kind }} token request was changed",
        needs=("changed",),
        needs_hard=("address",),
        may=("who",),
    ),
    LetterType(
        "request_cancelled",
        "prescriber",
        "Your {{ kind }} token request is cancelled",
        may=("reason", "who"),
    ),
    LetterType(
        "cancelled_return",
        "prescriber",
        "Your hard token request is cancelled: please mail the token back",
        needs=("serial_number",),
        may=("reason", "who", "return_by"),
        kinds=HARD,
    ),
    # To the prescriber, in the vendor's name
    LetterType(
        "vendor_activation_hard",
        "vendor_to_prescriber",
        "Keep this email to activate your hard token",
        needs=("link",),
        may=("valid_until", "renewed", "sync_minutes"),
        kinds=HARD,
    ),
    LetterType(
        "vendor_download_soft",
        "vendor_to_prescriber",
        "Set up your soft token",
        needs=("link", "valid_until"),
        may=("renewed", "sync_minutes"),
        kinds=SOFT,
    ),
    # To the prescriber: on its way
    LetterType(
        "shipped",
        "prescriber",
        "Your hard token is on its way",
        needs=("carrier_name", "tracking_number", "ships_on", "window_first", "window_last", "address"),
        may=("reason",),
        kinds=HARD,
    ),
    LetterType(
        "has_it_arrived",
        "prescriber",
        "Has your hard token arrived?",
        needs=("carrier_name", "tracking_number", "window_last", "address"),
        may=("link", "valid_until", "ships_on", "lost_at"),
        kinds=HARD,
    ),
    LetterType(
        "lost_in_transit",
        "prescriber",
        "Your hard token was lost in the mail",
        needs=("carrier_name", "tracking_number", "ships_on", "request_url"),
        may=("window_last",),
        kinds=HARD,
    ),
    LetterType(
        "delivered",
        "prescriber",
        "Your hard token has arrived: time to activate it",
        needs=("link", "valid_until"),
        may=("sync_minutes",),
        kinds=HARD,
    ),
    # To the prescriber: activation and after
    LetterType(
        "reminder",
        "prescriber",
        "Reminder: please activate your {{ kind }} token"
        "{% if days_left > 1 %} within {{ days_left }} days{% elif days_left == 1 %} by tomorrow{% else %} today{% endif %}",
        needs=("link", "valid_until", "days_left", "waiting_since"),
        may=("sync_minutes",),
    ),
    LetterType(
        "never_activated",
        "prescriber",
        "Your {{ kind }} token was not activated and is now cancelled",
        needs=("waiting_since", "request_url"),
        needs_hard=("serial_number",),
        may=("return_by",),
    ),
    LetterType(
        "sync_late",
        "prescriber",
        "Your {{ kind }} token is taking longer than usual",
        needs=("waiting_since",),
        may=("sync_minutes",),
    ),
    LetterType(
        "active",
        "prescriber",
        "Your {{ kind }} token is active",
        needs=("active_at",),
        may=("serial_number",),
    ),
    LetterType(
        "deactivated",
        "prescriber",
        "Your {{ kind }} token is deactivated",
        may=("reason", "who", "serial_number", "in_possession", "return_by", "replaced", "report_by"),
    ),
    # The end of a hard token
    LetterType(
        "return_label",
        "prescriber",
        "Please mail your hard token back: your prepaid label",
        needs=("serial_number", "label_url", "tracking_number", "carrier_name", "return_by"),
        kinds=HARD,
    ),
    LetterType(
        "return_reminder",
        "prescriber",
        "Reminder: please mail your hard token back"
        "{% if days_left > 1 %} within {{ days_left }} days{% elif days_left == 1 %} by tomorrow{% else %} today{% endif %}",
        needs=("serial_number", "label_url", "tracking_number", "carrier_name", "return_by", "days_left"),
        kinds=HARD,
    ),
    LetterType(
        "return_received",
        "prescriber",
        "We have received your hard token",
        needs=("serial_number", "received_at"),
        may=("condition",),
        kinds=HARD,
    ),
    LetterType(
        "return_written_off",
        "prescriber",
        "Your hard token did not come back",
        needs=("serial_number", "waiting_since"),
        kinds=HARD,
    ),
    LetterType(
        "team_return_written_off",
        "team",
        "Written off: hard token {{ serial_number }}, {{ practice_name }}",
        needs=("serial_number", "waiting_since"),
        may=("tracking_number",),
        kinds=HARD,
    ),
    LetterType(
        "team_incident",
        "team",
        "{% if stage == 'overdue' %}OVERDUE, report a {{ reason }} token"
        "{% elif stage == 'due soon' %}Due soon, report a {{ reason }} token"
        "{% else %}Security incident, {{ reason }} token{% endif %}: {{ practice_name }}",
        needs=("reason", "stage", "opened_at", "due_at", "calendar"),
        may=("serial_number",),
    ),
    LetterType(
        "team_digest",
        "team",
        "{% for section in sections %}{{ section.title }} {{ section.number }}{{ '' if loop.last else ', ' }}"
        "{% else %}Nothing waits{% endfor %}: {{ day|day(zone) }}",
        needs=("day", "sections"),
        kinds=HARD,
        about_token=False,
    ),
)

LETTERS: dict[str, LetterType] = {letter.key: letter for letter in _TYPES}


def compose(
    letter: str,
    *,
    to: str,
    sender: str,
    message_id: str,
    at: datetime,
    zone: str,
    facts: Mapping[str, object],
    reply_to: str | None = None,
) -> EmailMessage:
    """The finished email: multipart/alternative, text and HTML, ready for SMTP.

    In: `letter`, a key of `LETTERS`; `to`, `sender`, `reply_to`, one mailbox each ("Name <a@b>" or "a@b");
    `message_id` in its angle brackets; `at`, the journey's time (aware), which becomes the Date; `zone`, the reader's
    IANA zone, in which every time is written; `facts` as `LETTERS[letter]` names them. Addresses may be
    `domain.address.Address` or its JSON object; days `date`, moments aware `datetime`, or either as ISO 8601 text.
    Raises LetterError: unknown letter, missing or unusable fact, bad header.
    """
    kind_of_letter = LETTERS.get(letter)
    if kind_of_letter is None:
        raise LetterError(f"There is no letter named {letter!r}.")
    try:
        return _compose(kind_of_letter, to, sender, message_id, at, zone, facts, reply_to)
    except _Unusable as problem:
        raise LetterError(f"The letter {letter} can't be composed: {problem}.") from problem
    except TemplateError as problem:
        raise LetterError(f"The letter {letter} can't be composed: its template says {problem}.") from problem


class _Unusable(Exception):
    """What is wrong, as the second half of a LetterError's sentence."""


def _compose(
    letter: LetterType,
    to: str,
    sender: str,
    message_id: str,
    at: datetime,
    zone: str,
    facts: Mapping[str, object],
    reply_to: str | None,
) -> EmailMessage:
    try:
        where = ZoneInfo(zone)
    except (KeyError, OSError, ValueError) as problem:  # unknown, a folder of the database, not a key at all
        raise _Unusable(f"{zone!r} is not a time zone") from problem
    if at.tzinfo is None:
        raise _Unusable("its time `at` says no UTC offset")
    if not re.fullmatch(r"<[!-;=?A-~]+@[!-;=?A-~]+>", message_id) or len(message_id) > 250:
        raise _Unusable("its Message-ID is not of the form <left@right>")
    from_whom = _mailbox("sender", sender)
    known = _known(letter, facts)
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
    subject = _line(_subject(letter.subject).render(known), 200)

    message = EmailMessage()
    message["From"] = from_whom
    message["To"] = _mailbox("recipient", to)
    if reply_to is not None:
        message["Reply-To"] = _mailbox("reply address", reply_to)
    message["Subject"] = subject
    message["Date"] = at.astimezone(where)
    message["Message-ID"] = message_id
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message["X-Token-Letter"] = letter.key
    message["X-Token-Journey"] = "".join(filter(str.isprintable, str(known.get("journey_id", letter.key))))[:250]
    _set_text(message.set_content, reflow(_templates().get_template(f"{letter.key}.txt").render(known)), "plain")
    html = _templates().get_template(f"{letter.key}.html").render({**known, "subject": subject})
    _set_text(message.add_alternative, _trim(html), "html")
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
        raise _Unusable(f"its {what} is not one email address")
    local, _, host = (match["in"] or match["bare"]).rpartition("@")
    try:
        # idna: the domain of an address may be written in any script; on the wire it is ASCII.
        box = Mailbox((match["name"] or "").strip(), addr_spec=f"{local}@{host.encode('idna').decode()}")
    except (HeaderParseError, ValueError, IndexError):
        raise _Unusable(f"its {what} is not one email address") from None
    if not (box.username and "." in box.domain.strip(".")) and box.domain != "localhost":
        raise _Unusable(f"its {what} is not one email address")
    return box


# Facts: what each one must be, and the form in which the templates get it.


def _text(value: object) -> str:
    if not isinstance(value, str | int):
        raise ValueError("is not text")
    return _line(str(value), 600)


def _line(text: str, longest: int) -> str:
    """One line of visible characters: no line breaks, no controls, no direction overrides, no endless words."""
    kept = (
        " " if unicodedata.category(sign) in {"Cc", "Zl", "Zp"} else sign
        for sign in text
        if sign not in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069" and not "\ud800" <= sign <= "\udfff"
    )
    line = re.sub(r"(\S{100})(?=\S)", r"\1 ", " ".join("".join(kept).split()))
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def _link(value: object) -> str:
    if not isinstance(value, str) or len(value) > 900 or not re.fullmatch(r"https?://[!#-;=?-\[\]_a-z~%]+", value):
        raise ValueError("is not a web address")
    if not urlsplit(value).hostname:
        raise ValueError("is not a web address")
    return value


def _address(value: object) -> tuple[str, ...]:
    """The lines as they stand on an envelope."""

    def part(name: str) -> str:
        found = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
        return _text(found) if found else ""

    parts = {name: part(name) for name in ("name", "street1", "street2", "city", "state", "postal_code")}
    if not all(text for name, text in parts.items() if name != "street2"):
        raise ValueError("is not a whole address")
    last = f"{parts['city']}, {parts['state']} {parts['postal_code']}"
    return tuple(line for line in (parts["name"], parts["street1"], parts["street2"], last) if line)


def _when(value: object) -> date | datetime:
    if isinstance(value, str):
        value = date.fromisoformat(value) if re.fullmatch(r"\d{4}-\d\d-\d\d", value) else datetime.fromisoformat(value)
    if not isinstance(value, date):
        raise ValueError("is not a date or time")
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueError("says no UTC offset")
    return value


def _words(value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValueError("is not a list of words")
    words = tuple(_code_in_words(_text(word)) for word in value)
    if not words:
        raise ValueError("is empty")
    return words


def _sections(value: object) -> list[dict[str, object]]:
    """Each with a title, how many there are, the first of them as lines, and how many more there are."""
    if not isinstance(value, list):
        raise ValueError("is not a list of sections")
    try:
        return [
            {
                "title": _text(each["title"]),
                "number": _number(each["number"]),
                "lines": [_text(line) for line in each["lines"]],
                "more": _number(each["more"]),
            }
            for each in value
        ]
    except (KeyError, TypeError):
        raise ValueError("is not a list of sections") from None


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("is not a whole number")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("is not true or false")
    return value


_FORMS: dict[str, Callable[[object], object]] = {
    **dict.fromkeys(("manage_url", "ui_url", "link", "label_url", "request_url"), _link),
    **dict.fromkeys(("return_address", "address"), _address),
    **dict.fromkeys(("ships_on", "window_first", "window_last", "day"), _when),
    **dict.fromkeys(
        (
            *("due_at", "requested_at", "waiting_since", "valid_until", "active_at", "lost_at", "return_by"),
            *("opened_at", "received_at", "report_by"),
        ),
        _when,
    ),
    **dict.fromkeys(("days_left", "sync_minutes"), _number),
    **dict.fromkeys(("in_possession", "renewed", "replaced"), _flag),
    **dict.fromkeys(("changed", "low"), _words),
    "sections": _sections,
}


_UNLESS_TOLD = {"sync_minutes": 60}
"""The article's figure, where the caller's policy says no other."""


def _known(letter: LetterType, facts: Mapping[str, object]) -> dict[str, object]:
    """The facts that this letter declares, each checked and in its form; an optional one left out is None."""
    kind = str(facts.get("kind") or "")
    if letter.about_token and kind not in BOTH:
        raise _Unusable("the fact `kind` must be hard or soft")
    if letter.about_token and kind not in letter.kinds:
        raise _Unusable(f"it is not for a {kind} token")
    needed = letter.needed(kind)
    known: dict[str, object] = {}
    for name in (*needed, *letter.needs_hard, *letter.may):
        value = facts.get(name)
        if value is None or (isinstance(value, str) and not value.strip()):
            if name in needed:
                raise _Unusable(f"the fact `{name}` is missing")
            known[name] = _UNLESS_TOLD.get(name)
            continue
        try:
            known[name] = _FORMS.get(name, _text)(value)
        except ValueError as problem:
            # The value stays out of the sentence and of its cause: errors are logged, and facts are personal.
            raise _Unusable(f"the fact `{name}` {_why(problem)}") from None
    return known


def _why(problem: ValueError) -> str:
    said = str(problem)
    return said if said.startswith(("is ", "says ")) else "is not a date or time"


# How the templates write things

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def day(value: date | datetime | None, zone: ZoneInfo) -> str:
    """ "Tuesday 24 November 2026". A moment is taken in `zone`; a day is already somebody's day and stays."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        value = value.astimezone(zone)
    return f"{_DAYS[value.weekday()]} {value.day} {_MONTHS[value.month - 1]} {value.year}"


def moment(value: date | datetime | None, zone: ZoneInfo) -> str:
    """ "Tuesday 24 November 2026, 3:05 PM EST", in `zone`; a day without a time is written as a day."""
    if not isinstance(value, datetime):
        return day(value, zone)
    local = value.astimezone(zone)
    name = local.tzname() or ""
    if not name[:1].isalpha():  # zones without letters of their own say "-03"
        name = f"UTC{name}"
    return f"{day(local, zone)}, {local.hour % 12 or 12}:{local:%M} {'AM' if local.hour < 12 else 'PM'} {name}"


def days_since(value: date | datetime, at: datetime, zone: ZoneInfo) -> int:
    """Whole calendar days from `value` to `at` in `zone`; 0 on the same day, never less."""
    began = value.astimezone(zone).date() if isinstance(value, datetime) else value
    return max(0, (at.astimezone(zone).date() - began).days)


def _code_in_words(text: str | None) -> str:
    """A code such as `no_longer_needed` in words; anything else as it is."""
    return text.replace("_", " ") if text and re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)+", text) else text or ""


def _begin(text: str) -> str:
    """With a capital at the beginning; the rest as it is."""
    return text[:1].upper() + text[1:]


def _sentence(text: str) -> str:
    """Begins with a capital and ends with a full stop, whoever wrote it."""
    text = _begin(_code_in_words(text))
    return text + ("" if text.endswith((".", "!", "?", "…")) else ".")


def _listed(words: tuple[str, ...]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def reflow(text: str, width: int = 72) -> str:
    """The text part with its paragraphs filled to `width` columns.

    Lines that begin with two spaces (links, addresses, facts) stay lines of their own, steps ("1. ", "- ") hang;
    a link is never broken.
    """
    out: list[str] = []
    paragraph: list[str] = []

    def close() -> None:
        if paragraph:
            hang = re.match(r"(\d+\.|-) ", paragraph[0])
            out.extend(_wrap(" ".join(paragraph), width, "", " " * len(hang[0]) if hang else ""))
            paragraph.clear()

    for line in text.splitlines():
        if line.startswith("  ") or re.fullmatch(r"-{3,}", line):
            close()
            out.extend(_wrap(line.strip(), width, line[: len(line) - len(line.lstrip())], "    "))
        elif not line.strip():
            close()
            if out and out[-1]:
                out.append("")
        else:
            if re.match(r"(\d+\.|-) ", line):
                close()
            paragraph.append(line.strip())
    close()
    return "\n".join(out).strip("\n") + "\n"


def _wrap(text: str, width: int, first: str, later: str) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=later, break_long_words=False, break_on_hyphens=False
    )


def _trim(html: str) -> str:
    """Without indentation and empty lines: a quarter less to send, and nothing that a mail client could show."""
    return "\n".join(line.strip() for line in html.splitlines() if line.strip()) + "\n"


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
        "days_since": days_since,
        "sentence": _sentence,
        "begin": _begin,
        "words": _code_in_words,
        "listed": _listed,
    }
    return environment
