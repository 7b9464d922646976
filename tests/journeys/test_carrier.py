"""The parcel: events twice, late, out of order or not at all."""

from datetime import timedelta

import pytest

from database.tables import JourneyRow
from tests.stage import EVENING, TUESDAY, Stage


async def test_one_transition_each_and_never_backwards(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.reach("Shipped")
    await journey.wait(days=2)
    moment = await journey.now()
    await journey.carrier("in_transit", moment)
    await journey.carrier("in_transit", moment)
    await journey.carrier("delivered", moment)
    await journey.carrier("delivered", moment)
    await journey.carrier("in_transit", moment - timedelta(hours=3))
    snapshot = await journey.status()
    assert snapshot["status"] == "Delivered"
    assert [line["what"] for line in snapshot["timeline"]][-2:] == [
        "carrier: in transit",
        "delivered, says the carrier",
    ]
    assert [refused["message"] for refused in snapshot["refused"]] == ["carrier_event"] * 3
    await journey.wait(seconds=5)
    assert journey.letters().count("delivered") == 1


async def test_a_word_that_comes_before_the_journey_has_done_its_lost_task_anew_is_kept_for_it(stage: Stage) -> None:
    """The worker died after it had written `Shipped`, and before Temporal knew: the gateway goes by what is written."""
    journey = await stage.request("hard", at=EVENING)
    await journey.process()
    await journey.wait(minutes=1)
    assert (await journey.status())["status"] == "Processed"
    with stage.sessions.begin() as session:
        row = session.get_one(JourneyRow, journey.id)
        row.status, row.shipped_at = "Shipped", EVENING
    await journey.carrier("delivered", await journey.now())
    await journey.wait(minutes=1)
    snapshot = await journey.status()
    assert (snapshot["status"], snapshot["refused"]) == ("Processed", [])
    await journey.wait(days=1)
    snapshot = await journey.status()
    assert (snapshot["status"], snapshot["refused"]) == ("Delivered", [])


async def test_another_parcel_s_event_changes_nothing(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.reach("Shipped")
    await journey.carrier("delivered", await journey.now(), tracking_number="TKN0000000000000")
    snapshot = await journey.status()
    assert snapshot["status"] == "Shipped"
    assert "another parcel" in snapshot["refused"][0]["reason"]


@pytest.mark.parametrize(
    "event", [{"status": "eaten by dog"}, {"occurred_at": "yesterday"}, {"occurred_at": "2037-03-04T10:00:00"}]
)
async def test_unknown_status_or_time_is_kept(stage: Stage, event: dict[str, str]) -> None:
    journey = await stage.request("hard")
    await journey.reach("Shipped")
    number = (await journey.status())["tracking_number"]
    good = {"tracking_number": number, "status": "delivered", "occurred_at": (await journey.now()).isoformat()}
    await journey.signal("carrier_event", good | event)
    snapshot = await journey.status()
    assert snapshot["status"] == "Shipped"
    assert len(snapshot["refused"]) == 1


async def test_a_late_report_keeps_the_carrier_s_promise(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.reach("Shipped")
    await journey.wait(days=8)  # past the fifth business day
    assert (await journey.status())["needs_attention"] == "not delivered by business day 5"
    assert "has_it_arrived" in journey.letters()
    assert "team_needs_attention" in journey.letters()
    there = TUESDAY + timedelta(days=3)
    await journey.carrier("delivered", there)
    snapshot = await journey.status()
    delivered = next(promise for promise in snapshot["promises"] if promise["what"].startswith("delivered"))
    assert delivered["met_at"].startswith("2037-03-06")
    await journey.wait(seconds=5)
    assert (await journey.status())["needs_attention"] is None


async def test_lost_by_the_tenth_business_day(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.reach("Shipped")
    await journey.wait(days=14)
    assert (await journey.status())["status"] == "Shipped"
    await journey.wait(days=1)
    assert (await journey.result())["detail"] == "lost in transit: not delivered by business day 10"
    assert journey.letters()[-1] == "lost_in_transit"
    assert len(stage.done("vendor", "revocations", journey.id)) == 1
    token = journey.token()
    assert token is not None
    assert token.state == "written_off"
    again = await stage.request("hard")
    assert (await again.status())["status"] == "Requested"


async def test_reminders_count_from_when_a_late_report_came(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.reach("Shipped")
    await journey.wait(days=10)
    await journey.carrier("delivered", TUESDAY + timedelta(days=3))
    await journey.wait(minutes=1)
    assert journey.letters()[-1] == "delivered"
    await journey.wait(days=3)
    assert journey.letters()[-1] == "reminder"
    assert journey.letters().count("reminder") == 1


@pytest.mark.parametrize("status", ["failure", "returned"])
async def test_a_parcel_in_trouble_needs_a_person(stage: Stage, status: str) -> None:
    journey = await stage.request("hard")
    await journey.reach("Shipped")
    await journey.carrier(status, await journey.now())
    await journey.wait(seconds=5)
    assert "parcel" in (await journey.status())["needs_attention"]
    assert journey.letters()[-1] == "team_needs_attention"


async def test_enrolment_proves_delivery(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.reach("Shipped")
    await journey.wait(days=3)
    await journey.enroll()
    await journey.wait(minutes=10)
    snapshot = await journey.status()
    assert snapshot["status"] == "Active"
    assert all(promise["met_at"] and not promise["broken"] for promise in snapshot["promises"])
    assert "delivered" not in journey.letters()
    await journey.carrier("delivered", await journey.now())
    assert (await journey.status())["status"] == "Active"


async def test_cancelled_on_its_way_it_is_asked_back(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.reach("Shipped")
    await journey.update("cancel", {"by": "Ann"})
    await journey.result()
    assert "cancelled_return" in journey.letters(), "the return label is sent beside it"
    token = journey.token()
    assert token is not None
    assert token.state == "coming_back"
    assert stage.done("carrier", "voids", journey.id) == []
