"""How long a person waits: from an update to its reply, quiet and under load, through the gateway, after a crash, on a cold cache.

Each update is compared with one of the bare workflow that has the same commands, sent right after it.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from statistics import quantiles
from typing import Any

import httpx

from benchmarks.contenders import BareContender, Product
from benchmarks.driving import Drive
from benchmarks.figures import Figure
from benchmarks.journeys import AT_ONCE, Numbers
from benchmarks.script import Script
from benchmarks.site import Site
from starter import api_keys
from starter.api_keys import Scope

Timed = list[tuple[float, float]]
"""Milliseconds, ours and the other's, pair by pair."""
_STEPS = ("edit", "process", "enrol")


async def timed(work: Awaitable[Any]) -> float:
    """Milliseconds until it is done."""
    began = time.perf_counter()
    await work
    return 1000 * (time.perf_counter() - began)


def p99(values: list[float]) -> float:
    """Of fewer than a hundred the greatest."""
    return quantiles(values, n=100, method="inclusive")[98] if len(values) > 1 else values[0]


class Answering:
    """Asks one journey after the other. `samples`: of each sort of update."""

    def __init__(self, site: Site, scripts: dict[str, Script], numbers: Numbers, samples: int) -> None:
        self._site, self._numbers, self._samples = site, numbers, samples
        self._product, self._bare = Product(site), BareContender(site, scripts)

    async def quiet(self) -> list[Figure]:
        return self._figures("quiet", "quiet", await self._pairs())

    async def under_load(self) -> list[Figure]:
        """While new journeys begin at three quarters of the pace that the machine keeps up."""
        drive = Drive(self._product, "hard", self._numbers.take(AT_ONCE), AT_ONCE)
        rate = 0.75 * (await drive.measured()).rate
        async with self._load(rate):
            found = await self._pairs(self._samples // 2)
        return self._figures("busy", f"with {rate:.2g} journeys/s beside it", found)

    async def through_gateway(self) -> list[Figure]:
        """The same edit over HTTP, against the update itself."""
        key = await asyncio.to_thread(api_keys.create, self._site.sessions, "bench", [Scope.REQUEST], datetime.now(UTC))
        ids = await self._requested(self._samples)
        pairs: Timed = []
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=self._site.gateway, timeout=30, headers=headers) as asking:

            async def patch(journey_id: str, email: str) -> None:
                answer = await asking.patch(
                    f"/v1/token-requests/{journey_id}", json={"email": email}, headers={"If-Match": "*"}
                )
                answer.raise_for_status()

            for journey_id in ids:
                over_http = await timed(patch(journey_id, "http@bench.example"))
                pairs.append((over_http, await timed(self._edit(journey_id, "update@bench.example"))))
        return [_figure("gateway", "edit through the gateway", "the update itself", pairs)]

    async def after_kill(self, kills: int) -> list[Figure]:
        """The worker that has the journeys in its memory is killed; another one is there. The slowest of three first updates."""
        pairs: Timed = []
        for _ in range(kills):
            ids = await self._requested(6)
            warm = [await timed(self._edit(journey_id, "warm@bench.example")) for journey_id in ids[:3]]
            await self._site.start_worker("product-2", TOKENS_METRICS_PORT="0")
            await self._site.end_worker("product", kill=True)
            first = await asyncio.gather(*(timed(self._edit(one, "killed@bench.example")) for one in ids[3:]))
            pairs.append((max(first) / 1000, max(warm) / 1000))
            await self._site.start_worker("product")
            await self._site.end_worker("product-2")
        return [Figure("answering/killed", "first update after kill -9 of a worker", "s", "a warm one", tuple(pairs))]

    async def cold(self) -> list[Figure]:
        """The first update of a journey that no worker has in its memory, against the second."""
        ids = await self._requested(self._samples // 2)
        await self._site.end_worker("product")
        await self._site.start_worker("product")
        pairs: Timed = []
        for journey_id in ids:
            cold = await timed(self._edit(journey_id, "cold@bench.example"))
            await asyncio.sleep(0.1)  # its letter
            pairs.append((cold, await timed(self._edit(journey_id, "warm@bench.example"))))
        return [_figure("cold", "edit on a cold cache", "a warm one", pairs)]

    async def _pairs(self, samples: int | None = None) -> dict[str, Timed]:
        found: dict[str, Timed] = {step: [] for step in (*_STEPS, "ping")}
        for number in self._numbers.take(samples or self._samples):
            ours, other = f"a{uuid.uuid4().hex[:8]}-{number}-hard", f"a{uuid.uuid4().hex[:8]}-{number}-bare"
            await asyncio.gather(self._product.start(ours, "hard", number), self._bare.start(other, "hard", number))
            await asyncio.sleep(0.3)  # recorded, and its letters sent
            edited = await timed(self._edit(ours, "edited@bench.example"))
            found["edit"].append((edited, await timed(self._bare.edit(other))))
            found["ping"].append((edited, await timed(self._bare.ping(other))))
            began = time.perf_counter()
            serial = await self._product.process(ours)
            processed = 1000 * (time.perf_counter() - began)
            found["process"].append((processed, await timed(self._bare.process(other))))
            await self._delivered(ours, other)
            assert serial
            enrolled = await timed(self._product.enrol(ours, "hard", serial))
            found["enrol"].append((enrolled, await timed(self._bare.enrol(other, "hard", None))))
        return found

    async def _delivered(self, ours: str, other: str) -> None:
        for _ in range(200):
            if (await self._product.statuses(ours)).get(ours) == "Shipped":
                break
            await asyncio.sleep(0.15)
        await self._product.deliver(ours)
        await self._bare.deliver(other)
        await asyncio.sleep(0.3)

    async def _requested(self, how_many: int) -> list[str]:
        taken = self._numbers.take(how_many)
        ids = [f"a{uuid.uuid4().hex[:8]}-{number}" for number in taken]
        await asyncio.gather(*(self._product.start(one, "hard", n) for one, n in zip(ids, taken, strict=True)))
        await asyncio.sleep(2)
        return ids

    async def _edit(self, journey_id: str, email: str) -> None:
        await self._site.client.get_workflow_handle(journey_id).execute_update("edit", {"email": email})

    @asynccontextmanager
    async def _load(self, rate: float) -> AsyncIterator[None]:
        """Journeys from request to Active begin at `rate` a second, however long each takes."""
        running: list[asyncio.Task[Any]] = []

        async def begin() -> None:
            while True:
                running.append(asyncio.create_task(Drive(self._product, "hard", self._numbers.take(10), 10).run()))
                await asyncio.sleep(10 / rate)

        beginning = asyncio.create_task(begin())
        await asyncio.sleep(3)
        try:
            yield
        finally:
            beginning.cancel()
            await asyncio.gather(beginning, *running, return_exceptions=True)

    def _figures(self, key: str, how: str, found: dict[str, Timed]) -> list[Figure]:
        made = [_figure(f"{key}/{step}", f"{step}, {how}", "bare, same commands", found[step]) for step in _STEPS]
        return [*made, _figure(f"{key}/ping", f"edit, {how}", "bare, no command", found["ping"])]


def _figure(key: str, what: str, against: str, pairs: Timed) -> Figure:
    worst = {"p99 ours": p99([ours for ours, _ in pairs]), "p99 other": p99([other for _, other in pairs])}
    note = f"p99 {worst['p99 ours']:.0f}, its own {worst['p99 other']:.0f} ms"
    return Figure(f"answering/{key}", what, "ms", against, tuple(pairs), note, worst)
