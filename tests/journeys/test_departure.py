"""A prescriber who leaves: all of the person's tokens end, each with its own outcome."""

import asyncio
from typing import Any

import pytest
from temporalio.api.sdk.v1 import WorkflowMetadata

from activities import peers
from domain.peers import incident_id, return_id
from tests.stage import Stage
from worker import worker_for
from workflows import search_attributes as attributes

pytestmark = pytest.mark.slow

ORDER = {"prescriber_id": "P-1002", "reason": "no_longer_needed", "confirmed": True, "by": "Ann"}


async def outcomes(stage: Stage, **body: Any) -> dict[str, str]:
    result = await (await stage.open("DeactivateAll", {**ORDER, **body})).result()
    return {ended["journey_id"]: ended["outcome"] for ended in result["outcomes"]}


async def test_an_active_and_a_requested_one(stage: Stage) -> None:
    hard = await stage.request("hard", "P-1002")
    await hard.reach("Active")
    soft = await stage.request("soft", "P-1002")
    bystander = await stage.request("hard", "P-1003")
    assert await outcomes(stage) == {hard.id: "deactivated", soft.id: "cancelled"}
    assert (await hard.result())["detail"] == "deactivated: no longer needed"
    assert (await soft.result())["status"] == "Cancelled"
    assert not await hard.signs()
    # The device is asked back.
    await stage.peer(return_id(hard.id))
    assert (await bystander.status())["status"] == "Requested"
    # Again, there is nothing left to do.
    assert await outcomes(stage) == {}


@pytest.mark.parametrize("status", ["Requested", "Shipped", "Delivered", "Syncing"])
async def test_whatever_it_is_at(stage: Stage, status: str) -> None:
    hard = await stage.request("hard", "P-1002")
    await hard.reach(status)
    assert await outcomes(stage) == {hard.id: "cancelled"}
    await hard.result()
    assert await stage.exists(return_id(hard.id)) == (status != "Requested")


async def test_stolen_ones_are_incidents_and_not_asked_back(stage: Stage) -> None:
    hard = await stage.request("hard", "P-1002")
    await hard.reach("Active")
    assert await outcomes(stage, reason="stolen") == {hard.id: "deactivated"}
    await hard.result()
    await stage.peer(incident_id(hard.id))
    assert not await stage.exists(return_id(hard.id))


async def test_a_stolen_one_that_was_not_active_yet_is_one_too(stage: Stage) -> None:
    hard = await stage.request("hard", "P-1002")
    await hard.reach("Delivered")
    assert await outcomes(stage, reason="stolen") == {hard.id: "cancelled"}
    await hard.result()
    await stage.peer(incident_id(hard.id))
    assert not await stage.exists(return_id(hard.id))
    assert "request_cancelled" in hard.letters()
    assert "cancelled_return" not in hard.letters()
    # The word alone is enough, where somebody cancels; before there is a token, there is none to lose.
    again = await stage.request("hard", "P-1002")
    await again.update("cancel", {"reason": "Lost"})
    await again.result()
    assert not await stage.exists(incident_id(again.id))


async def test_a_journey_that_does_not_answer_keeps_no_other_token_alive(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "_ANSWER_WITHIN", 0.3)
    own, elsewhere = stage.task_queue, f"{stage.task_queue}-elsewhere"
    async with worker_for(stage.client, stage.dependencies, stage.theatre.threads, task_queue=elsewhere):
        stage.task_queue = elsewhere
        hanging = await stage.request("hard", "P-1002")
    stage.task_queue = own
    soft = await stage.request("soft", "P-1002")
    leaving = await stage.open("DeactivateAll", ORDER)
    assert (await soft.result())["status"] == "Cancelled"
    for _ in range(200):
        if (await leaving.handle.describe()).typed_search_attributes.get(attributes.NEEDS_ATTENTION):
            break
        await asyncio.sleep(0.05)
    said = await leaving.handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    assert f"`{hanging.id}`: **does not answer**" in said.current_details
    async with worker_for(stage.client, stage.dependencies, stage.theatre.threads, task_queue=elsewhere):
        await leaving.wait(minutes=2)
        assert [ended["outcome"] for ended in (await leaving.result())["outcomes"]] == ["cancelled", "cancelled"]
    assert not (await leaving.handle.describe()).typed_search_attributes.get(attributes.NEEDS_ATTENTION)
    assert stage.rows(f"select what, \"by\" from audit where journey_id = '{leaving.id}'") == [
        ("all tokens of prescriber P-1002 are to end: no longer needed", "Ann")
    ]


async def test_one_that_is_being_replaced(stage: Stage) -> None:
    old = await stage.request("hard", "P-1002")
    await old.reach("Active")
    replacement = await stage.open("ReplaceToken", {"journey_id": old.id, "reason": "faulty", "confirmed": True})
    ended = await outcomes(stage)
    assert set(ended.values()) <= {"deactivated", "cancelled", "ended already"}
    try:
        await replacement.result()
    except Exception:
        assert await replacement.failed()
    assert stage.rows("select count(*) from journeys where live") == [(0,)]
    assert stage.rows("select count(*) from replacements where finished_at is null") == [(0,)]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"confirmed": False}, "must be confirmed"),
        ({"prescriber_id": "P-9999"}, "is not known"),
        ({"reason": "uninstalled"}, "is not a reason for a hard token"),
        ({"reason": "bored"}, "`reason` must be"),
        ({"by": ""}, "`by`"),
    ],
)
async def test_refused_with_a_sentence(stage: Stage, body: dict[str, Any], said: str) -> None:
    hard = await stage.request("hard", "P-1002")
    leaving = await stage.open("DeactivateAll", {**ORDER, **body})
    sentence = await leaving.failed()
    assert said in sentence
    refused = f"select message, refused from audit where journey_id = '{leaving.id}'"
    assert stage.rows(refused) == [("deactivate all", sentence)]
    assert (await hard.status())["status"] == "Requested"
