"""What ops may do in the UI without harm: terminate, reset, restore a backup; `Reconcile` finds what went apart."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from temporalio.client import Client, WorkflowExecution
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError, RPCStatusCode

from activities.replacements import Claim, Replacements
from database import audit
from domain.address import Address
from domain.peers import incident_id, return_id
from domain.reasons import DeactivationReason
from domain.wording import day
from tests.journeys.test_replacement import ADDRESS
from tests.stage import Play, Stage, Theatre, eventually

pytestmark = pytest.mark.slow


@pytest.fixture
async def stage(temporal: Client, own_theatre: Theatre, tmp_path: Path) -> AsyncIterator[Stage]:
    async with Stage(temporal, own_theatre, tmp_path) as stage:
        yield stage


async def requested(stage: Stage, kind: str, prescriber_id: str, status: str) -> Play:
    """On a clock that is not ahead of the one on which Reconcile starts what goes on."""
    play = await stage.request(kind, prescriber_id, at=datetime.now(UTC) + timedelta(seconds=2))
    await play.reach(status)
    return play


def shown(run: WorkflowExecution) -> tuple[object, ...]:
    return run.status, run.typed_search_attributes.get(SearchAttributeKey.for_keyword("TokenStatus"))


async def listed_as_they_are(stage: Stage) -> bool:
    """Whether Temporal's lists, which are an instant behind, show all that has a row as it is."""
    ids = "select journey_id from journeys union select return_id from returns union select incident_id from incidents"
    for (workflow_id,) in stage.rows(ids):
        listed = {run.run_id: shown(run) async for run in stage.client.list_workflows(f"WorkflowId = '{workflow_id}'")}
        try:
            latest = await stage.client.get_workflow_handle(workflow_id).describe()
        except RPCError as fault:
            assert fault.status is RPCStatusCode.NOT_FOUND
            if listed:
                return False
        else:
            if listed.get(latest.run_id) != shown(latest):
                return False
    return True


async def reconciled(stage: Stage, **order: Any) -> dict[str, Any]:
    await asyncio.sleep(0.3)  # visibility is an instant behind, and what the database has lost is not asked for by id
    await eventually(lambda: listed_as_they_are(stage))
    return await (await stage.open("Reconcile", order)).result()


def ours(report: dict[str, Any], list_: str, *plays: Play | str) -> dict[str, str]:
    """What it says of these: the matter by id."""
    ids = [play if isinstance(play, str) else play.id for play in plays]
    return {each["about"]: each["matter"] for each in report[list_] if each["about"] in ids}


def again(play: Play) -> Play:
    """The same journey, whichever run."""
    return Play(play.stage, play.stage.client.get_workflow_handle(play.id), play.start)


async def test_terminated_at_every_status(stage: Stage) -> None:
    waiting = await requested(stage, "hard", "P-1001", "Requested")
    processed = await requested(stage, "soft", "P-1002", "Processed")
    shipped = await requested(stage, "hard", "P-1003", "Shipped")
    delivered = await requested(stage, "hard", "P-1004", "Delivered")
    active = await requested(stage, "hard", "P-1006", "Active")
    parcel = (await shipped.status())["tracking_number"]
    letters = {play.id: play.letters() for play in (waiting, processed, shipped, delivered, active)}
    for play in (waiting, processed, shipped, delivered, active):
        await play.handle.terminate("cleaning up")

    first = await reconciled(stage, limit=2)
    assert (first["repaired"], first["left"]) == (2, 3)
    second = await reconciled(stage)
    assert second["repaired"] == 3, second
    assert second["findings"] == []
    for play in (waiting, processed):  # nothing was sent: wanted no more
        assert (await again(play).result())["status"] == "Cancelled"
        assert play.letters() == [*letters[play.id], "request_cancelled"]
    assert len(stage.done("vendor", "revocations", processed.id)) == 1
    assert stage.rows(f"select status, live from journeys where journey_id = '{waiting.id}'") == [("Cancelled", 0)]
    fresh = await stage.request("hard", "P-1001")
    assert (await fresh.status())["status"] == "Requested"

    for play, status in ((shipped, "Shipped"), (delivered, "Delivered"), (active, "Active")):
        snapshot = await again(play).status()
        assert snapshot["status"] == status
        assert "taken up again (carry on): its workflow was terminated" in snapshot["timeline"][-1]["what"]
        assert play.letters() == letters[play.id], "no email twice"
    [label] = stage.done("carrier", "shipments", shipped.id)
    assert label["tracking_number"] == parcel
    # They go on as if nothing had been.
    onward = again(shipped)
    onward.stage.polls_until_synced(1)
    await onward.deliver()
    await onward.enroll()
    await onward.wait(minutes=10)
    assert (await onward.status())["status"] == "Active"
    assert shipped.letters()[len(letters[shipped.id]) :] == ["delivered", "active"]
    await again(active).update("deactivate", {"confirmed": True, "reason": "faulty"})
    assert (await again(active).result())["status"] == "Deactivated"
    third = await reconciled(stage)
    assert (third["repaired"], third["left"], third["findings"]) == (0, 0, []), third
    with stage.sessions() as session:
        assert audit.verify(session)[1] == []
    assert stage.rows("select count(*) from findings where not repaired") == [(0,)]

    # Nobody else can let a journey go on, nor with a ticket that is used.
    body = {"prescriber_id": "P-1006", "kind": "soft", "resume": "guessed"}
    assert "`resume` is not yours to set" in await (await stage.start(body)).failed()


