"""`ImportTokens`, replayed as a worker would that has just been started."""

from typing import Any

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.worker import Replayer

from simulators import batch
from tests.journeys.test_import import many, put, reading, slowly  # noqa: F401  # a fixture
from tests.replay.test_replay import replayer as replayer
from tests.replay.test_replay import replays
from tests.stage import Stage

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "body", [{}, {"file": "bad.csv"}, {"file": "bad.csv", "partial": True}, {"file": "nowhere"}, {"file": "../x"}]
)
async def test_each_ending(stage: Stage, replayer: Replayer, body: dict[str, Any]) -> None:
    put(stage, batch.oath_csv(many(3)))
    put(stage, batch.oath_csv(many(2)) + "X1,zz\n", "bad.csv")
    play = await stage.open("ImportTokens", {"file": "lot.csv", "imported_by": "Ann", **body})
    if str(body.get("file")) in ("nowhere", "../x"):
        await play.failed()
    else:
        await play.result()
    await replays(replayer, play)


@pytest.mark.usefixtures("slowly")
@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_long_one(stage: Stage, replayer: Replayer, cancelled: bool) -> None:
    """With looks at its progress in between."""
    put(stage, batch.oath_csv(many(40 if cancelled else 12)))  # it hears of its end after three seconds
    play = await stage.open("ImportTokens", {"file": "lot.csv", "imported_by": "Ann"})
    await reading(stage, play)
    await replays(replayer, play)
    if cancelled:
        await play.handle.cancel()
        with pytest.raises(WorkflowFailureError):
            await play.handle.result()
    else:
        await play.result()
    await replays(replayer, play)
