"""Brings journeys from request to Active, so many at once, as the people and parties around them would."""

import asyncio
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from benchmarks import cpu
from benchmarks.site import Site

_LOOK_EVERY = 0.25
"""Seconds between two looks at where all of them stand."""
_PATIENCE = 120.0


class Contender(Protocol):
    """One way to carry a token through its life. All are given the same messages."""

    name: str
    site: Site

    async def start(self, journey_id: str, kind: str, number: int) -> None:
        """Requested, for the prescriber of that number."""
        ...

    async def process(self, journey_id: str) -> str | None:
        """The serial that it has got. Returns with the reply."""
        ...

    async def deliver(self, journey_id: str) -> None: ...

    async def enrol(self, journey_id: str, kind: str, serial: str | None) -> None:
        """Returns with the reply."""
        ...

    async def statuses(self, run: str) -> Mapping[str, str]:
        """Where the journeys stand whose ids begin with `run`."""
        ...


@dataclass(frozen=True)
class Round:
    """`spent`: processor seconds by role."""

    journeys: int
    seconds: float
    spent: Mapping[str, float]

    @property
    def rate(self) -> float:
        return self.journeys / self.seconds

    def milliseconds(self, *roles: str) -> float:
        """Of processor time for one journey, of the roles whose names begin so."""
        return 1000 * sum(s for role, s in self.spent.items() if role.startswith(roles)) / self.journeys


_ORDER = ("Requested", "Processed", "Shipped", "Delivered", "Syncing", "Active")


class Drive:
    """One round of one contender. `numbers`: a prescriber for each journey."""

    def __init__(self, contender: Contender, kind: str, numbers: Sequence[int], at_once: int) -> None:
        self._contender, self._kind, self._numbers = contender, kind, numbers
        self._run_id = f"b{uuid.uuid4().hex[:8]}"
        self._places = asyncio.Semaphore(at_once)
        self._stand: Mapping[str, str] = {}
        self._looked = asyncio.Condition()

    async def run(self) -> list[str]:
        """The ids, when all are Active."""
        watching = asyncio.create_task(self._watch())
        try:
            return await asyncio.gather(*(self._journey(number) for number in self._numbers))
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    async def measured(self) -> Round:
        roles = self._contender.site.roles
        before, began = cpu.seconds(roles), time.monotonic()
        await self.run()
        seconds = time.monotonic() - began
        return Round(len(self._numbers), seconds, cpu.between(before, cpu.seconds(roles)))

    async def _journey(self, number: int) -> str:
        contender, journey_id = self._contender, f"{self._run_id}-{number:07d}-{self._kind}"
        async with self._places:
            await contender.start(journey_id, self._kind, number)
            serial = await contender.process(journey_id)
            if self._kind == "hard":
                await self._until(journey_id, "Shipped")
                await contender.deliver(journey_id)
                await self._until(journey_id, "Delivered")
            await contender.enrol(journey_id, self._kind, serial)
            await self._until(journey_id, "Active")
        return journey_id

    async def _until(self, journey_id: str, status: str) -> None:
        place = _ORDER.index(status)

        def reached() -> bool:
            return _ORDER.index(self._stand.get(journey_id, "Requested")) >= place

        try:
            async with self._looked:
                await asyncio.wait_for(self._looked.wait_for(reached), _PATIENCE)
        except TimeoutError:
            raise TimeoutError(
                f"{self._contender.name}: {journey_id} is {self._stand.get(journey_id)} and not {status}"
            ) from None

    async def _watch(self) -> None:
        while True:
            stand = await self._contender.statuses(self._run_id)
            async with self._looked:
                self._stand = stand
                self._looked.notify_all()
            await asyncio.sleep(_LOOK_EVERY)