async def test_endings_that_were_terminated(stage: Stage) -> None:
    lost = await requested(stage, "hard", "P-1001", "Active")
    await lost.update("deactivate", {"confirmed": True, "reason": "lost"})
    await lost.result()
    incident = await stage.peer(incident_id(lost.id))
    worn = await requested(stage, "hard", "P-1003", "Active")
    await worn.update("deactivate", {"confirmed": True, "reason": "faulty", "in_possession": True})
    await worn.result()
    back = await stage.peer(return_id(worn.id))
    await back.wait(seconds=5)
    serial = (await back.status())["serial_number"]
    told, asked = lost.letters(), worn.letters()
    # And one that is terminated while the vendor does not hear of its end yet.
    cut = await requested(stage, "hard", "P-1004", "Active")
    stage.fault("vendor", kind="refuse")
    await cut.update("deactivate", {"confirmed": True, "reason": "stolen"})
    for play in (incident, back, cut):
        await play.handle.terminate()
    stage.clear_faults()

    report = await reconciled(stage)
    assert report["for_a_person"] == 0, report
    assert set(ours(report, "repairs", incident, back, cut)) == {incident.id, back.id, cut.id}
    assert (await again(cut).result())["status"] == "Deactivated"
    assert len(stage.done("vendor", "revocations", cut.id)) == 1
    assert await stage.exists(incident_id(cut.id))
    assert lost.letters() == [*told, "team_incident"] or lost.letters() == told
    await again(incident).update("close", {"by": "Ruth"})
    assert (await again(incident).result())["status"] == "Closed"
    await again(back).wait(seconds=5)
    assert worn.letters() == asked
    assert len(stage.done("carrier", "shipments", back.id)) == 1
    await again(back).update("received", {"serial_number": serial, "received_by": "Mo"})
    assert (await again(back).result())["status"] == "Received"
    assert stage.token_state(serial) == "returned"
    assert stage.rows(f"select status, open from returns where return_id = '{back.id}'") == [("Received", 0)]


async def test_who_brings_a_token_and_why_it_was_lost_is_known_after_it_was_taken_up(stage: Stage) -> None:
    missing = await requested(stage, "hard", "P-1001", "Shipped")
    refused = await requested(stage, "hard", "P-1003", "Shipped")
    bounced = await requested(stage, "hard", "P-1004", "Shipped")
    for play in (refused, bounced):
        await play.carrier("returned", await play.now())
        await play.wait(seconds=5)
    await bounced.update("cancel", {"by": "Ann"})
    await bounced.result()
    back = await stage.peer(return_id(bounced.id))
    stage.fault("vendor", kind="refuse")
    await missing.update("cancel", {"by": "Ann", "reason": "Stolen"})
    await refused.update("cancel", {"by": "Ann"})
    await refused.wait(seconds=5)
    told = {play.id: play.letters() for play in (missing, refused, bounced)}
    for play in (missing, refused, back):
        await play.handle.terminate()
    stage.clear_faults()

    report = await reconciled(stage)
    assert set(ours(report, "repairs", missing, refused, back)) == {missing.id, refused.id, back.id}, report
    for play in (missing, refused):
        assert (await again(play).result())["status"] == "Cancelled"
    assert await stage.exists(incident_id(missing.id))
    assert not await stage.exists(return_id(missing.id))
    for parcel in (await stage.peer(return_id(refused.id)), again(back)):
        await parcel.wait(days=10)
        assert (await parcel.status())["status"] == "Awaited"
        assert stage.done("carrier", "shipments", parcel.id) == [], "the carrier brings it"
    for play in (refused, bounced):
        assert play.letters() == told[play.id], "nobody is asked for what they never had"


