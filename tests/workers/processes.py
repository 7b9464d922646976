"""Worker and gateway as the processes that they are in production, on a stage's database and mailbox."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from connection import TASK_QUEUE
from tests import forked
from tests.journeys.test_replacement_crashes import environment
from tests.stage import Stage

ROOT = Path(__file__).parent.parent.parent
_PATIENCE = 90.0
"""Seconds; for the machine that has the whole test run to do."""


class Process:
    """One of them, with all that it has written."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process, self.log = process, log

    @property
    def said(self) -> str:
        return self.log.read_text()

    async def says(self, what: str) -> str:
        """Returns the first line with `what` in it, as soon as it is there."""
        found: list[str] = []

        async def there() -> bool:
            found[:] = [line for line in self.said.splitlines() if what in line]
            assert found or self.process.returncode is None, self.said
            return bool(found)

        await until(there)
        return found[0]

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    async def ended(self) -> int:
        return await asyncio.wait_for(self.process.wait(), _PATIENCE)


@asynccontextmanager
async def running(stage: Stage, name: str, *command: str, **settings: str) -> AsyncIterator[Process]:
    """`python -m command` with these settings, from when it is ready; killed at the end if it has not ended by then."""
    log = stage.folder / f"{name}.log"
    with log.open("wb") as written:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", *command),
            cwd=ROOT,
            env={**environment(stage), "PYTHONUNBUFFERED": "1", **settings},
            stdout=written,
            stderr=written,
        )
    try:
        started = Process(process, log)
        await started.says("ready ")
        yield started
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def worker(stage: Stage, name: str = "worker", **settings: str) -> AbstractAsyncContextManager[Process]:
    """A worker process; the stage's journeys are its."""
    stage.task_queue = TASK_QUEUE
    return running(stage, name, "worker", **settings)


async def until(holds: Callable[[], Awaitable[bool]], patience: float = _PATIENCE) -> None:
    """Returns when it holds; fails when it has not for so long."""
    async with asyncio.timeout(patience):
        while not await holds():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def tokens(stage: Stage, *words: str, **settings: str) -> tuple[int, str]:
    """The `tokens` command on the stage's system: its exit code, and what it says."""
    known = {**environment(stage), "TOKENS_STATE": str(stage.folder), **settings}
    return await asyncio.to_thread(forked.tokens, *words, environment=known)
