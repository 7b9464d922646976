"""Messages and requests at the same instant."""

import asyncio
import threading

import pytest
from sqlalchemy import text
from temporalio.client import WorkflowUpdateFailedError

from activities.stock import Stock
from tests.journeys.test_replacement import ADDRESS
from tests.stage import Play, Stage
from workflows import search_attributes as attributes


async def outcomes(*updates: "asyncio.Future[dict[str, str]]") -> list[str]:
    """`done` or the refusal's sentence, for each."""
    told = []
    for result in await asyncio.gather(*updates, return_exceptions=True):
        if isinstance(result, WorkflowUpdateFailedError):
            told.append(str(result.cause))
        elif isinstance(result, BaseException):
            raise result
        else:
            told.append("done")
    return told


def update(journey: Play, name: str, body: dict[str, object]) -> "asyncio.Future[dict[str, str]]":
    return asyncio.ensure_future(journey.update(name, body))


async def test_five_requests_at_the_same_instant_make_one(stage: Stage) -> None:
    plays = await asyncio.gather(*(stage.start({"prescriber_id": "P-1008", "kind": "hard"}) for _ in range(5)))
    failing = {asyncio.create_task(play.failed()): play for play in plays}
    pending = set(failing)
    while len(pending) > 1:
        _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
    [waiting] = pending
    winner = failing[waiting]
    assert (await winner.status())["status"] == "Requested"
    for task in failing:
        if task is not waiting:
            assert winner.id in task.result()
            assert "cancel it first" in task.result()
    waiting.cancel()


async def test_one_request_processed_twice_at_once(stage: Stage) -> None:
    journey = await stage.request("hard")
    told = await outcomes(*(update(journey, "process", {"operator": f"Operator {number}"}) for number in range(3)))
    assert sorted(told)[-1] == "done"
    assert told.count("done") == 1
    assert all(
        "already been processed" in sentence or "has been shipped" in sentence
        for sentence in told
        if sentence != "done"
    )
    with stage.sessions() as session:
        assert session.execute(text("select count(*) from tokens where state <> 'in_stock'")).scalar_one() == 1


async def test_two_operators_scan_the_same_serial(stage: Stage) -> None:
    with stage.sessions() as session:
        serial = session.execute(text("select serial_number from tokens where state = 'in_stock'")).scalars().first()
    one, two = await stage.request("hard", "P-1003"), await stage.request("hard", "P-1004")
    told = await outcomes(
        *(update(journey, "process", {"operator": "Dana", "serial_number": serial}) for journey in (one, two))
    )
    assert told.count("done") == 1
    assert any(f"Serial {serial} can't be used" in sentence for sentence in told)


async def test_edit_racing_process(stage: Stage) -> None:
    journey = await stage.request("hard")
    told = await outcomes(
        update(journey, "edit", {"shipping_address": ADDRESS}), update(journey, "process", {"operator": "Dana"})
    )
    assert told[1] == "done"
    await journey.wait(seconds=10)
    [shipment] = stage.done("carrier", "shipments", journey.id)
    # Acknowledged means on the label; refused means not.
    assert ("12 State Circle" in str(shipment)) == (told[0] == "done")


async def test_cancel_racing_process(stage: Stage) -> None:
    journey = await stage.request("hard")
    told = await outcomes(update(journey, "process", {"operator": "Dana"}), update(journey, "cancel", {}))
    assert told[1] == "done"
    assert (await journey.result())["status"] == "Cancelled"
    token = journey.token()
    shipped = any(line == "shipped" for line in journey.letters())
    assert (token is None) == (not shipped)
    with stage.sessions() as session:
        assigned = session.execute(text("select count(*) from tokens where state = 'assigned'")).scalar_one()
    assert assigned == 0


async def test_cancel_racing_delivery(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.reach("Shipped")
    now = await journey.now()
    _, told = await asyncio.gather(
        journey.carrier("delivered", now), outcomes(update(journey, "cancel", {"by": "Ann"}))
    )
    assert told == ["done"]
    assert (await journey.result())["status"] == "Cancelled"
    token = journey.token()
    assert token is not None
    assert token.state == "coming_back"


async def test_one_passcode_in_two_hands(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.reach("Delivered")
    serial = (await journey.status())["serial_number"]
    body = {"serial_number": serial, "passcode": journey.device(serial).press(at=await journey.now())}
    told = await outcomes(*(update(journey, "enroll_hard", body) for _ in range(3)))
    assert told.count("done") == 1


async def test_signal_together_with_the_start(stage: Stage) -> None:
    handle = await stage.client.start_workflow(
        "TokenJourney",
        {"prescriber_id": "P-1014", "kind": "soft"},
        id=f"together-{stage.task_queue}",
        task_queue=stage.task_queue,
        start_signal="process",
        start_signal_args=[{"operator": "Dana"}],
    )
    from datetime import UTC, datetime

    journey = Play(stage, handle, datetime.now(UTC))
    await journey.wait(seconds=5)
    assert (await journey.status())["status"] == "Processed"


async def test_cancelled_while_the_stock_is_found_empty(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    looking, go_on = threading.Event(), threading.Event()

    def found_empty(*_: object) -> bool:
        looking.set()
        return not go_on.wait(20)

    monkeypatch.setattr(Stock, "_next", lambda *_: None)
    monkeypatch.setattr(Stock, "_any_in_stock", found_empty)
    stage.mailbox.fault("refuse", recipient="@gone.example")
    journey = await stage.request("hard", email="dr@gone.example")
    await journey.wait(seconds=5)
    assert "refuses the email" in (await journey.status())["needs_attention"]
    processing = asyncio.create_task(journey.refused("process", {"operator": "Dana"}))
    await asyncio.to_thread(looking.wait, 20)
    await journey.signal("cancel", {"by": "Ann"})
    go_on.set()
    assert "it has been cancelled" in await processing
    # Nobody is told of a stock that nothing waits for any more, nor called to a journey that is closed.
    assert (await journey.result())["status"] == "Cancelled"
    assert "team_out_of_stock" not in journey.letters()
    assert not (await journey.handle.describe()).typed_search_attributes.get(attributes.NEEDS_ATTENTION)
    refused = (
        f"select what from audit where journey_id = '{journey.id}' and status = 'Cancelled' and what like '%mail%'"
    )
    assert stage.rows(refused) == [("the mail server refuses the email `request_cancelled`",)]
