"""Many open journeys: what they cost while they wait, and how fast one of them answers. `make bench-load` keeps 100,000 for reuse."""

import asyncio
import json
import random
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import func, select
from temporalio.api.workflowservice.v1 import ListWorkflowExecutionsRequest

from benchmarks import cloning, cpu
from benchmarks.answering import p99, timed
from benchmarks.cloning import Shards, Template
from benchmarks.contenders import Product
from benchmarks.figures import Figure
from benchmarks.journeys import Numbers
from benchmarks.plain import Call, Effects
from benchmarks.site import Site, production, superuser_url
from database.tables import EmailRow
from domain.reconciling import LOOKS
from starter.views import VIEWS

SHARDS = 512
KEPT = Path.home() / ".cache" / "token-fulfillment" / "bench"
_MARK = "loaded.json"
_PAGE, _PAGES = 1000, 10
"""Ids in a page, and pages that are read; what the others take is reckoned from these."""
_ROUNDS = 5
"""How often each list is asked for; the first, when nothing of it is in memory, is told apart."""
_PAUSE = 0.12
"""Seconds between two questions to Temporal's visibility, which takes ten a second."""
_STUCK = 60
"""Seconds without a further reminder after which none is waited for."""
_WHERE = (
    ("hard", "Requested", 0.07),
    ("soft", "Requested", 0.03),
    ("soft", "Processed", 0.05),
    ("hard", "Shipped", 0.10),
    ("hard", "Delivered", 0.20),
    ("hard", "Active", 0.40),
    ("soft", "Active", 0.15),
)
"""Where they wait, and the share of all. Hard tokens are Processed, and all are Syncing, for minutes only: none stands there."""


@dataclass
class Empty:
    """The same system before anything was loaded, for comparison. Bytes, seconds, milliseconds."""

    worker: float
    server: float
    temporal: float
    tokens: float
    restart: float
    updates: list[float]


async def load(folder: Path, count: int, *, keep: bool) -> None:
    """Fills a system of its own with so many, and leaves it in `folder`."""
    async with production(folder, keep=keep, shards=SHARDS) as site:
        await fill(site, folder, count)


async def fill(site: Site, folder: Path, count: int) -> None:
    """Really runs a few to where they wait, then copies them."""
    numbers = Numbers(site)
    await site.start_worker("product")
    empty = await _empty(site, numbers)
    templates = [await _template(site, numbers, kind, status, int(count * share)) for kind, status, share in _WHERE]
    await asyncio.sleep(3)
    await site.end_worker("product")
    await site.stack.hold("temporal", 15)
    began = time.monotonic()
    await asyncio.to_thread(cloning.clone, site, templates, Shards(SHARDS))
    print(f"{sum(t.copies for t in templates):,} journeys in {time.monotonic() - began:.0f} s", flush=True)
    await site.stack.resume("temporal")
    loaded = {
        "count": sum(template.copies for template in templates),
        "templates": [[t.workflow_id, str(t.run_id), t.copies] for t in templates],
        "empty": vars(empty),
    }
    (folder / _MARK).write_text(json.dumps(loaded))


def kept() -> bool:
    """Whether `make bench-load` has been run here."""
    return (KEPT / _MARK).exists()


async def _empty(site: Site, numbers: Numbers) -> Empty:
    product, updates, journey_id = Product(site), [], ""
    for number in numbers.take(20):
        journey_id = f"e{uuid.uuid4().hex[:8]}-{number}"
        await product.start(journey_id, "hard", number)
        await asyncio.sleep(0.3)
        updates.append(await timed(_edit(site, journey_id)))
    worker, server = _memory(site)
    return Empty(
        worker, server, _size(site, "temporal"), _size(site, "tokens"), await _restarted(site, journey_id), updates
    )


async def _template(site: Site, numbers: Numbers, kind: str, status: str, copies: int) -> Template:
    product, (number,) = Product(site), numbers.take(1)
    journey_id = f"open-{kind}-{status.lower()}-0000000"
    await product.start(journey_id, kind, number)
    if status != "Requested":
        serial = await product.process(journey_id)
        if kind == "hard":
            await _until(product, journey_id, "Shipped")
        if kind == "hard" and status != "Shipped":
            await product.deliver(journey_id)
            await _until(product, journey_id, "Delivered")
        if status == "Active":
            await product.enrol(journey_id, kind, serial)
            await _until(product, journey_id, "Active")
    run_id = (await site.client.get_workflow_handle(journey_id).describe()).run_id
    return Template(journey_id, uuid.UUID(run_id), copies)


