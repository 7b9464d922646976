"""Where all journeys stand, from the gateway's list, asked once for everybody who waits for something."""

import asyncio
from collections.abc import Collection
from typing import Any

from tools.faults.calling import Upstream

_PAUSE = 1.0


class Watch:
    """`run` looks again and again until it is cancelled; `until` waits for what it sees."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._seen: dict[str, dict[str, Any]] = {}
        self._looked = asyncio.Condition()

    async def run(self) -> None:
        while True:
            found: dict[str, dict[str, Any]] = {}
            cursor: dict[str, str] = {}
            while True:
                page = await self._upstream.get("/v1/tokens", limit=200, **cursor)
                found |= {token["journey_id"]: token for token in page["tokens"]}
                if page["next"] is None:
                    break
                cursor = {"cursor": page["next"]}
            async with self._looked:
                self._seen = found
                self._looked.notify_all()
            await asyncio.sleep(_PAUSE)

    async def until(self, journey_id: str, statuses: Collection[str]) -> dict[str, Any]:
        """The journey in the list, as soon as it has one of these statuses."""
        async with self._looked:
            while self._seen.get(journey_id, {}).get("status") not in statuses:
                await self._looked.wait()
            return self._seen[journey_id]

    async def is_in(self, journey_id: str, statuses: Collection[str], within: float) -> bool:
        """Whether it has one of these statuses by the next look or within so many seconds."""
        try:
            await asyncio.wait_for(self.until(journey_id, statuses), within)
        except TimeoutError:
            return False
        return True
