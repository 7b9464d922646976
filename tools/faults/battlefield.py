"""The production-shaped stack with everything between and under its parts that can be made to fail."""

from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import TracebackType
from typing import Self

from domain.calendar import shipping_day
from domain.policy import Policy
from starter.supervision import HOST, Tell
from tools.faults.clocks import Clocks
from tools.faults.disk import Disk
from tools.faults.network import Line
from tools.production.stack import PORTS, ProductionStack

WORKERS = ("worker-1", "worker-2")
SYSTEM = (*WORKERS, "gateway")
PARTIES = ("vendor", "carrier", "directory")
_LINES = {
    "worker": {"temporal": 7233, "postgres": 5432, "mail": 1025, "vendor": 9101, "carrier": 9102, "directory": 9103},
    "gateway": {"temporal": 7233, "postgres": 5432},
    "carrier": {"gateway": 8080},
}
"""Who is connected with whom through a proxy: service, the other, its port in the compose file."""
_HOURS = 4
"""How long a run takes at most."""


class Battlefield:
    """`async with Battlefield(folder, tell) as field:` the stack runs inside. Raises StackError."""

    def __init__(self, folder: Path, tell: Tell) -> None:
        self._exit = AsyncExitStack()
        self.clocks = Clocks(folder / "clocks", SYSTEM)
        zone = carrier_zone(datetime.now(UTC))
        self.by_clock = zone is None
        own = {
            "TOKENS_POLICY__SYNC_POLL_SECONDS": "2",
            "TOKENS_POLICY__CARRIER_TIME_ZONE": zone or "Etc/UTC",
            "TOKENS_POLICY__CARRIER_CUTOFF": "23:59",
            "TOKENS_API_RATE": "1000000/minute",
            "TOKENS_WEBHOOK_SWEEP_SECONDS": "2",
        }
        variables = {
            **dict.fromkeys(PORTS, "0"),
            "TEMPORAL_HISTORY_SHARDS": "4",
            "TEMPORAL_DYNAMIC_CONFIG": "time-skipping.yaml" if self.by_clock else "production.yaml",
        }
        settings = {"worker": own, "gateway": own, **self.clocks.settings()}
        settings["gateway"] = own | dict(settings["gateway"])
        self.stack = ProductionStack(folder, tell, variables, profiles=(), backoff=(0.2, 1.0), settings=settings)
        self.stack.remove()  # what a run that was killed has left
        self.disk = Disk(self.stack.database.folder)
        self.lines: dict[str, Line] = {}

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as undo:
            undo.callback(self.stack.remove)
            undo.enter_context(self.disk)
            for service, others in _LINES.items():
                for other, port in others.items():
                    line = await undo.enter_async_context(Line(self.stack.port(other, port)))
                    self.stack.route(other, line.port, port, of=service)
                    self.lines[f"{service} to {other}"] = line
            upstream = await undo.enter_async_context(Line(self.stack.port("gateway")))
            self.lines["upstream to gateway"] = upstream
            await undo.enter_async_context(self.stack)
            self._exit = undo.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        for line in self.lines.values():
            line.go_on()
        await self._exit.aclose()

    @property
    def gateway(self) -> str:
        """Where upstream systems and prescribers find it."""
        return f"http://{HOST}:{self.lines['upstream to gateway'].port}"

    def switches(self, party: str) -> str:
        """The address of a simulator's faults."""
        port = self.stack.port("mail", 8025) if party == "mail" else self.stack.port(party)
        return f"http://{HOST}:{port}/faults"

    async def ready(self) -> None:
        """Returns when everything is up."""
        for name in (*SYSTEM, *PARTIES, "postgres", "temporal", "mail"):
            await self.stack.supervisor.until_ready(name)


def carrier_zone(now: datetime) -> str | None:
    """Where on earth the carrier works now and for some hours on: journeys don't wait for tomorrow there. None on a weekend or
    holiday that is everywhere."""
    for hours in range(-12, 15):
        sign = "-" if hours > 0 else "+"  # POSIX counts the other way
        zone = f"Etc/GMT{sign}{abs(hours)}"
        local = now.astimezone(timezone(timedelta(hours=hours)))
        policy = Policy(carrier_time_zone=zone)
        if (
            local.hour < 23 - _HOURS
            and shipping_day(now, policy.model_copy(update={"carrier_cutoff": local.max.time()})).same_day
        ):
            return zone
    return None
