"""`tokens mail preview`: every letter as its reader gets it, with made-up facts, for looking at in a browser."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.message import EmailMessage
from html import escape
from pathlib import Path

from activities.letters.catalogue import LETTERS, LetterType
from activities.letters.composing import compose

AT = datetime(2026, 11, 24, 20, 5, tzinfo=UTC)
"""The Tuesday before Thanksgiving: its delivery window spans a holiday and a weekend."""

ZONE = "America/New_York"
SENDERS = {
    "team": "EPCS Tokens <epcs-tokens@rxnt.example>",
    "prescriber": "EPCS Tokens <epcs-tokens@rxnt.example>",
    "vendor_to_prescriber": "Thales token activation <activation@thales.example>",
}


@dataclass(frozen=True)
class Example:
    """One letter for one kind of token ("hard" or "soft"), and where it makes a difference, one case of it."""

    letter: LetterType
    kind: str
    case: str = ""

    @property
    def name(self) -> str:
        """File name without its ending, such as `reminder-soft`."""
        return "-".join(part for part in (self.letter.key, self.kind, self.case) if part)


def sample_facts(kind: str) -> dict[str, object]:
    """Every fact that any letter may ask for, made up; times are UTC."""
    return {
        "journey_id": f"token-{kind}-7f3c2a91",
        "kind": kind,
        "prescriber_name": "Dr. Renée O’Connell",
        "practice_name": "Lakeside Family Medicine",
        "manage_url": "https://tokens.example/manage-tokens",
        "ui_url": f"https://temporal.example/namespaces/default/workflows/token-{kind}-7f3c2a91",
        "return_address": {
            "name": "RXNT",
            "street1": "1449 Whitehall Road",
            "city": "Annapolis",
            "state": "MD",
            "postal_code": "21409",
        },
        "address": {
            "name": "Dr. Renée O’Connell",
            "street1": "218 Harbor Street",
            "street2": "Suite 4",
            "city": "Burlington",
            "state": "VT",
            "postal_code": "05401",
        },
        "link": "https://tokens.example/activate/made-up-link-that-opens-nothing-0123456789",
        "serial_number": "HT-100017",
        "tracking_number": "TKN004711230918",
        "carrier_name": "Parcel Post",
        "ships_on": date(2026, 11, 24),
        "window_first": date(2026, 11, 30),
        "window_last": date(2026, 12, 2),
        "changed": ["email", "shipping_address"],
        "low": ["hard tokens in all: 10 left", "batch H-2026-01: 3 left"],
        "reason": "no_longer_needed",
        "due_at": datetime(2026, 11, 25, 20, 5, tzinfo=UTC),
        "requested_at": AT,
        "waiting_since": datetime(2026, 11, 20, 14, 30, tzinfo=UTC),
        "valid_until": datetime(2026, 12, 8, 20, 5, tzinfo=UTC),
        "days_left": 26,
        "status": "Requested",
        "lost_at": date(2026, 12, 9),
        "return_by": date(2026, 12, 24),
        "active_at": datetime(2026, 11, 24, 19, 52, tzinfo=UTC),
        "who": "Dr. Renée O’Connell",
        "in_possession": True,
        "label_url": "https://carrier.example/labels/TKN004711230918",
        "request_url": f"https://tokens.example/manage-tokens?request={kind}&replaces=token-{kind}-7f3c2a91",
        "opened_at": AT,
        "received_at": AT,
        "report_by": None,
        "replaced": False,
        "stage": "opened",
        "condition": "intact",
        "calendar": "federal business days, America/New_York",
        "renewed": False,
        "day": date(2026, 11, 24),
        "sections": [
            {
                "title": "Losses to report",
                "number": 1,
                "lines": ["incident-token-hard-1f0c: stolen, due on Wednesday 25 November 2026"],
                "more": 0,
            },
            {
                "title": "Waiting to be processed",
                "number": 12,
                "lines": [
                    "token-hard-7f3c2a91: hard token, for 3 days",
                    "token-soft-90aa17be: soft token, since yesterday",
                ],
                "more": 10,
            },
            {"title": "Low stock", "number": 1, "lines": ["4 hard tokens left"], "more": 0},
        ],
        "sync_minutes": 60,
    }


_TOLD_OTHERWISE: dict[str, dict[str, object]] = {
    "team_out_of_stock": {"who": "j.alvarez"},
    "team_needs_attention": {"reason": "the carrier refused the address: no such street", "status": "Processed"},
    "team_sync_late": {"waiting_since": datetime(2026, 11, 24, 19, 4, tzinfo=UTC), "due_at": AT},
    "shipped": {"reason": None},
    "vendor_activation_hard": {"valid_until": None},
    "never_activated": {"waiting_since": datetime(2026, 10, 25, 15, 0, tzinfo=UTC)},
    "team_incident": {"reason": "stolen"},
    "return_reminder": {"days_left": 9},
    "return_written_off": {"waiting_since": datetime(2026, 10, 25, 15, 0, tzinfo=UTC)},
    "team_return_written_off": {"waiting_since": datetime(2026, 10, 25, 15, 0, tzinfo=UTC)},
    "team_digest": {"ui_url": "https://temporal.example/namespaces/default/workflows"},
    "sync_late": {"waiting_since": datetime(2026, 11, 24, 19, 4, tzinfo=UTC)},
}
_CASES: dict[tuple[str, str], dict[str, object]] = {
    ("shipped-hard", "late"): {
        "reason": "It was processed after the carrier’s cut-off on Tuesday, so it leaves on the next business day",
        "ships_on": date(2026, 11, 25),
        "window_first": date(2026, 12, 1),
        "window_last": date(2026, 12, 3),
    },
    ("deactivated-hard", "lost"): {
        "reason": "lost",
        "in_possession": False,
        "return_by": None,
        "report_by": datetime(2026, 11, 25, 20, 5, tzinfo=UTC),
    },
    ("deactivated-hard", "replaced"): {"reason": "faulty", "replaced": True},
    ("team_digest-hard", "nothing-waits"): {"sections": []},
    ("team_incident-hard", "due-soon"): {"stage": "due soon"},
    ("team_incident-hard", "overdue"): {"stage": "overdue"},
    ("has_it_arrived-hard", "with-no-link"): {"link": None},
    ("vendor_activation_hard-hard", "renewed"): {"renewed": True},
    ("vendor_download_soft-soft", "renewed"): {"renewed": True},
    ("vendor_activation_hard-hard", "arrived"): {
        "renewed": True,
        "valid_until": datetime(2026, 12, 8, 20, 5, tzinfo=UTC),
    },
}


def examples() -> Iterator[Example]:
    """Every letter for every kind it applies to, in the order of `LETTERS`."""
    for letter in LETTERS.values():
        for kind in letter.kinds:
            plain = Example(letter, kind)
            yield plain
            yield from (Example(letter, kind, case) for name, case in _CASES if name == plain.name)


def facts_of(example: Example) -> dict[str, object]:
    """Made-up facts that fit the example."""
    plain = Example(example.letter, example.kind).name
    case = _CASES.get((plain, example.case), {})
    return sample_facts(example.kind) | _TOLD_OTHERWISE.get(example.letter.key, {}) | case


def compose_example(example: Example) -> EmailMessage:
    """The example as an email."""
    team = example.letter.audience == "team"
    return compose(
        example.letter.key,
        to="token-team@rxnt.example" if team else "renee.oconnell@lakeside.example",
        sender=SENDERS[example.letter.audience],
        message_id=f"<preview.{example.name}@rxnt.example>",
        at=AT,
        zone=ZONE,
        facts=facts_of(example),
    )


def preview(directory: Path) -> list[Path]:
    """Write every example into `directory` (made where it is missing) as .html, .txt and .eml, and an index.html.

    Returns the files written, the index first. Raises LetterError where a template is broken, OSError where the
    directory can't be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    rows: list[str] = []
    for example in examples():
        message = compose_example(example)
        for ending, subtype in ((".html", "html"), (".txt", "plain")):
            part = message.get_body((subtype,))
            assert part is not None  # compose always makes both
            path = directory / f"{example.name}{ending}"
            path.write_text(part.get_content(), encoding="utf-8")
            written.append(path)
        path = directory / f"{example.name}.eml"
        path.write_bytes(message.as_bytes())
        written.append(path)
        rows.append(_row(example, str(message["Subject"])))
    index = directory / "index.html"
    index.write_text(_INDEX.replace("ROWS", "\n".join(rows)), encoding="utf-8")
    return [index, *written]


