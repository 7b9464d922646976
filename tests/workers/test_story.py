"""Worker and gateway as processes, through one journey with faults in it: what they log, measure and trace of it, and how the
worker goes."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from temporalio.api.enums.v1 import PendingActivityState

from database.tables import Practice, Prescriber
from starter import api_keys
from tests.gateway.api import System, request, token
from tests.replay.replaying import replayer_for
from tests.stage import Play, Stage
from tests.workers.collector import Collector
from tests.workers.processes import Process, running, until, worker

pytestmark = pytest.mark.slow

EDITED = {
    "email": "secret.inbox@private-clinic.example",
    "shipping_address": {
        "name": "Dr. Zebedee Quux",
        "street1": "771 Hidden Hollow Rd",
        "city": "Albany",
        "state": "NY",
        "postal_code": "12207",
    },
}
WRONG_PASSCODE = "918273"
IN_THE_OPEN = re.compile(rf"(?<![\w.]){WRONG_PASSCODE}(?!\w)")
"""By itself: a trace's id, or the microseconds of a time, may have the same six digits by chance."""
LINK = re.compile(r"/activate/([\w-]{20,})")


def figures(page: str) -> dict[str, float]:
    return {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in page.splitlines()
        if line and not line.startswith("#")
    }


def told_of(stage: Stage, prescriber_id: str) -> set[str]:
    """What is known of the person, and what opens anything."""
    with stage.sessions() as session:
        person = session.scalars(select(Prescriber).where(Prescriber.prescriber_id == prescriber_id)).one()
        practice = session.get_one(Practice, person.practice_id)
    links = {
        link for mail in stage.mailbox.messages() for link in LINK.findall(mail.as_bytes(policy=mail.policy).decode())
    }
    assert links
    keys = [
        key.get_secret_value() for key in (*stage.settings.payload_keys.values(), *stage.settings.seal_keys.values())
    ]
    address, edited = person.address, EDITED["shipping_address"]
    return {
        *(person.name, person.email, person.npi, person.dea_number, address["street1"], address["name"], practice.name),
        *(EDITED["email"], edited["name"], edited["street1"], "private-clinic", "Quux"),
        *(stage.settings.pin_pepper.get_secret_value(), *keys, *links),
    }


