"""Where `Reconcile` finds two that contradict each other: who is further on is right, else a person is asked."""

import json
import re
import sqlite3
import uuid
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, ResetReapplyType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client

from database import audit
from domain.peers import incident_id, return_id
from tests.journeys.test_reconcile import again, ours, reconciled, requested
from tests.stage import Play, Stage, Theatre

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


async def begun_anew(play: Play) -> Play:
    """Reset to its beginning, with none of the messages that it had."""
    history = await play.handle.fetch_history()
    first = next(
        event.event_id for event in history.events if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    )
    await play.stage.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=play.stage.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=play.id),
            reason="an operator's click",
            workflow_task_finish_event_id=first,
            request_id=uuid.uuid4().hex,
            reset_reapply_type=ResetReapplyType.RESET_REAPPLY_TYPE_NONE,
        )
    )
    return again(play)


async def test_a_journey_that_was_reset_behind_its_records(stage: Stage) -> None:
    play = await requested(stage, "hard", "P-1001", "Delivered")
    before = await play.status()
    letters = play.letters()
    play = await begun_anew(play)
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


async def test_a_live_token_that_the_records_have_forgotten_beside_another(stage: Stage) -> None:
    forgotten = await requested(stage, "hard", "P-1001", "Requested")
    written(stage, f"delete from journeys where journey_id = '{forgotten.id}'")
    other = await requested(stage, "hard", "P-1001", "Shipped")
    what, then = told(await reconciled(stage), forgotten.id)
    assert other.id in what
    assert "cancel or deactivate the other" in then
    await forgotten.update("cancel", {"by": "Ann"})
    assert (await forgotten.result())["status"] == "Cancelled"
    assert (await reconciled(stage))["findings"] == []


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
    await received.update("received", {"serial_number": serial, "received_by": "Mo"})
    await missing.wait(days=90)
    for play, status in ((received, "Received"), (missing, "Written off")):
        assert (await play.result())["status"] == status
    told_before = {play.id: play.letters() for play in (received, missing)}
    written(stage, "update returns set open = 1, status = 'Awaited', received_at = null, written_off_at = null")
    written(stage, f"update tokens set state = 'coming_back' where serial_number in ('{serial}', '{other}')")

    report = await reconciled(stage)
    assert ours(report, "repairs", received, missing) == {received.id: "returns: gone", missing.id: "returns: gone"}
    for play, status in ((received, "Received"), (missing, "Written off")):
        assert (await again(play).result())["status"] == status
        assert play.letters() == told_before[play.id], "nobody is told a second time"
    assert set(stage.rows("select status, open from returns")) == {("Received", 0), ("Written off", 0)}
    assert (stage.token_state(serial), stage.token_state(other)) == ("returned", "written_off")
    assert (await reconciled(stage))["repaired"] == 0


async def test_a_device_that_is_out_there_for_no_live_journey(stage: Stage) -> None:
    """What a person is told to do about it can be done."""
    back, serial = await worn(stage, "P-1001")
    await back.update("received", {"serial_number": serial, "received_by": "Mo"})
    await back.result()
    written(stage, f"update tokens set state = 'active' where serial_number = '{serial}'")
    _, then = told(await reconciled(stage), serial)
    [here, lost] = re.findall(r"\{.*?\}", then)
    incident = await stage.open("SecurityIncident", json.loads(lost), workflow_id="incident-of-a-lost-one")
    assert (await incident.status())["status"] == "Open"
    found = await stage.open("ReturnByMail", json.loads(here), workflow_id="return-of-one-that-is-here")
    assert (await found.result())["status"] == "Received"
    assert stage.token_state(serial) == "returned"
    assert (await reconciled(stage))["findings"] == []


def backed_up(stage: Stage) -> Path:
    backup = stage.folder / "backup.db"
    with closing(sqlite3.connect(stage.folder / "tokens.db")) as there:
        there.execute(f"vacuum into '{backup}'")
    return backup


def restored(stage: Stage, backup: Path) -> None:
    with (
        closing(sqlite3.connect(backup)) as then,
        closing(sqlite3.connect(stage.folder / "tokens.db", timeout=30)) as there,
    ):
        then.backup(there)


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
    assert ours(await reconciled(stage), "repairs", known, processed, unknown, back, incident) == {}
    with stage.sessions() as session:
        assert audit.verify(session)[1] == []


async def test_devices_that_left_with_journeys_of_which_nothing_is_left(stage: Stage) -> None:
    """Begun and ended after the backup: nobody is there to write it again, and the serial must not be given out twice."""
    backup = backed_up(stage)
    gone = []
    for prescriber_id in ("P-1001", "P-1003"):
        play = await requested(stage, "hard", prescriber_id, "Active")
        gone.append((play, (await play.status())["serial_number"]))
    never_left = await requested(stage, "hard", "P-1004", "Requested")
    await never_left.update("process", {"operator": "Dana"})
    unused = (await never_left.status())["serial_number"]
    for play, _ in gone:
        await play.update("deactivate", {"confirmed": True, "reason": "lost"})
        await play.result()
    await never_left.update("cancel", {"by": "Ann"})
    await never_left.result()
    restored(stage, backup)
    (first, one), (second, two) = gone
    assert {stage.token_state(serial) for serial in (one, two, unused)} == {"in_stock"}
    heir = await requested(stage, "hard", "P-1006", "Requested")
    written(stage, f"update tokens set state = 'assigned', journey_id = '{heir.id}' where serial_number = '{two}'")

    await reconciled(stage, limit=0)
    would = stage.rows(
        f"select what from findings where about = '{first.id}' and \"then\" = 'it would be taken out of stock'"
    )
    assert would == [(f"the journey has ended, Deactivated, and is not in the records; its serial {one} is in_stock",)]
    assert stage.token_state(one) == "in_stock"
    report = await reconciled(stage)
    assert ours(report, "repairs", first, second, never_left) == {first.id: "carrier: unknown"}
    assert stage.token_state(one) == "written_off"
    what, then = told(report, second.id)
    assert what.endswith(f"its serial {two} is assigned, for {heir.id}"), what
    assert then == f"the device has left with {second.id}: cancel {heir.id}"
    assert stage.token_state(unused) == "in_stock"
    assert ours(await reconciled(stage), "repairs", first) == {}


def trails(stage: Stage) -> dict[str, list[str]]:
    """What the audit trail says of each run."""
    found: dict[str, list[str]] = {}
    for entry, what in stage.rows("select entry, what from audit order by journey_id, number"):
        found.setdefault(entry.partition(":")[0], []).append(what)
    return found
