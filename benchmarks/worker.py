"""The worker processes that are measured: `python -m benchmarks.worker product|product-2|bare|dbos|polled`, ended by SIGTERM.

The product's is its own `worker.main`; only the carrier works every day of the year here, so that a run on a holiday measures
the same as any other.
"""

import asyncio
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

from temporalio.worker import Worker

import worker
from connection import connect
from domain import calendar
from settings import Settings
from telemetry import logs


def product(settings: Settings) -> None:
    calendar._carrier_rests = lambda day, policy: None
    asyncio.run(worker.main(settings))


def bare(settings: Settings) -> None:
    asyncio.run(_bare(settings))


async def _bare(settings: Settings) -> None:
    from benchmarks.bare import TASK_QUEUE, Bare, step

    logs.configure(settings)  # it logs what it does, as the product's does
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    client = await connect(settings)
    with ThreadPoolExecutor(2 * settings.worker.activities) as threads:
        async with Worker(
            client,
            task_queue=TASK_QUEUE,
            workflows=[Bare],
            activities=[step],
            activity_executor=threads,
            **worker.options_of(settings),
        ):
            print("ready bare worker", flush=True)
            await stop.wait()


def dbos(settings: Settings) -> None:
    from benchmarks import on_dbos

    calendar._carrier_rests = lambda day, policy: None
    on_dbos.serve(settings, os.environ["BENCH_DBOS_URL"])


def polled(settings: Settings) -> None:
    from benchmarks import polled

    calendar._carrier_rests = lambda day, policy: None
    polled.serve(settings)


if __name__ == "__main__":
    which = sys.argv[1].partition("-")[0]  # of several of a kind, `product-2`
    {"product": product, "bare": bare, "dbos": dbos, "polled": polled}[which](Settings())
