"""Temporal slow or down, the database down: what callers are told, and that nothing is half done."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from temporalio.client import Client

from database import migrate
from database.engine import engine_of, sessions_of
from starter import sample_data
from tests import postgresql
from tests.gateway.api import System, Upstream, detail, request, serving, token
from tests.gateway.line import Line
from tests.stage import Stage, Theatre, eventually, seal_of
from worker import worker_for

pytestmark = pytest.mark.slow  # waits for answers that don't come

HARD = {"prescriber_id": "P-1001", "kind": "hard"}


async def test_no_worker(stage: Stage, temporal: Client) -> None:
    async with serving(stage, api_patience_seconds=0.5) as upstream:
        ehr = upstream.system()
        journey = await stage.request("soft", "P-1002")
        await stage.stop_worker()
        sent = await ehr.once("/v1/token-requests", HARD, "k")
        assert sent.status_code == 202
        where = sent.headers["Location"]
        looked = await ehr.get(where)
        assert looked.status_code == 202
        assert "look at it in a moment" in looked.json()["detail"]
        told = await ehr.once(request(journey.id, "cancel"), {}, "c")
        assert (told.status_code, told.headers["Location"]) == (202, token(journey.id))
        assert (await ehr.get(told.headers["Location"])).json()["status"] == "Requested"
        async with worker_for(
            temporal, stage.dependencies, stage.theatre.threads, task_queue=stage.task_queue, max_cached_workflows=10
        ):
            assert (await journey.result())["status"] == "Cancelled"
            # The same again: not done again, but answered.
            again = await in_the_end(ehr, "/v1/token-requests", HARD, "k")
            assert (again.status_code, again.headers["Location"]) == (201, where)
            cancelled = await in_the_end(ehr, request(journey.id, "cancel"), {}, "c")
            assert (cancelled.status_code, cancelled.json()["status"]) == (200, "Cancelled")
            # A request that is refused when nobody waits for it any more says so where it was to be looked at.
        assert stage.rows("select count(*) from journeys") == [(2,)]


async def test_a_request_refused_later(stage: Stage, temporal: Client) -> None:
    async with serving(stage, api_patience_seconds=0.5) as upstream:
        ehr = upstream.system()
        await stage.stop_worker()
        sent = await ehr.once("/v1/token-requests", {**HARD, "prescriber_id": "P-9999"})
        assert sent.status_code == 202
        async with worker_for(
            temporal, stage.dependencies, stage.theatre.threads, task_queue=stage.task_queue, max_cached_workflows=10
        ):
            looked = await eventually(
                lambda: ehr.get(sent.headers["Location"]), lambda answer: answer.status_code != 202
            )
            assert "P-9999 is not known" in detail(looked, 404)


async def test_temporal_down(stage: Stage, temporal: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Line(temporal.service_client.config.target_host) as line:
        monkeypatch.setenv("TEMPORAL_ADDRESS", line.address)
        line.cut()  # down already when the gateway starts
        async with serving(stage, api_patience_seconds=1) as upstream:
            ehr = upstream.system()
            await all_down(stage, upstream)
            assert detail(await ehr.get("/readyz"), 503)
            await line.mend()
            made = await in_the_end(ehr, "/v1/token-requests", HARD, "k")
            assert made.status_code == 201
            journey_id = made.json()["journey_id"]
            line.cut()
            for path in (request(journey_id, "cancel"), request(journey_id, "process")):
                answer = await ehr.once(path, {}, path[-6:])
                assert "Temporal does not answer" in detail(answer, 503)
                assert answer.headers["Retry-After"] == "10"
            read = await ehr.get(token(journey_id))
            assert (read.json()["status"], read.json()["source"]) == ("Requested", "record")
            assert (await ehr.get("/v1/tokens")).status_code == 200
            await line.mend()
            assert (await in_the_end(ehr, request(journey_id, "cancel"), {}, "cancel")).json()["status"] == "Cancelled"
            line.hold()  # a network that swallows everything
            answer = await ehr.once("/v1/token-requests", HARD, "held")
            assert "Temporal does not answer" in detail(answer, 503)
            line.release()


async def in_the_end(ehr: System, path: str, body: dict[str, Any], key: str) -> httpx.Response:
    """The same again for as long as it is under way, as an upstream system does."""
    while (answer := await ehr.once(path, body, key)).status_code == 202:
        pass
    return answer


async def all_down(stage: Stage, upstream: Upstream) -> None:
    ehr = upstream.system()
    for key in ("k", "k"):
        answer = await ehr.once("/v1/token-requests", {**HARD, "kind": "both"}, key)
        assert "Temporal does not answer" in detail(answer, 503)
    assert "Temporal does not answer" in detail(await ehr.get(token("token-hard-none")), 503)
    assert stage.rows("select count(*) from journeys") == [(0,)]


@pytest.mark.skipif(postgresql.programs() is None, reason="no PostgreSQL server is installed")
class TestOnPostgreSQL:
    """The same API over the production database, and with that away."""

    @pytest.fixture
    async def line(self, tmp_path_factory: pytest.TempPathFactory, theatre: Theatre) -> AsyncIterator[Line]:
        with postgresql.server() as url:
            migrate.upgrade(url)
            engine = engine_of(url)
            sample_data.load(sessions_of(engine), seal_of(theatre.settings))
            engine.dispose()
            self.url = url
            async with Line(url.rsplit("@", 1)[1].split("/")[0]) as line:
                yield line

    async def test_the_database_down(
        self, line: Line, temporal: Client, theatre: Theatre, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TEMPORAL_ADDRESS", temporal.service_client.config.target_host)
        through = f"postgresql+psycopg://tokens@{line.address}/postgres"
        async with (
            Stage(temporal, theatre, tmp_path, database_url=self.url) as stage,
            serving(stage, database_url=through) as upstream,
        ):
            ehr = upstream.system()
            first = await ehr.once("/v1/token-requests", HARD, "k")
            assert first.status_code == 201
            assert (await ehr.once("/v1/token-requests", HARD, "k")).json() == first.json()
            page = (await ehr.get("/v1/tokens?limit=1&status=Requested&prescriber_id=P-1001")).json()
            assert [row["journey_id"] for row in page["tokens"]] == [first.json()["journey_id"]]
            assert "no such journey" in detail(await ehr.get("/v1/tokens/%00"), 404)
            line.cut()
            for answer in (
                await ehr.once("/v1/token-requests", {"prescriber_id": "P-1001", "kind": "soft"}, "s"),
                await ehr.get("/v1/tokens"),
                await ehr.get(token(first.json()["journey_id"])),
            ):
                assert "The database does not answer" in detail(answer, 503)
                assert answer.headers["Retry-After"] == "10"
            page = await ehr.get(f"/activate/{secrets.token_urlsafe(32)}")
            assert (page.status_code, page.headers["Retry-After"]) == (503, "10")
            assert "does not answer just now" in page.text
            await line.mend()
            second = await ehr.once("/v1/token-requests", {"prescriber_id": "P-1001", "kind": "soft"}, "s")
            assert second.status_code == 201
            assert stage.rows("select count(*) from journeys") == [(2,)]