def _row(example: Example, subject: str) -> str:
    to = {"team": "team", "prescriber": "prescriber", "vendor_to_prescriber": "prescriber, from the vendor"}
    case = f"{example.kind} {example.case.replace('-', ' ')}".strip()
    return (
        f'<tr><td><a href="{example.name}.html" target="letter">{escape(example.letter.key)}</a></td>'
        f"<td>{escape(case)}</td><td>{to[example.letter.audience]}</td><td>{escape(subject)}</td>"
        f'<td><a href="{example.name}.txt" target="letter">text</a> <a href="{example.name}.eml">eml</a></td></tr>'
    )


_INDEX = """<!DOCTYPE html>
<html lang="en-US">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Letters</title>
<style>
body { margin: 0; font: 14px/1.45 system-ui, sans-serif; display: grid; grid-template-columns: minmax(0, 1fr) 660px;
  height: 100vh; }
main { overflow: auto; padding: 20px 24px; }
h1 { font-size: 20px; margin: 0 0 4px; }
p { margin: 0 0 14px; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 6px 10px 6px 0; border-bottom: 1px solid #8884; }
a { color: light-dark(#0b5a6b, #7fcbd8); }
iframe { border: 0; border-left: 1px solid #8884; width: 100%; height: 100%; }
@media (max-width: 1100px) { body { display: block; } iframe { height: 80vh; border: 0; } }
</style>
</head>
<body>
<main>
<h1>Letters</h1>
<p>Every email of the pipeline, with made-up facts. Choose one to read it.</p>
<table>
<thead><tr><th>Letter</th><th>Token</th><th>To</th><th>Subject</th><th>Also</th></tr></thead>
<tbody>
ROWS
</tbody>
</table>
</main>
<iframe name="letter" title="The chosen letter"></iframe>
</body>
</html>
"""
