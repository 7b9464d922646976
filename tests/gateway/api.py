"""The API as an upstream system calls it."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx

from simulators.serving import Serving
from starter import api_keys
from starter.api_keys import Scope
from starter.gateway.app import app
from tests.stage import Stage


class System(httpx.AsyncClient):
    """An upstream system with a key of its own."""

    def __init__(self, url: str, key: str | None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        super().__init__(base_url=url, headers=headers, timeout=30)
        self.key = key

    async def once(self, path: str, body: Any = None, key: str | None = None) -> httpx.Response:
        """A POST with an Idempotency-Key."""
        return await self.post(path, json=body, headers={"Idempotency-Key": key or uuid.uuid4().hex})


class Upstream:
    """A gateway on a stage, and the systems that call it."""

    def __init__(self, stage: Stage, url: str) -> None:
        self.stage = stage
        self.url = url
        self._systems: list[System] = []

    def system(self, *scopes: Scope, name: str = "EHR") -> System:
        """Another system; with all scopes where none is named."""
        key = api_keys.create(self.stage.sessions, name, scopes or tuple(Scope), datetime.now(UTC))
        return self.with_key(key)

    def with_key(self, key: str | None) -> System:
        self._systems.append(System(self.url, key))
        return self._systems[-1]

    async def close(self) -> None:
        for system in self._systems:
            await system.aclose()


@asynccontextmanager
async def serving(stage: Stage, **settings: Any) -> AsyncIterator[Upstream]:
    """A gateway of its own, with these settings."""
    async with Serving(app(stage.settings.model_copy(update=settings), task_queue=stage.task_queue)) as running:
        upstream = Upstream(stage, running.url)
        yield upstream
        await upstream.close()


def token(journey_id: str, *more: str) -> str:
    """The address of a token."""
    return "/".join(("/v1/tokens", quote(journey_id, safe=""), *more))


def request(journey_id: str, *more: str) -> str:
    """The address of a request."""
    return "/".join(("/v1/token-requests", quote(journey_id, safe=""), *more))


def detail(answer: httpx.Response, status: int) -> str:
    """The sentence of a problem."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["detail"].endswith(".")
    return problem["detail"]
