"""Real journeys moved by webhooks, on a real Temporal server."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.peers import return_id
from simulators import carrier, vendor
from simulators.serving import Serving
from simulators.webhooks import Hook
from starter.gateway.parts import Gateway
from starter.gateway.webhooks.sweep import sweep
from tests.gateway.webhooks import bodies
from tests.gateway.webhooks.conftest import PATHS, SECRETS, Sending, gateway
from tests.stage import EVENING, Play, Stage

SAY: dict[str, Callable[[str, str, str], dict[str, Any]]] = {
    "plain": bodies.plain,
    "easypost": lambda number, status, at: bodies.easypost(
        number, {"returned": "return_to_sender"}.get(status, status), at
    ),
    "shippo": lambda number, status, at: bodies.shippo(
        number, {"in_transit": "TRANSIT"}.get(status, status.upper()), None, at
    ),
}


@pytest.fixture
def send(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sending]:
    monkeypatch.setenv("TEMPORAL_ADDRESS", stage.client.service_client.config.target_host)
    with gateway(stage.settings) as send:
        yield send


@pytest.fixture
def own(stage: Stage) -> Iterator[Gateway]:
    """What a sweep is given, in this test's own loop, so that it is made when the test wants it."""
    own = Gateway(stage.settings)
    own.open(stage.client)
    yield own
    own.close()


async def shipped(stage: Stage, **more: Any) -> tuple[Play, str]:
    journey = await stage.request("hard", **more)
    await journey.reach("Shipped")
    await journey.wait(days=2)
    return journey, (await journey.status())["tracking_number"]


async def taken(send: Sending, sender: str, body: dict[str, Any]) -> bool:
    answer = await asyncio.to_thread(send, sender, body)
    assert answer.status_code == 202
    return answer.json()["taken"]


@pytest.mark.parametrize("sender", SAY)
async def test_a_parcel_arrives(stage: Stage, send: Sending, sender: str) -> None:
    journey, number = await shipped(stage)
    moment = await journey.now()

    def said(status: str, at: datetime = moment) -> dict[str, Any]:
        return SAY[sender](number, status, at.isoformat())

    assert await taken(send, sender, said("in_transit"))
    assert not await taken(send, sender, said("in_transit"))  # a repeat: the journey is not even bothered
    assert await taken(send, sender, said("delivered"))
    assert not await taken(send, sender, said("delivered"))
    snapshot = await journey.status()
    assert snapshot["status"] == "Delivered"
    assert [line["what"] for line in snapshot["timeline"]][-2:] == [
        "carrier: in transit",
        "delivered, says the carrier",
    ]
    assert snapshot["refused"] == []
    # Late, and never backwards: the journey decides, and keeps why.
    assert await taken(send, sender, said("in_transit", moment - timedelta(hours=5)))
    snapshot = await journey.status()
    assert snapshot["status"] == "Delivered"
    assert [refused["message"] for refused in snapshot["refused"]] == ["carrier_event"]
    await journey.wait(seconds=5)
    assert journey.letters().count("delivered") == 1


@pytest.mark.slow
@pytest.mark.parametrize("sender", SAY)
async def test_a_parcel_in_trouble(stage: Stage, send: Sending, sender: str) -> None:
    journey, number = await shipped(stage)
    body = SAY[sender](number, "failure", (await journey.now()).isoformat())
    if sender == "easypost":
        body["result"]["status_detail"] = "refused"
    assert await taken(send, sender, body)
    await journey.wait(seconds=5)
    snapshot = await journey.status()
    assert snapshot["status"] == "Shipped"
    why = " (refused)" if sender == "easypost" else ""
    assert snapshot["needs_attention"] == f"the carrier says that the parcel could not be delivered{why}"
    assert journey.letters()[-1] == "team_needs_attention"


async def labelled(stage: Stage, back: Play) -> str:
    """The return parcel's tracking number, as soon as it stands in the records."""
    for _ in range(200):
        for (number,) in stage.rows(f"select tracking_number from returns where return_id = '{back.id}'"):
            if number:
                return number
        await asyncio.sleep(0.05)
    raise AssertionError("no label was bought for the return")


