"""The lists that people use, at three sizes of the application's database: how long each takes, and whether it stays so."""

import asyncio
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

import httpx
from sqlalchemy import create_engine, text

from activities.digest import Digest
from benchmarks import filling
from benchmarks.answering import p99
from benchmarks.figures import SIZES, Figure
from benchmarks.site import Site, superuser_url
from database.reporting import report
from database.tables import JourneyRow
from domain.report import Period
from starter import api_keys
from starter.api_keys import Scope
from starter.gateway.manage import tokens

_API = {
    "a prescriber's tokens": "/v1/tokens?prescriber_id={prescriber}",
    "by status": "/v1/tokens?status=Shipped",
    "what needs a person": "/v1/tokens?needs_attention=true",
    "all, a page far down": "/v1/tokens?limit=200&cursor={cursor}",
    "the queue": "/v1/token-requests",
    "the queue, hard ones": "/v1/token-requests?kind=hard",
}


async def measure(site: Site, rows: int, samples: int) -> list[Figure]:
    """Fills the database to 1, 4 and 16 times `rows`, asking each list at each size. Figures of the largest, and of the growth."""
    keys = {
        name: api_keys.create(site.sessions, f"lists {number}", [Scope.READ, Scope.OPERATE], datetime.now(UTC))
        for number, name in enumerate(_API)
    }
    owner = create_engine(superuser_url(site, "tokens").replace("postgresql://", "postgresql+psycopg://"))
    times: dict[str, dict[int, list[float]]] = {}
    bares: dict[int, list[float]] = {}
    rows_read: dict[int, list[float]] = {}
    reached = 0
    async with httpx.AsyncClient(base_url=site.gateway, timeout=60) as asking:
        for size in SIZES:
            await asyncio.to_thread(filling.fill, owner, reached + 1, rows * size)
            reached = rows * size
            # Of 120 the 99th in a hundred is not the greatest.
            bares[size] = await _ask_api(asking, keys, reached, 5 * samples, times, size)
            # After these, when the database has written away what was filled in.
            rows_read[size] = await asyncio.to_thread(_ask_own, site, reached, samples, times, size)
    owner.dispose()
    bare = bares[SIZES[-1]]
    figures = [
        _figure(name, found[SIZES[-1]], bare if name in _API else rows_read[SIZES[-1]], reached)
        for name, found in times.items()
    ]
    served = [found[SIZES[-1]] for name, found in times.items() if name not in ("digest", "report")]
    slowest = tuple((p99(found), p99(bare)) for found in served)
    figures.append(
        Figure(
            "standing/lists/p99",
            f"p99 of the slowest list, {reached:,} open",
            "ms",
            "an answer without a list",
            (max(slowest),),
        )
    )
    bares_of = {name: bares if name in _API else rows_read for name in times}
    return figures + _growth(
        times, {name: {size: median(found) for size, found in of.items()} for name, of in bares_of.items()}
    )


async def _ask_api(
    asking: httpx.AsyncClient,
    keys: dict[str, str],
    rows: int,
    samples: int,
    times: dict[str, dict[int, list[float]]],
    size: int,
) -> list[float]:
    """Each list in turn with an answer of the gateway that lists nothing, over the same connection. Each has a key of its
    own, as one may ask ten times a second."""
    signed = {name: {"Authorization": f"Bearer {key}"} for name, key in keys.items()}
    far = await asking.get("/v1/tokens?limit=200", headers=next(iter(signed.values())))
    cursor = begin = far.raise_for_status().json()["next"] or ""
    bare = []
    for _ in range(samples):
        for name, path in _API.items():
            chosen = filling.prescriber_id(random.randint(1, rows))  # noqa: S311  # no secret
            began = time.perf_counter()
            answer = await asking.get(path.format(prescriber=chosen, cursor=cursor), headers=signed[name])
            times.setdefault(name, {}).setdefault(size, []).append(1000 * (time.perf_counter() - began))
            answer.raise_for_status()
            if name.startswith("all"):
                cursor = answer.json()["next"] or begin  # a last page is a short one
            await asyncio.sleep(0.02)
        began = time.perf_counter()
        (await asking.get("/healthz")).raise_for_status()
        bare.append(1000 * (time.perf_counter() - began))
    return bare


