"""The product's journey and the bare one, as a driver speaks to them."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from temporalio.client import WorkflowHandle

from benchmarks import bare, people
from benchmarks.script import Script
from benchmarks.site import Site
from connection import TASK_QUEUE
from database.tables import JourneyRow


class _OnTemporal:
    """Where they stand is asked of Temporal's own list, which both kinds write by the same search attribute."""

    workflow: str

    def __init__(self, site: Site, task_queue: str) -> None:
        self.site, self._task_queue = site, task_queue

    def _handle(self, journey_id: str) -> WorkflowHandle[Any, Any]:
        return self.site.client.get_workflow_handle(journey_id)

    async def statuses(self, run: str) -> Mapping[str, str]:
        query = f'WorkflowId STARTS_WITH "{run}" AND WorkflowType = "{self.workflow}"'
        return {
            found.id: str(found.search_attributes.get("TokenStatus", ["Requested"])[0])
            async for found in self.site.client.list_workflows(query, page_size=1000)
        }


class Product(_OnTemporal):
    name = "product"
    workflow = "TokenJourney"

    def __init__(self, site: Site, task_queue: str = TASK_QUEUE) -> None:
        super().__init__(site, task_queue)

    async def start(self, journey_id: str, kind: str, number: int) -> None:
        await self.site.client.start_workflow(
            self.workflow,
            {"prescriber_id": people.prescriber_id(number), "kind": kind},
            id=journey_id,
            task_queue=self._task_queue,
        )

    async def process(self, journey_id: str) -> str | None:
        done = await self._handle(journey_id).execute_update("process", {"operator": "bench"})
        return done["serial_number"]

    async def deliver(self, journey_id: str) -> None:
        event = {
            "tracking_number": await asyncio.to_thread(self._tracking_number, journey_id),
            "status": "delivered",
            "occurred_at": datetime.now(UTC).isoformat(),
        }
        await self._handle(journey_id).signal("carrier_event", event)

    def _tracking_number(self, journey_id: str) -> str | None:
        with self.site.sessions() as session:
            return session.scalar(select(JourneyRow.tracking_number).where(JourneyRow.journey_id == journey_id))

    async def enrol(self, journey_id: str, kind: str, serial: str | None) -> None:
        if kind == "hard":
            assert serial
            body = {"serial_number": serial, "passcode": people.passcode(serial)}
            await self._handle(journey_id).execute_update("enroll_hard", body)
        else:
            await asyncio.to_thread(self.set_up_app, journey_id)
            body = {"token_name": "phone", "enrollment_ref": f"ref-{journey_id}"}
            await self._handle(journey_id).execute_update("enroll_soft", body)

    def set_up_app(self, journey_id: str) -> None:
        with self.site.sessions.begin() as session:
            session.add(people.soft_enrollment(self.site.seal, journey_id))


class BareContender(_OnTemporal):
    name = "bare"
    workflow = "Bare"

    def __init__(self, site: Site, scripts: Mapping[str, Script]) -> None:
        super().__init__(site, bare.TASK_QUEUE)
        self._scripts = scripts

    async def start(self, journey_id: str, kind: str, number: int) -> None:
        await self.site.client.start_workflow(
            self.workflow,
            args=[kind, bare.padding(self._scripts[kind]["input"])],
            id=journey_id,
            task_queue=self._task_queue,
        )

    async def process(self, journey_id: str) -> str | None:
        return await self._ask(journey_id)

    async def deliver(self, journey_id: str) -> None:
        await self._handle(journey_id).signal("tell", bare.padding(120))

    async def enrol(self, journey_id: str, kind: str, serial: str | None) -> None:
        await self._ask(journey_id)

    async def ping(self, journey_id: str) -> None:
        await self._handle(journey_id).execute_update("ping", bare.padding(60))

    async def edit(self, journey_id: str) -> None:
        await self._handle(journey_id).execute_update("edit", bare.padding(60))

    async def _ask(self, journey_id: str) -> str | None:
        return await self._handle(journey_id).execute_update("ask", bare.padding(60))
