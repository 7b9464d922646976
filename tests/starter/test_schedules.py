"""What runs by itself, on the real server."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import ValidationError
from temporalio.client import Client, ScheduleDescription
from temporalio.service import RPCError, RPCStatusCode

from settings import Settings
from starter import schedules
from tests.stage import Stage

EVERY = "TOKENS_PROCESS_QUEUE_EVERY"


def every(settings: Settings, pace: Any) -> Settings:
    never = {"reconcile_every": None, "daily_digest_every": None, "audit_anchor_every": None}
    return settings.model_copy(update={**never, "process_queue_every": pace})


@pytest.fixture
async def client(temporal: Client, settings: Settings) -> AsyncIterator[Client]:
    yield temporal
    await schedules.arrange(temporal, every(settings, None))


async def described(client: Client) -> ScheduleDescription | None:
    try:
        return await client.get_schedule_handle(schedules.PROCESS_QUEUE).describe()
    except RPCError as fault:
        assert fault.status is RPCStatusCode.NOT_FOUND
        return None


async def test_made_changed_and_removed_as_the_settings_say(client: Client, settings: Settings) -> None:
    assert settings.process_queue_every is None
    by_default = (schedules.RECONCILE, schedules.DAILY_DIGEST, schedules.ANCHOR_AUDIT)
    assert set(schedules.wanted(settings)) == {*by_default}
    await schedules.arrange(client, settings)
    assert await described(client) is None
    for schedule_id in by_default:
        found = await client.get_schedule_handle(schedule_id).describe()
        zone = found.schedule.spec.time_zone_name
        assert (zone, found.schedule.spec.intervals) == ("America/New_York", [])

    for _ in range(2):
        await schedules.arrange(client, every(settings, "15"))
        found = await described(client)
        assert found is not None
        assert [interval.every.total_seconds() for interval in found.schedule.spec.intervals] == [900]

    # The team has paused it in the UI: so it stays, whatever else is changed.
    await client.get_schedule_handle(schedules.PROCESS_QUEUE).pause()
    await schedules.arrange(client, every(settings, "0 9-16 * * MON-FRI"))
    found = await described(client)
    assert found is not None
    assert found.schedule.state.paused
    assert found.schedule.spec.intervals == []
    # The server keeps cron as a calendar. New York's nine in the morning is 14:00 or 13:00 UTC.
    assert {at.hour for at in found.info.next_action_times} <= set(range(13, 22))

    for _ in range(2):
        await schedules.arrange(client, every(settings, None))
        assert await described(client) is None


async def test_it_processes_what_waits(client: Client, stage: Stage) -> None:
    journey = await stage.request("soft", "P-1001")
    await schedules.arrange(client, every(stage.settings, "10080"), stage.task_queue)
    await client.get_schedule_handle(schedules.PROCESS_QUEUE).trigger()
    for _ in range(200):
        if (await journey.status())["status"] == "Processed":
            break
        await asyncio.sleep(0.05)
    [line] = [line for line in (await journey.status())["timeline"] if line["what"] == "processed"]
    assert line["by"] == "schedule"
    found = await described(client)
    assert found is not None
    started = found.info.recent_actions[0].action
    report = await client.get_workflow_handle(started.workflow_id).result()  # type: ignore[union-attr]
    assert report["outcomes"][0]["journey_id"] == journey.id


async def test_a_pace_that_only_the_server_can_refuse(client: Client, settings: Settings) -> None:
    with pytest.raises(schedules.NotArranged, match=f"can't be made: .*; correct {EVERY}"):
        await schedules.arrange(client, every(settings, "99 * * * *"))
    assert await described(client) is None


@pytest.mark.parametrize(
    ("given", "kept"), [("", None), ("0", None), ("15", "15"), (" 5 ", "5"), ("*/10 8-17 * * 1-5", "*/10 8-17 * * 1-5")]
)
def test_paces_that_are_taken(monkeypatch: pytest.MonkeyPatch, given: str, kept: str | None) -> None:
    monkeypatch.setenv(EVERY, given)
    assert Settings(_env_file=None).process_queue_every == kept  # type: ignore[call-arg]


@pytest.mark.parametrize("given", ["often", "-5", "1.5", "10081", "* * * *", "* * * * * *", "@hourly", "0 9\n* * MON"])
def test_paces_that_are_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv(EVERY, given)
    with pytest.raises(ValidationError, match="write it as minutes, such as 15, or as cron's five fields"):
        Settings(_env_file=None)  # type: ignore[call-arg]
