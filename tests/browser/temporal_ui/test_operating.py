"""An operator's day in Temporal's own UI, in a real browser with the codec on; then what the server has kept of it.

The tests go on from one another: one day, in one office."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from connection import TASK_QUEUE
from database.engine import engine_of, sessions_of
from database.sealing import Seal
from domain import samples
from simulators.devices import HardDevice
from starter import soft_enrollment
from tests.browser.temporal_ui.conftest import Office, TemporalUi
from tests.token_makers import tokens, yubico_traditional

pytestmark = pytest.mark.slow

ADDRESS = {"name": "Rosalind Veldt", "street1": "77 Quillfeather Row", "city": "Annapolis", "state": "MD"}
FIXED = {**ADDRESS, "street1": "79 Quillfeather Row", "postal_code": "21401"}
EMAIL = "rosalind.veldt@quillfeather.example"
PIN = "9173"
TYPED: list[str] = []
"""What no file of the server's may hold: filled as the day goes on."""


async def test_requests_come_in_and_are_mended(office: Office, ui: TemporalUi) -> None:
    request = {"prescriber_id": "P-1001", "kind": "hard", "email": EMAIL, "requested_by": "Dana"}
    address = {**ADDRESS, "postal_code": "21401"}
    await ui.start("TokenJourney", "desk-1", json.dumps({**request, "shipping_address": address}), picture="start")
    await ui.start("TokenJourney", "desk-2", '{"prescriber_id": "P-1002", "kind": "soft"}')
    for number in (3, 4):
        body = {"prescriber_id": f"P-100{number}", "kind": "hard"}
        await office.client.start_workflow("TokenJourney", body, id=f"desk-{number}", task_queue=TASK_QUEUE)
    details = await ui.reads(
        "desk-1", "Hard token for prescriber P-1001: Requested", "What you can do", picture="details"
    )
    assert "In the processing queue" in details
    assert "processed in time: by" in details
    assert "Quillfeather" not in details  # it travels through an address of the UI's server
    body = {"shipping_address": FIXED, "by": "Dana"}
    assert await ui.send("Update", "desk-1", "edit", json.dumps(body), picture="update") == ""
    await ui.reads("desk-1", "edited: shipping address, by Dana")
    await ui.shows("desk-1", "77 Quillfeather Row")  # the input, decoded for the operator


REFUSED_STARTS = [
    ("", "`prescriber_id` is missing"),
    ("[1, 2]", "a list came"),
    ('"P-1001"', "a text came"),
    ('{"prescriber_id": 7, "kind": "medium"}', "`kind` must be 'hard' or 'soft'"),
    ('{"prescriber_id": "P-1005", "kind": "hard", "colour": "blue"}', "`colour` is not known"),
    ('{"prescriber_id": "P-9999", "kind": "hard"}', "P-9999 is not known"),
    ('{"prescriber_id": "P-1001", "kind": "hard"}', "desk-1"),
]


