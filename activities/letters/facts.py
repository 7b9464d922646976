"""What a letter is told: what each fact must be, and the form in which the templates get it."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from urllib.parse import urlsplit

from activities.letters.catalogue import BOTH, LetterType
from activities.letters.texts import in_words


class Unusable(Exception):
    """What is wrong, as the second half of a LetterError's sentence."""


def _text(value: object) -> str:
    if not isinstance(value, str | int):
        raise ValueError("is not text")
    return one_line(str(value), 600)


def one_line(text: str, longest: int) -> str:
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
    words = tuple(in_words(_text(word)) for word in value)
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


def known_facts(letter: LetterType, facts: Mapping[str, object]) -> dict[str, object]:
    """The facts that this letter declares, each checked and in its form; an optional one left out is None."""
    kind = str(facts.get("kind") or "")
    if letter.about_token and kind not in BOTH:
        raise Unusable("the fact `kind` must be hard or soft")
    if letter.about_token and kind not in letter.kinds:
        raise Unusable(f"it is not for a {kind} token")
    needed = letter.needed(kind)
    known: dict[str, object] = {}
    for name in (*needed, *letter.needs_hard, *letter.may):
        value = facts.get(name)
        if value is None or (isinstance(value, str) and not value.strip()):
            if name in needed:
                raise Unusable(f"the fact `{name}` is missing")
            known[name] = _UNLESS_TOLD.get(name)
            continue
        try:
            known[name] = _FORMS.get(name, _text)(value)
        except ValueError as problem:
            # The value stays out of the sentence and of its cause: errors are logged, and facts are personal.
            raise Unusable(f"the fact `{name}` {_why(problem)}") from None
    return known


def _why(problem: ValueError) -> str:
    said = str(problem)
    return said if said.startswith(("is ", "says ")) else "is not a date or time"
