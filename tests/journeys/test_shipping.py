"""Shipped the day it is processed: around the cut-off, weekends, the two calendars' holidays, the nights the clocks change."""

from datetime import datetime, timedelta

import pytest

from tests.stage import NEW_YORK, Stage

SHIPPED = "shipped the day it is processed"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK)


@pytest.mark.parametrize(
    ("processed", "ships", "first", "last"),
    [
        ("2037-03-03 16:59", None, "2037-03-06", "2037-03-10"),
        ("2037-03-03 17:00", "2037-03-04 09:00", "2037-03-09", "2037-03-11"),
        ("2037-03-06 16:00", None, "2037-03-11", "2037-03-13"),  # a Friday; the clocks change that weekend
        ("2037-03-06 18:00", "2037-03-09 09:00", "2037-03-12", "2037-03-16"),
        ("2037-03-07 12:00", "2037-03-09 09:00", "2037-03-12", "2037-03-16"),
        ("2037-07-03 11:00", None, "2037-07-08", "2037-07-10"),  # federal holiday as observed; the carrier works
        ("2037-10-31 23:30", "2037-11-02 09:00", "2037-11-05", "2037-11-09"),  # the night with the hour twice
        ("2037-11-25 17:30", "2037-11-27 09:00", "2037-12-02", "2037-12-04"),
        ("2037-11-26 10:00", "2037-11-27 09:00", "2037-12-02", "2037-12-04"),  # Thanksgiving
        ("2037-12-24 10:00", None, "2037-12-30", "2038-01-04"),  # Christmas and New Year's Day on the way
        ("2037-12-25 10:00", "2037-12-28 09:00", "2037-12-31", "2038-01-05"),
    ],
)
async def test_shipping_day_and_window(stage: Stage, processed: str, ships: str | None, first: str, last: str) -> None:
    journey = await stage.request("hard", at=at(processed) - timedelta(minutes=2))
    await journey.to(at(processed))
    await journey.process()
    snapshot = await journey.status()
    promise = next(promise for promise in snapshot["promises"] if promise["what"] == SHIPPED)
    if ships is None:
        assert snapshot["status"] == "Shipped"
        assert promise["broken"] is None
    else:
        assert snapshot["status"] == "Processed"
        assert promise["broken"]
        assert any(promise["broken"] in line["what"] for line in snapshot["timeline"])
        await journey.to(at(ships) - timedelta(minutes=1))
        assert (await journey.status())["status"] == "Processed"
        await journey.to(at(ships) + timedelta(minutes=1))
        assert (await journey.status())["status"] == "Shipped"
    said = " ".join(journey.said("shipped").split())
    for day in (first, last):
        assert f"{datetime.fromisoformat(day):%A %-d %B %Y}" in said


async def test_cancelled_before_it_ships_the_label_is_void_and_the_token_back_in_stock(stage: Stage) -> None:
    journey = await stage.request("hard", at=at("2037-03-06 18:00"))
    await journey.process()
    assert (await journey.status())["status"] == "Processed"
    token = journey.token()
    assert token is not None
    await journey.update("cancel", {})
    await journey.result()
    assert journey.token() is None
    assert len(stage.done("carrier", "voids", journey.id)) == 1
    assert journey.letters()[-1] == "request_cancelled"
    again = await stage.request("hard", "P-1011")
    await again.process(serial_number=token.serial_number)
    assert (await again.status())["serial_number"] == token.serial_number


async def test_a_carrier_that_was_down_past_the_cutoff_costs_the_day(stage: Stage) -> None:
    journey = await stage.request("hard", at=at("2037-03-03 15:00"))
    stage.fault("carrier", kind="error")
    await journey.update("process", {"operator": "Dana"})
    await journey.wait(hours=3)
    assert (await journey.status())["status"] == "Processed"
    stage.clear_faults()
    await journey.wait(minutes=10)
    snapshot = await journey.status()
    assert snapshot["status"] == "Processed"
    promise = next(promise for promise in snapshot["promises"] if promise["what"] == SHIPPED)
    assert promise["broken"]
    await journey.to(at("2037-03-04 09:01"))
    assert (await journey.status())["status"] == "Shipped"
    assert len(stage.done("carrier", "shipments", journey.id)) == 1
