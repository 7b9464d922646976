"""PostgreSQL is restored to an earlier moment while journeys go on (docs/backup.md): the trail says so, it is accepted on record,
and nothing is done twice."""

import importlib.util
import shutil
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import make_url, text
from temporalio.client import Client

from database import anchors, audit, migrate
from database.anchors import AnchorKey
from database.audit_verification import Findings, examine
from database.engine import engine_of, sessions_of
from starter import sample_data
from tests import postgresql
from tests.stage import Play, Stage, Theatre, seal_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(postgresql.programs() is None, reason="no PostgreSQL server is installed"),
]

KEY = AnchorKey("11" * 32)
RECONCILES = importlib.util.find_spec("workflows.reconcile") is not None


@pytest.fixture(scope="module")
def database(theatre: Theatre) -> Iterator[str]:
    with postgresql.server() as url:
        migrate.upgrade(url)
        engine = engine_of(url)
        sample_data.load(sessions_of(engine), seal_of(theatre.settings))
        engine.dispose()
        yield url


@pytest.fixture
async def stage(temporal: Client, own_theatre: Theatre, tmp_path: Path, database: str) -> AsyncIterator[Stage]:
    stage = Stage(temporal, own_theatre, tmp_path, database_url=database)
    stage.extra = {"audit_key": SecretStr("11" * 32), "audit_anchor_folder": tmp_path / "anchors"}
    async with stage:
        yield stage


def run(program: str, url: str, *arguments: str) -> None:
    """One of PostgreSQL's own programs, as docs/backup.md has it."""
    bin_ = postgresql.programs()
    assert bin_ is not None
    address = make_url(url)
    where = [f"--host={address.host}", f"--port={address.port}", f"--username={address.username}"]
    found = shutil.which(program) or str(bin_ / program)
    subprocess.run([found, *where, *arguments], check=True, capture_output=True, timeout=120)


def verified(stage: Stage) -> Findings:
    anchored = anchors.read(stage.folder / "anchors", [KEY.public])
    assert anchored.problems == []
    with stage.sessions() as session:
        return examine(session, anchored.points)


async def test_nothing_is_forgotten_and_nothing_done_twice(stage: Stage, database: str) -> None:
    waiting = await stage.request("hard", "P-1001")
    shipped = await stage.request("hard", "P-1003")
    await shipped.reach("Shipped")
    active = await stage.request("soft", "P-1005")
    await active.reach("Active")
    await (await stage.open("AnchorAudit")).result()

    dump = stage.folder / "tokens.dump"
    run("pg_dump", database, "--format=custom", f"--file={dump}", make_url(database).database or "")

    # Life goes on after the backup, and is anchored.
    await waiting.reach("Shipped")
    await shipped.deliver()
    await shipped.enroll()
    await shipped.wait(minutes=10)
    await active.update("deactivate", {"confirmed": True})
    await active.wait(minutes=5)
    new = await stage.request("soft", "P-1007")
    journeys = [waiting, shipped, active, new]
    emails = Counter(message["Message-ID"] for message in stage.mailbox.messages())
    await (await stage.open("AnchorAudit")).result()

    lived = {
        journey.id: [
            what for (what,) in stage.rows(f"select what from audit where journey_id = '{journey.id}' order by number")
        ]
        for journey in journeys
    }

    # The disk breaks; the backup is put back while the worker is down, as docs/backup.md says.
    await stage.stop_worker()
    stage.sessions.kw["bind"].dispose()
    run("pg_restore", database, "--clean", "--if-exists", "--exit-on-error", "--dbname=postgres", str(dump))
    assert stage.rows("select count(*) from journeys where prescriber_id = 'P-1007'") == [(0,)]

    # The anchors tell: the database went back in time, by these journeys and by no fault within a chain.
    found = verified(stage)
    assert found.behind == {journey.id for journey in journeys}
    assert {fault.journey_id for fault in found.faults} == found.behind
    await stage.restart_worker()
    said = await (await stage.open("AnchorAudit")).failed()
    assert "accept-restore" in said
    with stage.sessions.begin() as session:
        accepted = anchors.accept_restore(
            session,
            stage.folder / "anchors",
            KEY,
            by="Ruth",
            reason="the disk broke",
            record=lambda facts: None,
        )
    assert set(accepted["back"]) == found.behind
    assert verified(stage).faults == []

    if not RECONCILES:
        pytest.skip("Reconcile is not here yet")
    # One that the database does not know any more, and one that it knows as it was: they go on before anybody has looked.
    await new.update("edit", {"email": "desk@clinic.example", "by": "Ann"})
    await shipped.signal("edit", {"email": "too.late@clinic.example"})
    await new.wait(seconds=5)
    await shipped.wait(seconds=5)
    said = [what for (what,) in stage.rows(f"select what from audit where journey_id = '{shipped.id}' order by number")]
    assert said[-4:] == [*lived[shipped.id][-3:], "refused: edit"]
    said = [what for (what,) in stage.rows(f"select what from audit where journey_id = '{new.id}' order by number")]
    assert said == [*lived[new.id], "edited: email"]
    await reconcile(stage)
    for journey in journeys:
        snapshot = await journey.status()
        recorded = stage.rows(
            f"select status, serial_number, tracking_number from journeys where journey_id = '{journey.id}'"
        )
        assert recorded == [(snapshot["status"], snapshot.get("serial_number"), snapshot.get("tracking_number"))]
    # What was refused before the restore is refused after it; each serial is in one place, each parcel was sent once.
    assert stage.rows("select serial_number from tokens group by serial_number having count(*) > 1") == []
    for journey in (waiting, shipped):
        assert len(stage.done("carrier", "shipments", journey.id)) == 1
        serial = (await journey.status())["serial_number"]
        assert stage.rows(f"select journey_id from tokens where serial_number = '{serial}'") == [(journey.id,)]
    again = Counter(message["Message-ID"] for message in stage.mailbox.messages())
    assert {message_id: again[message_id] for message_id in emails} == dict(emails)
    assert max(again.values()) == 1
    # And it goes on.
    await go_on(waiting)
    await (await stage.open("AnchorAudit")).result()
    assert verified(stage).faults == []


async def reconcile(stage: Stage) -> None:
    """Until it finds nothing to repair, as its schedule does."""
    for _ in range(3):
        report = await (await stage.open("Reconcile", {})).result()
        if not report["repaired"]:
            return


async def go_on(waiting: Play) -> None:
    await waiting.deliver()
    await waiting.enroll()
    await waiting.wait(minutes=10)
    assert (await waiting.status())["status"] == "Active"
    with waiting.stage.sessions() as session:
        assert audit.verify(session)[1] == []
        status = session.execute(
            text("select status from journeys where journey_id = :id"), {"id": waiting.id}
        ).scalar()
    assert status == "Active"
