"""All of docker-compose.yml but its images, started for real; clocks can be moved, nothing else differs from `make stack`."""

import asyncio
import json
import mailbox
import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from pydantic import SecretStr
from temporalio.api.workflowservice.v1 import ListWorkflowExecutionsRequest
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError

from connection import data_converter
from database import audit
from database.engine import engine_of, sessions_of
from settings import Settings
from simulators.devices import HardDevice
from starter import api_keys
from starter.clock import Clock
from tests import postgresql
from tests.stage import eventually
from tools.production.compose import ROOT
from tools.production.stack import FOR_TRIALS, ProductionStack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(postgresql.programs() is None, reason="no PostgreSQL server is installed"),
]


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ProductionStack]:
    """Not entered yet; the database goes at the end."""
    stack = ProductionStack(tmp_path_factory.mktemp("stack"), print, FOR_TRIALS)
    stack.remove()  # what a run that was killed has left
    yield stack
    stack.remove()


def settings_of(stack: ProductionStack) -> Settings:
    """As a process beside the gateway would have them."""
    keys = json.loads((stack.secrets / "tokens_payload_keys").read_text())
    return Settings(
        _env_file=None,  # type: ignore[call-arg]
        database_url=stack.info["database_url"],
        database_password=SecretStr((stack.secrets / "tokens_database_password").read_text()),
        payload_keys={key_id: SecretStr(key) for key_id, key in keys.items()},
    )


async def test_the_production_shape_lives(stack: ProductionStack, tmp_path: Path) -> None:
    async with stack:
        settings = settings_of(stack)
        client = await Client.connect(stack.info["temporal"], data_converter=data_converter(settings))
        nobody_sees_secrets(stack)
        each_role_does_its_own_and_no_more(stack)
        async with httpx.AsyncClient(base_url=stack.info["gateway"], timeout=30) as http:
            http.headers["Authorization"] = f"Bearer {api_key(settings)}"
            journey_id = await request(http, "P-1001")
            handle = client.get_workflow_handle(journey_id)
            clock = Clock(client, handle)
            await to_shipped(handle, clock)
            # One worker goes in the middle of it all; the other does not miss a step.
            await stack.hold("worker-1")
            await to_active(handle, clock, tmp_path)
            await stack.resume("worker-1")
            await the_ui_reads_what_the_server_can_not(stack, client, journey_id)
            letters = [
                message["X-Token-Letter"]
                for message in mailbox.Maildir(stack.info["mail"])
                if message["X-Token-Journey"] == journey_id
            ]
            assert sorted(letters) == [
                "active",
                "request_received",
                "shipped",
                "team_request_waiting",
                "vendor_activation_hard",
            ]
            # The carrier's webhook is taken from the simulator: its secret and the gateway's are of one piece.
            number = (await handle.query("status"))["tracking_number"]
            event = {"tracking_number": number, "status": "delivered", "occurred_at": datetime.now(UTC).isoformat()}
            told = await http.post(f"{stack.info['carrier']}/simulate/events", json=event)
            assert told.status_code < 300, told.text
            await the_dashboard_asks_for_what_there_is(stack)
            # PostgreSQL, and Temporal with it, go and come back by themselves; what was asked for is still known.
            await asyncio.gather(stack.kill("postgres"), stack.kill("temporal"))
            await until(lambda: asked(http, journey_id, "Active"))
        before = dict(stack.info)
    # A new start goes on where this one ended.
    again = ProductionStack(Path(before["state"]), print, FOR_TRIALS)
    async with again:
        client = await Client.connect(again.info["temporal"], data_converter=data_converter(settings_of(again)))
        handle = client.get_workflow_handle(journey_id)
        await until(lambda: known(handle, "Active"))
        engine = engine_of(settings_of(again).url_of_database)
        with sessions_of(engine)() as session:
            rows, faults = audit.verify(session)
        engine.dispose()
        assert rows > 5
        assert faults == []
        assert members(again) == 4, "frontend, history, matching and worker of this start, and none of the one before"


