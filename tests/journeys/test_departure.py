"""A prescriber who leaves: all of the person's tokens end, each with its own outcome."""

from typing import Any

import pytest

from domain.peers import incident_id, return_id
from tests.stage import Stage

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
    assert await stage.exists(return_id(hard.id)) == (status != "Requested")


async def test_stolen_ones_are_incidents_and_not_asked_back(stage: Stage) -> None:
    hard = await stage.request("hard", "P-1002")
    await hard.reach("Active")
    assert await outcomes(stage, reason="stolen") == {hard.id: "deactivated"}
    await hard.result()
    await stage.peer(incident_id(hard.id))
    assert not await stage.exists(return_id(hard.id))


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
    sentence = await (await stage.open("DeactivateAll", {**ORDER, **body})).failed()
    assert said in sentence
    assert (await hard.status())["status"] == "Requested"
