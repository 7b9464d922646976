"""How long an ordinary journey's history is, in events and in bytes: what the server stores, replays and is asked for."""

import json
from collections import Counter

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import History, HistoryEvent

from tests.stage import Play, Stage

pytestmark = pytest.mark.slow

OF_THE_CLOCK = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIME_SKIPPING_TRANSITIONED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED,
}
"""The events by which a test moves a journey's clock; none that goes by the real one has them."""
MOST_EVENTS = {"hard": 64, "soft": 51}
MOST_BYTES = {"hard": 20_000, "soft": 14_500}
OWN = {"records.check_contact", "stock.take", "enrollment.verify_hard", "enrollment.link_soft"}
"""Steps on our own database, for which an answer may wait. Not the records: until the task is completed nobody but its worker knows of
the update, and where it dies the records would say what the journey has never done."""


@pytest.mark.parametrize("kind", ["hard", "soft"])
async def test_history_of_an_ordinary_journey_is_short(stage: Stage, kind: str) -> None:
    # Where the machine is busy a message may split a workflow task in two: that is not the journey's doing.
    for prescriber_id in ("P-1001", "P-1002", "P-1003", "P-1004"):
        events = await ordinary(stage, kind, prescriber_id)
        size = History(events=events).ByteSize()
        told = f"{kind}: {len(events)} events, {size} bytes\n{table(events)}\n{story(events)}"
        print(told)
        if len(events) <= MOST_EVENTS[kind] and size <= MOST_BYTES[kind]:
            return
    raise AssertionError(told)


async def ordinary(stage: Stage, kind: str, prescriber_id: str) -> list[HistoryEvent]:
    """What has happened to a journey until it was active."""
    journey = await stage.request(kind, prescriber_id, requested_by="the prescriber")
    await journey.wait(hours=1)
    await journey.process()
    if kind == "hard":
        await journey.wait(days=3)
        await journey.deliver()
    await journey.wait(hours=2)
    await journey.enroll()
    await journey.wait(minutes=10)
    assert (await journey.status())["status"] == "Active"
    return await events_of(journey)


@pytest.mark.parametrize("kind", ["hard", "soft"])
async def test_no_answer_waits_for_an_outside_party(stage: Stage, kind: str) -> None:
    """An answer leaves with its workflow task: what is done in that, it waits for. What comes after it is done, and once."""
    journey = await stage.request(kind)
    await calm(journey)
    await journey.update("edit", {"email": "elsewhere@example.com"})
    await calm(journey)
    await journey.process()
    await calm(journey)
    await journey.update("resend_activation", {})
    await calm(journey)
    if kind == "hard":
        await journey.deliver()
        await calm(journey)
    await journey.enroll()
    await journey.wait(minutes=10)
    await journey.update("deactivate", {"confirmed": True, "reason": "faulty", "in_possession": True})
    await journey.result()
    events = await events_of(journey)
    done = {task: {activity_of(each) for each in events if task_of(each) == task} for task in answered(events)}
    assert len(done) == 5
    assert set().union(*done.values()) - {""} <= OWN, story(events)
    letters = journey.letters()
    assert letters.count("request_changed") == letters.count("deactivated") == 1
    assert (
        len(stage.done("vendor", "provisionings", journey.id))
        == len(stage.done("vendor", "revocations", journey.id))
        == 1
    )


async def calm(journey: Play) -> None:
    """On a slow machine a message could come while a step of the one before still runs within its workflow task."""
    await journey.wait(seconds=5)
    await journey.status()


def answered(events: list[HistoryEvent]) -> list[int]:
    """The workflow tasks with which an answer has left."""
    kind = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED
    numbers = [event.event_id for event in events if event.event_type == kind]
    tasks = [event.event_id for event in events if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED]
    return [max(task for task in tasks if task < number) for number in numbers]


def activity_of(event: HistoryEvent) -> str:
    """The name of a local activity; empty for anything else."""
    if event.event_type != EventType.EVENT_TYPE_MARKER_RECORDED:
        return ""
    marker = event.marker_recorded_event_attributes
    if marker.marker_name != "core_local_activity":
        return ""
    return json.loads(marker.details["data"].payloads[0].data)["activity_type"]


async def events_of(journey: Play) -> list[HistoryEvent]:
    """Without what the moving of the clock adds: its own events, and a workflow task in which one of them arrived and nothing
    came of it."""
    history = await journey.handle.fetch_history()
    events = [event for event in history.events if event.event_type not in OF_THE_CLOCK]
    came_of = {task_of(event) for event in events}
    kept: list[HistoryEvent] = []
    for event in events:
        kept.append(event)
        if event.event_type != EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED or event.event_id in came_of:
            continue
        before = kept[-4].event_type if len(kept) > 3 else None
        if before == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED or (len(kept) > 3 and task_of(kept[-4])):
            del kept[-3:]  # nothing but the clock has woken it: before it stands what the task before it has commanded
    return kept


def task_of(event: HistoryEvent) -> int:
    """The workflow task that has commanded it; 0: it came from outside."""
    attributes = getattr(event, event.WhichOneof("attributes") or "", None)
    return getattr(attributes, "workflow_task_completed_event_id", 0)


def table(events: list[HistoryEvent]) -> str:
    """Events by type: how many, how many bytes."""
    count, size = Counter[str](), Counter[str]()
    for event in events:
        count[name_of(event)] += 1
        size[name_of(event)] += event.ByteSize()
    return "\n".join(f"{number:4} {size[name]:6} {name}" for name, number in count.most_common())


def story(events: list[HistoryEvent]) -> str:
    return "\n".join(
        f"{event.event_id:4} {event.event_time.ToJsonString()[11:23]} {event.ByteSize():5} {name_of(event)} {said(event)}"
        for event in events
    )


def name_of(event: HistoryEvent) -> str:
    return EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").lower()


def said(event: HistoryEvent) -> str:
    """What the step is, as far as it stands in plain text."""
    match event.WhichOneof("attributes"):
        case "activity_task_scheduled_event_attributes":
            return event.activity_task_scheduled_event_attributes.activity_type.name
        case "marker_recorded_event_attributes":
            return activity_of(event)
        case "upsert_workflow_search_attributes_event_attributes":
            fields = event.upsert_workflow_search_attributes_event_attributes.search_attributes.indexed_fields
            return ", ".join(fields)
        case _:
            return ""
