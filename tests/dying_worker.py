"""A worker process that kills itself, really, at one step: `python -m tests.dying_worker ACTIVITY before|after MARKER`.

It dies at the first such activity and leaves MARKER, so that the next one lives. Which server, queue and settings it works
for stands in its environment.
"""

import asyncio
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from connection import connect
from settings import Settings
from worker import Dependencies, worker_for


class Dying(Interceptor):
    def __init__(self, name: str, when: str, marker: Path) -> None:
        self.name, self.when, self.marker = name, when, marker

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        return _Dying(next, self)


class _Dying(ActivityInboundInterceptor):
    def __init__(self, next_: ActivityInboundInterceptor, dying: Dying) -> None:
        super().__init__(next_)
        self.dying = dying

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        here = activity.info().activity_type == self.dying.name
        if here and self.dying.when == "before":
            self.die()
        result = await self.next.execute_activity(input)
        if here:
            self.die()
        return result

    def die(self) -> None:
        try:
            self.dying.marker.touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


async def main() -> None:
    name, when, marker = sys.argv[1:]
    settings = Settings()
    client = await connect(settings)
    with Dependencies(settings) as dependencies, ThreadPoolExecutor(8) as threads:
        dying = Dying(name, when, Path(marker))
        queue = os.environ["TASK_QUEUE"]
        # As in production, so that the next worker need not wait ten seconds for what the dead one had in its memory.
        sticky = timedelta(seconds=settings.worker.sticky_seconds)
        async with worker_for(
            client,
            dependencies,
            threads,
            task_queue=queue,
            interceptors=[dying],
            sticky_queue_schedule_to_start_timeout=sticky,
        ):
            await asyncio.Event().wait()


def program() -> None:
    """Until it dies or is ended."""
    asyncio.run(main())


if __name__ == "__main__":
    program()
