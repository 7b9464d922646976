"""The team hears that hard tokens run low: from one journey, in one email, whatever dies in between."""

import asyncio
import signal
from datetime import timedelta

import pytest
from sqlalchemy import text

from tests.journeys.test_replacement_crashes import process as worker_process
from tests.stage import EVENING, TUESDAY, Play, Stage

pytestmark = pytest.mark.slow


def leave(stage: Stage, tokens: int) -> None:
    """So many hard tokens in stock, the last ones in line, all of the batch of forty."""
    with stage.sessions.begin() as session:
        session.execute(text("update tokens set state = 'destroyed' where state in ('in_stock', 'destroyed')"))
        session.execute(
            text(
                "update tokens set state = 'in_stock' where serial_number in (select serial_number from tokens where "
                "batch = 'H-2026-01' and journey_id is null order by serial_number desc limit :tokens)"
            ),
            {"tokens": tokens},
        )


async def told(journey: Play) -> list[str]:
    """The text of its emails about low stock, when all of its emails are out."""
    await journey.wait(seconds=5)
    return [
        str(message.get_body(("plain",)))
        for message in journey.emails()
        if message["X-Token-Letter"] == "team_low_stock"
    ]


async def taken(stage: Stage, prescriber: str) -> list[str]:
    journey = await stage.request("hard", prescriber)
    await journey.process()
    return await told(journey)


async def test_once_until_the_stock_is_refilled_then_again(stage: Stage) -> None:
    leave(stage, 12)
    assert await taken(stage, "P-1001") == []
    [letter] = await taken(stage, "P-1002")
    for said in ("Hard tokens in all: 10 left", "import new tokens in time"):
        assert said in letter
    assert await taken(stage, "P-1003") == []
    leave(stage, 30)
    assert await taken(stage, "P-1004") == []
    leave(stage, 4)
    [letter] = await taken(stage, "P-1005")
    assert "Hard tokens in all: 3 left" in letter
    assert "Batch H-2026-01: 3 left" in letter
    assert stage.rows("select kind, batch from stock_alerts order by batch") == [("hard", ""), ("hard", "H-2026-01")]


async def test_a_request_that_is_cancelled_before_shipping_puts_its_token_back(stage: Stage) -> None:
    leave(stage, 11)
    journey = await stage.request("hard", at=EVENING)
    await journey.process()
    serial = (await journey.status())["serial_number"]
    assert stage.token_state(serial) == "assigned"
    assert len(await told(journey)) == 1
    await journey.update("cancel", {})
    await journey.result()
    assert stage.token_state(serial) == "in_stock"
    assert journey.token() is None


async def test_told_once_although_the_worker_dies(stage: Stage) -> None:
    """It dies when the alert is in the database and the journey does not know it yet."""
    leave(stage, 11)
    journey = await stage.request("hard", at=TUESDAY + timedelta(hours=1))
    await journey.wait(seconds=5)
    await stage.stop_worker()
    processing = asyncio.ensure_future(journey.handle.execute_update("process", {"operator": "Dana"}))
    first = await worker_process(stage, "stock.take", "after")
    assert await asyncio.wait_for(first.wait(), 60) == -signal.SIGKILL
    second = await worker_process(stage, "stock.take", "after")
    try:
        assert (await asyncio.wait_for(processing, 90))["status"] in ("Processed", "Shipped")
        for _ in range(600):
            if "shipped" in journey.letters():
                break
            await asyncio.sleep(0.1)
        assert journey.letters().count("team_low_stock") == 1
        assert stage.rows("select count(*) from tokens where state = 'in_stock'") == [(10,)]
    finally:
        second.kill()
        await second.wait()
