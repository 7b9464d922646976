"""Active for years: the journey continues as new without losing anything."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from settings import Settings
from tests.conftest import temporal_server
from tests.stage import Stage, Theatre


@pytest.fixture
async def stage(settings: Settings, theatre: Theatre, tmp_path: Path) -> AsyncIterator[Stage]:
    """On a server that finds a history long from 150 events on, so that the test need not send thousands."""
    flags = ("--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=150")
    async with temporal_server(settings, *flags) as client, Stage(client, theatre, tmp_path) as stage:
        yield stage


async def test_it_continues_as_new_with_all_it_knows(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.reach("Active")
    before = await journey.status()
    first_run = (await journey.handle.describe()).run_id
    for number in range(60):
        await journey.signal("edit", {"email": "late@clinic.example", "by": f"sender {number}"})
    await journey.wait(days=200)
    described = await journey.handle.describe()
    assert described.run_id != first_run
    snapshot = await journey.status()
    assert snapshot["status"] == "Active"
    assert snapshot["serial_number"] == before["serial_number"]
    assert snapshot["promises"] == before["promises"]
    assert snapshot["timeline"] == before["timeline"]
    # Each refused message once, the latest fifty of them here and all in the audit trail.
    assert [refusal["by"] for refusal in snapshot["refused"]] == [f"sender {number}" for number in range(10, 60)]
    with stage.sessions() as session:
        rows = session.connection().exec_driver_sql(
            "select count(*), count(distinct entry), count(distinct by) from audit where refused is not null"
        )
        assert tuple(rows.one()) == (60, 60, 60)
    await journey.update("deactivate", {"confirmed": True, "reason": "stolen"})
    assert (await journey.result())["status"] == "Deactivated"