def claimed(stage: Stage, old: Play) -> str:
    """What a replacement has done until it is lost together with its workflow; the new token's id."""
    claim = Claim(
        workflow_id=f"replace-{old.id}",
        run_id="lost",
        at=datetime.now(UTC),
        journey_id=old.id,
        reason=DeactivationReason.FAULTY,
        email="desk@clinic.example",
        shipping_address=Address.model_validate(ADDRESS),
    )
    return Replacements(stage.sessions).claim(claim).successor_id


async def test_replacements_that_stand_half_way(stage: Stage) -> None:
    untouched = await requested(stage, "hard", "P-1001", "Active")
    halfway = await requested(stage, "hard", "P-1003", "Active")
    claimed(stage, untouched)
    new_id = claimed(stage, halfway)
    await halfway.update("deactivate", {"confirmed": True, "reason": "faulty", "replaced_by": new_id})
    await halfway.result()

    left = await reconciled(stage, limit=0)
    assert left["left"] >= 2
    report = await reconciled(stage)
    assert set(ours(report, "repairs", untouched, halfway)) == {untouched.id, halfway.id}, report
    assert (await untouched.status())["status"] == "Active"
    new = await stage.peer(new_id)
    await new.process()
    [shipment] = stage.done("carrier", "shipments", new_id)
    assert ADDRESS["street1"] in str(shipment)
    assert {message["To"] for message in new.emails() if not message["X-Token-Letter"].startswith("team_")} == {
        "desk@clinic.example"
    }
    kept = "select email, shipping_address, finished_at is null from replacements"
    assert stage.rows(kept) == [(None, None, 0)], "given back, and done"
    assert ours(await reconciled(stage), "repairs", untouched, halfway) == {}


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


async def test_a_backup_was_restored(stage: Stage) -> None:
    """The database is behind the journeys: they write themselves again, and nothing is forgotten."""
    kept = await requested(stage, "hard", "P-1001", "Delivered")
    behind = stage.rows("select * from journeys")
    assert len(behind) == 1
    backup = backed_up(stage)
    ended = await requested(stage, "soft", "P-1002", "Requested")
    await kept.enroll()
    await kept.wait(minutes=10)
    trail = stage.rows(f"select what from audit where journey_id = '{kept.id}' order by number")
    letters = kept.letters()
    serial = (await kept.status())["serial_number"]

    restored(stage, backup)
    assert stage.rows("select journey_id, status from journeys") == [(kept.id, "Delivered")]

    report = await reconciled(stage)
    assert set(ours(report, "repairs", kept, ended)) == {kept.id, ended.id}, report
    for play in (kept, ended):
        await play.status()
    for _ in range(100):
        if len(stage.rows("select 1 from journeys")) == 2:
            break
        await asyncio.sleep(0.05)
    rows = dict(stage.rows("select journey_id, status from journeys"))  # type: ignore[arg-type]
    assert rows == {kept.id: "Active", ended.id: "Requested"}
    assert stage.rows(f"select what from audit where journey_id = '{kept.id}' order by number") == trail
    assert stage.token_state(serial) == "active"
    assert kept.letters() == letters
    with stage.sessions() as session:
        assert audit.verify(session)[1] == []
    assert (await reconciled(stage))["repaired"] == 0