async def test_whatever_is_pasted_ends_in_a_sentence(office: Office, ui: TemporalUi) -> None:
    for number, (pasted, said) in enumerate(REFUSED_STARTS):
        body = json.loads(pasted) if pasted else None
        if number in (0, 6):  # the form itself; the others by a client, which takes a tenth of the time
            await ui.start("TokenJourney", f"refused-{number}", pasted)
        else:
            await office.client.start_workflow("TokenJourney", body, id=f"refused-{number}", task_queue=TASK_QUEUE)
        with pytest.raises(WorkflowFailureError) as failed:
            await asyncio.wait_for(office.handle(f"refused-{number}").result(), 10)
        assert isinstance(failed.value.cause, ApplicationError)
        assert said in failed.value.cause.message
    details = await ui.reads("refused-6", "TokenJourney: not started", picture="refused-start")
    assert "desk-1" in details
    assert "Start it again" in details

    # A signal is taken, kept with its reason, and shown; an update is answered in the form.
    for pasted in ("", "[]", '"Dana"', '{"operator": 5, "by": ["x"]}'):
        assert await ui.send("Signal", "desk-1", "process", pasted) == ""
    assert await ui.send("Update", "desk-1", "process", "[]", picture="refused") == (
        '`process` takes a JSON object, and a list came; send one JSON object such as {"operator": "your name"}.'
    )
    assert "Input must be valid JSON" in await ui.send("Update", "desk-1", "process", '{"operator": ')
    assert "must be confirmed" not in await ui.send("Update", "desk-1", "deactivate", '{"confirmed": true}')
    await ui.reads("desk-1", "Refused lately, and changed nothing", "`by` is not known".replace("`", ""))

    # What the form can't send: two payloads, and one that was encrypted elsewhere.
    foreign = RawValue(Payload(metadata={"encoding": b"binary/encrypted", "encryption-key-id": b"k9"}, data=b"x" * 40))
    raw = await Client.connect(office.info["temporal"])
    started = await raw.start_workflow("ProcessQueue", foreign, id="foreign", task_queue=TASK_QUEUE)
    with pytest.raises(WorkflowFailureError):
        await asyncio.wait_for(started.result(), 10)
    await ui.reads("foreign", "ProcessQueue: not started", "a key that this system does not have")
    for bodies in ([foreign], [{}, {}]):
        await raw.get_workflow_handle("desk-1").signal("process", args=bodies)
    await ui.reads("desk-1", "a key that this system does not have", "2 payloads came")
    assert (await office.status("desk-1"))["status"] == "Requested"


async def test_the_queue_is_processed_and_a_carrier_s_problem_answered(office: Office, ui: TemporalUi) -> None:
    assert await ui.send("Signal", "desk-4", "cancel", '{"reason": "asked for twice", "by": "Dana"}') == ""
    await ui.reads("desk-4", "Cancelled", "cancelled: asked for twice, by Dana", "What you can start")
    assert await ui.send("Update", "desk-3", "process", '{"operator": "Dana"}') == ""
    await ui.start("ProcessQueue", "queue-today", '{"operator": "Dana"}')
    await ui.reads("queue-today", "Processed the queue", "2 processed, 0 refused", "desk-1", picture="queue")
    shipped = await office.reaches("desk-1", "Shipped")
    event = {"tracking_number": shipped["tracking_number"], "occurred_at": await office.now("desk-1")}
    problem = {**event, "status": "failure", "detail": "address_unknown"}
    assert await ui.send("Signal", "desk-1", "carrier_event", json.dumps(problem), picture="signal") == ""
    await ui.reads(
        "desk-1",
        "The carrier says that the parcel could not be delivered (address unknown).",
        "Ask the carrier",
        picture="attention",
    )
    seen = '{"by": "Dana", "note": "the carrier looks for the door"}'
    assert await ui.send("Update", "desk-1", "acknowledge", seen) == ""
    details = await ui.reads("desk-1", "the carrier looks for the door, by Dana")
    assert "Needs attention" not in details
    assert (
        await ui.send(
            "Signal", "desk-1", "vendor_event", json.dumps({"event": "activation_email_bounced", **_at(event)})
        )
        == ""
    )
    await ui.reads("desk-1", "the activation email came back", "send resend_activation")
    assert await ui.send("Signal", "desk-1", "resend_activation", '{"by": "Dana"}') == ""
    assert await ui.send("Signal", "desk-1", "carrier_event", json.dumps({**event, "status": "delivered"})) == ""
    details = await ui.reads("desk-1", "P-1001: Delivered", "delivered in time: by", ", met ")
    assert "Needs attention" not in details


def _at(event: dict[str, str]) -> dict[str, str]:
    return {"occurred_at": event["occurred_at"]}


