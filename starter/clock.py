"""Moving one journey's clock by the server's own time skipping (embedded stack and tests only)."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import TimeSkipper, TimeSkippingConfig


class Stuck(Exception):
    """The clock stopped short of its goal: something holds the journey up."""


class Clock:
    """The clock of one journey; the others stay where they are."""

    def __init__(self, client: Client, handle: WorkflowHandle[Any, Any], patience: float = 60) -> None:
        self._handle = handle
        self._patience = patience
        config = TimeSkippingConfig(enabled=False, disable_propagation=True, max_session_skip_count=10_000)
        self._skipper = TimeSkipper(client, config=config)

    async def now(self) -> datetime:
        """The journey's time, UTC."""
        return await self._skipper.get_current_time(self._handle)

    async def begin(self, moment: datetime) -> None:
        """Moves a journey that was started with a delay to `moment`, its beginning. Returns when its first workflow task is
        there, which may be an instant later than the clock. Raises Stuck."""
        await self.to(moment)
        for _ in range(200):
            try:
                await self._handle.query("status")
            except RPCError as fault:
                if fault.status is not RPCStatusCode.FAILED_PRECONDITION:
                    raise
            else:
                return
            await asyncio.sleep(0.02)
            await self._ahead(timedelta(milliseconds=20))
        raise Stuck("the journey did not begin")

    async def to(self, moment: datetime) -> None:
        """Everything that falls due by `moment` has happened when this returns. Raises ValueError for a moment that is
        past, and Stuck after `patience` seconds, or when the journey did not get there."""
        ahead = moment - await self.now()
        if ahead < timedelta(0):
            raise ValueError(f"{moment:%Y-%m-%d %H:%M} is past on this journey's clock; clocks go forward only")
        await self._ahead(ahead)

    async def _ahead(self, ahead: timedelta) -> None:
        try:
            arrived = await asyncio.wait_for(self._skipper.fast_forward(self._handle, ahead), self._patience)
        except RPCError as fault:
            if fault.status is RPCStatusCode.NOT_FOUND:
                return  # the journey has ended meanwhile, and its clock with it
            raise
        except TimeoutError:
            raise Stuck("a party that is down, or a missing worker, holds the journey up") from None
        if not arrived:
            status = (await self._handle.describe()).status
            if status is not None and status.name == "RUNNING":
                raise Stuck("the server skipped no further")
