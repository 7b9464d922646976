"""An upstream system as a sane one behaves: what is not settled is sent again, under the same key, until it is."""

import asyncio
import uuid
from collections import Counter
from typing import Any

import httpx

_UNSETTLED = frozenset({202, 207, 429, 500, 502, 503, 504})
_PAUSE = 1.0


class Refused(Exception):
    """The system says no, for good."""


class Upstream:
    """Calls the gateway. `statuses` counts its answers, with `broken` for none; `acknowledged` is what it has said yes to: the
    journey, what, and with which particulars."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self.statuses: Counter[str] = Counter()
        self.acknowledged: list[dict[str, Any]] = []

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The settled answer. Raises Refused."""
        return await self._send("POST", path, body, {"Idempotency-Key": str(uuid.uuid4())})

    async def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Says `If-Match: *`, so that the same edit twice is one."""
        return await self._send("PATCH", path, body, {"If-Match": "*"})

    async def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        return await self._send("GET", path, None, {}, parameters)

    def acknowledge(self, journey_id: str, what: str, **particulars: Any) -> None:
        """Keeps that it was said yes to."""
        self.acknowledged.append({"journey_id": journey_id, "what": what, **particulars})

    async def _send(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        headers: dict[str, str],
        parameters: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        while True:
            try:
                answer = await self._http.request(method, path, json=body, headers=headers, params=parameters)
            except httpx.HTTPError:
                self.statuses["broken"] += 1
                await asyncio.sleep(_PAUSE)
                continue
            self.statuses[str(answer.status_code)] += 1
            if answer.status_code in _UNSETTLED or "Retry-After" in answer.headers:
                await asyncio.sleep(_PAUSE)
                continue
            if answer.is_success:
                return answer.json()
            raise Refused(f"{method} {path}: {answer.status_code} {answer.text}")
