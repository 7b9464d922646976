"""Active for years: the journey continues as new without losing anything."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.converter import PayloadCodec

from settings import Settings
from tests.conftest import temporal_server
from tests.journeys.test_reconcile import again, reconciled, requested
from tests.journeys.test_search_attributes import true
from tests.stage import Play, Stage, Theatre

pytestmark = pytest.mark.slow

REFUSED = "select count(*), count(distinct entry), count(distinct by) from audit where refused is not null"


class Ambush(PayloadCodec):
    """Strikes once, when the worker has decided to continue as new and the server does not know it yet."""

    def __init__(self, codec: PayloadCodec) -> None:
        self.codec = codec
        self.strike: Callable[[], Awaitable[None]] | None = None

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        if self.strike and any(b'"carried":{' in payload.data for payload in payloads):
            strike, self.strike = self.strike, None
            await strike()
        return await self.codec.encode(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return await self.codec.decode(payloads)


@pytest.fixture
async def ambushed(settings: Settings, own_theatre: Theatre, tmp_path: Path) -> AsyncIterator[tuple[Stage, Ambush]]:
    """On a server that finds a history long from 150 events on, so that the test need not send thousands."""
    flags = ("--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=150")
    async with temporal_server(settings, *flags) as client:
        config = client.config()
        assert config["data_converter"].payload_codec
        ambush = Ambush(config["data_converter"].payload_codec)
        config["data_converter"] = replace(config["data_converter"], payload_codec=ambush)
        async with Stage(Client(**config), own_theatre, tmp_path) as stage:
            yield stage, ambush


@pytest.fixture
def stage(ambushed: tuple[Stage, Ambush]) -> Stage:
    return ambushed[0]


async def recorded(stage: Stage, signals: int) -> None:
    """Each refused signal stands in the audit trail once; they get there an instant later."""
    for _ in range(200):
        if stage.rows(REFUSED)[0][0] >= signals:
            break
        await asyncio.sleep(0.05)
    assert stage.rows(REFUSED) == [(signals, signals, signals)]


async def runs(journey: Play) -> int:
    """In how many runs the journey has been carried on so far."""
    run_id, found = (await journey.handle.describe()).run_id, 1
    while True:
        handle = journey.stage.client.get_workflow_handle(journey.id, run_id=run_id)
        first = (await handle.fetch_history()).events[0].workflow_execution_started_event_attributes
        if not first.continued_execution_run_id:
            return found
        run_id, found = first.continued_execution_run_id, found + 1


async def test_it_continues_as_new_with_all_it_knows(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.reach("Active")
    before = await journey.status()
    for number in range(60):
        await journey.signal("edit", {"email": "late@clinic.example", "by": f"sender {number}"})
    await journey.wait(days=200)
    assert await runs(journey) > 1
    snapshot = await journey.status()
    assert (await true(journey))["status"] == "Active"
    assert ": Active" in str(await journey.handle.query("__temporal_workflow_metadata")), "the new run shows itself"
    assert snapshot["serial_number"] == before["serial_number"]
    assert snapshot["promises"] == before["promises"]
    assert snapshot["timeline"] == before["timeline"]
    # Each refused signal once, the latest fifty of them here and all in the audit trail.
    assert [refusal["by"] for refusal in snapshot["refused"]] == [f"sender {number}" for number in range(10, 60)]
    await recorded(stage, 60)
    await journey.update("deactivate", {"confirmed": True, "reason": "stolen"})
    assert (await journey.result())["status"] == "Deactivated"


async def test_three_years_and_five_hundred_messages(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.reach("Active")
    letters, answered = journey.letters(), 0
    for month in range(36):
        for number in range(10):
            await journey.handle.signal("edit", {"email": "late@clinic.example", "by": f"sender {month}-{number}"})
        # An update that is refused is answered, and leaves no trace.
        refusals = await asyncio.gather(
            *(journey.refused("process", {"operator": f"caller {month}-{number}"}) for number in range(4))
        )
        answered += len(refusals)
        assert all("it is already active" in sentence for sentence in refusals), refusals
        await journey.wait(days=30.5)
        assert await journey.signs()
    assert answered == 144
    await recorded(stage, 360)
    assert await runs(journey) > 3
    snapshot = await journey.status()
    assert snapshot["status"] == "Active"
    assert journey.letters() == letters
    await journey.update("deactivate", {"confirmed": True, "reason": "no_longer_needed", "in_possession": True})
    assert (await journey.result())["status"] == "Deactivated"
    assert not await journey.signs(await journey.now())


async def test_a_message_in_that_instant_is_handled_once(ambushed: tuple[Stage, Ambush]) -> None:
    stage, ambush = ambushed
    journey = await stage.request("hard")
    await journey.reach("Active")
    answers: list[asyncio.Task[str]] = []
    struck = asyncio.Event()

    async def strike() -> None:
        await journey.handle.signal("edit", {"email": "late@clinic.example", "by": "the latest"})
        answers.append(asyncio.create_task(journey.refused("process", {"operator": "the latest caller"})))
        struck.set()
        await asyncio.sleep(0.2)

    ambush.strike = strike
    sent = 0
    while ambush.strike:
        sent += 1
        await journey.signal("edit", {"email": "late@clinic.example", "by": f"sender {sent}"})
        assert sent < 100, "the journey never continued as new"
    await asyncio.wait_for(struck.wait(), 10)
    assert "it is already active" in await answers[0]
    await recorded(stage, sent + 1)
    assert await runs(journey) == 2
    snapshot = await journey.status()
    assert snapshot["status"] == "Active"
    assert [refusal["by"] for refusal in snapshot["refused"]].count("the latest") == 1


async def test_deactivated_in_that_instant(ambushed: tuple[Stage, Ambush]) -> None:
    stage, ambush = ambushed
    journey = await stage.request("hard")
    await journey.reach("Active")

    async def strike() -> None:
        await journey.handle.signal("deactivate", {"confirmed": True, "reason": "faulty", "by": "the prescriber"})

    ambush.strike = strike
    for number in range(100):
        if ambush.strike is None:
            break
        await journey.signal("edit", {"email": "late@clinic.example", "by": f"sender {number}"})
    assert ambush.strike is None
    assert (await journey.result())["status"] == "Deactivated"
    assert not await journey.signs(await journey.now())
    entries = "select count(*) from audit where what like 'deactivated%' and refused is null"
    assert stage.rows(entries) == [(1,)]
    assert journey.letters().count("deactivated") == 1


async def test_records_know_it_by_its_first_run_whatever_becomes_of_its_runs(stage: Stage) -> None:
    """Terminated, taken up again, and then continued as new: else records that are written again would stand there twice."""
    journey = await requested(stage, "soft", "P-1001", "Active")
    await journey.handle.terminate("cleaning up")
    assert (await reconciled(stage))["repaired"] == 1
    journey = again(journey)
    for number in range(60):
        await journey.signal("edit", {"email": "late@clinic.example", "by": f"sender {number}"})
    await journey.wait(days=200)
    assert await runs(journey) > 1
    await journey.update("deactivate", {"confirmed": True})
    await journey.result()
    known = stage.rows(f"select distinct substr(entry, 1, 36) from audit where journey_id = '{journey.id}'")
    assert known == stage.rows(f"select first_run_id from journeys where journey_id = '{journey.id}'")