async def test_tokens_are_enrolled_lost_replaced_and_come_back(office: Office, ui: TemporalUi) -> None:
    one, three = await office.status("desk-1"), await office.reaches("desk-3", "Shipped")
    passcode = HardDevice(one["serial_number"], office.settings.state).press()
    TYPED.append(passcode)
    enrolment = {"serial_number": one["serial_number"], "passcode": passcode}
    assert await ui.send("Update", "desk-1", "enroll_hard", json.dumps(enrolment)) == ""
    assert await ui.send("Update", "desk-2", "enroll_soft", json.dumps(_soft(office))) == ""
    await ui.reads("desk-2", "Enrolled. Waiting for Surescripts")
    news = {"event": "synced", "occurred_at": await office.now("desk-2")}
    assert await ui.send("Signal", "desk-2", "directory_event", json.dumps(news)) == ""
    passcode = HardDevice(three["serial_number"], office.settings.state).press()
    enrolment = {"serial_number": three["serial_number"], "passcode": passcode}
    await office.handle("desk-3").execute_update("enroll_hard", enrolment)
    for journey in ("desk-1", "desk-2", "desk-3"):
        await office.reaches(journey, "Active")

    replacement = {"journey_id": "desk-1", "reason": "faulty", "in_possession": True, "confirmed": True}
    await ui.reads("desk-1", "Active: it signs prescriptions.", "ReplaceToken", "What you can start")
    await ui.start("ReplaceToken", "replace-desk-1", json.dumps({**replacement, "requested_by": "Dana"}))
    await ui.reads("replace-desk-1", "Replacement of desk-1", "is replaced: ", picture="replacement")
    await ui.reads("return-desk-1", "Awaited by mail", picture="return")
    received = {"serial_number": one["serial_number"], "condition": "intact", "received_by": "Mo"}
    wrong = await ui.send("Update", "return-desk-1", "received", json.dumps({**received, "serial_number": "HT-1"}))
    assert "was not taken: this return awaits" in wrong
    assert await ui.send("Update", "return-desk-1", "received", json.dumps(received)) == ""
    await ui.reads("return-desk-1", "Received", "There is nothing left to do here.")

    assert (
        await ui.send("Signal", "desk-3", "deactivate", '{"reason": "stolen", "confirmed": true, "by": "Dana"}') == ""
    )
    await ui.reads("incident-desk-3", "within one business day", "Report due", picture="incident")
    await ui.start("SecurityIncident", "incident-again", '{"journey_id": "desk-1", "reason": "lost"}')
    await ui.reads("incident-again", "within one business day")
    assert await ui.send("Signal", "incident-again", "close", '{"note": "nobody"}') == ""
    assert await ui.send("Signal", "incident-again", "close", '{"by": "Ruth"}') == ""
    await ui.reads("incident-again", "Closed by Ruth", "close was not taken: by is missing")
    assert await ui.send("Update", "incident-desk-3", "close", '{"by": "Ruth", "note": "by phone"}') == ""
    await ui.reads("incident-desk-3", "Closed by Ruth", "reported in time")
    found = {"journey_id": "desk-3", "serial_number": three["serial_number"], "received_by": "Mo", "condition": "bent"}
    await ui.start("ReturnByMail", "found-1", json.dumps(found))
    await ui.reads("found-1", "The mail room has it.", "bent")


def _soft(office: Office) -> dict[str, str]:
    """What the app's enrolment gives."""
    TYPED.append(PIN)
    settings = office.settings
    engine = engine_of(settings.url_of_database)
    seal = Seal({name: key.get_secret_value() for name, key in settings.seal_keys.items()})
    pepper = settings.pin_pepper.get_secret_value()
    now = datetime.now(UTC)
    stored = soft_enrollment.store(sessions_of(engine), seal, pepper, journey_id="desk-2", pin=PIN, device=None, at=now)
    engine.dispose()
    return {"token_name": "Phone of Rosalind", "enrollment_ref": stored.enrollment_ref}


