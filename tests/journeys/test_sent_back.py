"""Parcels that come back: the token's to us, and a return's to the prescriber."""

import pytest

from activities.returns import Returns
from domain.peers import return_id
from tests.stage import Play, Stage

pytestmark = pytest.mark.slow


async def on_its_way_back(stage: Stage) -> Play:
    """A token that the carrier could not deliver."""
    journey = await stage.request("hard")
    await journey.reach("Shipped")
    await journey.carrier("returned", await journey.now())
    await journey.wait(seconds=5)
    assert "coming back to the sender" in (await journey.status())["needs_attention"]
    return journey


async def received_from_the_carrier(stage: Stage, journey: Play) -> None:
    """It is awaited at the mail room, and the prescriber, who has never had it, hears nothing of that."""
    assert (await journey.result())["status"] == "Cancelled"
    assert journey.letters()[-1] == "request_cancelled"
    token = journey.token()
    assert token is not None
    assert token.state == "coming_back"
    back = await stage.peer(return_id(journey.id))
    assert "back from the carrier" in (await back.status())["timeline"][0]["what"]
    await back.wait(days=15)
    await back.update("received", {"serial_number": token.serial_number, "received_by": "Mo"})
    assert (await back.result())["status"] == "Received"
    assert stage.token_state(token.serial_number) == "returned"
    assert journey.letters()[-1] == "request_cancelled"
    assert stage.done("carrier", "shipments", back.id) == []


async def test_nobody_is_asked_whether_it_has_arrived_nor_told_that_it_is_lost(stage: Stage) -> None:
    journey = await on_its_way_back(stage)
    await journey.wait(days=16)
    await received_from_the_carrier(stage, journey)
    assert not {"has_it_arrived", "lost_in_transit", "cancelled_return"} & set(journey.letters())
    assert "brings it back to us" in stage.rows(f"select what from audit where journey_id = '{journey.id}'").__str__()


async def test_cancelled_meanwhile_it_is_not_asked_of_the_prescriber(stage: Stage) -> None:
    journey = await on_its_way_back(stage)
    await journey.update("cancel", {"by": "Ann"})
    await received_from_the_carrier(stage, journey)


async def test_a_return_that_bounces_is_asked_for_again(stage: Stage) -> None:
    [returns] = (owner for owner in stage.dependencies._owners if isinstance(owner, Returns))
    returns._policy = stage.settings.policy.model_copy(update={"return_reminder_days": (1, 3, 5)})
    journey = await stage.request("hard")
    await journey.reach("Active")
    stage.fault("carrier", kind="refuse")
    await journey.update("deactivate", {"confirmed": True, "reason": "faulty", "in_possession": True})
    await journey.result()
    back = await stage.peer(return_id(journey.id))
    # The label comes late: the reminder that fell due without one goes out with it.
    await back.wait(hours=26)
    assert "return_reminder" not in journey.letters()
    stage.clear_faults()
    await back.wait(hours=2)
    assert journey.letters()[-2:] == ["return_label", "return_reminder"]
    await back.carrier("in_transit", await back.now())
    await back.wait(days=2)
    assert journey.letters().count("return_reminder") == 1
    await back.carrier("returned", await back.now())
    await back.wait(seconds=5)
    assert (await back.status())["status"] == "Awaited"
    assert journey.letters().count("return_reminder") == 2
    await back.wait(days=2)
    assert journey.letters().count("return_reminder") == 3


async def test_a_prepaid_label_whose_answer_was_lost_is_voided(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.reach("Active")
    stage.fault("carrier", kind="lose_reply", path="/v1/shipments")
    await journey.update("deactivate", {"confirmed": True, "reason": "faulty", "in_possession": True})
    await journey.result()
    back = await stage.peer(return_id(journey.id))
    serial = (await back.status())["serial_number"]
    await back.update("received", {"serial_number": serial, "received_by": "Mo"})
    stage.clear_faults()
    assert (await back.result())["status"] == "Received"
    assert len(stage.done("carrier", "voids", back.id)) == 1
