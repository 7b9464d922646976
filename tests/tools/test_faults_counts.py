"""The counts of `make faults` must be able to fail: each is shown doctored evidence, and has to see it."""

import random
import smtplib
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from database import migrate
from database.engine import engine_of, sessions_of
from settings import Settings
from simulators.mail import MailSink
from tests.stage import seal_of
from tools.faults import evidence as gathering
from tools.faults import people, plans
from tools.faults.counts import breaches
from tools.faults.evidence import Evidence
from tools.faults.postbox import Postbox

NOW = datetime(2026, 11, 25, tzinfo=UTC)
OLD, NEW = "token-hard-1", "token-hard-2"
LETTERS = ["request_received", "team_request_waiting", "vendor_activation_hard", "shipped", "delivered", "active"]


def journey(journey_id: str, status: str, serial: str, **more: Any) -> dict[str, Any]:
    times = dict.fromkeys(("processed_at", "shipped_at", "delivered_at", "enrolled_at"), NOW)
    row = {
        "journey_id": journey_id,
        "prescriber_id": "P-1",
        "kind": "hard",
        "status": status,
        "live": status == "Active",
    }
    facts = {"email": "a@b.example", "replaces": None, "replaced_by": None, "needs_attention": None}
    return {**row, **facts, **times, "serial_number": serial, "tracking_number": f"T-{serial}", **more}


def letter(journey_id: str, name: str) -> dict[str, Any]:
    return {"message_id": f"<{name}.{journey_id}>", "journey_id": journey_id, "letter": name}


def whole() -> Evidence:
    """A token that was replaced and came back, and the active one that took its place; not a thing amiss."""
    old, new = journey(OLD, "Deactivated", "HT-1", replaced_by=NEW), journey(NEW, "Active", "HT-2", replaces=OLD)
    sent = [letter(OLD, name) for name in [*LETTERS, "deactivated", "return_label", "return_received"]]
    sent += [letter(NEW, name) for name in LETTERS]
    vendor = [{"reference": OLD, "serial_number": "HT-1", "state": "revoked"}]
    vendor += [{"reference": NEW, "serial_number": "HT-2", "state": "provisioned"}]
    return Evidence(
        expected={
            OLD: {"end": "Deactivated", "letters": [*LETTERS, "deactivated", "return_label", "return_received"]},
            NEW: {"end": "Active", "letters": list(LETTERS)},
        },
        acknowledged=[
            {"journey_id": OLD, "what": "request"},
            *({"journey_id": OLD, "what": what} for what in ("process", "deliver", "enroll", "receive")),
            {"journey_id": OLD, "what": "edit", "email": "a@b.example"},
            {"journey_id": OLD, "what": "replace", "successor": NEW},
        ],
        journeys=[old, new],
        states={row["journey_id"]: dict(row) for row in deepcopy([old, new])},
        workflows=[{"workflow_id": NEW, "type": "TokenJourney", "task_attempts": 0, "stuck": []}],
        returns=[
            {"return_id": "return-1", "journey_id": OLD, "serial_number": "HT-1", "open": False, "received_at": NOW}
        ],
        incidents=[{"incident_id": "incident-1", "journey_id": OLD, "closed_at": NOW}],
        tokens=[
            {"serial_number": "HT-1", "kind": "hard", "state": "returned", "journey_id": OLD},
            {"serial_number": "HT-2", "kind": "hard", "state": "active", "journey_id": NEW},
        ],
        email_rows=[{**each, "state": "sent"} for each in sent],
        mailbox=sent,
        labels=[
            {"reference": OLD, "tracking_number": "T-HT-1", "state": "bought"},
            {"reference": NEW, "tracking_number": "T-HT-2", "state": "bought"},
            {"reference": "return-1", "tracking_number": "T-R", "state": "bought", "service": "return"},
        ],
        vendor=vendor,
        enrolled=[NEW],
        audited=[OLD, NEW],
    )


Doctor = Callable[[Evidence], Any]
UNENDED, MISSING, TWICE = "journeys that have not reached their end", "emails missing", "emails twice"
MAIL_RECORDS, SERIALS = "emails and their records that disagree", "serial numbers in two places"
LABELS = "labels without a journey, twice or not at all"
REGISTERED = "at vendor or directory without a journey, or the other way"
REQUESTS, UPDATES = "requests acknowledged and lost", "updates acknowledged and not in the record"
AUDIT, RECORDS = "audit trail not whole", "records that disagree with the workflow"
FAILING = "workflow tasks and activities failing for ever"

