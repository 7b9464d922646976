"""Where `Reconcile` finds two that contradict each other: who is further on is right, else a person is asked."""

import json
import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from database import audit
from domain.peers import incident_id, return_id
from tests.journeys.test_reconcile import again, backed_up, claimed, ours, reconciled, requested, restored
from tests.journeys.test_reset import reset
from tests.stage import EVENING, Play, Stage, Theatre, eventually

pytestmark = pytest.mark.slow


@pytest.fixture
async def stage(temporal: Client, own_theatre: Theatre, tmp_path: Path) -> AsyncIterator[Stage]:
    async with Stage(temporal, own_theatre, tmp_path) as stage:
        yield stage


def written(stage: Stage, statement: str) -> None:
    """What somebody has done to the database by hand."""
    with stage.sessions.begin() as session:
        session.connection().exec_driver_sql(statement)


def told(report: dict[str, Any], about: str) -> tuple[str, str]:
    """What is said of it to a person, and what that person should do."""
    [found] = [each for each in report["findings"] if each["about"] == about]
    return found["what"], found["then"]


async def test_a_journey_that_was_reset_behind_its_records(stage: Stage) -> None:
    play = await requested(stage, "hard", "P-1001", "Delivered")
    before = await play.status()
    letters = play.letters()
    play = await reset(play, 0, messages=False)
    assert (await play.status())["status"] == "Requested"
    looked = await reconciled(stage, limit=0)
    assert (looked["repaired"], looked["left"]) == (0, 1), looked
    assert (await play.status())["status"] == "Requested"
    report = await reconciled(stage)
    [repair] = report["repairs"]
    assert repair["what"] == "the journey is Requested, and the records have it as Delivered"
    play = again(play)
    after = await play.status()
    assert (after["status"], after["serial_number"]) == ("Delivered", before["serial_number"])
    assert play.letters() == letters, "no email twice"
    play.stage.polls_until_synced(1)
    await play.enroll()
    await play.wait(minutes=10)
    assert (await play.status())["status"] == "Active"
    assert (await reconciled(stage))["repaired"] == 0


async def test_a_vendor_that_has_lost_its_tokens(stage: Stage) -> None:
    """Those that are with prescribers are registered again; one that is not shipped yet is registered when that is due."""
    active = await requested(stage, "hard", "P-1001", "Active")
    waiting = await requested(stage, "soft", "P-1002", "Processed")
    store = stage.theatre.database.parent / "simulators.vendor" / "vendor.db"
    with closing(sqlite3.connect(store, isolation_level=None, timeout=30)) as vendor:
        vendor.execute("delete from done where what = 'provisionings'")
    assert stage.done("vendor", "provisionings", active.id) == []
    looked = await reconciled(stage, limit=0)
    assert (looked["repaired"], looked["left"]) == (0, 1), looked
    assert stage.done("vendor", "provisionings", active.id) == []
    report = await reconciled(stage)
    assert ours(report, "repairs", active, waiting) == {active.id: "vendor: missing"}
    [registered] = stage.done("vendor", "provisionings", active.id)
    assert registered["serial_number"] == (await active.status())["serial_number"]
    assert await active.signs()
    [said] = stage.rows(f"select what from audit where journey_id = '{active.id}' and what like 'Reconcile:%'")
    assert said == ("Reconcile: registered with the vendor again",)
    assert (await reconciled(stage))["repaired"] == 0


@pytest.mark.parametrize("the_forgotten_one_ends", [True, False])
async def test_a_live_token_that_the_records_have_forgotten_beside_another(
    stage: Stage, the_forgotten_one_ends: bool
) -> None:
    forgotten = await requested(stage, "hard", "P-1001", "Requested")
    written(stage, f"delete from journeys where journey_id = '{forgotten.id}'")
    other = await requested(stage, "hard", "P-1001", "Shipped")
    what, then = told(await reconciled(stage), forgotten.id)
    assert other.id in what
    assert "cancel or deactivate the other" in then
    await forgotten.update("edit", {"email": "desk@clinic.example"})  # which the records have no place for
    ended, stays = (forgotten, other) if the_forgotten_one_ends else (other, forgotten)
    await ended.update("cancel", {"by": "Ann"})
    assert (await ended.result())["status"] == "Cancelled"
    assert (await reconciled(stage))["findings"] == []
    await stays.wait(seconds=5)
    live = stage.rows("select journey_id from journeys where live")
    assert live == [(stays.id,)]
    assert (await reconciled(stage))["repaired"] == 0


