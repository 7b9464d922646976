"""Tells journeys of events that came before anybody waited for them, or while Temporal was away; and forgets old ones. It runs
in each copy of the gateway: whoever takes an event up first tells it."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from starter.gateway.parts import Gateway
from starter.gateway.webhooks import kept
from starter.gateway.webhooks.telling import TemporalAway, tell

_BETWEEN_CUTS = 3600
"""Seconds."""

log = logging.getLogger(__name__)


async def sweep(gateway: Gateway) -> int:
    """Tells what can be told by now; how many events that were. Raises TemporalAway, SQLAlchemyError."""
    done = 0
    for event in await asyncio.to_thread(kept.due, gateway.sessions):
        if not await asyncio.to_thread(kept.take_up, gateway.sessions, event):
            continue
        standing = await asyncio.to_thread(kept.standing, gateway.sessions, event)
        if standing.waiting is not None and await tell(gateway, standing.waiting, event):
            await asyncio.to_thread(lambda event=event: kept.remember(gateway.sessions, event, told=True))
            done += 1
    return done


@contextlib.asynccontextmanager
async def sweeping(gateway: Gateway) -> AsyncIterator[None]:
    """Sweeps again and again inside."""
    task = asyncio.create_task(_forever(gateway))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _forever(gateway: Gateway) -> None:
    settings = gateway.settings
    cut_at = time.monotonic()
    while True:
        try:
            if time.monotonic() >= cut_at:
                retention = timedelta(days=settings.webhook_retention_days)
                await asyncio.to_thread(kept.forget, gateway.sessions, retention)
                cut_at = time.monotonic() + _BETWEEN_CUTS
            await sweep(gateway)
        except (TemporalAway, SQLAlchemyError) as fault:
            log.warning("webhooks: kept events wait (%s)", type(fault).__name__)
        await asyncio.sleep(settings.webhook_sweep_seconds)
