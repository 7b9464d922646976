"""How tokens end, each workflow replayed as a worker would that has just been started."""

import pytest
from temporalio.worker import Replayer

from domain.peers import incident_id, return_id
from tests.replay.test_replay import replayer as replayer
from tests.replay.test_replay import replays
from tests.stage import Play, Stage

pytestmark = pytest.mark.slow


async def active(stage: Stage, kind: str = "hard", prescriber_id: str = "P-1002") -> Play:
    journey = await stage.request(kind, prescriber_id)
    await journey.reach("Active")
    return journey


async def asked_back(stage: Stage) -> tuple[Play, str]:
    """A return on its way, and the serial."""
    journey = await active(stage)
    await journey.update("deactivate", {"confirmed": True, "reason": "faulty", "in_possession": True})
    await journey.result()
    back = await stage.peer(return_id(journey.id))
    await back.wait(seconds=5)
    return back, (await back.status())["serial_number"]


async def test_a_return_that_is_received(stage: Stage, replayer: Replayer) -> None:
    back, serial = await asked_back(stage)
    await replays(replayer, back)
    await back.wait(days=8)
    await back.refused("received", {"serial_number": "HT-0", "received_by": "Mo"})
    event = {"tracking_number": (await back.status())["tracking_number"], "occurred_at": (await back.now()).isoformat()}
    for status in ("in_transit", "delivered", "no such thing"):
        await back.signal("carrier_event", {**event, "status": status})
    await back.handle.cancel()
    await replays(replayer, back)
    await back.update("received", {"serial_number": serial, "condition": "intact", "received_by": "Mo"})
    assert (await back.result())["status"] == "Received"
    await replays(replayer, back)


async def test_a_return_that_never_comes(stage: Stage, replayer: Replayer) -> None:
    stage.fault("carrier", kind="refuse", times=1)
    back, _ = await asked_back(stage)
    await back.wait(days=31)
    assert (await back.result())["status"] == "Written off"
    await replays(replayer, back)


async def test_a_return_that_is_refused(stage: Stage, replayer: Replayer) -> None:
    for bodies in ((), ("text",), ({"journey_id": "nowhere"},)):
        back = await stage.open("ReturnByMail", *bodies)
        await back.failed()
        await replays(replayer, back)


async def test_an_incident(stage: Stage, replayer: Replayer) -> None:
    journey = await active(stage, "soft")
    await journey.update("deactivate", {"confirmed": True, "reason": "stolen"})
    await journey.result()
    incident = await stage.peer(incident_id(journey.id))
    await replays(replayer, incident)
    await incident.refused("close", {})
    await incident.handle.cancel()
    await incident.wait(days=9)
    assert (await incident.status())["status"] == "Overdue"
    await replays(replayer, incident)
    await incident.update("close", {"by": "Ruth", "note": "reported by phone"})
    await incident.result()
    await replays(replayer, incident)


@pytest.mark.parametrize("kind", ["hard", "soft"])
async def test_a_replacement(stage: Stage, replayer: Replayer, kind: str) -> None:
    old = await active(stage, kind)
    order = {"journey_id": old.id, "reason": "lost" if kind == "hard" else None, "confirmed": True}
    refused = await stage.open("ReplaceToken", {**order, "confirmed": False})
    await refused.failed()
    await replays(replayer, refused)
    stage.fault("vendor", kind="error")
    replacement = await stage.open("ReplaceToken", order)
    result = await replacement.result()
    await replays(replayer, replacement)
    again = await stage.open("ReplaceToken", order)
    assert f"has been replaced already: journey {result['journey_id']}" in await again.failed()
    await replays(replayer, again)
    await replays(replayer, old)
    await replays(replayer, await stage.peer(result["journey_id"]))


async def test_a_prescriber_who_leaves(stage: Stage, replayer: Replayer) -> None:
    await active(stage)
    await stage.request("soft", "P-1002")
    order = {"prescriber_id": "P-1002", "confirmed": True, "by": "Ann"}
    leaving = await stage.open("DeactivateAll", order)
    assert len((await leaving.result())["outcomes"]) == 2
    await replays(replayer, leaving)
    for body in ({**order, "confirmed": False}, {**order, "prescriber_id": "P-9999"}):
        refused = await stage.open("DeactivateAll", body)
        await refused.failed()
        await replays(replayer, refused)
