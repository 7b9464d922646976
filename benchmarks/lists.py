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


async def measure(site: Site, rows: int, samples: int) -> tuple[list[Figure], dict[str, dict[int, list[float]]]]:
    """Fills the database to 1, 4 and 16 times `rows`, asking each list at each size. Figures of the largest; and all the times
    (ms) by list and size, for the growth."""
    key = await asyncio.to_thread(
        api_keys.create, site.sessions, "lists", [Scope.READ, Scope.OPERATE], datetime.now(UTC)
    )
    owner = create_engine(superuser_url(site, "tokens").replace("postgresql://", "postgresql+psycopg://"))
    times: dict[str, dict[int, list[float]]] = {}
    bare: list[float] = []
    reached = 0
    async with httpx.AsyncClient(
        base_url=site.gateway, timeout=60, headers={"Authorization": f"Bearer {key}"}
    ) as asking:
        for size in SIZES:
            await asyncio.to_thread(filling.fill, owner, reached + 1, rows * size)
            reached = rows * size
            await asyncio.to_thread(_ask_own, site, reached, samples, times, size)
            bare = await _ask_api(asking, reached, samples, times, size)
    owner.dispose()
    figures = [_figure(name, found[SIZES[-1]], bare, reached) for name, found in times.items()]
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
    return figures, times


async def _ask_api(
    asking: httpx.AsyncClient, rows: int, samples: int, times: dict[str, dict[int, list[float]]], size: int
) -> list[float]:
    """Each list in turn with an answer of the gateway that lists nothing, over the same connection."""
    cursor = (await asking.get("/v1/tokens?limit=200")).raise_for_status().json()["next"] or ""
    bare = []
    for _ in range(samples):
        for name, path in _API.items():
            chosen = filling.prescriber_id(random.randint(1, rows))  # noqa: S311  # no secret
            began = time.perf_counter()
            answer = await asking.get(path.format(prescriber=chosen, cursor=cursor))
            times.setdefault(name, {}).setdefault(size, []).append(1000 * (time.perf_counter() - began))
            answer.raise_for_status()
            if name.startswith("all"):
                cursor = answer.json()["next"] or cursor
            await asyncio.sleep(0.12)  # one key may ask ten times a second
        began = time.perf_counter()
        (await asking.get("/healthz")).raise_for_status()
        bare.append(1000 * (time.perf_counter() - began))
    return bare


def _ask_own(site: Site, rows: int, samples: int, times: dict[str, dict[int, list[float]]], size: int) -> None:
    """What is not asked over the API: Manage Tokens, the digest, the team's report."""
    digest, policy = Digest(site.sessions, site.settings.policy), site.settings.policy
    today = datetime.now(UTC).date()
    period = Period(first=today - timedelta(days=30), last=today, zone=policy.carrier_time_zone)

    def reported() -> Any:
        with site.sessions() as session:
            return report(session, period, policy, datetime.now(UTC))

    asked: dict[str, tuple[Callable[[], Any], int]] = {
        "Manage Tokens": (
            lambda: tokens.all_of(site.sessions, filling.prescriber_id(random.randint(1, rows))),  # noqa: S311
            10 * samples,
        ),
        "digest": (lambda: digest.gather(datetime.now(UTC)), max(samples // 10, 3)),
        "report": (reported, max(samples // 10, 3)),
    }
    for name, (ask, often) in asked.items():
        ask()
        for _ in range(often):
            began = time.perf_counter()
            ask()
            times.setdefault(name, {}).setdefault(size, []).append(1000 * (time.perf_counter() - began))


def _figure(name: str, ours: list[float], bare: list[float], rows: int) -> Figure:
    pairs = tuple(zip(ours, (bare * (len(ours) // len(bare) + 1))[: len(ours)], strict=True))
    return Figure(
        f"standing/lists/{name}",
        f"list: {name}, {rows:,} open",
        "ms",
        "an answer without a list",
        pairs,
        note=f"p99 {p99(ours):.0f} ms",
    )


def growth(times: dict[str, dict[int, list[float]]]) -> list[Figure]:
    """How long the largest size takes against the smallest. Lists that give one page do the same work at each size, so their time
    must not grow; digest and report look at everything, so theirs may grow with it: it is taken per journey."""
    paged = {name: found for name, found in times.items() if name not in ("digest", "report")}
    small, _, large = SIZES
    worst = max(paged.values(), key=lambda found: median(found[large]) / median(found[small]))
    figures = [_grown("lists", "the list that grows most", worst[large], worst[small])]
    for name in ("digest", "report"):
        per_unit = [ms / large for ms in times[name][large]], [ms / small for ms in times[name][small]]
        figures.append(_grown(name, f"{name}, per journey", *per_unit))
    return figures


def _grown(key: str, what: str, large: list[float], small: list[float]) -> Figure:
    pairs = tuple(zip(sorted(large), sorted(small), strict=True))
    return Figure(f"growth/{key}", f"growth: {what}, 16×", "ms", "1×", pairs)


def database_size(site: Site) -> float:
    """Bytes of the application's database."""
    engine = create_engine(superuser_url(site, "tokens").replace("postgresql://", "postgresql+psycopg://"))
    try:
        with engine.connect() as connection:
            return float(connection.execute(text("SELECT pg_database_size('tokens')")).scalar_one())
    finally:
        engine.dispose()