async def test_stock_is_imported_and_a_prescriber_leaves(office: Office, ui: TemporalUi) -> None:
    await ui.start("ImportTokens", "import-none", '{"file": "none.csv", "imported_by": "Dana"}')
    await ui.reads("import-none", "Refused, nothing was taken")
    folder = Path(office.info["import_folder"])
    await asyncio.to_thread(_put, folder / "new.csv", yubico_traditional(tokens(3)))
    await ui.start("ImportTokens", "import-new", '{"file": "new.csv", "imported_by": "Dana"}')
    await ui.reads("import-new", "3 tokens taken, 0 rows refused", picture="import")
    leaving = {"prescriber_id": "P-1002", "reason": "no_longer_needed", "by": "Dana"}
    await ui.start("DeactivateAll", "leaving-no", json.dumps(leaving))
    await ui.reads("leaving-no", "DeactivateAll: not started", "must be confirmed")
    await ui.start("DeactivateAll", "leaving", json.dumps({**leaving, "confirmed": True}))
    await ui.reads("leaving", "All tokens of prescriber P-1002: done", "desk-2 (soft): deactivated", picture="leaving")
    await ui.start("Reconcile", "reconcile-no", '{"limit": "all"}')
    await ui.reads("reconcile-no", "Reconcile: not started", "limit: input should be a valid integer")
    await ui.start("Reconcile", "reconcile-look", '{"limit": 0}')
    await ui.reads("reconcile-look", "Reconcile: 0 repaired", "Done.")
    await ui.shows("desk-1", "rosalind.veldt", picture="timeline")
    await ui.shows("desk-1", "Ask the token back by mail", tab="history")


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


# What the server has kept of it


async def test_the_server_s_database_gives_away_nobody(office: Office) -> None:
    """The day's own data, and those of every sample prescriber. A workflow id and a PIN sent without the codec show that the
    search finds what is there in plain text."""
    secret = "Theodora Wrenfield-Oyelaran"
    body = {"prescriber_id": "P-1006", "kind": "soft", "email": f"{secret}@nowhere", "requested_by": secret}
    await office.client.start_workflow("TokenJourney", body, id="planted-control-7f3a", task_queue=TASK_QUEUE)
    with pytest.raises(WorkflowFailureError):
        await office.handle("planted-control-7f3a").result()
    good = {"prescriber_id": "P-1007", "kind": "soft", "requested_by": secret}
    running = await office.client.start_workflow("TokenJourney", good, id="desk-7", task_queue=TASK_QUEUE)
    with pytest.raises(WorkflowUpdateFailedError):  # refused by its handler, so that the refusal is stored
        await running.execute_update("edit", {"email": f"{secret}@nowhere"})
    raw = await Client.connect(office.info["temporal"])
    await raw.get_workflow_handle("desk-7").signal("edit", {"pin": "5820"})
    kept = await asyncio.to_thread(_kept_by, Path(office.info["state"]))
    assert b"planted-control-7f3a" in kept
    assert b"desk-1" in kept
    assert b'"5820"' in kept
    wanted = {secret, EMAIL, *ADDRESS.values(), *FIXED.values(), "Phone of Rosalind", *_sample_people()}
    # In quotes, as JSON has them: so few digits stand somewhere in times and ids by chance.
    wanted |= {f'"{digits}"' for digits in TYPED}
    wanted -= {"MD", "Annapolis", "21401"}  # too short, or too common, to tell anything
    found = [text for text in sorted(wanted) if text.encode() in kept]
    assert found == []
    assert len(wanted) > 100
    assert len(TYPED) == 2


def _sample_people() -> Iterator[str]:
    for person in samples.PRESCRIBERS:
        yield from (person.name, person.email, person.npi, person.dea_number, person.address.street1)


def _kept_by(state: Path) -> bytes:
    """All bytes of the server's database: its file, and what lies in the log beside it."""
    with sqlite3.connect(f"file:{state / 'temporal.db'}?mode=ro", uri=True) as database:
        assert database.execute("select count(*) from history_node").fetchone()[0] > 100
    return b"".join(path.read_bytes() for path in sorted(state.glob("temporal.db*")))
