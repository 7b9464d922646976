"""Returns by mail: asked back, reminded, received or written off; and tokens that turn up when nobody awaits them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.peers import return_id
from tests.stage import Play, Stage

pytestmark = pytest.mark.slow


async def ended(stage: Stage, in_possession: bool = True, prescriber_id: str = "P-1001", **body: Any) -> Play:
    """A hard token that was active and has been deactivated."""
    journey = await stage.request("hard", prescriber_id)
    await journey.reach("Active")
    order = {"confirmed": True, "reason": "faulty", "in_possession": in_possession}
    await journey.update("deactivate", {**order, **body})
    await journey.result()
    return journey


async def asked_back(stage: Stage) -> tuple[Play, Play, str]:
    """The ended journey, its return, and the serial."""
    journey = await ended(stage)
    back = await stage.peer(return_id(journey.id))
    await back.wait(seconds=5)
    return journey, back, (await back.status())["serial_number"]


def letters(journey: Play) -> list[str]:
    return [letter for letter in journey.letters() if "return" in letter]


async def test_a_prepaid_label_goes_out_and_the_receipt_closes_it(stage: Stage) -> None:
    journey, back, serial = await asked_back(stage)
    assert stage.token_state(serial) == "coming_back"
    assert letters(journey) == ["return_label"]
    snapshot = await back.status()
    assert snapshot["status"] == "Awaited"
    [label] = stage.done("carrier", "shipments", back.id)
    assert label["tracking_number"] == snapshot["tracking_number"]
    assert label["request"]["to"]["street1"] == "1449 Whitehall Road"
    assert label["label_url"] in journey.said("return_label")
    assert stage.http.get(label["label_url"]).status_code == 200
    outcome = await back.update("received", {"serial_number": serial, "condition": "intact", "received_by": "Mo"})
    assert outcome["status"] == "Received"
    assert stage.token_state(serial) == "returned"
    assert (await back.result())["status"] == "Received"
    assert letters(journey) == ["return_label", "return_received"]
    assert stage.rows('select status, open, received_by, "condition" from returns') == [("Received", 0, "Mo", "intact")]


async def test_reminders_and_the_write_off(stage: Stage) -> None:
    journey, back, serial = await asked_back(stage)
    began = datetime.fromisoformat((await back.status())["timeline"][0]["at"])
    told = {}
    for day in range(1, 31):
        await back.to(began + timedelta(days=day, minutes=1))
        told[day] = letters(journey)
    assert [day for day in range(2, 31) if len(told[day]) > len(told[day - 1])] == [7, 14, 21, 30]
    assert told[21] == ["return_label", "return_reminder", "return_reminder", "return_reminder"]
    assert sorted(told[30][4:]) == ["return_written_off", "team_return_written_off"]
    assert (await back.result())["status"] == "Written off"
    assert stage.token_state(serial) == "written_off"


async def test_a_wrong_serial_is_refused(stage: Stage) -> None:
    _, back, serial = await asked_back(stage)
    sentence = await back.refused("received", {"serial_number": "HT-000000", "received_by": "Mo"})
    assert f"awaits {serial}" in sentence
    await back.signal("received", {"serial_number": "HT-000000", "received_by": "Mo"})
    snapshot = await back.status()
    assert snapshot["refused"][-1]["reason"] == sentence
    assert snapshot["refused"][-1]["by"] == "Mo"
    assert snapshot["status"] == "Awaited"
    assert stage.token_state(serial) == "coming_back"


@pytest.mark.parametrize(
    ("bodies", "said"),
    [
        ((), "`serial_number` is missing"),
        (("HT-1",), "a text came"),
        (({"serial_number": "HT-1"},), "`received_by` is missing"),
        (({"serial_number": "HT-1", "received_by": "Mo"}, {}), "2 payloads came"),
        (({"serial_number": "HT-1", "received_by": "Mo", "mood": "fine"},), "`mood` is not known"),
    ],
)
async def test_whatever_is_pasted_is_answered(stage: Stage, bodies: tuple[Any, ...], said: str) -> None:
    _, back, _ = await asked_back(stage)
    assert said in await back.refused("received", *bodies)
    await back.signal("received", *bodies)
    assert said in (await back.status())["refused"][-1]["reason"]


async def test_carrier_events_of_the_return_parcel(stage: Stage) -> None:
    journey, back, serial = await asked_back(stage)
    number = (await back.status())["tracking_number"]
    event = {"tracking_number": number, "status": "in_transit", "occurred_at": (await back.now()).isoformat()}
    await back.signal("carrier_event", event)
    assert (await back.status())["status"] == "On its way back"
    await back.signal("carrier_event", event)
    assert "taken before" in (await back.status())["refused"][-1]["reason"]
    await back.signal("carrier_event", {**event, "tracking_number": "TKN000"})
    assert "another parcel" in (await back.status())["refused"][-1]["reason"]
    # Nobody is asked to mail what the carrier has already.
    await back.wait(days=15)
    assert letters(journey) == ["return_label"]
    # The carrier's word closes nothing: the mail room has to say so.
    await back.signal("carrier_event", {**event, "status": "delivered"})
    snapshot = await back.status()
    assert "mail room has not confirmed" in snapshot["needs_attention"]
    assert stage.token_state(serial) == "coming_back"
    await back.update("received", {"serial_number": serial, "received_by": "Mo"})
    assert (await back.status())["needs_attention"] is None


@pytest.mark.parametrize("status", ["Shipped", "Delivered", "Syncing"])
async def test_a_cancellation_after_shipping_asks_it_back(stage: Stage, status: str) -> None:
    journey = await stage.request("hard")
    await journey.reach(status)
    await journey.update("cancel", {"by": "Ann"})
    await journey.result()
    back = await stage.peer(return_id(journey.id))
    await back.wait(seconds=5)
    assert sorted(letters(journey)) == ["cancelled_return", "return_label"]
    serial = (await back.status())["serial_number"]
    await back.update("received", {"serial_number": serial, "condition": "destroyed", "received_by": "Mo"})
    assert stage.token_state(serial) == "destroyed"


@pytest.mark.parametrize("kind", ["hard", "soft"])
async def test_never_activated(stage: Stage, kind: str) -> None:
    journey = await stage.request(kind)
    await journey.reach("Delivered" if kind == "hard" else "Processed")
    await journey.wait(days=31)
    assert (await journey.result())["status"] == "Cancelled"
    [message] = [message for message in journey.emails() if message["X-Token-Letter"] == "never_activated"]
    text = message.get_body(("plain",))
    assert text is not None
    assert f"/manage-tokens?request={kind}&replaces={journey.id}" in text.get_content()
    assert await stage.exists(return_id(journey.id)) == (kind == "hard")


async def test_lost_in_transit_is_written_off_and_taken_when_it_turns_up(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.reach("Shipped")
    await journey.wait(days=16)
    assert (await journey.result())["status"] == "Cancelled"
    assert not await stage.exists(return_id(journey.id))
    [message] = [message for message in journey.emails() if message["X-Token-Letter"] == "lost_in_transit"]
    text = message.get_body(("plain",))
    assert text is not None
    assert f"/manage-tokens?request=hard&replaces={journey.id}" in text.get_content()
    token = journey.token()
    assert token is not None
    assert token.state == "written_off"
    body = {"journey_id": journey.id, "serial_number": token.serial_number, "received_by": "Mo"}
    back = await stage.open("ReturnByMail", body)
    assert (await back.result())["status"] == "Received"
    assert stage.token_state(token.serial_number) == "returned"
    # It was here already: nobody gets a label for it.
    assert stage.done("carrier", "shipments", back.id) == []
    assert letters(journey) == ["return_received"]


async def test_one_not_in_possession_turns_up_later(stage: Stage) -> None:
    journey = await ended(stage, in_possession=False, reason="lost")
    assert not await stage.exists(return_id(journey.id))
    token = journey.token()
    assert token is not None
    assert token.state == "written_off"
    back = await stage.open("ReturnByMail", {"journey_id": journey.id, "serial_number": token.serial_number})
    await back.wait(seconds=5)
    assert stage.token_state(token.serial_number) == "coming_back"
    assert letters(journey) == ["return_label"]
    await back.update("received", {"serial_number": token.serial_number, "received_by": "Mo"})
    await back.result()
    assert stage.token_state(token.serial_number) == "returned"


async def test_one_that_was_written_off_is_awaited_again_under_the_same_id(stage: Stage) -> None:
    journey, back, serial = await asked_back(stage)
    await back.wait(days=31)
    assert (await back.result())["status"] == "Written off"
    body = {"journey_id": journey.id, "serial_number": serial}
    again = await stage.open("ReturnByMail", body, workflow_id=back.id)
    await again.wait(seconds=5)
    assert letters(journey).count("return_label") == 2
    await again.update("received", {"serial_number": serial, "received_by": "Mo"})
    assert (await again.result())["status"] == "Received"
    assert stage.rows("select status from returns order by started_at") == [("Written off",), ("Received",)]


async def test_what_is_not_to_be_awaited_is_refused(stage: Stage) -> None:
    live = await stage.request("hard", "P-1003")
    await live.reach("Active")
    serial = (await live.status())["serial_number"]

    async def refused(**body: str) -> str:
        return await (await stage.open("ReturnByMail", body)).failed()

    assert "its journey is Active; deactivate it first" in await refused(journey_id=live.id, serial_number=serial)
    assert "There is no journey" in await refused(journey_id="nowhere", serial_number=serial)
    assert "is not the token of journey" in await refused(journey_id=live.id, serial_number="HT-1")
    assert "`journey_id` is missing" in await refused(serial_number=serial)
    app = await stage.request("soft")
    await app.reach("Active")
    soft_serial = (await app.status())["serial_number"]
    assert "is a soft token, an app" in await refused(journey_id=app.id, serial_number=soft_serial)
    journey, back, serial = await asked_back(stage)
    assert f"awaited already by {back.id}" in await refused(journey_id=journey.id, serial_number=serial)
    await back.update("received", {"serial_number": serial, "received_by": "Mo"})
    await back.result()
    assert "it is returned already" in await refused(journey_id=journey.id, serial_number=serial)
    assert stage.token_state(serial) == "returned"


async def test_it_comes_while_the_carrier_is_down(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.reach("Active")
    stage.fault("carrier", kind="refuse")
    order = {"confirmed": True, "reason": "faulty", "in_possession": True}
    await journey.update("deactivate", order)
    await journey.result()
    back = await stage.peer(return_id(journey.id))
    await back.wait(seconds=5)
    assert "the carrier refused" in (await back.status())["needs_attention"]
    serial = (await back.status())["serial_number"]
    await back.update("received", {"serial_number": serial, "received_by": "Mo"})
    stage.clear_faults()
    await back.wait(hours=2)
    assert (await back.result())["status"] == "Received"
    assert "return_label" not in letters(journey)


async def test_the_carrier_speaks_of_a_label_that_the_return_does_not_know_yet(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.reach("Active")
    stage.fault("carrier", kind="lose_reply", method="PUT", path="/v1/shipments/[^/]+$")
    await journey.update("deactivate", {"confirmed": True, "reason": "faulty", "in_possession": True})
    await journey.result()
    back = await stage.peer(return_id(journey.id))
    await back.wait(seconds=5)
    assert (await back.status())["tracking_number"] is None
    number = stage.done("carrier", "shipments", back.id)[0]["tracking_number"]
    event = {"tracking_number": number, "status": "in_transit", "occurred_at": (await back.now()).isoformat()}
    await back.signal("carrier_event", event)
    stage.clear_faults()
    await back.wait(hours=2)
    snapshot = await back.status()
    assert snapshot["status"] == "On its way back"
    assert snapshot["refused"] == []
    assert letters(journey) == ["return_label"]


async def test_a_message_to_a_refused_start_is_answered_and_kept(stage: Stage) -> None:
    handle = await stage.client.start_workflow(
        "ReturnByMail",
        {"journey_id": "nowhere", "serial_number": "HT-1"},
        id=f"refused-{stage.task_queue}",
        task_queue=stage.task_queue,
        start_signal="received",
        start_signal_args=[{"serial_number": "HT-1", "received_by": "Mo"}],
    )
    sentence = await Play(stage, handle, datetime.now(UTC)).failed()
    assert "There is no journey nowhere" in sentence
    assert stage.rows(f"select message, refused from audit where journey_id = '{handle.id}' order by number") == [
        ("request", sentence),
        ("received", sentence),
    ]