async def test_logs_metrics_traces_and_a_drain(stage: Stage) -> None:
    with Collector() as collector:
        loud = {"TOKENS_LOG_LEVEL": "DEBUG", "TOKENS_LOG_FORMAT": "json", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        async with (
            worker(stage, TOKENS_METRICS_PORT="0", TOKENS_PARTY_TIMEOUT_SECONDS="10", **loud) as working,
            running(stage, "gateway", "starter.gateway", "--port", "0", **loud) as gateway,
            httpx.AsyncClient(timeout=30) as http,
        ):
            url = json.loads(await working.says('"ready"'))["url"]
            assert (await http.get(f"{url}/healthz")).status_code == 200
            assert (await http.get(f"{url}/readyz")).json() == {"status": "ready"}
            base = (await gateway.says("ready http")).split()[1]
            key = api_keys.create(stage.sessions, "EHR", tuple(api_keys.Scope), datetime.now(UTC))
            async with System(base, key) as ehr:
                journey = await played(stage, ehr)
            page = figures((await http.get(f"{url}/metrics")).text)
            shown = figures((await http.get(f"{base}/metrics")).text)
            await drained(journey, working, url, http)
            gateway.terminate()
            await gateway.ended()

        said = working.said + gateway.said
        for secret in told_of(stage, "P-1001"):
            assert secret not in said, secret
        assert not IN_THE_OPEN.search(said)
        lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
        check_lines(lines, journey.id)
        check_figures(page, shown)
        check_spans(collector, journey.id, {*told_of(stage, "P-1001"), WRONG_PASSCODE})
        # Traces travel in headers only: what was made with them replays without.
        history = await journey.handle.fetch_history()
        assert b"_tracer-data" in b"".join(event.SerializeToString() for event in history.events)
        await replayer_for(stage.settings).replay_workflow(history)


async def played(stage: Stage, ehr: System) -> Play:
    """A soft and a hard request; the hard one through a vendor, a mail server and a directory that fail, to Active."""
    asked = {"prescriber_id": "P-1001", "kind": "soft"}
    assert (await ehr.once("/v1/token-requests", asked)).status_code == 201
    answer = await ehr.once("/v1/token-requests", {"prescriber_id": "P-1001", "kind": "hard"})
    assert answer.status_code == 201, answer.text
    journey_id = answer.json()["journey_id"]
    journey = Play(stage, stage.client.get_workflow_handle(journey_id), datetime.now(UTC))
    edition = {"If-Match": (await ehr.get(request(journey_id))).headers["ETag"]}
    refused = {"email": "not an email of Quux", "shipping_address": {**EDITED["shipping_address"], "state": "ZZ"}}
    assert (await ehr.patch(request(journey_id), json=refused, headers=edition)).status_code == 409
    assert (await ehr.patch(request(journey_id), json=EDITED, headers=edition)).status_code == 200
    stage.fault("vendor", kind="error", times=2)
    stage.fault("vendor", kind="refuse", times=1)
    stage.mailbox.fault("tempfail", times=2)
    stage.mailbox.fault("refuse", recipient="private-clinic", times=1)
    await journey.process()
    await journey.wait(hours=2)
    while (await journey.status())["status"] == "Processed":  # begun on the real clock: after the cut-off, on a holiday
        await journey.wait(days=1)
    await journey.deliver()
    serial = (await journey.status())["serial_number"]
    await journey.refused("enroll_hard", {"serial_number": serial, "passcode": WRONG_PASSCODE})
    stage.fault("directory", kind="error", times=2)
    await journey.enroll()
    await journey.wait(minutes=20)
    assert (await journey.status())["status"] == "Active"
    assert (await ehr.get(token(journey_id))).status_code == 200
    return journey


async def drained(journey: Play, working: Process, url: str, http: httpx.AsyncClient) -> None:
    """The worker is told to end in the middle of a revocation: it is not ready any more, ends the attempt, and goes."""
    stage = journey.stage
    stage.fault("vendor", kind="latency", seconds=4, path="revoc", times=1)
    await journey.update("deactivate", {"confirmed": True, "reason": "faulty"})

    async def revoking() -> bool:
        pending = (await journey.handle.describe()).raw_description.pending_activities
        return any(
            each.activity_type.name == "vendor.revoke"
            and each.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
            for each in pending
        )

    await until(revoking)
    working.terminate()
    await working.says('"draining"')
    assert (await http.get(f"{url}/readyz")).status_code == 503
    assert (await http.get(f"{url}/healthz")).status_code == 200
    assert await working.ended() == 0
    assert len(stage.done("vendor", "revocations", journey.id)) == 1
    attempts = await attempts_of(journey, "vendor.revoke")
    assert attempts == [(1, True)]


async def attempts_of(journey: Play, name: str) -> list[tuple[int, bool]]:
    """For each activity of that type: at which attempt it was taken up last, and whether it is completed."""
    events = (await journey.handle.fetch_history()).events
    completed = {
        event.activity_task_completed_event_attributes.scheduled_event_id
        for event in events
        if event.HasField("activity_task_completed_event_attributes")
    }
    scheduled = {
        event.event_id for event in events if event.activity_task_scheduled_event_attributes.activity_type.name == name
    }
    started = [event.activity_task_started_event_attributes for event in events]
    return [
        (each.attempt, each.scheduled_event_id in completed) for each in started if each.scheduled_event_id in scheduled
    ]


def check_lines(lines: list[dict[str, Any]], journey_id: str) -> None:
    ours = [line for line in lines if line.get("journey_id") == journey_id]
    done = {line["activity"] for line in ours if line["event"] == "done"}
    assert {"records.admit", "records.write", "vendor.provision", "mail.send", "directory.sync"} <= done
    faults = {line["fault"] for line in ours if "fault" in line}
    assert any(fault.startswith("ApplicationError (Unavailable: the vendor answered 503)") for fault in faults), faults
    assert any("MailNotTaken" in fault for fault in faults), faults
    assert "ApplicationError (NeedsPerson)" in faults
    answered = {(line["method"], line["route"], line["status"]) for line in ours if line["event"] == "answered"}
    assert ("PATCH", "/v1/token-requests/{journey_id}", 409) in answered
    assert all(line["trace_id"] for line in ours if line["event"] in ("done", "answered"))
    assert {line["level"] for line in lines} >= {"info", "warning"}


def check_figures(worker_page: dict[str, float], gateway_page: dict[str, float]) -> None:
    assert worker_page['tokens_promises_total{kept="yes",what="processed in time"}'] == 1
    assert worker_page['tokens_promises_total{kept="yes",what="active in time after enrolment"}'] == 1
    assert worker_page["tokens_sync_seconds_count"] == 1
    assert 0 < worker_page["tokens_sync_seconds_sum"] <= 1200
    assert worker_page['tokens_emails_total{letter="team_request_waiting",outcome="sent"}'] == 2
    emails = {name: count for name, count in worker_page.items() if name.startswith("tokens_emails_total")}
    assert any('outcome="not taken"' in name for name in emails)
    assert any('outcome="refused"' in name for name in emails)
    assert worker_page['tokens_failures_total{kind="failed",party="vendor"}'] >= 2
    assert worker_page['tokens_failures_total{kind="refused",party="vendor"}'] == 1
    assert worker_page['tokens_failures_total{kind="failed",party="mail"}'] >= 1
    assert worker_page['tokens_failures_total{kind="failed",party="directory"}'] >= 2
    assert any(name.startswith("temporal_activity_execution_latency_seconds_count") for name in worker_page)
    assert any(name.startswith("temporal_sticky_cache_size") for name in worker_page)
    for page in (worker_page, gateway_page):
        assert page['tokens_queue_age_seconds{kind="soft"}'] > 0
        assert page['tokens_queue_age_seconds{kind="hard"}'] == 0
        assert page['tokens_journeys{kind="hard",status="Active"}'] == 1
        assert page['tokens_in_stock{kind="hard"}'] > 10
    assert gateway_page['gateway_requests_total{method="POST",route="/v1/token-requests",status="201"}'] == 2


def check_spans(collector: Collector, journey_id: str, secrets: set[str]) -> None:
    sent = b"".join(request.SerializeToString() for request in collector.requests)
    for secret in secrets:
        assert secret.encode() not in sent, secret
    ours = [
        span
        for span in collector.spans.values()
        if any(each.key == "temporalWorkflowID" and each.value.string_value == journey_id for each in span.attributes)
    ]
    ways = [collector.way_to(span) for span in ours]
    # The workflow's own steps stand side by side: it has no time of its own that a span could last.
    assert [
        *("POST /v1/token-requests", "StartWorkflow:TokenJourney"),
        *("StartActivity:vendor.provision", "RunActivity:vendor.provision"),
    ] in ways
    # What came later is linked with what it came from.
    spans = collector.spans
    links = [link for span in ours if span.name == "HandleUpdate:edit" for link in span.links]
    assert [collector.way_to(spans[link.span_id]) for link in links] == 2 * [
        ["PATCH /v1/token-requests/{journey_id}", "StartWorkflowUpdate:edit"]
    ]