async def test_a_serial_that_two_claim_and_a_label_that_was_voided(stage: Stage) -> None:
    has_it = await requested(stage, "hard", "P-1001", "Shipped")
    says_so = await requested(stage, "hard", "P-1003", "Requested")
    serial = (await has_it.status())["serial_number"]
    written(stage, f"update tokens set journey_id = '{says_so.id}' where serial_number = '{serial}'")
    voided = await requested(stage, "hard", "P-1004", "Shipped")
    carrier = stage.theatre.urls()["carrier"]
    stage.http.put(f"{carrier}/v1/shipments/{voided.id}/void", json={}).raise_for_status()
    report = await reconciled(stage)
    what, _ = told(report, serial)
    assert what == f"the serial stands in the records of {has_it.id}, and the stock says that {says_so.id} holds it"
    what, _ = told(report, voided.id)
    assert what == "the carrier has the label as voided, and the token is Shipped here"
    assert report["repaired"] == 0
    written(stage, f"update tokens set journey_id = '{has_it.id}' where serial_number = '{serial}'")
    assert ours(await reconciled(stage), "findings", serial, voided) == {voided.id: "carrier: voided"}


async def worn(stage: Stage, prescriber_id: str) -> tuple[Play, str]:
    """A token that is to come back by mail; the return, and its serial number."""
    play = await requested(stage, "hard", prescriber_id, "Active")
    await play.update("deactivate", {"confirmed": True, "reason": "faulty", "in_possession": True})
    await play.result()
    back = await stage.peer(return_id(play.id))
    await back.wait(seconds=5)
    return back, (await back.status())["serial_number"]


async def test_returns_that_had_ended_when_the_records_went_back_in_time(stage: Stage) -> None:
    received, serial = await worn(stage, "P-1001")
    missing, other = await worn(stage, "P-1003")
    await received.update("received", {"serial_number": serial, "received_by": "Mo", "condition": "destroyed"})
    await missing.wait(days=90)
    for play, status in ((received, "Received"), (missing, "Written off")):
        assert (await play.result())["status"] == status
    told_before = len(stage.mailbox.messages())
    written(stage, "update returns set open = 1, status = 'Awaited', received_at = null, written_off_at = null")
    written(stage, f"update tokens set state = 'coming_back' where serial_number in ('{serial}', '{other}')")

    report = await reconciled(stage)
    assert ours(report, "repairs", received, missing) == {received.id: "returns: gone", missing.id: "returns: gone"}
    for play, status in ((received, "Received"), (missing, "Written off")):
        assert (await again(play).result())["status"] == status
    assert len(stage.mailbox.messages()) == told_before, "nobody is told a second time"
    kept = set(stage.rows("select status, open, received_by, condition from returns"))
    assert kept == {("Received", 0, "Mo", "destroyed"), ("Written off", 0, None, None)}
    assert (stage.token_state(serial), stage.token_state(other)) == ("destroyed", "written_off")
    assert (await reconciled(stage))["repaired"] == 0


async def test_what_had_ended_otherwise_when_the_records_went_back_in_time(stage: Stage) -> None:
    """An incident that was closed, and a replacement that was through."""
    lost = await requested(stage, "hard", "P-1001", "Active")
    await lost.update("deactivate", {"confirmed": True, "reason": "lost"})
    await lost.result()
    incident = await stage.peer(incident_id(lost.id))
    old = await requested(stage, "hard", "P-1003", "Active")
    claimed(stage, old)
    backup = backed_up(stage)
    replacing = await stage.open(
        "ReplaceToken", {"journey_id": old.id, "reason": "faulty", "confirmed": True}, workflow_id=f"replace-{old.id}"
    )
    successor = await stage.peer((await replacing.result())["journey_id"])
    await old.result()
    await eventually(sent(successor, "request_received"))
    await incident.update("close", {"by": "Ruth"})
    await incident.result()
    restored(stage, backup)
    await successor.update("edit", {"email": "other@clinic.example"})
    await successor.wait(seconds=5)
    messages = len(stage.mailbox.messages())

    await reconciled(stage)
    assert stage.rows("select status, closed_by from incidents") == [("Closed", "Ruth")]
    assert stage.rows("select finished_at is null, email from replacements") == [(0, None)]
    assert dict(stage.rows("select journey_id, status from journeys")) == {  # type: ignore[arg-type]
        lost.id: "Deactivated",
        old.id: "Deactivated",
        successor.id: "Requested",
    }
    report = await reconciled(stage)
    assert (report["repaired"], report["findings"]) == (0, [])
    late = [message["X-Token-Journey"] for message in stage.mailbox.messages()[messages:]]
    assert late == [successor.id], "of the edit, which waited for its place in the records"