def nobody_sees_secrets(stack: ProductionStack) -> None:
    """Neither in a process's environment nor in its command; and each sees the files that its service names."""
    values = [path.read_text() for path in stack.secrets.iterdir() if len(path.read_text()) >= 64]
    words = {word for value in values for word in re.findall(r"[0-9a-f]{64}", value)}
    assert len(words) > 10
    for name, pid in stack.info["pids"].items():
        shown = Path(f"/proc/{pid}/cmdline").read_text()
        if name != "temporal":  # which takes its password in no other way
            shown += Path(f"/proc/{pid}/environ").read_text()
        assert not [word for word in words if word in shown], name
    for service in stack.services.values():
        folder = stack.places.secrets_of(service)
        assert {path.name for path in folder.iterdir()} == set(service.secrets), service.name
        assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())


def each_role_does_its_own_and_no_more(stack: ProductionStack) -> None:
    with connect(stack, "tokens_app", "tokens_database_password", "tokens") as daily:
        assert daily.execute("SELECT count(*) FROM prescribers").fetchone() != (0,)
        for forbidden in ("CREATE TABLE x (a int)", "DROP TABLE journeys", "TRUNCATE journeys", "CREATE ROLE x"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                daily.execute(forbidden)  # type: ignore[call-overload]
            daily.rollback()
    for role, secret, database in (
        ("tokens_app", "tokens_database_password", "temporal"),
        ("tokens_app", "tokens_database_password", "postgres"),
        ("temporal", "temporal_password", "tokens"),
        ("temporal_owner", "temporal_owner_password", "tokens"),
    ):
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            connect(stack, role, secret, database)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(stack, "tokens_app", "temporal_password", "tokens")


def connect(stack: ProductionStack, role: str, secret: str, database: str) -> psycopg.Connection[Any]:
    password = (stack.secrets / secret).read_text()
    return psycopg.connect(f"postgresql://{role}:{password}@127.0.0.1:{stack.port('postgres')}/{database}")


def members(stack: ProductionStack) -> int:
    """Those whom Temporal's parts look for."""
    with connect(stack, "temporal", "temporal_password", "temporal") as database:
        found = database.execute("select count(*) from cluster_membership").fetchone()
    assert found
    return found[0]


def api_key(settings: Settings) -> str:
    engine = engine_of(settings.url_of_database)
    try:
        return api_keys.create(sessions_of(engine), "EHR", tuple(api_keys.Scope), datetime.now(UTC))
    finally:
        engine.dispose()


async def request(http: httpx.AsyncClient, prescriber_id: str) -> str:
    body = {"prescriber_id": prescriber_id, "kind": "hard"}
    answer = await http.post("/v1/token-requests", json=body, headers={"Idempotency-Key": "stack-1"})
    assert answer.status_code in (201, 202), answer.text
    return answer.json()["journey_id"]


async def to_shipped(handle: WorkflowHandle[Any, Any], clock: Clock) -> None:
    await handle.execute_update("process", {"operator": "Dana"})
    for _ in range(10):  # it began on the real clock: after the carrier's hours, before three days off
        if (await handle.query("status"))["status"] == "Shipped":
            return
        await clock.to(await clock.now() + timedelta(hours=12))
    raise AssertionError(await handle.query("status"))


async def to_active(handle: WorkflowHandle[Any, Any], clock: Clock, folder: Path) -> None:
    serial = (await handle.query("status"))["serial_number"]
    passcode = HardDevice(serial, folder).press(at=await clock.now())
    await handle.execute_update("enroll_hard", {"serial_number": serial, "passcode": passcode})
    await clock.to(await clock.now() + timedelta(minutes=10))
    assert (await handle.query("status"))["status"] == "Active"


async def the_ui_reads_what_the_server_can_not(stack: ProductionStack, client: Client, journey_id: str) -> None:
    async with httpx.AsyncClient(timeout=30) as http:
        page = await http.get(stack.info["ui"])
        assert page.status_code == 200
        settings = (await http.get(f"{stack.info['ui']}/api/v1/settings")).json()
        port = stack.port("gateway")
        assert settings["Codec"]["Endpoint"] == f"http://localhost:{port}/codec"
        assert not settings["DisableWriteActions"]
        assert not settings["WorkflowSignalDisabled"]
        history = await http.get(f"{stack.info['ui']}/api/v1/namespaces/default/workflows/{journey_id}/history")
        started = history.json()["history"]["events"][0]["workflowExecutionStartedEventAttributes"]
        assert "P-1001" not in json.dumps(started["input"])
        origin = f"http://localhost:{stack.port('ui')}"
        assert settings["Codec"]["IncludeCredentials"]
        decode = f"http://localhost:{port}/codec/decode"
        stranger = await http.post(decode, json=started["input"], headers={"Origin": origin})
        assert stranger.status_code == 401
        # As the browser of an operator does, who has signed in.
        own = {"Origin": f"http://localhost:{port}"}
        sign_in = f"http://localhost:{port}/ops/sign-in"
        await http.post(sign_in, data={"key": api_key(settings_of(stack))}, headers=own)
        decoded = await http.post(decode, json=started["input"], headers={"Origin": origin})
        assert decoded.headers["access-control-allow-origin"] == origin
        assert decoded.json()["payloads"][0]["metadata"]["encoding"]
    query = "TokenStatus = 'Active' AND PrescriberId = 'P-1001'"

    async def listed() -> list[str]:
        found = await client.workflow_service.list_workflow_executions(
            ListWorkflowExecutionsRequest(namespace="default", query=query)
        )
        return [one.execution.workflow_id for one in found.executions]

    assert await eventually(listed) == [journey_id]


async def the_dashboard_asks_for_what_there_is(stack: ProductionStack) -> None:
    """Each metric that the dashboard and the alerts name is one that is offered where Prometheus looks."""
    offered: set[str] = set()
    sources = [("gateway", 8080), ("temporal", 9090), ("worker-1", 9464), ("worker-2", 9464)]
    async with httpx.AsyncClient(timeout=30) as http:
        for name, port in sources:
            text = (await http.get(f"http://127.0.0.1:{stack.port(name, port)}/metrics")).text
            offered |= {_family(found) for found in re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)}
    dashboard = json.loads((ROOT / "deploy/grafana/dashboards/token-fulfillment.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    asked += re.findall(r"expr: (.+)", (ROOT / "deploy/prometheus/alerts.yml").read_text())
    named = {
        _family(name) for query in asked for name in re.findall(r"\b(?:tokens|temporal|gateway|service)_\w+", query)
    }
    assert len(named) > 8
    # What has not happened yet: a failed task, and an activity that had to wait for a worker.
    seldom = {"temporal_workflow_task_execution_failed", "temporal_activity_schedule_to_start_latency"}
    assert named - offered - seldom - {"service_name"} == set()


def _family(name: str) -> str:
    return re.sub(r"_(total|bucket|count|sum)$", "", name)


async def asked(http: httpx.AsyncClient, journey_id: str, status: str) -> bool:
    answer = await http.get(f"/v1/tokens/{journey_id}")
    return answer.status_code == 200 and answer.json()["status"] == status


async def known(handle: WorkflowHandle[Any, Any], status: str) -> bool:
    return (await handle.query("status"))["status"] == status


async def until(holds: Callable[[], Any]) -> None:
    for _ in range(300):
        try:
            if await holds():
                return
        except (httpx.HTTPError, RPCError):  # a server that has just come up still looks for its own parts
            pass
        await asyncio.sleep(0.2)
    raise AssertionError("it did not come to that")
