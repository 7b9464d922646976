"""The parts of `make bench`, each with a system of its own, which is gone afterwards."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import answering, journeys, lists, site, standing, stock_and_trail
from benchmarks.figures import Figure


@dataclass(frozen=True)
class Size:
    """How much is measured. `pairs`: of rounds of so many `journeys`; `samples`: answers of each sort; `rows`: at 1×;
    `standing`: open journeys where none are kept; `timers`: that fall due at once."""

    pairs: int = 2
    journeys: int = 50
    samples: int = 24
    rows: int = 6_250
    standing: int = 5_000
    timers: int = 100


Part = Callable[[Path, Size], Coroutine[Any, Any, list[Figure]]]


async def _journeys(folder: Path, size: Size) -> list[Figure]:
    async with site.production(folder / "production") as place:
        numbers = journeys.Numbers(place)
        scripts, figures = await journeys.set_up(place, numbers)
        figures += await journeys.on_temporal(place, scripts, numbers, size.pairs, size.journeys, ("hard", "soft"))
        figures += await journeys.growth(place, numbers, max(size.journeys // 10, 2))
        return figures + await journeys.against_others(place, numbers, size.pairs, size.journeys)


async def _dev_server(folder: Path, size: Size) -> list[Figure]:
    async with site.dev_server(folder / "embedded") as place:
        numbers = journeys.Numbers(place)
        scripts, _ = await journeys.set_up(place, numbers)
        return await journeys.on_temporal(
            place, scripts, numbers, max(size.pairs - 1, 1), size.journeys // 2, ("hard",)
        )


async def _answering(folder: Path, size: Size) -> list[Figure]:
    async with site.production(folder / "production") as place:
        numbers = journeys.Numbers(place)
        scripts, _ = await journeys.set_up(place, numbers)
        asking = answering.Answering(place, scripts, numbers, size.samples)
        figures = [*await asking.quiet(), *await asking.under_load(), *await asking.through_gateway()]
        return [*figures, *await asking.cold(), *await asking.after_kill(size.pairs)]


async def _lists(folder: Path, size: Size) -> list[Figure]:
    async with site.production(folder / "production", shards=4) as place:
        return await lists.measure(place, size.rows, size.samples)


async def _imports(folder: Path, size: Size) -> list[Figure]:
    async with site.production(folder / "production", shards=4) as place:
        return await stock_and_trail.measure(place, size.rows)


@asynccontextmanager
async def _loaded(folder: Path, size: Size) -> AsyncIterator[tuple[site.Site, Path]]:
    """A system with what `make bench-load` has kept, or with a smaller number; and where its files are."""
    where = standing.KEPT if standing.kept() else folder / "standing"
    if not standing.kept():
        await standing.load(where, size.standing, keep=True)
    async with site.production(where, keep=standing.kept(), shards=standing.SHARDS, fresh=False) as place:
        yield place, where


async def _standing(folder: Path, size: Size) -> list[Figure]:
    async with _loaded(folder, size) as (place, where):
        return [*await standing.measure(place, where, size.samples), *await standing.timers(place, size.timers)]


PARTS: dict[str, Part] = {
    "journeys": _journeys,
    "dev-server": _dev_server,
    "answering": _answering,
    "lists": _lists,
    "imports": _imports,
    "standing": _standing,
}
