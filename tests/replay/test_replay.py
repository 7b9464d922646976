"""A representative set of journeys, each replayed as a worker would that has just been started."""

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.worker import Replayer

from settings import Settings
from tests.replay import golden
from tests.replay.replaying import replayer_for
from tests.stage import EVENING, TUESDAY, Play, Stage

pytestmark = pytest.mark.slow


@pytest.fixture
def replayer(settings: Settings) -> Replayer:
    return replayer_for(settings)


async def replays(replayer: Replayer, journey: Play) -> None:
    history = await journey.handle.fetch_history()
    kinds = {event.event_type for event in history.events}
    assert EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED in kinds
    await replayer.replay_workflow(history)
    golden.keep(history)


@pytest.mark.parametrize("kind", ["hard", "soft"])
async def test_at_every_step_of_the_ordinary_way(stage: Stage, replayer: Replayer, kind: str) -> None:
    journey = await stage.request(kind)
    await replays(replayer, journey)
    await journey.update("edit", {"email": "new.address@clinic.example"})
    await journey.process()
    await replays(replayer, journey)
    if kind == "hard":
        await journey.wait(days=3)
        await journey.deliver()
        await replays(replayer, journey)
    await journey.update("resend_activation", {})
    await journey.enroll()
    await replays(replayer, journey)
    await journey.wait(minutes=10)
    await replays(replayer, journey)
    reason = {"reason": "lost"} if kind == "hard" else {}
    await journey.update("deactivate", {"confirmed": True, **reason})
    assert (await journey.result())["status"] == "Deactivated"
    await replays(replayer, journey)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        *(("hard", status) for status in ("Requested", "Processed", "Shipped", "Delivered", "Syncing")),
        *(("soft", status) for status in ("Requested", "Processed", "Syncing")),
    ],
)
async def test_cancelled_at(stage: Stage, replayer: Replayer, kind: str, status: str) -> None:
    at = EVENING if (kind, status) == ("hard", "Processed") else TUESDAY
    journey = await stage.request(kind, at=at)
    await journey.reach(status)
    assert (await journey.status())["status"] == status
    await journey.update("cancel", {})
    assert (await journey.result())["status"] == "Cancelled"
    await replays(replayer, journey)


async def test_lost_in_transit(stage: Stage, replayer: Replayer) -> None:
    journey = await stage.request("hard")
    await journey.reach("Shipped")
    await journey.wait(days=16)
    await journey.result()
    await replays(replayer, journey)


async def test_never_activated(stage: Stage, replayer: Replayer) -> None:
    journey = await stage.request("soft")
    await journey.reach("Processed")
    await journey.wait(days=31)
    await journey.result()
    await replays(replayer, journey)


async def test_not_processed_in_time_and_out_of_stock(stage: Stage, replayer: Replayer) -> None:
    journey = await stage.request("hard")
    with stage.sessions.begin() as session:
        session.connection().exec_driver_sql("update tokens set state = 'destroyed'")
    await journey.refused("process", {"operator": "Dana"})
    await journey.wait(days=3)
    await replays(replayer, journey)


async def test_synced_late(stage: Stage, replayer: Replayer) -> None:
    journey = await stage.request("soft")
    await journey.reach("Processed")
    stage.polls_until_synced(62)
    await journey.enroll()
    await journey.wait(minutes=90)
    assert (await journey.status())["status"] == "Active"
    await replays(replayer, journey)


async def test_told_by_vendor_and_directory(stage: Stage, replayer: Replayer) -> None:
    journey = await stage.request("soft")
    await journey.reach("Syncing")
    at = (await journey.now()).isoformat()
    await journey.signal("vendor_event", {"event": "activation_email_bounced", "occurred_at": at})
    await journey.signal("directory_event", {"event": "rejected", "occurred_at": at})
    await journey.signal("directory_event", {"event": "synced", "occurred_at": at})
    await journey.wait(seconds=30)
    await replays(replayer, journey)
    stage.http.put(f"{stage.theatre.directory.url}/simulate/synced/{journey.id}").raise_for_status()
    later = (await journey.now()).isoformat()
    await journey.signal("directory_event", {"event": "synced", "occurred_at": later})
    await journey.wait(seconds=5)
    assert (await journey.status())["status"] == "Active"
    await replays(replayer, journey)


async def test_parties_down_refusing_and_back(stage: Stage, replayer: Replayer) -> None:
    stage.fault("vendor", kind="refuse", times=1)
    stage.fault("carrier", kind="error")
    stage.mailbox.fault("tempfail")
    journey = await stage.request("hard")
    await journey.update("process", {"operator": "Dana"})
    await journey.wait(hours=2)
    await replays(replayer, journey)
    stage.clear_faults()
    stage.mailbox.clear_faults()
    await journey.wait(hours=20)
    assert (await journey.status())["status"] == "Shipped"
    await replays(replayer, journey)


@pytest.mark.parametrize(
    "bodies", [(), ("text",), (b"\xff",), ({"prescriber_id": "P-9999", "kind": "hard"},)], ids=repr
)
async def test_a_refused_start(stage: Stage, replayer: Replayer, bodies: tuple[object, ...]) -> None:
    journey = await stage.start(*bodies)
    await journey.failed()
    await replays(replayer, journey)


async def test_messages_that_nobody_can_read_and_temporal_s_own_cancellation(stage: Stage, replayer: Replayer) -> None:
    journey = await stage.request("hard")
    for bodies in ((), ({}, {}), ("text",), (b"\xff\xfe",), (None,), ({"surprise": True},)):
        for name in ("edit", "process", "carrier_event", "cancel", "deactivate"):
            if (name, bodies) not in (("cancel", ()), ("cancel", (None,))):  # those are good
                await journey.signal(name, *bodies)
    await replays(replayer, journey)
    await journey.handle.cancel()
    assert (await journey.result())["status"] == "Cancelled"
    await replays(replayer, journey)
