"""Two worker processes, two queues processed at once: no serial is given twice, no request is processed twice."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.client import Client

from database import audit, migrate
from database.engine import engine_of, sessions_of
from starter import sample_data
from tests import postgresql
from tests.journeys.test_replacement_crashes import process as worker_process
from tests.stage import TUESDAY, Stage, Theatre, seal_of

pytestmark = pytest.mark.slow

REQUESTS = 12


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param(
            "postgresql",
            marks=pytest.mark.skipif(postgresql.programs() is None, reason="no PostgreSQL server is installed"),
        ),
    ]
)
def database_url(request: pytest.FixtureRequest, theatre: Theatre, tmp_path: Path) -> Iterator[str | None]:
    if request.param == "sqlite":
        yield None  # the stage copies one
        return
    with postgresql.server() as url:
        migrate.upgrade(url)
        engine = engine_of(url)
        sample_data.load(sessions_of(engine), seal_of(theatre.settings))
        engine.dispose()
        yield url


@pytest.fixture
async def stage(temporal: Client, theatre: Theatre, tmp_path: Path, database_url: str | None) -> AsyncIterator[Stage]:
    async with Stage(temporal, theatre, tmp_path, database_url=database_url) as stage:
        yield stage


async def test_no_serial_is_given_twice(stage: Stage) -> None:
    journeys = [
        await stage.request("hard", f"P-10{number + 1:02}", at=TUESDAY + timedelta(minutes=number))
        for number in range(REQUESTS)
    ]
    await stage.stop_worker()
    workers = [await worker_process(stage, "none", "before") for _ in range(2)]
    try:
        queues = [await stage.open("ProcessQueue", {"operator": operator}) for operator in ("Dana", "Kim")]
        reports = await asyncio.wait_for(asyncio.gather(*(queue.handle.result() for queue in queues)), 120)
        outcomes = [each for report in reports for each in report["outcomes"]]
        # What one had processed by the time that the other looked is not in the other's list at all.
        done = [each for each in outcomes if each["outcome"] == "processed"]
        assert sorted(each["journey_id"] for each in done) == sorted(journey.id for journey in journeys)
        assert len({each["serial_number"] for each in done}) == REQUESTS
        assert all(
            "already been processed" in each["reason"] or "has been shipped" in each["reason"]
            for each in outcomes
            if each["outcome"] == "refused"
        )
        assert not any(each["outcome"] == "unanswered" for each in outcomes)
        held = stage.rows("select serial_number, journey_id from tokens where state <> 'in_stock'")
        assert sorted(held) == sorted((each["serial_number"], each["journey_id"]) for each in done)
        for journey in journeys:
            lines = Counter(line["what"].split(",")[0] for line in (await journey.status())["timeline"])
            assert lines["processed"] == 1
        identities = {
            event.activity_task_started_event_attributes.identity
            for play in (*journeys, *queues)
            for event in (await play.handle.fetch_history()).events
            if event.HasField("activity_task_started_event_attributes")
        }
        assert {str(worker.pid) for worker in workers} <= {identity.split("@")[0] for identity in identities}
        with stage.sessions() as session:
            assert audit.verify(session)[1] == []
    finally:
        for worker in workers:
            worker.kill()
            await worker.wait()
