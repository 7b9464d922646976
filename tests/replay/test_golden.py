"""The journeys of older releases go on under this one."""

from pathlib import Path

import pytest
from temporalio.worker import Replayer

from tests.replay import golden
from tests.replay.test_replay import replayer as replayer

pytestmark = pytest.mark.slow


def test_there_are_histories_of_a_release() -> None:
    assert len(golden.kept()) > 20


@pytest.mark.parametrize("path", golden.kept(), ids=lambda path: f"{path.parent.name}-{path.name.split('.')[0]}")
async def test_it_replays(path: Path, replayer: Replayer) -> None:
    await replayer.replay_workflow(golden.read(path))