async def test_vendor_carrier_and_stock(stage: Stage) -> None:
    urls = stage.theatre.urls()
    ended = await requested(stage, "hard", "P-1001", "Active")
    await ended.update("deactivate", {"confirmed": True, "reason": "lost"})
    await ended.result()
    live = await requested(stage, "soft", "P-1002", "Active")
    stage.http.put(f"{urls['vendor']}/v1/provisionings/nobody", json={"kind": "soft", "reference": "nobody"})
    stage.http.put(f"{urls['vendor']}/v1/revocations/{live.id}", json={"reference": live.id})
    address = {"name": "A", "street1": "1 Main St", "city": "Dover", "state": "DE", "postal_code": "19901"}
    stage.http.put(
        f"{urls['carrier']}/v1/shipments/nothing", json={"to": address, "from": address, "reference": "nothing"}
    )
    with stage.sessions.begin() as session:
        run = session.connection().exec_driver_sql
        # A serial that nobody put back: its journey was cancelled by hand in the database, long ago.
        run(
            "insert into journeys select 'by-hand', first_run_id, prescriber_id, 'hard', 'Cancelled', 0, email, shipping_address, "
            "requested_by, null, null, null, null, null, null, requested_at, null, null, null, null, null, ended_at, promises, policy "
            f"from journeys where journey_id = '{ended.id}'"
        )
        run(
            "update tokens set state = 'assigned', journey_id = 'by-hand' where serial_number = "
            "(select min(serial_number) from tokens where state = 'in_stock' and kind = 'hard')"
        )
    [(serial,)] = stage.rows("select serial_number from tokens where journey_id = 'by-hand'")
    stage.http.put(
        f"{urls['vendor']}/v1/provisionings/by-hand",
        json={"kind": "hard", "reference": "by-hand", "serial_number": serial},
    )
    stage.http.put(
        f"{urls['carrier']}/v1/shipments/by-hand", json={"to": address, "from": address, "reference": "by-hand"}
    )

    looked = await reconciled(stage, limit=0)
    assert (looked["repaired"], looked["left"]) == (0, 3), looked
    assert stage.token_state(serial) == "assigned"
    report = await reconciled(stage)
    assert ours(report, "findings", "nobody", live, "nothing") == {
        "nobody": "vendor: unknown",
        live.id: "vendor: revoked",
        "nothing": "carrier: unknown",
    }, report
    assert {each["about"] for each in report["repairs"]} == {serial, "by-hand"}, report
    assert stage.token_state(serial) == "in_stock"
    assert len(stage.done("vendor", "revocations", "by-hand")) == 1
    assert len(stage.done("carrier", "voids", "by-hand")) == 1
    assert [what for (what,) in stage.rows("select what from audit where journey_id = 'by-hand' order by number")] == [
        f"Reconcile: token {serial} put back into stock",
        "Reconcile: revoked at the vendor and in the directory",
        "Reconcile: the label is voided",
    ]
    # A party that is down is told, and the rest is looked at.
    stage.fault("vendor", kind="refuse")
    report = await reconciled(stage)
    assert "vendor" not in report["checked"]
    assert "vendor: " in report["not_checked"][0]
    assert report["checked"]["carrier"] > 0
    assert "`limt` is not known" in await (await stage.open("Reconcile", {"limt": 3})).failed()


async def test_the_daily_digest_and_what_a_person_has_seen_to(stage: Stage) -> None:
    waiting = await requested(stage, "hard", "P-1001", "Requested")
    troubled = await requested(stage, "soft", "P-1002", "Active")
    assert "nothing here needs attention" in await troubled.refused("acknowledge", {"by": "Ann"})
    occurred = datetime.now(UTC).isoformat()
    await troubled.signal("vendor_event", {"event": "revoked", "occurred_at": occurred})
    snapshot = await troubled.status()
    assert "revoked the token" in snapshot["needs_attention"]
    assert snapshot["next"][-1] == {
        "message": "acknowledge",
        "example": {"by": "your name", "note": "telephoned the prescriber"},
    }
    await waiting.status()
    lost = await requested(stage, "soft", "P-1003", "Active")
    await lost.update("deactivate", {"confirmed": True, "reason": "lost"})
    await lost.result()
    incident = await stage.peer(incident_id(lost.id))
    opened = await eventually(incident.status, lambda said: said["due_day"])
    [first, second] = [await stage.open("DailyDigest", *body) for body in ((), ({},))]
    told = await first.result()
    await second.result()
    assert [(section["title"], section["number"]) for section in told["sections"]] == [
        ("Losses to report", 1),
        ("Needs attention", 1),
        ("Waiting to be processed", 1),
    ]
    [email] = [each for each in stage.mailbox.messages() if each["X-Token-Letter"] == "team_digest"]
    assert str(email["Subject"]).startswith("Losses to report 1, Needs attention 1, ")
    due_on = day(date.fromisoformat(opened["due_day"]), ZoneInfo("UTC"))
    assert told["sections"][0]["lines"] == [f"{incident.id}: lost, due on {due_on}"]
    for subtype in ("plain", "html"):
        part = email.get_body((subtype,))
        assert part is not None
        assert waiting.id in part.get_content()
        assert "revoked the token" in " ".join(part.get_content().split())
    await troubled.update("acknowledge", {"by": "Ann", "note": "a mistake of theirs"})
    snapshot = await troubled.status()
    assert snapshot["needs_attention"] is None
    assert snapshot["timeline"][-1]["by"] == "Ann"
    assert snapshot["timeline"][-1]["what"].endswith("a mistake of theirs")
    assert "acknowledge" not in [each["message"] for each in snapshot["next"]]
