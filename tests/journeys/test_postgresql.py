"""The same journeys on PostgreSQL by its URL."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text
from temporalio.client import Client

from activities.stock import Allocation, Stock
from database import audit, migrate
from database.engine import engine_of, sessions_of
from domain.peers import incident_id, return_id
from starter import sample_data
from tests import postgresql
from tests.stage import Stage, Theatre, seal_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(postgresql.programs() is None, reason="no PostgreSQL server is installed"),
]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory, theatre: Theatre) -> Iterator[str]:
    with postgresql.server() as url:
        migrate.upgrade(url)
        migrate.upgrade(url)
        engine = engine_of(url)
        assert sample_data.load(sessions_of(engine), seal_of(theatre.settings)) > 70
        assert sample_data.load(sessions_of(engine), seal_of(theatre.settings)) == 0
        engine.dispose()
        yield url


@pytest.fixture
async def stage(temporal: Client, theatre: Theatre, tmp_path: Path, database: str) -> AsyncIterator[Stage]:
    async with Stage(temporal, theatre, tmp_path, database_url=database) as stage:
        yield stage


async def test_both_kinds_reach_their_end(stage: Stage) -> None:
    for kind in ("hard", "soft"):
        journey = await stage.request(kind, "P-1007")
        await journey.reach("Deactivated")
        assert (await journey.result())["status"] == "Deactivated"
    with stage.sessions() as session:
        rows, faults = audit.verify(session)
        assert rows > 10
        assert faults == []


async def test_a_replacement_with_its_incident_and_its_return(stage: Stage) -> None:
    old = await stage.request("hard", "P-1009")
    await old.reach("Active")
    serial = (await old.status())["serial_number"]
    order = {"journey_id": old.id, "reason": "lost", "confirmed": True, "requested_by": "Ann"}
    # Asked for by four at once under ids of their own: one replacement.
    asked = [await stage.open("ReplaceToken", order) for _ in range(4)]
    ends = await asyncio.gather(*(replacement.result() for replacement in asked), return_exceptions=True)
    [result] = [end for end in ends if isinstance(end, dict)]
    new = await stage.peer(result["journey_id"])
    assert stage.rows("select journey_id, replaces from journeys where live and prescriber_id = 'P-1009'") == [
        (new.id, old.id)
    ]
    assert not await old.signs(await old.now())
    incident = await stage.peer(incident_id(old.id))
    await incident.update("close", {"by": "Ruth"})
    assert (await incident.result())["status"] == "Closed"
    # The lost one turns up after all.
    assert stage.token_state(serial) == "written_off"
    found = {"journey_id": old.id, "serial_number": serial, "received_by": "Mo", "condition": "intact"}
    assert (await (await stage.open("ReturnByMail", found)).result())["status"] == "Received"
    assert stage.token_state(serial) == "returned"
    with stage.sessions() as session:
        assert audit.verify(session)[1] == []


async def test_a_prescriber_leaves_and_the_device_comes_back(stage: Stage) -> None:
    hard = await stage.request("hard", "P-1010")
    await hard.reach("Active")
    soft = await stage.request("soft", "P-1010")
    leaving = await stage.open("DeactivateAll", {"prescriber_id": "P-1010", "confirmed": True, "by": "Ann"})
    outcomes = {ended["journey_id"]: ended["outcome"] for ended in (await leaving.result())["outcomes"]}
    assert outcomes == {hard.id: "deactivated", soft.id: "cancelled"}
    back = await stage.peer(return_id(hard.id))
    await back.wait(days=31)
    assert (await back.result())["status"] == "Written off"
    assert stage.rows(f"select status, open from returns where journey_id = '{hard.id}'") == [("Written off", False)]


async def test_one_live_token_whoever_asks_at_the_same_instant(stage: Stage) -> None:
    plays = await asyncio.gather(*(stage.start({"prescriber_id": "P-1008", "kind": "hard"}) for _ in range(4)))
    failing = {asyncio.create_task(play.failed()): play for play in plays}
    pending = set(failing)
    while len(pending) > 1:
        _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
    with stage.sessions() as session:
        live = session.scalars(text("select journey_id from journeys where live and prescriber_id = 'P-1008'")).all()
    assert len(live) == 1
    assert all(live[0] in task.result() for task in failing if task not in pending)
    for task in pending:
        task.cancel()


def test_two_operators_never_get_the_same_token(database: str) -> None:
    engine = engine_of(database)
    stock = Stock(sessions_of(engine))
    with ThreadPoolExecutor(8) as threads:
        orders = [Allocation(journey_id=f"race-{number}") for number in range(24)]
        serials = list(threads.map(stock.allocate, orders))
    assert len(set(serials)) == 24
    for order in orders:
        stock.release(order.journey_id)
    engine.dispose()