@pytest.mark.parametrize("sender", SAY)
async def test_a_return_comes_back(stage: Stage, send: Sending, sender: str) -> None:
    journey, outbound = await shipped(stage)
    await journey.update("cancel", {"by": "Ann"})
    await journey.result()
    back = await stage.peer(return_id(journey.id))
    number = await labelled(stage, back)
    at = (await back.now()).isoformat()
    assert await taken(send, sender, SAY[sender](number, "in_transit", at))
    assert await taken(send, sender, SAY[sender](outbound, "returned", at))
    assert await taken(send, sender, SAY[sender](number, "delivered", at))
    snapshot = await back.status()
    assert snapshot["status"] == "On its way back"
    assert snapshot["needs_attention"] is not None
    assert snapshot["refused"] == []
    said = " ".join(line["what"] for line in snapshot["timeline"])
    assert "of the parcel that brought the token: returned" in said
    assert "of the return parcel: in transit" in said


async def test_an_event_that_comes_before_its_parcel_is_known(stage: Stage, send: Sending, own: Gateway) -> None:
    """The carrier has the label and tells of it; the journey waits for the carrier's next business day to hand it over."""
    journey = await stage.request("hard", at=EVENING)
    await journey.process()
    snapshot = await journey.status()
    assert snapshot["status"] == "Processed"
    number, at = snapshot["tracking_number"], (await journey.now()).isoformat()
    assert not await taken(send, "shippo", SAY["shippo"](number, "pre_transit", at))
    assert not await taken(send, "easypost", SAY["easypost"]("TKN-of-another-s", "delivered", at))
    assert await sweep(own) == 0
    assert (await journey.status())["refused"] == []
    await journey.wait(days=1)
    assert (await journey.status())["status"] == "Shipped"
    assert await sweep(own) == 1
    snapshot = await journey.status()
    assert snapshot["timeline"][-1]["what"] == "carrier: pre transit"
    assert snapshot["refused"] == []
    assert await sweep(own) == 0
    assert not await taken(send, "shippo", SAY["shippo"](number, "pre_transit", at))
    kept = "select tracking_number from webhook_events where passed_on_at is null"
    assert stage.rows(kept) == [("TKN-of-another-s",)]


@pytest.mark.slow
async def test_the_gateway_sweeps_by_itself(stage: Stage, send: Sending, monkeypatch: pytest.MonkeyPatch) -> None:
    journey = await stage.request("hard", at=EVENING)
    await journey.process()
    number = (await journey.status())["tracking_number"]
    assert not await taken(send, "plain", bodies.plain(number, "delivered", (await journey.now()).isoformat()))
    await journey.wait(days=1)
    with gateway(stage.settings.model_copy(update={"webhook_sweep_seconds": 0.05})):
        for _ in range(200):
            if (await journey.status())["status"] == "Delivered":
                break
            await asyncio.sleep(0.05)
    assert (await journey.status())["status"] == "Delivered"
    assert (await journey.status())["refused"] == []


