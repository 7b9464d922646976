"""Waiting in the queue, and taking tokens out of stock."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from tests.stage import NEW_YORK, Stage
from workflows.search_attributes import ACTION_DUE_BY, NEEDS_ATTENTION


@pytest.mark.parametrize(
    ("requested", "due"),
    [
        ("2037-03-03 10:00", "2037-03-04 10:00"),
        ("2037-03-06 10:00", "2037-03-09 10:00"),  # over a weekend on which the clocks change
        ("2037-11-25 10:00", "2037-11-27 10:00"),  # over Thanksgiving
        ("2037-07-02 10:00", "2037-07-06 10:00"),  # over a federal holiday on which the carrier works
    ],
)
async def test_told_again_after_one_business_day(stage: Stage, requested: str, due: str) -> None:
    start, end = (datetime.fromisoformat(moment).replace(tzinfo=NEW_YORK) for moment in (requested, due))
    # P-1001's practice keeps New York's time.
    journey = await stage.request("hard", "P-1001", at=start)
    await journey.to(end - timedelta(minutes=1))
    assert "team_still_waiting" not in journey.letters()
    attributes = (await journey.handle.describe()).typed_search_attributes
    assert attributes.get(NEEDS_ATTENTION) is False
    due_by = attributes.get(ACTION_DUE_BY)
    assert due_by is not None
    assert abs(due_by - end) < timedelta(seconds=5)
    await journey.to(end + timedelta(minutes=1))
    assert journey.letters()[-1] == "team_still_waiting"
    assert (await journey.handle.describe()).typed_search_attributes.get(NEEDS_ATTENTION) is True
    await journey.process()
    assert (await journey.status())["needs_attention"] is None
    assert journey.letters().count("team_still_waiting") == 1


async def test_out_of_stock_it_stays_queued(stage: Stage) -> None:
    with stage.sessions.begin() as session:
        session.execute(text("update tokens set state = 'destroyed' where serial_number not like 'none'"))
    journey = await stage.request("hard")
    assert "no hard token is in stock" in await journey.refused("process", {"operator": "Dana"})
    assert "no hard token is in stock" in await journey.refused("process", {"operator": "Dana"})
    await journey.wait(seconds=5)
    assert (await journey.status())["status"] == "Requested"
    assert journey.letters().count("team_out_of_stock") == 1
    with stage.sessions.begin() as session:
        session.execute(text("update tokens set state = 'in_stock'"))
    await journey.process()
    assert (await journey.status())["status"] == "Shipped"


async def test_scanned_serials(stage: Stage) -> None:
    first, second = await stage.request("hard"), await stage.request("hard", "P-1013")
    await first.process()
    used = (await first.status())["serial_number"]
    assert "assigned" in (sentence := await second.refused("process", {"operator": "D", "serial_number": used})) or (
        "shipped" in sentence
    )
    assert "not in the inventory" in await second.refused("process", {"operator": "D", "serial_number": "HT-NEVERSEEN"})
    assert "serial_number" in await second.refused("process", {"operator": "D", "serial_number": ""})
    assert (await second.status())["status"] == "Requested"
    soft = await stage.request("soft", "P-1013")
    assert "a soft token has none" in await soft.refused("process", {"operator": "D", "serial_number": used})
