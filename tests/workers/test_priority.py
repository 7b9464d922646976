"""One slot, and more waiting than it can do: what is urgent goes first, and each practice has its turn."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from settings import Settings
from tests.conftest import temporal_server
from tests.stage import Stage, Theatre
from tests.workers.processes import until
from worker import worker_for

pytestmark = pytest.mark.slow


class Order(Interceptor):
    """Writes down what is taken up, in its order."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str | None]] = []

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        return _Noting(next, self)


class _Noting(ActivityInboundInterceptor):
    def __init__(self, next_: ActivityInboundInterceptor, order: Order) -> None:
        super().__init__(next_)
        self._order = order

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        self._order.taken.append((activity.info().activity_type, activity.info().workflow_id))
        return await self.next.execute_activity(input)


@pytest.fixture
async def stage(settings: Settings, theatre: Theatre, tmp_path: Path) -> AsyncIterator[Stage]:
    """On a server whose queues are not divided: otherwise the order holds within each of the four parts."""
    parts = [f"matching.numTaskqueue{which}Partitions=1" for which in ("Read", "Write")]
    flags = [word for part in parts for word in ("--dynamic-config-value", part)]
    async with temporal_server(settings, *flags) as client, Stage(client, theatre, tmp_path) as stage:
        yield stage


async def test_urgent_first_and_a_turn_for_each_practice(stage: Stage) -> None:
    compromised = await stage.request("hard", "P-1010")
    await compromised.reach("Active")
    await stage.stop_worker()
    order = Order()
    common: dict[str, Any] = {"task_queue": stage.task_queue}
    # This one decides and keeps records, and leaves what is to be done at others' to wait in the queue.
    async with worker_for(stage.client, stage.dependencies, stage.theatre.threads, no_remote_activities=True, **common):
        many = [await stage.request(kind, f"P-100{number}") for number in range(1, 6) for kind in ("soft", "hard")]
        one = await stage.request("soft", "P-1006")
        for play in (*many, one):
            # The first letters go out within the workflow task; what has been answered is written by the queue.
            await play.update("process", {"operator": "Dana"})
        # Nobody waits for its answer, which would wait for the queue.
        await compromised.signal("deactivate", {"confirmed": True, "reason": "stolen"})

        async def waiting() -> bool:
            found = [(await play.handle.describe()).raw_description.pending_activities for play in (*many, one)]
            return all(found) and len((await compromised.handle.describe()).raw_description.pending_activities) >= 3

        await until(waiting)
        async with worker_for(
            stage.client,
            stage.dependencies,
            stage.theatre.threads,
            **common,
            workflows=[],
            max_concurrent_activities=1,
            interceptors=[order],
        ):

            async def all_taken() -> bool:
                return {play.id for play in (*many, one)} <= {journey for _, journey in order.taken}

            await until(all_taken)
    journeys = [journey for _, journey in order.taken]
    urgent = {"vendor.revoke", "directory.revoke", "peers.open_incident"}
    # The poll that was under way may have been given anything; from then on the order holds.
    assert urgent <= {name for name, _ in order.taken[:5]}, order.taken
    routine = [journey for name, journey in order.taken if journey != compromised.id]
    assert routine.index(one.id) <= 2, routine
    assert journeys.count(one.id) == 1