async def test_terminated_after_it_had_left_which_the_records_do_not_know(stage: Stage) -> None:
    play = await requested(stage, "hard", "P-1001", "Requested")
    backup = backed_up(stage)
    await play.reach("Shipped")
    restored(stage, backup)
    await play.handle.terminate("cleaning up")
    [left] = (await reconciled(stage, limit=0))["left_alone"]
    assert (left["about"], left["then"]) == (play.id, "it would be carried on from where the records have it")
    serial, letters = (await play.status())["serial_number"], play.letters()
    assert ours(await reconciled(stage), "repairs", play) == {play.id: "journeys: gone"}
    assert (await again(play).status())["status"] == "Shipped"
    assert stage.token_state(serial) == "shipped"
    assert stage.done("carrier", "voids", play.id) == []
    assert len(stage.done("carrier", "shipments", play.id)) == 1
    assert play.letters() == letters
    await again(play).deliver()
    assert (await again(play).status())["status"] == "Delivered"
    assert (await reconciled(stage))["repaired"] == 0


async def test_a_file_that_is_imported_again_after_its_devices_have_left(stage: Stage) -> None:
    active = await requested(stage, "hard", "P-1001", "Active")
    back, gone = await worn(stage, "P-1003")
    await back.update("received", {"serial_number": gone, "received_by": "Mo"})
    await back.result()
    serial = (await active.status())["serial_number"]
    written(stage, "update tokens set state = 'in_stock', journey_id = null")
    report = await reconciled(stage)
    assert {each["about"] for each in report["repairs"]} == {serial, gone}
    assert (stage.token_state(serial), stage.token_state(gone)) == ("active", "written_off")
    assert await active.signs()
    assert (await reconciled(stage))["repaired"] == 0


async def test_devices_that_are_out_there_for_no_live_journey(stage: Stage) -> None:
    """What a person is told to do about them can be done, and settles it."""
    serials = []
    for prescriber_id in ("P-1001", "P-1003"):
        back, serial = await worn(stage, prescriber_id)
        await back.update("received", {"serial_number": serial, "received_by": "Mo"})
        await back.result()
        written(stage, f"update tokens set state = 'active' where serial_number = '{serial}'")
        serials.append(serial)
    report = await reconciled(stage)
    here, gone = (re.findall(r"\{.*?\}", told(report, serial)[1]) for serial in serials)
    found = await stage.open("ReturnByMail", json.loads(here[0]), workflow_id="return-of-one-that-is-here")
    assert (await found.result())["status"] == "Received"
    incident = await stage.open("SecurityIncident", json.loads(gone[1]), workflow_id="incident-of-one-that-is-gone")
    assert (await incident.status())["status"] == "Open"
    report = await reconciled(stage)
    assert ours(report, "repairs", *serials) == {serials[1]: "stock: held by nobody"}
    assert report["findings"] == []
    assert [stage.token_state(serial) for serial in serials] == ["returned", "written_off"]


async def test_journeys_that_go_on_before_anybody_has_looked(stage: Stage) -> None:
    """After a restore, whatever writes anything has the database know again what it has lost of it."""
    known = await requested(stage, "hard", "P-1001", "Shipped")
    processed = await requested(stage, "hard", "P-1003", "Requested")
    lost = await requested(stage, "hard", "P-1006", "Active")
    backup = backed_up(stage)
    await known.deliver()
    await processed.process()
    unknown = await requested(stage, "soft", "P-1002", "Processed")
    back, serial = await worn(stage, "P-1004")
    await lost.update("deactivate", {"confirmed": True, "reason": "lost"})
    await lost.result()
    incident = await stage.peer(incident_id(lost.id))
    gone = await requested(stage, "hard", "P-1007", "Shipped")
    left = (await gone.status())["serial_number"]
    before = trails(stage)
    restored(stage, backup)
    runs = {play.id: play.handle.result_run_id or (await play.handle.describe()).run_id for play in (back, incident)}

    device = (await known.status())["serial_number"]
    passcode = known.device(device).press(at=await known.now())
    await known.update("enroll_hard", {"serial_number": device, "passcode": passcode})
    for play in (processed, unknown):
        await play.update("resend_activation", {"by": "Ann"})
        await play.wait(seconds=5)
    await back.update("received", {"serial_number": serial, "received_by": "Mo"})
    await incident.update("close", {"by": "Ruth"})
    await gone.update("cancel", {"by": "Ann"})
    await gone.result()
    assert stage.token_state(left) == "coming_back", "not in stock again: it has left"

    after = trails(stage)
    for play in (known, processed, unknown):
        run = play.handle.first_execution_run_id or ""
        assert after[run] == [*before[run], *after[run][len(before[run]) :]]
        assert len(after[run]) > len(before[run])
    for run, said in ((runs[back.id], "received"), (runs[incident.id], "closed")):
        assert after[run] == [*before[run], said]
    held = dict(stage.rows("select journey_id, serial_number from tokens where journey_id is not null"))  # type: ignore[arg-type]
    for play in (known, processed):
        assert held[play.id] == (await play.status())["serial_number"]
    assert ours(await reconciled(stage), "repairs", known, processed, unknown, incident) == {}
    await back.result()  # the last letter, for which its journey had to be in the records again
    with stage.sessions() as session:
        assert audit.verify(session)[1] == []


