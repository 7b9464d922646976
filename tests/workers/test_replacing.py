"""One version of the workers is replaced by the next while journeys are on their way."""

import asyncio
import json

import pytest
from temporalio.api.enums.v1 import EventType

from database import audit
from starter.deployments import NotPromoted, promote
from tests.stage import Play, Stage
from tests.workers.processes import tokens as command
from tests.workers.processes import worker

pytestmark = pytest.mark.slow

DEPLOYMENT = {"TOKENS_DEPLOYMENT": "tokens"}


async def tokens(stage: Stage, *words: str) -> tuple[int, str]:
    return await command(stage, "workers", *words, **DEPLOYMENT)


async def builds_of(play: Play) -> list[str]:
    """The builds that did the run's workflow tasks, in their order, each once in a row."""
    built: list[str] = []
    for event in (await play.handle.fetch_history()).events:
        assert event.event_type != EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED, event
        if event.HasField("workflow_task_completed_event_attributes"):
            build = event.workflow_task_completed_event_attributes.deployment_version.build_id
            if built[-1:] != [build]:
                built.append(build)
    return built


async def test_journeys_go_on_under_the_next_version(stage: Stage) -> None:
    async with worker(stage, "first", **DEPLOYMENT, TOKENS_BUILD_ID="1") as first:
        await promote(stage.client, "tokens", "1", wait=60)
        started = [await stage.request("hard", f"P-10{number:02}") for number in range(1, 5)]
        waiting, shipped, active, lost = started
        await shipped.reach("Shipped")
        await active.reach("Active")
        await lost.reach("Active")
        async with worker(stage, "second", **DEPLOYMENT, TOKENS_BUILD_ID="2") as second:
            before = await stage.request("soft", "P-1001")
            await before.process()
            assert await builds_of(before) == ["1"]  # the next version is there, and is given nothing yet
            with pytest.raises(NotPromoted, match="No worker of build 3 polls for the deployment tokens"):
                await promote(stage.client, "tokens", "3", wait=0)
            order = {"journey_id": lost.id, "reason": "lost", "confirmed": True, "requested_by": "Ann"}
            asking = asyncio.create_task(under_way(stage, 5))
            assert await tokens(stage, "promote", "--build", "2") == (0, "Build 2 takes the tasks.")
            replacement = await stage.open("ReplaceToken", order)
            first.terminate()
            result = await replacement.result()
            assert await first.ended() == 0
            meanwhile = await asking
            listed = json.loads((await tokens(stage, "list", "--json"))[1])
            assert [(each["build_id"], each["stands"]) for each in listed][:1] == [("2", "current")]
            assert listed[1]["build_id"] == "1"
            assert listed[1]["stands"] in ("draining", "drained")
            # Those that were on their way go on to their ends.
            await waiting.process()
            await shipped.deliver()
            await shipped.enroll()
            await shipped.wait(minutes=10)
            await active.update("deactivate", {"confirmed": True, "reason": "faulty", "in_possession": True})
            await active.result()
            back = await stage.peer(f"return-{active.id}")
            assert (await shipped.status())["status"] == "Active"
            assert result["journey_id"]
            for play in (*started, before):
                assert (await builds_of(play))[0] == "1"
            for play in (waiting, shipped, active, lost):
                assert await builds_of(play) == ["1", "2"]
            assert (await builds_of(back)) == ["2"]
            for play in meanwhile:
                assert await builds_of(play) in (["1"], ["1", "2"], ["2"])
                assert (await play.status())["status"] == "Processed"
            assert second.process.returncode is None
        ids = [message["Message-ID"] for message in stage.mailbox.messages()]
        assert len(ids) == len(set(ids))
        with stage.sessions() as session:
            assert audit.verify(session)[1] == []


async def under_way(stage: Stage, requests: int) -> list[Play]:
    """Requests that come in, and are processed, while the workers change."""
    plays = []
    for number in range(requests):
        play = await stage.request("soft", f"P-10{number + 10:02}")
        await play.process()
        plays.append(play)
    return plays