DOCTORED: list[tuple[str, Doctor]] = [
    (UNENDED, lambda e: e.unfinished.append("token-hard-3 (active): waiting for Shipped")),
    (UNENDED, lambda e: e.expected[NEW].update(end="Deactivated")),
    (UNENDED, lambda e: e.expected.update({"token-soft-9": {"end": "Active", "letters": []}})),
    (UNENDED, lambda e: e.returns[0].update(open=True)),
    (UNENDED, lambda e: e.incidents[0].update(closed_at=None)),
    (UNENDED, lambda e: e.workflows.append({**e.workflows[0], "workflow_id": OLD})),
    (MISSING, lambda e: e.mailbox.pop()),
    (MISSING, lambda e: (e.mailbox.remove(letter(OLD, "shipped")), e.email_rows.pop(3))),
    (TWICE, lambda e: e.mailbox.append(e.mailbox[0])),
    (TWICE, lambda e: e.mailbox.append({**e.mailbox[0], "message_id": "<another>"})),
    (TWICE, lambda e: e.mailbox.append(letter(NEW, "reminder"))),
    (MAIL_RECORDS, lambda e: e.email_rows.pop()),
    (MAIL_RECORDS, lambda e: e.email_rows[0].update(state="sending")),
    (SERIALS, lambda e: e.journeys[1].update(serial_number="HT-1")),
    (SERIALS, lambda e: e.tokens[1].update(serial_number="HT-1")),
    (SERIALS, lambda e: e.vendor.append({"reference": NEW, "serial_number": "HT-1", "state": "revoked"})),
    (LABELS, lambda e: e.labels.append({"reference": "token-hard-7", "tracking_number": "T-7", "state": "bought"})),
    (LABELS, lambda e: e.labels.append({**e.labels[1], "tracking_number": "T-8"})),
    (LABELS, lambda e: e.journeys[0].update(shipped_at=None)),
    (LABELS, lambda e: e.labels[1].update(state="voided")),
    (REGISTERED, lambda e: e.vendor.append({"reference": "token-soft-7", "state": "provisioned"})),
    (REGISTERED, lambda e: e.vendor[0].update(state="provisioned")),
    (REGISTERED, lambda e: e.vendor.pop()),
    (REGISTERED, lambda e: e.enrolled.append(OLD)),
    (REGISTERED, lambda e: e.enrolled.clear()),
    (REQUESTS, lambda e: e.acknowledged.append({"journey_id": "token-hard-3", "what": "request"})),
    (REQUESTS, lambda e: e.acknowledged.append({"journey_id": OLD, "what": "replace", "successor": "token-hard-4"})),
    (REQUESTS, lambda e: e.audited.remove(OLD)),
    (UPDATES, lambda e: e.acknowledged.append({"journey_id": OLD, "what": "edit", "email": "other@b.example"})),
    (UPDATES, lambda e: e.acknowledged.append({"journey_id": NEW, "what": "cancel"})),
    (UPDATES, lambda e: e.acknowledged.append({"journey_id": NEW, "what": "deactivate"})),
    (UPDATES, lambda e: e.acknowledged.append({"journey_id": NEW, "what": "receive"})),
    *[
        (UPDATES, lambda e, name=name: e.journeys[0].update({name: None}))
        for name in ("processed_at", "delivered_at", "enrolled_at", "replaced_by")
    ],
    (AUDIT, lambda e: e.audit_faults.append(f"{OLD} 3: the row is missing")),
    (AUDIT, lambda e: e.audited.remove(NEW)),
    (RECORDS, lambda e: e.states[NEW].update(status="Syncing")),
    (RECORDS, lambda e: e.states.pop(OLD)),
    (RECORDS, lambda e: e.tokens.append({"serial_number": "HT-5", "journey_id": "token-hard-5"})),
    (RECORDS, lambda e: e.workflows.append({**e.workflows[0], "workflow_id": "token-hard-6"})),
    (FAILING, lambda e: e.workflows[0].update(task_attempts=4)),
    (FAILING, lambda e: e.workflows[0].update(stuck=["mail.send"])),
]


def test_what_is_whole_counts_nothing() -> None:
    assert breaches(whole()) == {name: [] for name, _ in DOCTORED}


@pytest.mark.parametrize(("name", "doctor"), DOCTORED)
def test_each_count_sees_its_breach(name: str, doctor: Doctor) -> None:
    evidence = whole()
    doctor(evidence)
    assert breaches(evidence)[name]


async def test_the_evidence_is_gathered_from_where_it_lies(tmp_path: Path, settings: Settings) -> None:
    """A database in which a trail was cut, and a mailbox with a letter twice."""
    url = f"sqlite:///{tmp_path / 'tokens.db'}"
    migrate.upgrade(url)
    engine = engine_of(url)
    try:
        sessions = sessions_of(engine)
        assert people.load(sessions, seal_of(settings), 2, 3, tmp_path) == ["P-5000", "P-5001"]
        with sessions.begin() as session:
            session.execute(text("insert into audit_heads values ('token-hard-1', 4, 'x')"))
        found = Evidence()
        gathering.of_database(found, sessions)
        assert len(breaches(found)[AUDIT]) == 1
    finally:
        engine.dispose()
    with MailSink(tmp_path / "mail") as sink, smtplib.SMTP("127.0.0.1", sink.port, timeout=10) as server:
        for number in (1, 1, 2):
            headers = f"Message-ID: <{number}@x.example>\r\nX-Token-Journey: {OLD}\r\nX-Token-Letter: active\r\n"
            server.sendmail("a@b.example", ["c@d.example"], f"{headers}\r\nhttp://x/activate/abc-{number}_\r\n")
        gathering.of_mail(found, postbox := Postbox(tmp_path / "mail"))
        assert postbox.link(OLD, set()) == "abc-2_"
        assert postbox.link(OLD, {"abc-2_"}) == "abc-1_"
    assert [each["message_id"] for each in found.mailbox] == ["<1@x.example>", "<2@x.example>"]
    found.expected = {OLD: {"end": "Active", "letters": ["active"]}}
    assert breaches(found)[TWICE] == [f"active of {OLD} came under 2 Message-IDs, and was owed 1 times"]


def test_every_kind_of_end_is_planned() -> None:
    made = plans.made([f"P-{number}" for number in range(100)], random.Random(3), 1)
    assert len(made) == 200
    assert {(plan.kind, plan.end) for plan in made} == {
        (kind, end) for kind, ends in plans.ENDS.items() for end in ends
    }
    assert made == plans.made([f"P-{number}" for number in range(100)], random.Random(3), 1)
