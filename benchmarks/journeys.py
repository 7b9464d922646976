"""Journeys per second, request to Active, against the bare ceiling, DBOS and a polled column; and what a history holds."""

import asyncio
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from statistics import median

from benchmarks import on_dbos, people, polled, recording
from benchmarks.bare import SCRIPTS
from benchmarks.contenders import BareContender, Product
from benchmarks.driving import Contender, Drive, Round
from benchmarks.figures import SIZES, Figure
from benchmarks.script import Script, counts
from benchmarks.site import Site, written

AT_ONCE = 50
_PARTIES = ("vendor", "carrier", "directory", "mail")


class Numbers:
    """Prescribers of a site, each given out once."""

    def __init__(self, site: Site) -> None:
        self._site, self._next = site, count(1)

    def take(self, how_many: int) -> list[int]:
        taken = [next(self._next) for _ in range(how_many)]
        people.settle(self._site.engine, self._site.seal, taken)
        return taken


async def set_up(site: Site, numbers: Numbers) -> tuple[dict[str, Script], list[Figure]]:
    """Records a journey of each kind, starts the product's worker and the bare one, and says what the histories hold."""
    histories, scripts = await recording.record(site, numbers.take(2))
    await site.start_worker("product")
    await site.start_worker("bare", **{SCRIPTS: str(written(site.folder / "scripts.json", scripts))})
    figures = []
    bare = BareContender(site, scripts)
    for kind, events in histories.items():
        (bare_id,) = await Drive(bare, kind, numbers.take(1), 1).run()
        others = (await site.client.get_workflow_handle(bare_id).fetch_history()).events
        sizes = sum(e.ByteSize() for e in events) / 1000, sum(e.ByteSize() for e in others) / 1000
        figures += [
            Figure(
                f"history/{kind}/events",
                f"events of a {kind} journey to Active",
                "events",
                "bare",
                ((len(events), len(others)),),
                details={"ours": counts(events), "bare": counts(others)},
            ),
            Figure(f"history/{kind}/bytes", f"history of a {kind} journey, encrypted", "KB", "bare", (sizes,)),
        ]
    return scripts, figures


async def on_temporal(
    site: Site, scripts: dict[str, Script], numbers: Numbers, pairs: int, journeys: int, kinds: Sequence[str]
) -> list[Figure]:
    """Against the bare ceiling."""
    figures = []
    for kind in kinds:
        ours, other = Product(site), BareContender(site, scripts)
        figures += await _compared(site, kind, (ours, "product"), (other, "bare"), numbers, pairs, journeys)
    return figures


async def growth(site: Site, numbers: Numbers, journeys: int) -> list[Figure]:
    """What a hard journey costs among sixteen and four times as many as `journeys`, against what it costs among these."""
    costs = [_own(await _round(site, Product(site), "product", "hard", numbers, journeys * size)) for size in SIZES]
    return [
        Figure(
            f"growth/journeys-{size}",
            f"growth: CPU of a hard journey among {journeys * size}, {size}×",
            "ms",
            f"among {journeys}",
            ((cost, costs[0]),),
        )
        for size, cost in zip(SIZES[1:], costs[1:], strict=True)
    ]


async def against_others(site: Site, numbers: Numbers, pairs: int, journeys: int) -> list[Figure]:
    """A hard journey against DBOS and the polled column, over the same PostgreSQL."""
    url = on_dbos.database(site)
    polled.make(site)
    await site.start_worker("dbos", BENCH_DBOS_URL=url)
    await site.start_worker("polled")
    dbos = on_dbos.OnDbos(site, url)
    figures = await _compared(site, "hard", (Product(site), "product"), (dbos, "dbos"), numbers, pairs, journeys)
    figures += await _compared(
        site, "hard", (Product(site), "product"), (polled.Polled(site), "polled"), numbers, max(pairs - 1, 1), journeys
    )
    dbos.end()
    await site.end_worker("dbos")
    await site.end_worker("polled")
    return figures


async def _compared(
    site: Site,
    kind: str,
    ours: tuple[Contender, str],
    other: tuple[Contender, str],
    numbers: Numbers,
    pairs: int,
    journeys: int,
) -> list[Figure]:
    """Warmed up, then in turns, every second pair the other way round."""
    rounds: dict[str, list[Round]] = {ours[1]: [], other[1]: []}
    for contender, worker in (ours, other):
        await _round(site, contender, worker, kind, numbers, min(journeys, 10))
    for pair in range(pairs):
        for contender, worker in (ours, other) if pair % 2 == 0 else (other, ours):
            rounds[worker].append(await _round(site, contender, worker, kind, numbers, journeys))
    place = site.name.lower().replace(" ", "-")
    key = f"journeys/{place}/{kind}/{other[1]}"
    both = list(zip(rounds[ours[1]], rounds[other[1]], strict=True))
    return [
        Figure(
            key,
            f"{kind} journeys, {site.name}",
            "per s",
            other[0].name,
            tuple((a.rate, b.rate) for a, b in both),
            details={name: _split(found) for name, found in rounds.items()},
        ),
        Figure(
            f"{key}/cpu",
            f"CPU of a {kind} journey, {site.name}: worker, server, database",
            "ms",
            other[0].name,
            tuple((_own(a), _own(b)) for a, b in both),
        ),
    ]


async def _round(site: Site, contender: Contender, worker: str, kind: str, numbers: Numbers, journeys: int) -> Round:
    taken = numbers.take(journeys)
    with alone(site, worker):
        found = await Drive(contender, kind, taken, AT_ONCE).measured()
        await asyncio.sleep(2)  # the last letters
    print(f"  {site.name}, {kind}, {contender.name}: {found.rate:.3g} journeys/s", file=sys.stderr, flush=True)
    return found


@contextmanager
def alone(site: Site, *workers: str) -> Iterator[None]:
    """The other workers stand still meanwhile: a poll costs something even where there is nothing."""
    others = [process for what, process in site.workers.items() if what not in workers]
    for process in others:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in others:
            process.send_signal(signal.SIGCONT)


def _own(found: Round) -> float:
    return found.milliseconds("worker", "temporal", "postgres")


def _split(rounds: Sequence[Round]) -> dict[str, float]:
    """Milliseconds of processor time a journey, the median of the rounds."""
    roles = {
        "worker": ("worker",),
        "server": ("temporal",),
        "database": ("postgres",),
        "parties": _PARTIES,
        "driver": ("driver",),
    }
    return {role: median(found.milliseconds(*names) for found in rounds) for role, names in roles.items()}