async def _until(product: Product, journey_id: str, status: str) -> None:
    for _ in range(300):
        if (await product.statuses(journey_id)).get(journey_id) == status:
            return
        await asyncio.sleep(0.2)
    raise TimeoutError(f"{journey_id} did not become {status}")


# Measuring


async def measure(site: Site, folder: Path, samples: int) -> list[Figure]:
    """What is there is used; its Temporal has just been started."""
    loaded = json.loads((folder / _MARK).read_text())
    empty, count = Empty(**loaded["empty"]), loaded["count"]
    copies = _copies(loaded["templates"])
    await site.start_worker("product")
    figures = [
        _one(
            "database-temporal",
            f"Temporal's database, a journey of {count:,}",
            "KB",
            _grown(site, "temporal", empty.temporal, count),
        ),
        _one(
            "database-tokens",
            f"the application's database, a journey of {count:,}",
            "KB",
            _grown(site, "tokens", empty.tokens, count),
        ),
    ]
    chosen = random.sample(copies["hard-requested"], min(samples, len(copies["hard-requested"])))
    updates = [await timed(_edit(site, journey_id)) for journey_id in chosen]
    figures.append(
        Figure(
            "standing/update",
            f"edit of a journey in nobody's memory, {count:,} open",
            "ms",
            "with none open, in memory",
            tuple(
                zip(updates, (empty.updates * (len(updates) // len(empty.updates) + 1))[: len(updates)], strict=True)
            ),
            note=f"p99 {p99(updates):.0f} ms",
        )
    )
    await _touch(site, [one for of in copies.values() for one in of], site.settings.worker.cached_journeys + 200)
    worker, server = _memory(site)
    figures += [
        _one(
            "worker-memory",
            f"worker's memory, {count:,} open, its cache full",
            "MB",
            (worker / 1e6, empty.worker / 1e6),
        ),
        _one("server-memory", f"Temporal server's memory, {count:,} open", "MB", (server / 1e6, empty.server / 1e6)),
        await _temporal_lists(site, count),
        await _reconciled(site, count),
        _one(
            "restart",
            f"everything restarted until an update is answered, {count:,} open",
            "s",
            (await _restarted(site, chosen[0]), empty.restart),
        ),
    ]
    return figures


async def timers(site: Site, how_many: int) -> list[Figure]:
    """Reminders of so many parcels' recipients fall due in the same second; until the last letter is recorded as sent."""
    await site.stack.hold("temporal", 15)
    earlier = await asyncio.to_thread(_reminders, site)
    when = datetime.now(UTC) + timedelta(seconds=25)
    due = await asyncio.to_thread(cloning.due_at, site, "open-hard-delivered-", how_many, when)
    await site.stack.resume("temporal")
    site.roles["temporal"] = site.stack.pid("temporal")
    await asyncio.sleep(max((when - datetime.now(UTC)).total_seconds(), 0))
    before, began = cpu.seconds(site.roles), time.monotonic()
    sent, latest = 0, began
    while sent < due:
        await asyncio.sleep(0.5)
        if (now_sent := await asyncio.to_thread(_reminders, site) - earlier) > sent:
            sent, latest = now_sent, time.monotonic()
        elif time.monotonic() - latest > _STUCK:
            raise TimeoutError(f"{sent} of {due} reminders were sent")
    seconds = time.monotonic() - began
    spent = cpu.between(before, cpu.seconds(site.roles))
    own = sum(spent[role] for role in spent if role.startswith(("worker", "temporal", "postgres")))
    return [
        Figure(
            "standing/timers",
            f"{due:,} reminders due at once: letters sent, processor time beside it",
            "per s",
            "ms of CPU each",
            ((due / seconds, 1000 * own / due),),
        )
    ]


def _reminders(site: Site) -> int:
    with site.sessions() as session:
        reminders = select(func.count()).where(EmailRow.letter == "reminder", EmailRow.state == "sent")
        return session.scalar(reminders) or 0


async def _temporal_lists(site: Site, count: int) -> Figure:
    """Each of the operators' lists in the UI, its first page; against a question that finds nothing."""
    now, times = datetime.now(UTC), dict[str, list[tuple[float, float]]]()
    for view in VIEWS * _ROUNDS:
        ours = await timed(_first_page(site, view.filled(now)))
        await asyncio.sleep(_PAUSE)
        nothing = await timed(_first_page(site, 'WorkflowId = "nobody"'))
        await asyncio.sleep(_PAUSE)
        times.setdefault(view.name, []).append((ours, nothing))
    slowest = max(times, key=lambda name: max(ours for ours, _ in times[name][1:]))
    return Figure(
        "standing/temporal-lists/p99",
        f"the slowest of {len(VIEWS)} lists in Temporal's UI ({slowest}), {count:,} open",
        "ms",
        "a list of nothing",
        (max(times[slowest][1:]),),
        details={name: max(ours for ours, _ in pairs[1:]) for name, pairs in times.items()},
        note=f"the first time {max(pairs[0][0] for pairs in times.values()):.0f} ms",
    )


async def _first_page(site: Site, query: str) -> None:
    """As the UI asks for it."""
    asked = ListWorkflowExecutionsRequest(namespace=site.client.namespace, page_size=100, query=query)
    await site.client.workflow_service.list_workflow_executions(asked)


async def _reconciled(site: Site, count: int) -> Figure:
    """The looks of `Reconcile` over all of them, against reading all ids from Temporal's list once. What it would do then is left
    out: vendor and carrier do not know the copies, each of which is a suspect."""
    effects = Effects(site.settings, site.client)
    with effects.dependencies:
        ours = 0.0
        for look in LOOKS:
            ours += await timed(effects.carry_out_async(Call("reconcile.compare", look), look))
    began, read = time.monotonic(), 1
    ids = site.client.list_workflows('WorkflowType = "TokenJourney" AND ExecutionStatus = "Running"', page_size=_PAGE)
    await ids.fetch_next_page()
    while ids.next_page_token and read < _PAGES:
        await asyncio.sleep(_PAUSE)
        await ids.fetch_next_page()
        read += 1
    whole = (time.monotonic() - began) * max(count / (read * _PAGE), 1)
    return _one(
        "reconcile",
        f"what Reconcile looks at, {count:,} open",
        "s",
        (ours / 1000, whole),
        f"reading all ids once, by {read} pages",
    )


async def _restarted(site: Site, journey_id: str) -> float:
    """Database, Temporal and worker are ended and started again; seconds until the journey has answered."""
    for name in ("temporal", "postgres"):
        await site.stack.hold(name, 15 if name == "temporal" else 2)
    await site.end_worker("product")
    began = time.monotonic()
    for name in ("postgres", "temporal"):
        await site.stack.resume(name)
        site.roles[name] = site.stack.pid(name)
    await site.start_worker("product")
    site.engine.dispose()
    for _ in range(60):
        try:
            await _edit(site, journey_id)
            break
        except Exception:
            await asyncio.sleep(0.2)
    return time.monotonic() - began


async def _touch(site: Site, ids: Sequence[str], how_many: int) -> None:
    """Asks so many for their status, so that the worker's cache is full."""
    places = asyncio.Semaphore(20)

    async def ask(journey_id: str) -> None:
        async with places:
            await site.client.get_workflow_handle(journey_id).query("status")

    chosen = random.sample(list(ids), min(how_many, len(ids)))
    await asyncio.gather(*map(ask, chosen))


async def _edit(site: Site, journey_id: str) -> None:
    email = f"{uuid.uuid4().hex[:8]}@bench.example"
    await site.client.get_workflow_handle(journey_id).execute_update("edit", {"email": email})


def _copies(templates: list[list[Any]]) -> dict[str, list[str]]:
    """Ids by kind and status."""
    found, first = {}, 1
    for workflow_id, run_id, copies in templates:
        template = Template(workflow_id, uuid.UUID(run_id), copies)
        found[workflow_id[5:-8]] = [template.copy_id(number) for number in range(first, first + copies)]
        first += copies
    return found


def _memory(site: Site) -> tuple[float, float]:
    return cpu.memory(site.roles["worker product"]), cpu.memory(site.roles["temporal"])


def _size(site: Site, database: str) -> float:
    with psycopg.connect(superuser_url(site)) as connection:
        row = connection.execute("SELECT pg_database_size(%s)", (database,)).fetchone()
    assert row
    return float(row[0])


def _grown(site: Site, database: str, before: float, count: int) -> tuple[float, float]:
    """KB a journey, and KB of the empty database for comparison."""
    return (_size(site, database) - before) / count / 1000, before / 1000


def _one(key: str, what: str, unit: str, pair: tuple[float, float], against: str = "with none open") -> Figure:
    return Figure(f"standing/{key}", what, unit, against, (pair,))
