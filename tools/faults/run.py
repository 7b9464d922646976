"""One run: the stack, the journeys, the storm, and what has to be counted after it."""

import asyncio
import json
import random
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr
from temporalio.client import Client
from temporalio.service import RPCError

from connection import data_converter
from database.engine import Sessions, engine_of, sessions_of
from settings import Settings
from starter import api_keys
from starter.supervision import Tell
from starter.target import seal_of
from tools.faults import counts, evidence, people, plans
from tools.faults.battlefield import Battlefield
from tools.faults.calling import Upstream
from tools.faults.evidence import Evidence
from tools.faults.postbox import Postbox
from tools.faults.storm import Storm
from tools.faults.walking import Walk, World
from tools.faults.watching import Watch

_SETTLED_WITHIN = 300.0


@dataclass(frozen=True)
class Orders:
    """`times`: how often each fault. `think` and `pause`: the people's and the storm's pace, in seconds. `patience`: how long the
    journeys may go on after the storm. `only`: these faults (empty: all)."""

    journeys: int = 200
    times: int = 3
    seed: int = 0
    think: float = 75.0
    pause: float = 1.5
    patience: float = 420.0
    only: frozenset[str] = frozenset()


@dataclass
class Report:
    """What is printed and written."""

    orders: Orders
    began_at: str
    breaches: dict[str, list[str]] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        return not any(self.breaches.values())

    def as_json(self) -> str:
        counted = {name: len(found) for name, found in self.breaches.items()}
        return json.dumps({"clean": self.clean, "counts": counted, **asdict(self)}, indent=2, default=str)


async def run(folder: Path, orders: Orders, tell: Tell) -> tuple[Report, Evidence]:
    """Raises StackError where the stack does not come up."""
    report = Report(orders, datetime.now(UTC).isoformat(timespec="seconds"))
    restarts: dict[str, int] = report.restarts

    def heard(said: str) -> None:
        if said.endswith(" is back."):
            name = said.removesuffix(" is back.").lower()
            restarts[name] = restarts.get(name, 0) + 1
        tell(said)

    began = time.monotonic()
    async with Battlefield(folder, heard) as battlefield:
        report.seconds["until the stack was up"] = time.monotonic() - began
        settings = _settings(battlefield, "tokens_app", "tokens_database_password")
        engine = engine_of(settings.url_of_database)
        try:
            found = await _played(battlefield, sessions_of(engine), settings, orders, report, tell)
        finally:
            engine.dispose()
    report.breaches = counts.breaches(found)
    report.seconds["in all"] = time.monotonic() - began
    return report, found


async def _played(
    battlefield: Battlefield, sessions: Sessions, settings: Settings, orders: Orders, report: Report, tell: Tell
) -> Evidence:
    stack, devices = battlefield.stack, battlefield.stack.places.state / "devices-in-hand"
    owner = engine_of(_settings(battlefield, "tokens_owner", "tokens_owner_password").url_of_database)
    ids = people.load(sessions_of(owner), seal_of(settings), orders.journeys // 2, 10 + orders.journeys, devices)
    owner.dispose()
    key = api_keys.create(sessions, "EHR", tuple(api_keys.Scope), datetime.now(UTC))
    rng = random.Random(orders.seed)  # noqa: S311
    found, postbox = Evidence(), Postbox(Path(stack.info["mail"]))
    temporal = await _connected(stack.info["temporal"], settings)
    limits = httpx.Limits(max_connections=60)
    async with httpx.AsyncClient(
        base_url=battlefield.gateway,
        timeout=15,
        trust_env=False,
        limits=limits,
        headers={"Authorization": f"Bearer {key}"},
    ) as http:
        upstream = Upstream(http)
        watch = Watch(upstream)
        world = World(upstream, watch, http, stack.info["carrier"], temporal, postbox, devices, battlefield.by_clock)
        walks = [
            Walk(world, plan, random.Random(f"{orders.seed} {plan}"))  # noqa: S311
            for plan in plans.made(ids, rng, orders.think)
        ]
        storm = Storm(battlefield, orders.seed, tell, orders.pause, orders.only)
        began = time.monotonic()
        watching = asyncio.create_task(watch.run())
        playing = [asyncio.create_task(walk.play()) for walk in walks]
        try:
            await storm.run(orders.times)
            report.seconds["the storm"] = time.monotonic() - began
            tell(f"The storm is over; {sum(walk.done for walk in walks)} of {len(walks)} people have done their part.")
            await asyncio.wait(playing, timeout=orders.patience)
            report.seconds["until the last had done their part"] = time.monotonic() - began
        finally:
            for task in (watching, *playing):
                task.cancel()
            outcomes = await asyncio.gather(*playing, return_exceptions=True)
            await asyncio.gather(watching, return_exceptions=True)
        for walk, outcome in zip(walks, outcomes, strict=True):
            found.expected |= walk.expected
            if not walk.done:
                journeys = ", ".join(walk.expected) or f"a {walk.plan.kind} token of {walk.plan.prescriber_id}"
                found.unfinished.append(f"{journeys} ({walk.plan.end}): {walk.at}{_said(outcome)}")
    found.acknowledged = upstream.acknowledged
    await _settle(found, sessions, temporal, postbox, battlefield)
    report.seconds["until all was settled"] = time.monotonic() - began
    report.faults, report.answers = dict(sorted(storm.done.items())), dict(sorted(upstream.statuses.items()))
    for row in found.journeys:
        name = f"{row['kind']}: {found.expected.get(row['journey_id'], {}).get('plan', '?')} -> {row['status']}"
        report.ends[name] = report.ends.get(name, 0) + 1
    report.ends = dict(sorted(report.ends.items()))
    return found


async def _settle(
    found: Evidence, sessions: Sessions, temporal: Client, postbox: Postbox, battlefield: Battlefield
) -> None:
    """Gathers the evidence, again where something is still under way: the last emails, the last retries. What does not come
    right within two minutes is a breach."""
    deadline = time.monotonic() + _SETTLED_WITHIN
    async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
        while True:
            evidence.of_database(found, sessions)
            evidence.of_mail(found, postbox)
            with suppress(httpx.HTTPError, RPCError):
                await evidence.of_parties(found, http, battlefield.stack.info)
                await evidence.of_temporal(found, temporal)
                if not any(counts.breaches(found).values()):
                    return
            if time.monotonic() > deadline:
                return
            await asyncio.sleep(5)


async def _connected(address: str, settings: Settings) -> Client:
    while True:
        try:
            return await Client.connect(address, data_converter=data_converter(settings))
        except RuntimeError:
            await asyncio.sleep(0.5)


def _settings(battlefield: Battlefield, role: str, secret: str) -> Settings:
    """As a process beside the gateway would have them, under a database role."""
    secrets = battlefield.stack.secrets

    def ring(name: str) -> dict[str, SecretStr]:
        return {key_id: SecretStr(key) for key_id, key in json.loads((secrets / name).read_text()).items()}

    return Settings(
        _env_file=None,  # type: ignore[call-arg]
        database_url=battlefield.stack.info["database_url"].replace("tokens_app@", f"{role}@"),
        database_password=SecretStr((secrets / secret).read_text()),
        payload_keys=ring("tokens_payload_keys"),
        seal_keys=ring("tokens_seal_keys"),
    )


def _said(outcome: object) -> str:
    known = isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError)
    return f" ({type(outcome).__name__}: {outcome})" if known else ""
