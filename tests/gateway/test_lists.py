"""Lists, single tokens, metrics, the page about the API."""

from datetime import UTC, datetime, timedelta

import httpx
from sqlalchemy import delete, update

from database.tables import JourneyRow
from starter.api_keys import Scope
from tests.gateway.api import System, Upstream, detail, serving, token
from tests.stage import Stage

START = datetime(2026, 11, 24, 15, tzinfo=UTC)


def fill(stage: Stage, number: int) -> None:
    """Tokens that have ended, several at the same instant."""
    with stage.sessions.begin() as session:
        for index in range(number):
            session.add(
                JourneyRow(
                    journey_id=f"token-hard-{index:03}",
                    first_run_id=f"run-{index}",
                    prescriber_id=f"P-100{1 + index % 3}",
                    kind="hard" if index % 2 else "soft",
                    status="Deactivated" if index % 5 else "Cancelled",
                    live=False,
                    email="kept@lakeside.example",
                    needs_attention="an address" if index == 7 else None,
                    requested_at=START + timedelta(minutes=index // 4),
                    promises=[],
                )
            )


async def pages(system: System, **query: object) -> list[str]:
    """The ids of all pages, by following the links."""
    found: list[str] = []
    url = str(httpx.URL("/v1/tokens", params=query))
    while url:
        answer = await system.get(url)
        assert answer.status_code == 200
        found += [row["journey_id"] for row in answer.json()["tokens"]]
        assert bool(answer.json()["next"]) == ("next" in answer.links)
        url = answer.links.get("next", {}).get("url", "")
    return found


async def test_pages_lose_and_repeat_nothing(stage: Stage, upstream: Upstream) -> None:
    fill(stage, 23)
    system = upstream.system(Scope.READ)
    everything = [
        row[0] for row in stage.rows("select journey_id from journeys order by requested_at desc, journey_id desc")
    ]
    for limit in (1, 4, 23, 200):
        assert await pages(system, limit=limit) == everything
    first = (await system.get("/v1/tokens?limit=10")).json()
    with stage.sessions.begin() as session:  # what comes and goes between two pages moves nothing
        session.execute(delete(JourneyRow).where(JourneyRow.journey_id.in_(everything[8:10])))
        session.execute(
            update(JourneyRow)
            .where(JourneyRow.journey_id == everything[22])
            .values(requested_at=START + timedelta(days=1))
        )
    second = (await system.get("/v1/tokens", params={"limit": 10, "cursor": first["next"]})).json()
    assert [row["journey_id"] for row in second["tokens"]] == everything[10:20]


async def test_filters(stage: Stage, upstream: Upstream) -> None:
    fill(stage, 23)
    system = upstream.system(Scope.READ)
    for query, where in (
        ({"prescriber_id": "P-1002"}, "prescriber_id = 'P-1002'"),
        ({"status": "Cancelled"}, "status = 'Cancelled'"),
        ({"status": ["Cancelled", "Deactivated"], "kind": "soft"}, "kind = 'soft'"),
        ({"needs_attention": "true"}, "needs_attention is not null"),
        ({"needs_attention": "false", "kind": "hard"}, "needs_attention is null and kind = 'hard'"),
        ({"serial_number": "HT-0"}, "false"),
    ):
        wanted = [row[0] for row in stage.rows(f"select journey_id from journeys where {where}")]
        assert sorted(await pages(system, limit=5, **query)) == sorted(wanted)
    listed = (await system.get("/v1/tokens?limit=1")).text
    assert "lakeside" not in listed


async def test_a_token_whose_history_is_gone(stage: Stage) -> None:
    fill(stage, 2)
    async with serving(stage, api_patience_seconds=1) as upstream:
        await history_gone(stage, upstream)


async def history_gone(stage: Stage, upstream: Upstream) -> None:
    journey = await stage.request("soft", "P-1004", requested_by="EHR")
    assert await journey.refused("enroll_soft", {"token_name": "x", "enrollment_ref": "none"})
    await journey.signal("deactivate", {"confirmed": True})
    await journey.wait(minutes=1)
    system = upstream.system(Scope.READ)
    own = (await system.get(token(journey.id))).json()
    assert own["source"] == "journey"
    with stage.sessions.begin() as session:  # as if the server had removed it after its retention
        session.execute(
            update(JourneyRow).where(JourneyRow.journey_id == "token-hard-001").values(serial_number="HT-1")
        )
    kept = (await system.get(token("token-hard-001"))).json()
    assert (kept["source"], kept["serial_number"], kept["status"]) == ("record", "HT-1", "Deactivated")
    await stage.stop_worker()
    recorded = (await system.get(token(journey.id))).json()
    assert recorded.pop("source") == "record"
    assert {**recorded, "next": own["next"]} == {name: value for name, value in own.items() if name != "source"}


async def test_metrics_name_routes_and_no_ids(stage: Stage, upstream: Upstream) -> None:
    system = upstream.system()
    journey = await stage.request()
    await system.get(token(journey.id))
    await system.get(token("token-hard-none"))
    await system.get("/v1/nowhere/P-1001")
    await system.get("/metrics")
    figures = (await system.get("/metrics")).text
    assert 'gateway_requests_total{method="GET",route="/v1/tokens/{journey_id}",status="200"} 1.0' in figures
    assert 'gateway_requests_total{method="GET",route="/v1/tokens/{journey_id}",status="404"} 1.0' in figures
    assert 'gateway_requests_total{method="GET",route="none",status="404"} 1.0' in figures
    assert 'gateway_request_seconds_count{route="/v1/tokens/{journey_id}"} 2.0' in figures
    for private in (journey.id, "token-hard-none", "P-1001"):
        assert private not in figures


async def test_the_page_about_the_api(upstream: Upstream) -> None:
    anybody = upstream.with_key(None)
    page = await anybody.get("/v1/docs")
    assert page.status_code == 200
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert "<script" not in page.text
    document = (await anybody.get("/v1/openapi.json")).json()
    assert document["components"]["securitySchemes"]["SystemKey"]["scheme"] == "bearer"
    for path, methods in document["paths"].items():
        assert path.replace("{", "{") in page.text
        for operation in methods.values():
            assert f'id="{operation["operationId"]}"' in page.text
            assert {"401", "403", "429", "503"} <= operation["responses"].keys()
    for name, schema in document["components"]["schemas"].items():
        assert f'id="schema-{name}"' in page.text
        assert "title" not in schema or schema["title"] == name
    assert "Validation" not in str(document["components"]["schemas"].keys())
    detail(await anybody.get("/v1/tokens"), 401)
