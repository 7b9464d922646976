"""The worker is killed, with SIGKILL, while a file is read: the next one ends the import as if nothing had been."""

import asyncio
import signal
from pathlib import Path

import pytest
from temporalio.client import Client

from simulators import batch
from tests.journeys.test_import import many, put, reading, stock
from tests.journeys.test_replacement_crashes import process
from tests.stage import Stage, Theatre

pytestmark = pytest.mark.slow


async def killed(temporal: Client, theatre: Theatre, folder: Path, step: str, when: str) -> None:
    async with Stage(temporal, theatre, folder) as stage:
        await stage.stop_worker()
        made = many(12_000)
        put(stage, batch.pskc([*made, made[0]]), "lot.xml")
        play = await stage.open("ImportTokens", {"file": "lot.xml", "imported_by": "Ann", "partial": True})
        first = await process(stage, step, when)
        if step == "nowhere":
            await reading(stage, play)
            first.kill()
        assert await asyncio.wait_for(first.wait(), 60) == -signal.SIGKILL
        assert stock(stage) == (0 if step == "nowhere" else 12_000)
        assert 0 < stage.rows("select rows_read from imports")[0][0] <= 12_001
        second = await process(stage, step, when)
        try:
            report = await asyncio.wait_for(play.handle.result(), 90)
        finally:
            second.kill()
            await second.wait()
        assert (report["taken"], report["refused_in_all"]) == (12_000, 1)
        assert stock(stage) == 12_000
        assert stage.rows("select count(*) from imported_tokens") == [(0,)]
        assert stage.rows("select count(*) from import_refusals") == [(1,)]
        assert len(stage.rows("select entry from audit")) == 1
        log = (stage.folder / "worker.log").read_bytes()
        assert not any(token.device.seed.hex().encode() in log for token in made)


async def test_killed(temporal: Client, theatre: Theatre, tmp_path: Path) -> None:
    """In the middle of the file, and after it was taken over but before anybody heard of it."""
    await asyncio.gather(
        killed(temporal, theatre, _made(tmp_path / "middle"), "nowhere", "before"),
        killed(temporal, theatre, _made(tmp_path / "end"), "imports.take_in", "after"),
    )


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
