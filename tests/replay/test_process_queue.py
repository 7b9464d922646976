"""Runs of `ProcessQueue` and journeys around them, each replayed as a worker would that has just been started."""

import asyncio
import signal
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from temporalio import workflow
from temporalio.worker import Replayer

from activities import peers
from activities.queue import Queue
from settings import Settings
from tests.conftest import temporal_server
from tests.journeys.test_replacement_crashes import process as worker_process
from tests.replay import golden
from tests.replay.test_replay import replayer as replayer
from tests.replay.test_replay import replays
from tests.stage import TUESDAY, Play, Stage, Theatre, eventually
from worker import worker_for

pytestmark = pytest.mark.slow


async def in_line(stage: Stage, requests: int, kind: str = "hard") -> list[Play]:
    return [
        await stage.request(kind, f"P-10{number + 1:02}", at=TUESDAY + timedelta(minutes=number))
        for number in range(requests)
    ]


async def replays_each(stage: Stage, replayer: Replayer, workflow_id: str, at_least: int) -> list[str]:
    """Each run of it. They are listed an instant after they have ended."""

    async def listed() -> list[str]:
        return [run.run_id async for run in stage.client.list_workflows(f"WorkflowId = '{workflow_id}'")]

    runs = await eventually(listed, lambda runs: len(runs) >= at_least)
    for run in runs:
        history = await stage.client.get_workflow_handle(workflow_id, run_id=run).fetch_history()
        await replayer.replay_workflow(history)
        golden.keep(history)
    return runs


async def test_every_outcome(stage: Stage, replayer: Replayer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "_ANSWER_WITHIN", 0.3)
    own, elsewhere = stage.task_queue, f"{stage.task_queue}-elsewhere"
    async with worker_for(stage.client, stage.dependencies, stage.theatre.threads, task_queue=elsewhere):
        stage.task_queue = elsewhere
        await stage.request("hard", "P-1010", at=TUESDAY - timedelta(days=1))
    stage.task_queue = own
    cancelled, _, third, fourth = await in_line(stage, 4)
    soft = await stage.request("soft", "P-1001", at=TUESDAY + timedelta(days=1))
    await cancelled.update("cancel", {})
    await cancelled.result()
    with stage.sessions.begin() as session:
        session.execute(text("update journeys set status = 'Requested'"))
        session.execute(
            text(
                "update tokens set state = 'destroyed' where serial_number not in "
                "(select serial_number from tokens order by serial_number limit 1)"
            )
        )
    queue = await stage.open("ProcessQueue", {"operator": "Dana"})
    report = await queue.result()
    assert [each["outcome"] for each in report["outcomes"]] == [
        *("unanswered", "refused", "processed", "refused", "refused", "processed")
    ]
    await replays(replayer, queue)
    for journey in (third, fourth, soft):
        await replays(replayer, journey)


async def test_database_and_journeys_fail_a_few_times(
    stage: Stage, replayer: Replayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([OSError("the database is away")] * 3)
    journeys = await in_line(stage, 2)
    queue_of = stage.dependencies.sessions

    class Failing:
        """Sessions that can't be had three times."""

        def __call__(self) -> object:
            for failure in failures:
                raise failure
            return queue_of()

    [owner] = [owner for owner in stage.dependencies._owners if isinstance(owner, Queue)]
    monkeypatch.setattr(owner, "_sessions", Failing())
    queue = await stage.open("ProcessQueue", {"operator": "Dana"})
    report = await queue.result()
    assert [each["journey_id"] for each in report["outcomes"]] == [journey.id for journey in journeys]
    await replays(replayer, queue)


async def test_cancelled_in_temporal(stage: Stage, replayer: Replayer) -> None:
    await in_line(stage, 3)
    await stage.stop_worker()
    queue = await stage.open("ProcessQueue", {"operator": "Dana"})
    await queue.handle.cancel()
    async with worker_for(stage.client, stage.dependencies, stage.theatre.threads, task_queue=stage.task_queue):
        with pytest.raises(Exception, match="Workflow execution failed") as failure:
            await queue.result()
    assert type(failure.value.__cause__).__name__ == "CancelledError"
    await replays(replayer, queue)


@pytest.mark.parametrize("bodies", [(), ("text",), (b"\xff",), ({"operator": "Dana", "limit": 0},)], ids=repr)
async def test_a_refused_start(stage: Stage, replayer: Replayer, bodies: tuple[object, ...]) -> None:
    queue = await stage.open("ProcessQueue", *bodies)
    await queue.failed()
    await replays(replayer, queue)


async def test_killed_in_the_middle_each_is_processed_once(stage: Stage, replayer: Replayer) -> None:
    """The worker dies when a journey is processed and the run does not know it yet."""
    journeys = await in_line(stage, 3)
    await stage.stop_worker()
    queue = await stage.open("ProcessQueue", {"operator": "Dana"})
    first = await worker_process(stage, "peers.process", "after")
    assert await asyncio.wait_for(first.wait(), 60) == -signal.SIGKILL
    second = await worker_process(stage, "peers.process", "after")
    try:
        report = await asyncio.wait_for(queue.handle.result(), 120)
    finally:
        second.kill()
        await second.wait()
    assert [(each["journey_id"], each["outcome"]) for each in report["outcomes"]] == [
        (journey.id, "processed") for journey in journeys
    ]
    assert all(each["serial_number"] for each in report["outcomes"])
    held = stage.rows("select serial_number from tokens where journey_id is not null order by serial_number")
    assert held == sorted((each["serial_number"],) for each in report["outcomes"])
    await replays(replayer, queue)


@pytest.fixture
async def short(settings: Settings, theatre: Theatre, tmp_path: Path) -> AsyncIterator[Stage]:
    """On a server that finds a history long from 20 events on."""
    flags = ("--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=20")
    async with temporal_server(settings, *flags) as client, Stage(client, theatre, tmp_path) as stage:
        yield stage


async def test_a_long_queue_continues_as_new(short: Stage, replayer: Replayer) -> None:
    journeys = await in_line(short, 9)
    queue = await short.open("ProcessQueue", {"operator": "Dana", "limit": 8})
    first_run = queue.handle.first_execution_run_id
    report = await queue.result()
    assert (report["to_do"], report["left"], report["processed"]) == (8, 1, 8)
    assert [each["journey_id"] for each in report["outcomes"]] == [journey.id for journey in journeys[:8]]
    assert first_run in await replays_each(short, replayer, queue.id, at_least=3)


async def test_an_active_journey_continues_as_new(short: Stage, replayer: Replayer) -> None:
    journey = await short.request("soft", "P-1002")
    await journey.reach("Active")
    await journey.update("deactivate", {"confirmed": True})
    assert (await journey.result())["status"] == "Deactivated"
    await replays_each(short, replayer, journey.id, at_least=2)


@pytest.mark.skipif(golden.recording(), reason="plays an older release")
async def test_histories_from_before_the_stock_was_watched(
    stage: Stage, replayer: Replayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(workflow, "patched", lambda _name: False)
        journey = await stage.request("hard")
        await journey.process()
    history = await journey.handle.fetch_history()
    assert b"stock.watch" not in b"".join(event.SerializeToString() for event in history.events)
    assert b"stock.allocate" in b"".join(event.SerializeToString() for event in history.events)
    await replays(replayer, journey)
    since = await stage.request("hard", "P-1002")
    await since.process()
    history = await since.handle.fetch_history()
    assert b"stock.take" in b"".join(event.SerializeToString() for event in history.events)
    await replays(replayer, since)
