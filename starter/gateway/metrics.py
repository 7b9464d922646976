"""`/metrics` for Prometheus: how many requests, how long they took. Labels name routes, never ids; each copy of the gateway
counts for itself, and Prometheus adds them up."""

import asyncio
import logging
import re
import time

import structlog
from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LABELS = ("method", "route", "status")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_ID = re.compile(r"[A-Za-z0-9._~-]{1,200}")
"""What may be logged of what a caller has put in the place of a journey's id."""
log = structlog.get_logger(__name__)


class Metrics:
    """One gateway's figures."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter("gateway_requests", "Requests answered", _LABELS, registry=self.registry)
        self._seconds = Histogram("gateway_request_seconds", "Time to the answer", ("route",), registry=self.registry)

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method if method in _METHODS else "other", route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def router(self) -> APIRouter:
        routes = APIRouter(include_in_schema=False)

        @routes.get("/metrics")
        async def figures() -> Response:
            # The process's own figures, and those of the webhooks, are in the library's registry.
            # What is counted in the database waits for it.
            own = await asyncio.to_thread(generate_latest, self.registry)
            return Response(own + generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)

        return routes


class Measured:
    """Counts what passes through, and logs it: by its route, as what stands in the path may be a secret link."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            # The router leaves in the scope which route it took; what none took is counted together.
            route = getattr(scope.get("route"), "path", None) or "none"
            seconds = time.perf_counter() - begun
            self._metrics.count(scope["method"], route, status, seconds)
            journey_id = str((scope.get("path_params") or {}).get("journey_id", ""))
            named = {"journey_id": journey_id} if _ID.fullmatch(journey_id) else {}
            method = scope["method"] if scope["method"] in _METHODS else "other"
            log.log(
                _level(route), "answered", method=method, route=route, status=status, seconds=round(seconds, 3), **named
            )


def _level(route: str) -> int:
    """What is asked every few seconds is said at DEBUG only."""
    return logging.DEBUG if route in ("/healthz", "/readyz", "/metrics", "none") else logging.INFO
