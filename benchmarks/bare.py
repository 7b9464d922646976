"""The bare ceiling: a workflow with the commands and messages of the product's journey whose steps do nothing."""

import asyncio
import json
import os
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio import activity, workflow
from temporalio.common import RetryPolicy, SearchAttributeKey, SearchAttributeUpdate

from benchmarks.script import Script

TASK_QUEUE = "bench-bare"
SCRIPTS = "BENCH_SCRIPTS"
"""Variable that names the file with the scripts by kind."""
_ATTEMPT = timedelta(seconds=30)
_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2, maximum_interval=timedelta(minutes=5)
)
_KEYS = {"Bool": SearchAttributeKey.for_bool, "Datetime": SearchAttributeKey.for_datetime}


def scripts() -> dict[str, Script]:
    file = os.environ.get(SCRIPTS)
    return json.loads(Path(file).read_text()) if file else {}


_FILLING = random.Random(0).randbytes(32_768).hex()  # noqa: S311  # the same in each process, and nobody's secret
"""What the codec makes as much smaller as it does a journey's own JSON: to a little more than half."""


def padding(size: int) -> str | None:
    """A value whose JSON has that many bytes; None for what holds nothing."""
    return _FILLING[: size - 2] if size > 2 else None


@activity.defn(name="bare.step")
def step(out: int, _padding: str | None) -> str | None:
    """Does nothing, and answers with so many bytes."""
    return padding(out)


@workflow.defn(name="Bare")
class Bare:
    """Plays the script of its kind, then stays open as the journey does."""

    scripts = scripts()

    @workflow.init
    def __init__(self, kind: str, _padding: str | None) -> None:
        self._script = self.scripts[kind]
        self._signals = self._updates = 0
        self._activities: set[int] = set()
        self._timers: dict[int, asyncio.Task[None]] = {}
        self._answers: dict[int, int] = {}
        self._running: list[asyncio.Task[Any]] = []

    @workflow.run
    async def run(self, kind: str, _padding: str | None) -> None:
        for one in self._script["steps"]:
            after = one["after"]
            await workflow.wait_condition(lambda after=after: self._ready(after))
            for command in one["do"]:
                await self._do(command)
        await workflow.wait_condition(lambda: False)

    def _ready(self, after: dict[str, Any]) -> bool:
        return (
            self._signals >= after["signals"]
            and self._updates >= after["updates"]
            and self._activities.issuperset(after["activities"])
        )

    async def _do(self, command: dict[str, Any]) -> None:
        match command["what"]:
            case "patch":
                workflow.patched("0.2")
            case "local":
                await workflow.execute_local_activity(
                    step,
                    args=[command["out"], padding(command["in"])],
                    start_to_close_timeout=_ATTEMPT,
                    retry_policy=_RETRY,
                    summary=padding(command["summary"]),
                )
            case "activity":
                self._running.append(asyncio.create_task(self._activity(command)))
                await asyncio.sleep(0)
            case "timer":
                self._timers[command["number"]] = asyncio.create_task(self._timer(command))
                await asyncio.sleep(0)
            case "cancel":
                self._timers[command["number"]].cancel()
                await asyncio.sleep(0)
            case "upsert":
                workflow.upsert_search_attributes(
                    [_changed(name, type_, value) for name, (type_, value) in command["attributes"].items()]
                )
            case "answer":
                self._answers[command["number"]] = command["out"]
                await asyncio.sleep(0)

    async def _activity(self, command: dict[str, Any]) -> None:
        await workflow.execute_activity(
            step,
            args=[command["out"], padding(command["in"])],
            start_to_close_timeout=_ATTEMPT,
            retry_policy=_RETRY,
            summary=padding(command["summary"]),
        )
        self._activities.add(command["number"])

    async def _timer(self, command: dict[str, Any]) -> None:
        await workflow.sleep(command["seconds"], summary=padding(command["summary"]))

    @workflow.signal
    async def tell(self, _padding: str | None) -> None:
        self._signals += 1

    @workflow.update
    async def ask(self, _padding: str | None) -> str | None:
        number = self._updates
        self._updates += 1
        await workflow.wait_condition(lambda: number in self._answers)
        return padding(self._answers[number])

    @workflow.update
    async def ping(self, _padding: str | None) -> str | None:
        """Answers at once."""
        return padding(60)

    @workflow.update
    async def edit(self, _padding: str | None) -> str | None:
        """As an edited request: one step before the answer, one and a letter after it."""
        await self._do({"what": "local", "in": 120, "out": 120, "summary": 30})
        self._running.append(asyncio.create_task(self._edited()))
        return padding(120)

    async def _edited(self) -> None:
        await self._do({"what": "local", "in": 3000, "out": 0, "summary": 30})
        await self._do({"what": "activity", "number": -1, "in": 400, "out": 60, "summary": 30})

    @ask.validator
    def _may_ask(self, _padding: str | None) -> None:
        pass


def _changed(name: str, type_: str, value: str) -> SearchAttributeUpdate[Any]:
    key = _KEYS.get(type_, SearchAttributeKey.for_keyword)(name)
    if not value:
        return key.value_unset()
    if type_ == "Datetime":
        from datetime import datetime

        return key.value_set(datetime.fromisoformat(json.loads(value)))  # type: ignore[arg-type]
    return key.value_set(json.loads(value))
