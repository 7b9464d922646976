"""The journeys of older releases go on under this one."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from settings import Settings
from tests.replay import golden
from tests.replay.replaying import replayer_for
from tests.replay.test_replay import replayer as replayer
from tests.replay.test_replay import replays
from tests.stage import Stage
from worker import WORKFLOWS
from workflows import token_journey
from workflows.stages import queue
from workflows.token_journey import TokenJourney

pytestmark = pytest.mark.slow


def test_there_are_histories_of_a_release() -> None:
    assert len(golden.kept()) > 20


async def test_a_changed_order_of_steps_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real workflow with one change that somebody might make: a pause before the queue."""

    async def hasty(journey: TokenJourney) -> None:
        await workflow.sleep(timedelta(minutes=1), summary="a breath before the queue")
        await queue.queue(journey)

    history = golden.read(golden.FOLDER / "0.1.0" / "at-every-step-of-the-ordinary-way-hard-6.json.gz")
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    unsandboxed = replayer_for(settings, runner=UnsandboxedWorkflowRunner())
    await unsandboxed.replay_workflow(history)
    monkeypatch.setattr(token_journey, "_STAGES", (hasty, *token_journey._STAGES[1:]))  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(workflow.NondeterminismError):
        await unsandboxed.replay_workflow(history)


async def test_a_recording_replays(
    stage: Stage, replayer: Replayer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    journey = await stage.request("soft")
    await journey.update("cancel", {})
    await journey.result()
    monkeypatch.setattr(golden, "FOLDER", tmp_path)
    monkeypatch.setenv(golden.RECORDING, "9.9.9")
    await replays(replayer, journey)
    [path] = golden.kept()
    assert path.name == "a-recording-replays-1.json.gz"
    assert golden.types("9.9.9") == {"TokenJourney"}
    kept = golden.read(path)
    assert kept.workflow_id == journey.id
    assert f"{os.getpid()}@" not in kept.to_json()
    await replayer.replay_workflow(kept)


@pytest.mark.parametrize("release", sorted({path.parent.name for path in golden.kept()} - {"0.1.0"}))
def test_every_type_of_workflow_is_recorded(release: str) -> None:
    """Release 0.1.0 had no `ProcessQueue` and no `ImportTokens`."""
    ours = {workflow._Definition.must_from_class(type_).name for type_ in WORKFLOWS}  # pyright: ignore[reportPrivateUsage]
    assert golden.types(release) == ours


@pytest.mark.parametrize("path", golden.kept(), ids=lambda path: f"{path.parent.name}-{path.name.split('.')[0]}")
async def test_it_replays(path: Path, replayer: Replayer) -> None:
    await replayer.replay_workflow(golden.read(path))
