"""The Surescripts timer: up to an hour, and what happens beyond it."""

import pytest
from temporalio.api.enums.v1 import EventType

from activities.records import Records
from tests.stage import Play, Stage
from workflows.search_attributes import NEEDS_ATTENTION

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", ["hard", "soft"])
async def test_synced_within_the_hour(stage: Stage, kind: str) -> None:
    journey = await stage.request(kind)
    await journey.reach("Delivered" if kind == "hard" else "Processed")
    stage.polls_until_synced(None)  # a slow machine asks again where an answer took too long
    await journey.enroll()
    await journey.wait(minutes=55)
    assert (await journey.status())["status"] == "Syncing"
    stage.polls_until_synced(1)
    await journey.wait(minutes=4)
    snapshot = await journey.status()
    assert snapshot["status"] == "Active"
    assert snapshot["promises"][-1]["broken"] is None
    assert "sync_late" not in journey.letters()


async def test_synced_after_the_hour(stage: Stage) -> None:
    journey = await stage.request("soft")
    await journey.reach("Processed")
    stage.polls_until_synced(None)
    await journey.enroll()
    await journey.wait(minutes=59)
    assert "sync_late" not in journey.letters()
    await journey.wait(minutes=2)
    assert sorted(journey.letters()[-2:]) == ["sync_late", "team_sync_late"]
    snapshot = await journey.status()
    assert snapshot["status"] == "Syncing"
    assert snapshot["needs_attention"] == "not synced with Surescripts within 60 minutes"
    assert (await journey.handle.describe()).typed_search_attributes.get(NEEDS_ATTENTION) is True
    stage.polls_until_synced(1)
    await journey.wait(minutes=16)
    snapshot = await journey.status()
    assert snapshot["status"] == "Active"
    assert snapshot["needs_attention"] is None
    assert snapshot["promises"][-1]["broken"]
    assert snapshot["promises"][-1]["met_at"]
    assert journey.letters()[-1] == "active"


async def test_letters_say_the_promise_that_the_policy_makes(stage: Stage) -> None:
    [records] = (owner for owner in stage.dependencies._owners if isinstance(owner, Records))
    records._policy = stage.settings.policy.model_copy(update={"sync_promise_minutes": 45})
    journey = await stage.request("hard")
    await journey.reach("Delivered")
    assert journey.letters().count("delivered") == 1
    assert "up to 45 minutes" in " ".join(journey.said("delivered").split())


async def events(journey: Play) -> int:
    """The length of the history without what the skipping of time adds to it."""
    history = [event.event_type async for event in journey.handle.fetch_history_events()]
    return len(history) - history.count(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIME_SKIPPING_TRANSITIONED)


async def test_asking_for_hours_does_not_grow_the_history(stage: Stage) -> None:
    journey = await stage.request("soft")
    await journey.reach("Processed")
    stage.polls_until_synced(None)
    await journey.enroll()
    await journey.wait(minutes=61)
    before = await events(journey)
    await journey.wait(hours=12)
    assert await events(journey) - before <= 3
    stage.http.put(f"{stage.theatre.directory.url}/simulate/synced/{journey.id}").raise_for_status()
    await journey.wait(minutes=16)
    assert (await journey.status())["status"] == "Active"


async def test_directory_down_for_two_hours(stage: Stage) -> None:
    journey = await stage.request("soft")
    await journey.reach("Processed")
    stage.fault("directory", kind="error")
    await journey.enroll()
    await journey.wait(hours=2)
    assert (await journey.status())["status"] == "Syncing"
    assert "sync_late" in journey.letters()
    stage.clear_faults()
    await journey.wait(hours=1)
    assert (await journey.status())["status"] == "Active"
    assert len(stage.done("directory", "enrollments", journey.id)) == 1


async def test_a_directory_that_refuses_costs_no_word_of_the_hour(stage: Stage) -> None:
    """A person is called at once, and the hour runs out on time, although the directory is asked again only after it."""
    journey = await stage.request("soft")
    await journey.reach("Processed")
    stage.fault("directory", kind="refuse", method="PUT")
    await journey.enroll()
    await journey.wait(minutes=59)
    assert "refused with status 422" in (await journey.status())["needs_attention"]
    assert "sync_late" not in journey.letters()
    await journey.wait(minutes=2)
    assert journey.letters().count("sync_late") == journey.letters().count("team_sync_late") == 1
    stage.clear_faults()
    await journey.wait(hours=2)
    snapshot = await journey.status()
    assert snapshot["status"] == "Active"
    assert snapshot["needs_attention"] is None
    assert journey.letters().count("sync_late") == journey.letters().count("team_sync_late") == 1


async def test_cancelled_while_syncing(stage: Stage) -> None:
    journey = await stage.request("soft")
    await journey.reach("Syncing")
    await journey.update("cancel", {"reason": "wrong phone"})
    assert (await journey.result())["status"] == "Cancelled"
    assert len(stage.done("directory", "revocations", journey.id)) == 1
    assert len(stage.done("vendor", "revocations", journey.id)) == 1