async def test_while_temporal_is_away_it_is_kept_and_passed_on_later(
    stage: Stage, own: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    journey, number = await shipped(stage)
    at = (await journey.now()).isoformat()
    with socket.create_server(("127.0.0.1", 0)) as taken_port:
        address = f"127.0.0.1:{taken_port.getsockname()[1]}"
    monkeypatch.setenv("TEMPORAL_ADDRESS", address)
    with gateway(stage.settings) as send:
        for body in (bodies.plain(number, "in_transit", at), bodies.plain(number, "delivered", at)):
            answer = await asyncio.to_thread(send, "plain", body)
            assert (answer.status_code, answer.json()["taken"]) == (202, False)
            assert "Temporal does not answer" in answer.json()["detail"]
    assert (await journey.status())["status"] == "Shipped"
    assert await sweep(own) == 2
    assert (await journey.status())["status"] == "Delivered"


async def test_a_journey_that_is_gone_without_a_word(stage: Stage, send: Sending, own: Gateway) -> None:
    journey, number = await shipped(stage)
    await journey.handle.terminate()
    assert not await taken(send, "plain", bodies.plain(number, "delivered", (await journey.now()).isoformat()))
    assert await sweep(own) == 0


# The vendor


async def test_a_bounced_activation_email_needs_a_person(stage: Stage, send: Sending) -> None:
    journey = await stage.request("soft")
    await journey.reach("Processed")
    body = {"event": "activation_email_bounced", "reference": journey.id, "occurred_at": bodies.AT}
    assert await taken(send, "vendor", body)
    assert not await taken(send, "vendor", body)
    await journey.wait(seconds=5)
    snapshot = await journey.status()
    assert snapshot["needs_attention"] == "the activation email came back, says the vendor"
    assert journey.letters()[-1] == "team_needs_attention"
    assert journey.letters().count("team_needs_attention") == 1
    # Sent again, for instance after a call with the prescriber: nothing is left to see to.
    await journey.update("resend_activation", {"by": "Ann"})
    assert (await journey.status())["needs_attention"] is None


@pytest.mark.slow
async def test_what_else_the_vendor_says_moves_nothing(stage: Stage, send: Sending) -> None:
    journey = await stage.request("soft")
    early = {"event": "provisioned", "reference": journey.id, "occurred_at": bodies.AT}
    assert await taken(send, "vendor", early | {"occurred_at": "2037-03-01T00:00:00Z"})
    [refused] = (await journey.status())["refused"]
    assert refused["message"] == "vendor_event"
    await journey.reach("Active")
    assert await taken(send, "vendor", early)
    assert (await journey.status())["timeline"][-1]["what"] == "vendor: provisioned"
    assert await taken(send, "vendor", early | {"event": "revoked"})
    await journey.wait(seconds=5)
    snapshot = await journey.status()
    assert snapshot["status"] == "Active"
    assert "revoked" in snapshot["needs_attention"]
    assert not await taken(send, "vendor", {**early, "reference": "nobody's"})


# Surescripts


async def syncing(stage: Stage) -> Play:
    journey = await stage.request("soft")
    await journey.reach("Syncing")  # and the directory never syncs by itself
    return journey


def set_synced(stage: Stage, journey: Play) -> None:
    stage.http.put(f"{stage.theatre.directory.url}/simulate/synced/{journey.id}").raise_for_status()


async def until(journey: Play, status: str) -> dict[str, Any]:
    """Without a move of the clock: by the real one alone, on which a minute's poll is far away."""
    for _ in range(100):
        snapshot = await journey.status()
        if snapshot["status"] == status:
            return snapshot
        await asyncio.sleep(0.05)
    raise AssertionError(f"never {status}")


async def test_a_sync_that_is_told_ends_the_wait_at_once(stage: Stage, send: Sending) -> None:
    journey = await syncing(stage)
    before = await journey.now()
    set_synced(stage, journey)
    assert await taken(
        send, "surescripts", {"event": "synced", "reference": journey.id, "occurred_at": before.isoformat()}
    )
    snapshot = await until(journey, "Active")
    active = datetime.fromisoformat(snapshot["timeline"][-1]["at"])
    assert active - before < timedelta(seconds=30)
    assert snapshot["promises"][-1]["broken"] is None
    await journey.wait(hours=2)
    assert "sync_late" not in journey.letters()
    assert journey.letters().count("active") == 1
    assert not [offer for offer in snapshot["next"] if offer["message"] in ("directory_event", "vendor_event")]


async def test_word_of_a_sync_makes_nothing_active_that_the_directory_does_not_have(
    stage: Stage, send: Sending
) -> None:
    journey = await syncing(stage)
    body = {"event": "synced", "reference": journey.id, "occurred_at": bodies.AT}
    assert await taken(send, "surescripts", body)
    await journey.wait(minutes=3)
    snapshot = await journey.status()
    assert snapshot["status"] == "Syncing"
    assert "Surescripts says that it has synced; it is asked" in [line["what"] for line in snapshot["timeline"]]
    # While the directory is down a word of it can't be checked, and changes nothing either.
    stage.fault("directory", kind="error")
    assert await taken(send, "surescripts", body | {"occurred_at": "2037-03-04T15:21:00Z"})
    await journey.wait(minutes=3)
    assert (await journey.status())["status"] == "Syncing"
    stage.http.delete(f"{stage.theatre.directory.url}/faults").raise_for_status()
    set_synced(stage, journey)
    await journey.wait(minutes=6)
    assert (await journey.status())["status"] == "Active"


@pytest.mark.slow
async def test_told_after_the_hour(stage: Stage, send: Sending) -> None:
    journey = await syncing(stage)
    await journey.wait(minutes=65)
    assert "sync_late" in journey.letters()
    set_synced(stage, journey)
    assert await taken(send, "surescripts", {"event": "synced", "reference": journey.id, "occurred_at": bodies.AT})
    snapshot = await until(journey, "Active")
    assert snapshot["needs_attention"] is None


@pytest.mark.slow
async def test_cancelled_right_after_the_word(stage: Stage, send: Sending) -> None:
    journey = await syncing(stage)
    stage.fault("directory", kind="latency", seconds=0.5)
    assert await taken(send, "surescripts", {"event": "synced", "reference": journey.id, "occurred_at": bodies.AT})
    await journey.update("cancel", {"reason": "wrong phone"})
    assert (await journey.result())["status"] == "Cancelled"
    assert len(stage.done("directory", "revocations", journey.id)) == 1


async def test_a_rejection_needs_a_person_and_the_asking_goes_on(stage: Stage, send: Sending) -> None:
    journey = await syncing(stage)
    assert await taken(send, "surescripts", {"event": "rejected", "reference": journey.id, "occurred_at": bodies.AT})
    await journey.wait(minutes=2)
    assert (await journey.status())["needs_attention"] == "Surescripts says that it has rejected the token"
    assert journey.letters()[-1] == "team_needs_attention"
    set_synced(stage, journey)
    await journey.wait(minutes=2)
    snapshot = await journey.status()
    assert (snapshot["status"], snapshot["needs_attention"]) == ("Active", None)


# The simulators, as the embedded stack runs them


async def test_the_simulators_webhooks_get_through(stage: Stage, send: Sending) -> None:
    journey, number = await shipped(stage)
    base = str(send.http.base_url).rstrip("/")
    hooks = {name: Hook(f"{base}{path}", SECRETS[name]) for name, path in PATHS.items()}
    at = await journey.now()
    with (
        Serving(carrier.app(stage.folder / "carrier", hooks=hooks)) as parcels,
        Serving(vendor.app(stage.folder / "vendor", hooks["vendor"])) as maker,
    ):
        for hours, (sender, status) in enumerate(
            [
                ("easypost", "in_transit"),
                ("shippo", "out_for_delivery"),
                ("plain", "failure"),
                ("easypost", "delivered"),
            ]
        ):
            event = {"tracking_number": number, "status": status, "sender": sender}
            event["occurred_at"] = (at + timedelta(hours=hours)).isoformat()
            answer = stage.http.post(f"{parcels.url}/simulate/events", json=event)
            assert (answer.status_code, answer.json()) == (202, {"webhook": 202})
        news = {"event": "activation_email_bounced", "reference": journey.id, "occurred_at": at.isoformat()}
        assert stage.http.post(f"{maker.url}/simulate/events", json=news).json() == {"webhook": 202}
    snapshot = await journey.status()
    said = [line["what"] for line in snapshot["timeline"]]
    assert snapshot["status"] == "Delivered"
    assert {"carrier: in transit", "carrier: out for delivery", "delivered, says the carrier"} <= set(said)
    assert "needs attention: the activation email came back, says the vendor" in said
    assert snapshot["refused"] == []
