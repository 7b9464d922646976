"""Faults at random moments, in an order that follows from the seed: three lanes side by side, so that they meet each other."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import Any

import httpx

from starter.supervision import Tell
from tools.faults.battlefield import PARTIES, SYSTEM, WORKERS, Battlefield

Blow = Callable[[random.Random], Awaitable[None]]

_KILLED = (*SYSTEM, "temporal", "postgres", "mail", *PARTIES)


class Storm:
    """`run` strikes each blow `times` times, or of them `only` these. `done` counts them. `pause`: seconds between two of a lane."""

    def __init__(self, field: Battlefield, seed: int, tell: Tell, pause: float, only: Collection[str] = ()) -> None:
        self._field, self._tell, self._pause = field, tell, pause
        self._seed, self._only = seed, only
        self._http = httpx.AsyncClient(timeout=10, trust_env=False)
        self.done: Counter[str] = Counter()

    async def run(self, times: int) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for name, deck in self._decks().items():
                    group.create_task(self._lane(random.Random(f"{self._seed} {name}"), deck, times))  # noqa: S311
        finally:
            await self._calm()

    async def _lane(self, rng: random.Random, deck: dict[str, Blow], times: int) -> None:
        struck = [name for name in deck if not self._only or name.partition(", by")[0] in self._only]
        order = struck * times
        rng.shuffle(order)
        for name in order:
            await asyncio.sleep(rng.uniform(0.2, 2) * self._pause)
            self._tell(f"  fault: {name}")
            await deck[name](rng)
            self.done[name] += 1

    def _decks(self) -> dict[str, dict[str, Blow]]:
        kills = {f"kill -9 {name}": self._killing(name) for name in _KILLED}
        loss: dict[str, Any] = {}
        for party in PARTIES:
            loss[f"lost replies of {party}"] = self._switching(party, {"kind": "lose_reply", "times": 3})
            loss[f"{party} hangs"] = self._switching(party, {"kind": "hang", "times": 2}, clear=True)
            loss[f"{party} out of order"] = self._switching(party, {"kind": "error", "times": 5})
        loss["lost replies of mail"] = self._switching("mail", {"kind": "lose_reply", "times": 3})
        loss["mail hangs"] = self._switching("mail", {"kind": "hang", "times": 2, "seconds": 6})
        loss["mail puts off"] = self._switching("mail", {"kind": "tempfail", "times": 4})
        loss["mail drops connections"] = self._switching("mail", {"kind": "down", "times": 4})
        for name in self._field.lines:
            loss[f"cut after the request: {name}"] = self._losing(name)
        still = {f"network hangs: {name}": self._hanging(name) for name in self._field.lines}
        still |= {f"disk full for the database, by {self._field.disk.kind}": self._full}
        still |= {f"clock off: {name}": self._clock(name) for name in SYSTEM}
        return {"kills": kills, "replies": loss, "rest": still}

    # The blows

    def _killing(self, name: str) -> Blow:
        async def kill(rng: random.Random) -> None:
            await self._field.stack.hold(name)
            await asyncio.sleep(rng.choice((0, 0, rng.uniform(0.5, 4))))
            await self._field.stack.resume(name)

        return kill

    def _switching(self, party: str, fault: dict[str, Any], *, clear: bool = False) -> Blow:
        async def switch(rng: random.Random) -> None:
            await self._switch("PUT", party, fault)
            if clear:
                await asyncio.sleep(rng.uniform(2, 7))
                await self._switch("DELETE", party)

        return switch

    async def _switch(self, method: str, party: str, fault: dict[str, Any] | None = None) -> None:
        """Until it has been taken: the simulator may just be down."""
        while True:
            with suppress(httpx.HTTPError):
                (await self._http.request(method, self._field.switches(party), json=fault)).raise_for_status()
                return
            await asyncio.sleep(0.3)

    def _losing(self, name: str) -> Blow:
        async def lose(rng: random.Random) -> None:
            line = self._field.lines[name]
            before, times = line.lost, rng.randint(1, 3)
            line.lose(times)
            with suppress(TimeoutError):  # nobody may speak on it just now; what is left of it comes later
                async with asyncio.timeout(10):
                    while line.lost < before + times:  # noqa: ASYNC110
                        await asyncio.sleep(0.1)

        return lose

    def _hanging(self, name: str) -> Blow:
        async def hang(rng: random.Random) -> None:
            line = self._field.lines[name]
            line.hang()
            await asyncio.sleep(rng.uniform(2, 8))
            if rng.random() < 0.5:
                line.cut()
            line.go_on()

        return hang

    async def _full(self, rng: random.Random) -> None:
        disk, stack = self._field.disk, self._field.stack
        await asyncio.to_thread(disk.fill, stack.pid("postgres"))
        try:
            await asyncio.sleep(rng.uniform(3, 6))
        finally:
            await asyncio.to_thread(disk.free, stack.pid("postgres"))

    def _clock(self, name: str) -> Blow:
        async def turn(rng: random.Random) -> None:
            self._field.clocks.put(name, rng.choice((-1, 1)) * rng.randint(45, 240))
            await asyncio.sleep(rng.uniform(4, 10))
            if name in WORKERS and rng.random() < 0.5:  # it begins with the wrong time, too
                await self._field.stack.hold(name)
                await self._field.stack.resume(name)
                await asyncio.sleep(rng.uniform(2, 5))
            self._field.clocks.put(name, 0)

        return turn

    async def _calm(self) -> None:
        """Nothing fails any more, and everything is up."""
        for line in self._field.lines.values():
            line.lose(0)
            line.go_on()
        for name in SYSTEM:
            self._field.clocks.put(name, 0)
        self._field.disk.free(self._field.stack.pid("postgres"))
        await self._field.ready()
        for party in (*PARTIES, "mail"):
            await self._switch("DELETE", party)
        await self._http.aclose()