def sent(play: Play, letter: str) -> Callable[[], Awaitable[bool]]:
    """Whether that letter has gone."""

    async def gone() -> bool:
        return letter in play.letters()

    return gone


async def test_journeys_that_had_ended_when_the_records_went_back_in_time(stage: Stage) -> None:
    """Nobody is there to write them again: they are brought to what the closed workflows say. No device that has left goes back
    into stock."""
    known = await requested(stage, "hard", "P-1001", "Requested")
    soft = await requested(stage, "soft", "P-1002", "Active")
    here = await stage.request("hard", "P-1003", at=EVENING)
    await here.update("process", {"operator": "Dana"})
    backup = backed_up(stage)
    await known.reach("Active")
    began, serial = await worn(stage, "P-1004")
    crushed, destroyed = await worn(stage, "P-1009")
    await crushed.update("received", {"serial_number": destroyed, "received_by": "Mo", "condition": "Destroyed"})
    await crushed.result()
    heir_of = await requested(stage, "hard", "P-1006", "Active")
    never = await stage.request("hard", "P-1007", at=EVENING)
    await never.update("process", {"operator": "Dana"})
    serials = {play.id: (await play.status())["serial_number"] for play in (known, here, heir_of, never)}
    for play in (known, soft, heir_of):
        await play.update("deactivate", {"confirmed": True, "reason": "lost"})
    for play in (here, never):
        await play.update("cancel", {"by": "Ann"})
    for play in (known, soft, heir_of, here, never):
        await play.result()
    for play in (known, soft, heir_of):
        await eventually(sent(play, "team_incident"))
    told_before = {play.id: play.letters() for play in (known, soft, here)}
    restored(stage, backup)
    heir = await requested(stage, "hard", "P-1008", "Requested")
    taken = serials[heir_of.id]
    written(stage, f"update tokens set state = 'assigned', journey_id = '{heir.id}' where serial_number = '{taken}'")

    await reconciled(stage, limit=0)
    assert dict(stage.rows("select journey_id, live from journeys"))[known.id] == 1  # type: ignore[arg-type]
    report = await reconciled(stage)
    worn_id = began.id.removeprefix("return-")
    assert told(report, heir_of.id)[1] == (
        f"the device {taken} has left with {heir_of.id}: cancel {heir.id}, and start Reconcile again"
    )
    await heir.update("cancel", {"by": "Ann"})
    await heir.result()
    await reconciled(stage)
    assert (await reconciled(stage))["for_a_person"] == 0
    status = {
        journey_id: (status, live)
        for journey_id, status, live in stage.rows("select journey_id, status, live from journeys")
    }
    for journey_id in (known.id, soft.id, heir_of.id, worn_id):
        assert status[journey_id] == ("Deactivated", 0)
    assert status[here.id] == ("Cancelled", 0)
    assert never.id not in status
    assert {stage.token_state(serials[play.id]) for play in (known, heir_of)} == {"written_off"}
    assert {stage.token_state(serials[play.id]) for play in (here, never)} == {"in_stock"}
    assert (stage.token_state(serial), stage.token_state(destroyed)) == ("coming_back", "destroyed")
    assert {play.id: play.letters() for play in (known, soft, here)} == told_before, "nobody is told a second time"
    await began.update("received", {"serial_number": serial, "received_by": "Mo"})
    await began.result()
    assert stage.token_state(serial) == "returned"
    with stage.sessions() as session:
        assert audit.verify(session)[1] == []


def trails(stage: Stage) -> dict[str, list[str]]:
    """What the audit trail says of each run."""
    found: dict[str, list[str]] = {}
    for entry, what in stage.rows("select entry, what from audit order by journey_id, number"):
        found.setdefault(entry.partition(":")[0], []).append(what)
    return found
