"""Temporal's own Request Cancellation, as the UI's button sends it."""

from tests.stage import Stage


async def test_it_acts_as_cancel_where_that_is_legal(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.reach("Shipped")
    await journey.handle.cancel()
    assert (await journey.result())["status"] == "Cancelled"
    assert "cancelled_return" in journey.letters(), "the return label is sent beside it"
    assert len(stage.done("vendor", "revocations", journey.id)) == 1


async def test_it_is_refused_and_kept_where_cancel_is_not_legal(stage: Stage) -> None:
    journey = await stage.request("soft")
    await journey.reach("Active")
    await journey.handle.cancel()
    snapshot = await journey.status()
    assert snapshot["status"] == "Active"
    [refused] = snapshot["refused"]
    assert refused["message"] == "cancel"
    assert refused["by"] == "Temporal"
    await journey.update("deactivate", {"confirmed": True})
    assert (await journey.result())["status"] == "Deactivated"


async def test_a_request_cancelled_before_it_is_admitted_leaves_nothing_behind(stage: Stage) -> None:
    journey = await stage.start({"prescriber_id": "P-1009", "kind": "soft"})
    await journey.handle.cancel()
    assert (await journey.result())["status"] == "Cancelled"
    again = await stage.request("soft", "P-1009")
    assert (await again.status())["status"] == "Requested"
