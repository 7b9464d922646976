"""The production-shaped stack of `docker-compose.yml`, without Docker. All it keeps lies in its state folder (as root the
database beside it, see `postgresql.py`), so that a new start goes on where the last one ended."""

import asyncio
import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from starter.supervision import HOST, Child, StackError, Supervisor, Tell, Wanted, all_of, choose, tethered
from tools import make_secrets
from tools.production import binaries, health, native
from tools.production.compose import ROOT, Service, in_order, services
from tools.production.postgresql import Database

PORTS = {
    "TOKENS_TEMPORAL_PORT": 7233,
    "TOKENS_UI_PORT": 8233,
    "TOKENS_GATEWAY_PORT": 8080,
    "TOKENS_MAIL_PORT": 8025,
    "TOKENS_GRAFANA_PORT": 3000,
}
"""What the compose file publishes, by the variable that changes it. 0: any free one."""
FOR_TRIALS = {
    **dict.fromkeys(PORTS, "0"),
    "TEMPORAL_HISTORY_SHARDS": "4",
    "TEMPORAL_DYNAMIC_CONFIG": "time-skipping.yaml",
}
"""Variables of a stack beside others, which is soon gone: any free ports, few shards, and clocks that can be moved."""
_JOB_PATIENCE = 120.0


class ProductionStack:
    """`async with ProductionStack(state, tell) as stack:` everything runs and is healthy inside; after it nothing does.

    `variables`: what the compose file's `${NAME}` stand for; a port of 0 is any free one. `workers`: how many. `only`: these
    services, and what they need (None: all). `profiles`: as `docker compose --profile`. `settings`: what a service, or one
    worker of several, has in its environment beside what the compose file says. Services are called as in the compose file,
    workers `worker-1`, `worker-2`. Enter it in the main thread. Entering raises StackError.
    """

    def __init__(
        self,
        state: Path,
        tell: Tell,
        variables: Mapping[str, str] | None = None,
        workers: int = 2,
        only: Sequence[str] | None = None,
        profiles: Sequence[str] = ("trial",),
        backoff: tuple[float, float] = (0.5, 10.0),
        settings: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        state = state.resolve()
        self.secrets = state / "secrets"
        given = {"TOKENS_WORKERS": str(workers), **(variables or {}), "TOKENS_SECRETS": str(self.secrets)}
        chosen = {int(given.get(name, default)) for name, default in PORTS.items()}
        ports = {name: str(choose(int(given.get(name, default)), chosen)) for name, default in PORTS.items()}
        every = services({**given, **ports})
        self.services = {one.name: one for one in every.values() if _wanted(one, every, only, profiles)}
        self.places = native.Places(state, self.services)
        self.database = Database(state)
        self._settings = settings or {}
        self.supervisor = Supervisor(state, tell, backoff, patience=_JOB_PATIENCE, grace=20)
        self._tell = tell
        self._exit = AsyncExitStack()

    # Where everything is

    @property
    def info(self) -> dict[str, Any]:
        """Addresses, places and process ids."""
        return self.supervisor.info

    def port(self, name: str, port: int | None = None) -> int:
        """Where a service really listens; `port` as in the compose file, and its first one when left out."""
        return self.places.port(name, port)

    def route(self, service: str, to: int, port: int | None = None, of: str | None = None) -> None:
        """Before entering: lets the service `of` (None: everybody) find `service` at another port, such as a proxy's."""
        self.places.route(service, to, port, of)

    def environment(self, name: str) -> dict[str, str]:
        """What a service is given, such as `worker-1`: for another process that is to work as it does."""
        service = self.services[native.service_of(name)]
        return native.environment(service, name, self.places, self._binaries)

    # Faults, and changes while it runs

    def pid(self, name: str) -> int | None:
        """None while it is down."""
        return self.supervisor.pid(name)

    async def kill(self, name: str) -> None:
        """`kill -9`; it comes back by itself. Returns when it is back."""
        await self.hold(name)
        await self.resume(name)

    async def hold(self, name: str, number: int = signal.SIGKILL) -> None:
        """Ends it by that signal, and leaves it down."""
        await self.supervisor.hold(name, number)

    async def resume(self, name: str) -> None:
        """Starts what was held; returns when it is healthy."""
        await self.supervisor.resume(name)

    async def add_worker(self, number: int, variables: Mapping[str, str] | None = None) -> str:
        """One more worker, `worker-<number>`; `variables` are set in its environment, such as another build id. Returns its name
        when it is ready."""
        service = self.services["worker"]
        name = f"worker-{number}"
        self.places.add_replica(service, name)
        await self.supervisor.start(self._child(service, name, variables or {}))
        return name

    async def remove_worker(self, name: str) -> None:
        """SIGTERM, and it stays away; returns when it has drained."""
        await self.supervisor.retire(name)

    def remove(self) -> None:
        """While it does not run: the database's files, which lie outside the state folder where this runs as root."""
        self.database.remove()

    # Starting

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as undo:
            await undo.enter_async_context(self.supervisor)
            self._binaries = await asyncio.to_thread(binaries.ensure, self._tell)
            if "postgres_password" in make_secrets.make(self.secrets) and self.database.exists:
                raise StackError(
                    f"The database in {self.database.folder} was made with other secrets than those in {self.secrets}, which are"
                    " new; bring the old ones back, or remove that database."
                )
            self.info.update(self._info())
            for wave in in_order(self.services):
                await all_of(*(self._start(service) for service in wave))
            self.supervisor.ready()
            self._exit = undo.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exit.aclose()

    async def _start(self, service: Service) -> None:
        self._hand_over_secrets(service)
        for source in service.volumes.values():
            self.places.volume(source).mkdir(parents=True, exist_ok=True)
        if service.once:
            await self._run(service)
            return
        if service.name == "postgres":
            await asyncio.to_thread(
                self.database.make, self._binaries, (self.secrets / "postgres_password").read_text()
            )
        if service.name == "temporal":
            await asyncio.to_thread(self._forget_members)
        await self.supervisor.start(*(self._child(service, name, {}) for name in native.replicas(service)))

    def _forget_members(self) -> None:
        """Temporal's parts have other ports at each start, and for twenty seconds look for those of the start before: now and then
        until they give up, after a minute. In containers ports stay."""
        with psycopg.connect(
            host=HOST,
            port=self.port("postgres"),
            user="postgres",
            password=(self.secrets / "postgres_password").read_text(),
            dbname="temporal",
        ) as database:
            database.execute("delete from cluster_membership")

    def _hand_over_secrets(self, service: Service) -> None:
        """The files that the service names, and no others, as a container would see them."""
        folder = self.places.secrets_of(service)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, file in service.secrets.items():
            target = folder / name
            target.unlink(missing_ok=True)
            content = self.places.here(file.read_text(), service, native.replicas(service)[0])
            with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
                opened.write(content)

    async def _run(self, service: Service) -> None:
        """A job: to its end. Raises StackError where that is not a good one."""
        environment = native.environment(service, service.name, self.places, self._binaries)
        command = native.command(service, service.name, self.places, self._binaries)
        log = self.supervisor.state / "logs" / f"{service.name}.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *tethered(command), cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
            try:
                code = await asyncio.wait_for(process.wait(), _JOB_PATIENCE)
            except TimeoutError:
                raise StackError(f"The job {service.name} did not end within {_JOB_PATIENCE:g} s; see {log}.") from None
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        if code != 0:
            lines = log.read_text(errors="replace").strip().splitlines()
            last = lines[-1][:300] if lines else f"exit code {code}"
            raise StackError(f"The job {service.name} failed ({last}); see {log}.")

    def _child(self, service: Service, name: str, variables: Mapping[str, str]) -> Child:
        own = {**self._settings.get(service.name, {}), **self._settings.get(name, {}), **variables}
        environment = {**native.environment(service, name, self.places, self._binaries), **own}
        if service.name == "postgres":
            flags = [self.places.here(part, service, name) for part in service.command[1:]]
            command = self.database.command(self._binaries, self.port(name), flags)
        else:
            command = native.command(service, name, self.places, self._binaries)
        ports = tuple(Wanted(self.places.port(name, port), name, _setting(service, port)) for port in service.exposed)
        return Child(name, name, command, environment, ROOT, ports, self._health(service, name, environment))

    def _health(self, service: Service, name: str, environment: Mapping[str, str]) -> Any:
        if service.name == "mail":  # the sink's own, as Mailpit is not here
            return health.http(self.port(name, 8025), "/healthz")
        kind, *words = service.health
        words = shlex.split(words[0]) if kind == "CMD-SHELL" else words
        return health.check([self.places.here(word, service, name) for word in words], environment)

    def _info(self) -> dict[str, Any]:
        listed = {"temporal": f"{HOST}:{self.port('temporal')}"} if "temporal" in self.services else {}
        for name in ("ui", "gateway", "vendor", "carrier", "directory"):
            if name in self.services:
                listed[name] = f"http://{HOST}:{self.port(name)}"
        if "gateway" in self.services:
            listed["codec"] = f"{listed['gateway']}/codec"
        if "mail" in self.services:
            listed["mail_control"] = f"http://{HOST}:{self.port('mail', 8025)}"
            listed["mail"] = str(self.places.state / "mail")
        database = f"postgresql+psycopg://tokens_app@{HOST}:{self.port('postgres')}/tokens"
        namespace = (
            self.services["namespace"].environment["TEMPORAL_NAMESPACE"] if "namespace" in self.services else "default"
        )
        return {
            **listed,
            "database_url": database,
            "namespace": namespace,
            "secrets": str(self.secrets),
            "state": str(self.places.state),
        }


def _wanted(one: Service, every: Mapping[str, Service], only: Sequence[str] | None, profiles: Sequence[str]) -> bool:
    if one.name in native.LEFT_OUT or (one.profiles and not set(one.profiles) & set(profiles)):
        return False
    return only is None or one.name in _needed(only, every)


def _needed(names: Sequence[str], every: Mapping[str, Service]) -> set[str]:
    needed = set(names)
    for name in names:
        needed |= _needed([*every[name].after], every)
    return needed


def _setting(service: Service, port: int) -> str | None:
    """The variable that changes a published port."""
    if port not in service.published:
        return None
    return next((name for name in PORTS if name == f"TOKENS_{service.name.upper()}_PORT"), None)