def _ask_own(site: Site, rows: int, samples: int, times: dict[str, dict[int, list[float]]], size: int) -> list[float]:
    """What is not asked over the API: Manage Tokens, the digest, the team's report; each in turn with the reading of one row by its
    key."""
    digest, policy = Digest(site.sessions, site.settings.policy), site.settings.policy
    today = datetime.now(UTC).date()
    period = Period(first=today - timedelta(days=30), last=today, zone=policy.carrier_time_zone)

    def reported() -> Any:
        with site.sessions() as session:
            return report(session, period, policy, datetime.now(UTC))

    def one_row() -> None:
        with site.sessions() as session:
            session.get_one(JourneyRow, filling.journey_id(random.randint(1, rows)))  # noqa: S311

    asked: dict[str, tuple[Callable[[], Any], int]] = {
        "Manage Tokens": (
            lambda: tokens.all_of(site.sessions, filling.prescriber_id(random.randint(1, rows))),  # noqa: S311
            10 * samples,
        ),
        "digest": (lambda: digest.gather(datetime.now(UTC)), max(samples // 10, 3)),
        "report": (reported, max(samples // 10, 3)),
    }
    bare: list[float] = []
    for name, (ask, often) in asked.items():
        ask()
        for _ in range(often):
            times.setdefault(name, {}).setdefault(size, []).append(_milliseconds(ask))
            bare.append(_milliseconds(one_row))
    return bare


def _milliseconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


def _figure(name: str, ours: list[float], bare: list[float], rows: int) -> Figure:
    pairs = tuple(zip(ours, (bare * (len(ours) // len(bare) + 1))[: len(ours)], strict=True))
    return Figure(
        f"standing/lists/{name}",
        f"list: {name}, {rows:,} open",
        "ms",
        "an answer without a list" if name in _API else "a row by its key",
        pairs,
        note=f"p99 {p99(ours):.0f} ms",
    )


def _growth(times: dict[str, dict[int, list[float]]], bares: dict[str, dict[int, float]]) -> list[Figure]:
    """How long the largest size takes against the smallest. Lists that give one page do the same work at each size, so their time
    must not grow; digest and report look at everything, so theirs may grow with it: it is taken per journey. `bares`: ms of the
    bare work beside each at each size, by which times are counted, as the machine is not the same from minute to minute."""
    small, _, large = SIZES

    def grown(name: str, units: dict[int, int]) -> tuple[tuple[float, float], ...]:
        bare = bares[name]
        return tuple(
            (ours / bare[large] / units[large], before / bare[small] / units[small])
            for ours, before in zip(sorted(times[name][large]), sorted(times[name][small]), strict=True)
        )

    one: dict[int, int] = dict.fromkeys(SIZES, 1)
    whole: dict[int, int] = {size: size for size in SIZES}
    paged = {name: grown(name, one) for name in times if name not in ("digest", "report")}
    middles = {
        name: median(pair[0] for pair in pairs) / median(pair[1] for pair in pairs) for name, pairs in paged.items()
    }
    worst = max(middles, key=lambda name: middles[name])
    said = ", ".join(f"{name} {middle:.2f}" for name, middle in middles.items())
    figures = [_grown("lists", f"the list that grows most ({worst})", paged[worst], note=f"all: {said}")]
    return figures + [_grown(name, f"{name}, per journey", grown(name, whole)) for name in ("digest", "report")]


def _grown(key: str, what: str, pairs: tuple[tuple[float, float], ...], note: str = "") -> Figure:
    return Figure(f"growth/{key}", f"growth: {what}, 16×", "bare ones", "1×", pairs, note=note)


def database_size(site: Site) -> float:
    """Bytes of the application's database."""
    engine = create_engine(superuser_url(site, "tokens").replace("postgresql://", "postgresql+psycopg://"))
    try:
        with engine.connect() as connection:
            return float(connection.execute(text("SELECT pg_database_size('tokens')")).scalar_one())
    finally:
        engine.dispose()
