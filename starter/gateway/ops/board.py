"""Reports and their charts, made beside the event loop and kept for some seconds, so that a page that is looked at by many costs
the database one look."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from database.reporting import report
from domain.report import Period, Report
from starter.gateway.parts import Gateway

KEPT_SECONDS = 20.0
_MOST = 64


class Board:
    """Given the gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._kept: dict[Any, tuple[float, Any]] = {}
        self._one_at_a_time = asyncio.Lock()

    async def report(self, period: Period) -> Report:
        """As the database says, or has said some seconds ago."""
        return await self._remembered(period.model_dump_json(), lambda: self._count(period))

    async def chart(self, name: str, period: Period, theme: str) -> bytes:
        """An SVG of what the report says."""
        found = await self.report(period)
        return await self._remembered(
            (name, theme, found.at, period.model_dump_json()), lambda: _draw(name, found, theme)
        )

    async def _remembered(self, key: Any, make: Callable[[], Any]) -> Any:
        async with self._one_at_a_time:
            kept = self._kept.get(key)
            if kept is None or time.monotonic() - kept[0] > KEPT_SECONDS:
                kept = time.monotonic(), await asyncio.to_thread(make)
                self._kept.pop(key, None)
                self._kept[key] = kept
                while len(self._kept) > _MOST:
                    del self._kept[next(iter(self._kept))]  # the oldest
            return kept[1]

    def _count(self, period: Period) -> Report:
        with self._gateway.sessions() as session:
            return report(session, period, self._gateway.settings.policy, datetime.now(UTC))


def _draw(name: str, found: Report, theme: str) -> bytes:
    from starter.gateway.ops import charts  # matplotlib takes a second to load, and most of the gateway never needs it

    return charts.draw(name, found, theme)
