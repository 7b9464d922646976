"""One journey, driven by the people and systems that it has to do with, to the end that was planned for it."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from temporalio.client import Client, WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.service import RPCError

from domain.peers import incident_id, return_id
from starter.clock import Clock, Stuck
from tools.faults.calling import Refused, Upstream
from tools.faults.enrolling import Browser, NotNow
from tools.faults.plans import LETTERS, Plan
from tools.faults.postbox import Postbox
from tools.faults.watching import Watch

_ENROLLED = ("Syncing", "Active")
_TRY_AGAIN = 3.0


class World:
    """What all walks share. `carrier`: the simulated carrier's address. `by_clock`: whether the carrier rests today, so that
    journeys' clocks have to be moved to its next day."""

    def __init__(
        self,
        upstream: Upstream,
        watch: Watch,
        http: httpx.AsyncClient,
        carrier: str,
        temporal: Client,
        postbox: Postbox,
        devices: Path,
        by_clock: bool,
    ) -> None:
        self.upstream, self.watch, self.http = upstream, watch, http
        self.carrier, self.temporal, self.postbox = carrier, temporal, postbox
        self.devices, self.by_clock = devices, by_clock


class Walk:
    """`play` drives it. `expected`: journey id to the status in which it is to be left, and the letters that people are owed."""

    def __init__(self, world: World, plan: Plan, rng: random.Random) -> None:
        self.world, self.plan, self._rng = world, plan, rng
        self.expected: dict[str, dict[str, Any]] = {}
        self.at = "not begun"
        self.done = False

    async def play(self) -> None:
        plan = self.plan
        await self._think()
        body = {"prescriber_id": plan.prescriber_id, "kind": plan.kind}
        journey_id = (await self._post("requesting", "/v1/token-requests", body))["journey_id"]
        self.world.upstream.acknowledge(journey_id, "request")
        self._begun(journey_id)
        await self._go(journey_id, plan.end)
        self.done = True

    async def _go(self, journey_id: str, end: str) -> None:
        plan = self.plan
        if plan.edited and journey_id == next(iter(self.expected)):
            await self._edit(journey_id)
        if end == "cancelled early":
            await self._cancel(journey_id, "cancelled")
            return
        await self._process(journey_id)
        if end == "cancelled late":
            hard = plan.kind == "hard"
            if not hard:
                await self._emailed(journey_id, "vendor_download_soft")  # whoever cancels before is owed no link
            await self._cancel(journey_id, "cancelled and asked back" if hard else "cancelled")
            if hard:
                await self._receive(journey_id)
            return
        if plan.kind == "hard":
            await self._deliver(journey_id)
        await self._enroll(journey_id)
        await self._until(journey_id, "Active")
        self._owes(journey_id, "active", "Active")
        if end == "replaced":
            await self._replace(journey_id)
        elif end != "active":
            await self._deactivate(journey_id, lost=end == "lost")

    # The steps

    async def _edit(self, journey_id: str) -> None:
        await self._think()
        email = f"other.{self.plan.prescriber_id.lower()}@clinic.example"
        self.at = "editing"
        try:
            await self.world.upstream.patch(f"/v1/token-requests/{journey_id}", {"email": email})
        except Refused:
            # An edit has no key: sent again after an answer that got lost, it finds the request as it wants it, and the records
            # say so as soon as their database is there.
            for _ in range(60):
                stands = await self.world.upstream.get(f"/v1/token-requests/{journey_id}")
                if stands["email"] == email:
                    break
                await asyncio.sleep(_TRY_AGAIN)
            else:
                raise
        self.world.upstream.acknowledge(journey_id, "edit", email=email)
        self._owes(journey_id, "edited")

    async def _process(self, journey_id: str) -> None:
        await self._think()
        await self._post("processing", f"/v1/token-requests/{journey_id}/process", {"operator": "Dana"})
        self.world.upstream.acknowledge(journey_id, "process")
        self._owes(journey_id, f"processed {self.plan.kind}", "Processed")
        if self.plan.kind == "hard":
            await self._shipped(journey_id)
            self._owes(journey_id, "shipped", "Shipped")

    async def _emailed(self, journey_id: str, letter: str) -> None:
        self.at = f"waiting for the email {letter}"
        while not self.world.postbox.has(journey_id, letter):  # noqa: ASYNC110  # a mailbox wakes nobody
            await asyncio.sleep(_TRY_AGAIN)

    async def _shipped(self, journey_id: str) -> None:
        if self.world.by_clock:
            clock = Clock(self.world.temporal, self.world.temporal.get_workflow_handle(journey_id))
            while not await self.world.watch.is_in(journey_id, ("Shipped",), within=10):
                try:
                    await clock.to(await clock.now() + timedelta(hours=12))
                except (Stuck, RPCError, RuntimeError):
                    continue
        await self._until(journey_id, "Shipped")

    async def _deliver(self, journey_id: str) -> None:
        await self._think()
        number = (await self._until(journey_id, "Shipped"))["tracking_number"]
        occurred_at = datetime.now(UTC) + timedelta(days=3 if self.world.by_clock else 0)
        event = {"tracking_number": number, "status": "delivered", "occurred_at": occurred_at.isoformat()}
        for _ in range(2 if self.plan.doubled else 1):
            await self._told(event)
        self.world.upstream.acknowledge(journey_id, "deliver")
        await self._until(journey_id, "Delivered")
        self._owes(journey_id, "delivered", "Delivered")

    async def _told(self, event: dict[str, Any]) -> None:
        """The carrier tells the gateway, until that has taken it."""
        self.at = "telling of the delivery"
        while True:
            try:
                answer = await self.world.http.post(f"{self.world.carrier}/simulate/events", json=event)
            except httpx.HTTPError:
                answer = None
            if answer is not None and answer.status_code == 202:
                return
            await asyncio.sleep(_TRY_AGAIN)

    async def _enroll(self, journey_id: str) -> None:
        await self._think()
        used: set[str] = set()
        pause = _TRY_AGAIN
        while not await self.world.watch.is_in(journey_id, _ENROLLED, within=pause):
            self.at = "enrolling"
            link = self.world.postbox.link(journey_id, used)
            if link is None:
                used.clear()
                continue
            browser = Browser(self.world.http, link)
            try:
                if self.plan.kind == "hard":
                    status = ("Shipped", "Delivered", *_ENROLLED)
                    serial = (await self.world.watch.until(journey_id, status))["serial_number"]
                    await browser.hard(serial, self.world.devices)
                else:
                    await browser.soft(journey_id, self.world.devices)
            except NotNow as trouble:
                self.at = f"enrolling ({trouble})"
                if str(trouble).startswith("link: 200"):  # a page that says what to do instead
                    used.add(link)
                pause = min(pause * 1.5, 20)
            else:
                self.world.upstream.acknowledge(journey_id, "enroll")

    async def _cancel(self, journey_id: str, owed: str) -> None:
        await self._think()
        await self._post("cancelling", f"/v1/token-requests/{journey_id}/cancel", {"reason": "not needed"})
        self.world.upstream.acknowledge(journey_id, "cancel")
        self._owes(journey_id, owed, "Cancelled")

    async def _deactivate(self, journey_id: str, *, lost: bool) -> None:
        await self._think()
        hard = self.plan.kind == "hard"
        reason = {"reason": "lost" if lost else "faulty", "in_possession": not lost} if hard else {}
        await self._post("deactivating", f"/v1/tokens/{journey_id}/deactivate", {"confirmed": True, **reason})
        self.world.upstream.acknowledge(journey_id, "deactivate")
        self._owes(journey_id, "deactivated", "Deactivated")
        if lost:
            self._owes(journey_id, "incident")
            await self._update(incident_id(journey_id), "close", {"by": "Dana", "note": "reported"})
            self.world.upstream.acknowledge(journey_id, "close incident")
        elif hard:
            self._owes(journey_id, "asked back")
            await self._receive(journey_id)

    async def _replace(self, journey_id: str) -> None:
        await self._think()
        hard = self.plan.kind == "hard"
        order = {"reason": "faulty", "confirmed": True, "in_possession": hard}
        answer = await self._post("replacing", f"/v1/tokens/{journey_id}/replace", order)
        successor = answer["journey_id"]
        self.world.upstream.acknowledge(journey_id, "replace", successor=successor)
        self._owes(journey_id, "deactivated", "Deactivated")
        self._begun(successor)
        if hard:
            self._owes(journey_id, "asked back")
            await self._receive(journey_id)
        await self._go(successor, "active" if self.plan.goes_on else "cancelled early")

    async def _receive(self, journey_id: str) -> None:
        """The mail room has it in hand, and says so as operators do, through Temporal."""
        await self._emailed(journey_id, "return_label")  # nobody mails it before
        await self._think()
        serial = (await self._until(journey_id, "Cancelled", "Deactivated"))["serial_number"]
        await self._update(return_id(journey_id), "received", {"serial_number": serial, "received_by": "Mo"})
        self.world.upstream.acknowledge(journey_id, "receive")
        self._owes(journey_id, "received")

    async def _update(self, workflow_id: str, name: str, body: dict[str, Any]) -> None:
        """Under one id, until it is answered; a workflow that is not there any more has ended by an earlier try."""
        self.at = f"{name} to {workflow_id.split('-')[0]}"
        handle = self.world.temporal.get_workflow_handle(workflow_id)
        while True:
            try:
                await asyncio.wait_for(handle.execute_update(name, body, id=f"{name}-1"), 15)
                return
            except WorkflowUpdateFailedError as fault:
                raise AssertionError(f"{name} was refused: {fault.cause}") from None
            except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError, RPCError, RuntimeError):
                if await self._ended(workflow_id):
                    return
            await asyncio.sleep(_TRY_AGAIN)

    async def _ended(self, workflow_id: str) -> bool:
        try:
            status = (await self.world.temporal.get_workflow_handle(workflow_id).describe()).status
        except (RPCError, RuntimeError):
            return False
        return status is not None and status.name == "COMPLETED"

    # What every step needs

    async def _think(self) -> None:
        self.at = "thinking"
        await asyncio.sleep(self._rng.uniform(0, self.plan.think))

    async def _until(self, journey_id: str, *statuses: str) -> dict[str, Any]:
        self.at = f"waiting for {' or '.join(statuses)}"
        return await self.world.watch.until(journey_id, statuses)

    async def _post(self, doing: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.at = doing
        return await self.world.upstream.post(path, body)

    def _begun(self, journey_id: str) -> None:
        self.expected[journey_id] = {"end": "Requested", "letters": [], "plan": self.plan.end}
        self._owes(journey_id, "requested")

    def _owes(self, journey_id: str, step: str, status: str | None = None) -> None:
        self.expected[journey_id]["letters"] += LETTERS[step]
        if status is not None:
            self.expected[journey_id]["end"] = status
