"""Every course that the histories of the tests before this one have taken is replayed; a change that breaks one breaks this."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import timedelta
from operator import attrgetter

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowFailureError, WorkflowHistory

from domain.peers import return_id
from settings import Settings
from tests.replay.replaying import replayer_for
from tests.stage import Stage, eventually
from worker import WORKFLOWS

pytestmark = pytest.mark.slow


@workflow.defn(name="TokenJourney", sandboxed=False)
class Changed:
    """A journey that begins with something else than the histories do."""

    @workflow.run
    async def run(self, _request: dict[str, str]) -> None:
        await workflow.sleep(timedelta(days=1))


def names() -> list[str]:
    """All types of workflows that this system has."""
    return [workflow._Definition.must_from_class(type_).name or "" for type_ in WORKFLOWS]  # pyright: ignore[reportPrivateUsage]


async def histories(client: Client) -> list[WorkflowHistory]:
    found = []
    ours = ", ".join(f"'{type_}'" for type_ in names())
    async for execution in client.list_workflows(f"WorkflowType in ({ours})"):
        handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
        if execution.task_queue.startswith("other-release"):
            continue  # begun by code that only tests/journeys/test_releases.py has
        history = await handle.fetch_history()
        if any(event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED for event in history.events):
            found.append(history)
    return found


def course(history: WorkflowHistory) -> tuple[tuple[str, ...], ...]:
    """What happened, in its order: of histories that took the same course one tells of all."""
    return tuple((EventType.Name(event.event_type), *_of_what(event)) for event in history.events)


def _of_what(event: HistoryEvent) -> Iterator[str]:
    """The names of the activity, signal, update or marker."""
    told = getattr(event, event.WhichOneof("attributes") or "")
    for name in ("activity_type.name", "signal_name", "marker_name", "accepted_request.input.name"):
        with suppress(AttributeError):
            yield attrgetter(name)(told)
    if event.event_type == EventType.EVENT_TYPE_MARKER_RECORDED and "data" in told.details:
        yield json.loads(told.details["data"].payloads[0].data)["activity_type"]


async def one_of_each(histories: list[WorkflowHistory]) -> AsyncIterator[WorkflowHistory]:
    for history in {course(each): each for each in histories}.values():
        yield history


def types(histories: list[WorkflowHistory]) -> set[str]:
    started = (history.events[0].workflow_execution_started_event_attributes for history in histories)
    return {each.workflow_type.name for each in started}


async def test_every_history_replays(apart: Stage, settings: Settings) -> None:
    stage = apart
    for kind, reason in (("hard", {"reason": "lost"}), ("soft", {})):
        journey = await stage.request(kind, "P-1002")
        await journey.reach("Active")
        replacement = await stage.open("ReplaceToken", {"journey_id": journey.id, "confirmed": True, **reason})
        await stage.peer((await replacement.result())["journey_id"])
    returned = await stage.request("hard", "P-1003")
    await returned.reach("Shipped")
    leaving = await stage.open("DeactivateAll", {"prescriber_id": "P-1003", "confirmed": True, "by": "Ann"})
    await leaving.result()
    await stage.peer(return_id(returned.id))
    await stage.request("soft", "P-1003")
    assert (await (await stage.open("ProcessQueue", {"operator": "Dana"})).result())["processed"] >= 1
    with pytest.raises(WorkflowFailureError):
        await (await stage.open("ImportTokens", {"file": "nowhere.csv", "imported_by": "Ann"})).handle.result()
    await (await stage.open("Reconcile", {"limit": 0})).handle.result()
    await (await stage.open("DailyDigest")).handle.result()
    assert "TOKENS_AUDIT_KEY" in await (await stage.open("AnchorAudit")).failed()
    replayer = replayer_for(settings)
    played = await eventually(lambda: histories(stage.client), lambda found: types(found) == set(names()))
    # By one worker: each of its own would cost as much again.
    await replayer.replay_workflows(one_of_each(played))


async def test_a_change_that_breaks_histories_is_caught(stage: Stage, settings: Settings) -> None:
    journey = await stage.request("soft")
    await journey.reach("Processed")

    replayer = replayer_for(settings, [Changed])
    with pytest.raises(workflow.NondeterminismError):
        await replayer.replay_workflow(await journey.handle.fetch_history())
