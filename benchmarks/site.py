"""A running system to measure at: a stack with every party, and worker processes of our own choice on it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import httpx
import psutil
from sqlalchemy import Engine
from temporalio.client import Client

from connection import data_converter
from database.engine import Sessions, engine_of, sessions_of
from database.sealing import Seal
from settings import Settings
from starter.stack import Stack
from starter.supervision import tethered
from tools.production.stack import PORTS, ProductionStack

ROOT = Path(__file__).resolve().parent.parent
POLICY = {"TOKENS_POLICY__CARRIER_CUTOFF": "23:59:59"}
"""So that a parcel ships at whatever hour this runs; `benchmarks.worker` sees to the days."""
_PARTIES = ("vendor", "carrier", "directory", "mail")


@dataclass
class Site:
    """`roles`: process ids by what they are for. `environment`: what a worker is given."""

    name: str
    environment: dict[str, str]
    settings: Settings
    client: Client
    engine: Engine
    roles: dict[str, int]
    gateway: str
    folder: Path
    stack: Any
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def sessions(self) -> Sessions:
        return sessions_of(self.engine)

    @property
    def seal(self) -> Seal:
        return Seal({key_id: key.get_secret_value() for key_id, key in self.settings.seal_keys.items()})

    async def start_worker(self, what: str, **variables: str) -> None:
        """`python -m benchmarks.worker <what>`; returns when it is ready. Its processor time counts under `worker <what>`."""
        path = self.folder / f"worker-{what}.log"
        with path.open("wb") as log:
            process = subprocess.Popen(  # noqa: S603, ASYNC220  # this project's own module, which takes no time to begin
                tethered([sys.executable, "-m", "benchmarks.worker", what]),
                cwd=ROOT,
                env={**self.environment, **POLICY, **variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        for _ in range(900):
            if b"ready " in path.read_bytes():
                break
            if process.poll() is not None:
                raise RuntimeError(f"the worker {what} did not start: {path.read_text()[-500:]}")
            await asyncio.sleep(0.1)
        self.workers[what] = process
        self.roles[f"worker {what}"] = process.pid

    async def end_worker(self, what: str, *, kill: bool = False) -> None:
        process = self.workers.pop(what)
        self.roles.pop(f"worker {what}")
        process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        process.send_signal(signal.SIGCONT)  # where it stands still
        try:
            await asyncio.to_thread(process.wait, 30)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait, 30)

    async def end(self) -> None:
        for what in list(self.workers):
            await self.end_worker(what)
        self.engine.dispose()


@asynccontextmanager
async def production(folder: Path, *, keep: bool = False, fresh: bool = True, shards: int = 512) -> AsyncIterator[Site]:
    """PostgreSQL under Temporal and under the application, as docker-compose.yml describes it; one database server for both.
    `fresh`: what an earlier run has left is removed first. `keep`: it stays afterwards."""
    variables = {**dict.fromkeys(PORTS, "0"), "TEMPORAL_HISTORY_SHARDS": str(shards), **POLICY}
    stack = ProductionStack(folder, _tell, variables, workers=1, only=("worker", "gateway", "sample-data"))
    if fresh:
        stack.remove()
    try:
        async with stack:
            environment = stack.environment("worker-1")
            await stack.hold("worker-1", 15)
            roles = {name: stack.pid(name) for name in ("temporal", "postgres", "gateway", *_PARTIES)}
            site = await _site("PostgreSQL", environment, roles, stack.info["gateway"], folder, stack)
            async with _ending(site):
                yield site
    finally:
        if not keep:
            stack.remove()


@asynccontextmanager
async def dev_server(folder: Path) -> AsyncIterator[Site]:
    """The embedded stack: Temporal's dev server and the application, each on a file of SQLite."""
    ports = dict.fromkeys(("temporal_port", "ui_port", "gateway_port", "smtp_port"), 0)
    async with Stack(Settings(state=folder, **ports), _tell) as stack:  # type: ignore[arg-type]
        pids = stack.info["pids"]
        environment = psutil.Process(pids["worker"]).environ()
        await stack._supervisor.hold("worker", 15)  # its own is replaced by the one that is measured
        roles = {name: pids[name] for name in ("temporal", "gateway", *_PARTIES)}
        site = await _site("dev server", environment, roles, stack.info["gateway"], folder, stack)
        async with _ending(site):
            yield site


@asynccontextmanager
async def _ending(site: Site) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await site.end()


async def _site(
    name: str, environment: dict[str, str], roles: Mapping[str, int | None], gateway: str, folder: Path, stack: Any
) -> Site:
    with as_environment({**environment, **POLICY}):
        settings = Settings()
    client = await Client.connect(
        environment["TEMPORAL_ADDRESS"],
        namespace=environment.get("TEMPORAL_NAMESPACE", "default"),
        data_converter=data_converter(settings),
    )
    # What is measured is the journey, not how often the directory is asked.
    async with httpx.AsyncClient(timeout=10) as asking:
        (
            await asking.put(f"{settings.directory_url}/simulate/settings", json={"polls_until_synced": 1})
        ).raise_for_status()
    return Site(
        name=name,
        environment=environment,
        settings=settings,
        client=client,
        engine=engine_of(settings.url_of_database),
        roles={role: pid for role, pid in roles.items() if pid is not None},
        gateway=gateway,
        folder=folder,
        stack=stack,
    )


@contextmanager
def as_environment(variables: Mapping[str, str]) -> Any:
    """These variables and no others, for as long as it lasts."""
    with patch.dict(os.environ, variables, clear=True):
        yield


def superuser_url(site: Site, database: str = "postgres") -> str:
    """libpq's URL of the PostgreSQL server, for its superuser."""
    password = (site.stack.secrets / "postgres_password").read_text()
    at = urlsplit(site.settings.url_of_database)
    return f"postgresql://postgres:{password}@{at.hostname}:{at.port}/{database}"


def written(file: Path, content: Any) -> Path:
    file.write_text(json.dumps(content))
    return file


def _tell(said: str) -> None:
    print(said, file=sys.stderr, flush=True)
