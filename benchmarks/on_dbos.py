"""The same journey with the same effects on DBOS, over the same PostgreSQL: a workflow in one process, each effect a step."""

import asyncio
import signal
import threading
from typing import Any

import psycopg
from dbos import DBOS, DBOSClient, DBOSConfig

from benchmarks import people
from benchmarks.plain import STAGES, Call, Effects, begun, stage, through
from benchmarks.plain_contender import PlainContender
from benchmarks.site import Site, superuser_url
from settings import Settings

_QUEUE = "journeys"
_LONG = 365 * 24 * 3600.0


def serve(settings: Settings, url: str) -> None:
    """Until SIGTERM. `url`: of DBOS's own database."""
    effects = Effects(settings)
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": url,
        "sys_db_pool_size": 50,
        "max_executor_threads": 200,
        "log_level": "WARNING",
        "application_version": "bench",
        "run_migrations": True,
        "use_listen_notify": True,
    }
    DBOS(config=config)

    @DBOS.step(
        retries_allowed=True, interval_seconds=1, max_attempts=20, backoff_rate=2
    )  # as the product's are tried again
    def effect(call: Call, key: str) -> tuple[Any, Any]:
        return effects.carry_out(call, key)

    @DBOS.workflow(name="journey")
    def journey(journey_id: str, prescriber_id: str) -> None:
        state, count = begun(journey_id, prescriber_id), iter(range(1000))
        for name in STAGES:
            message = {} if name == "request" else DBOS.recv(name, timeout_seconds=_LONG)
            replied = name not in ("process", "enrol")

            def carry_out(call: Call) -> tuple[Any, Any]:
                nonlocal replied
                came = effect(call, f"{journey_id}:{next(count)}")
                if not replied and call.name in ("stock.watch", "enrollment.verify_hard"):
                    DBOS.set_event(name, True)  # noqa: B023  # called within this turn
                    replied = True
                return came

            through(stage(name, state, message), carry_out)

    DBOS.launch()
    DBOS.register_queue(_QUEUE, polling_interval_sec=0.1)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    print("ready dbos", flush=True)
    stop.wait()
    DBOS.destroy()


class OnDbos(PlainContender):
    name = "DBOS"

    def __init__(self, site: Site, url: str) -> None:
        super().__init__(site)
        self._client = DBOSClient(system_database_url=url, use_listen_notify=True, system_database_pool_size=50)

    async def start(self, journey_id: str, kind: str, number: int) -> None:
        await asyncio.to_thread(self._enqueue, journey_id, people.prescriber_id(number))

    def _enqueue(self, journey_id: str, prescriber_id: str) -> None:
        self._client.enqueue(
            {"workflow_name": "journey", "queue_name": _QUEUE, "workflow_id": journey_id, "app_version": "bench"},
            journey_id,
            prescriber_id,
        )

    def end(self) -> None:
        self._client.destroy()

    def tell(self, journey_id: str, name: str, message: dict[str, Any]) -> None:
        self._client.send(journey_id, message, topic=name)

    def reply(self, journey_id: str, name: str) -> None:
        self._client.get_event(journey_id, name, timeout_seconds=60)


def database(site: Site) -> str:
    """A fresh database for DBOS on the same server; its SQLAlchemy URL."""
    with psycopg.connect(superuser_url(site), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS bench_dbos WITH (FORCE)")
        connection.execute("CREATE DATABASE bench_dbos")
    return superuser_url(site, "bench_dbos").replace("postgresql://", "postgresql+psycopg://")
