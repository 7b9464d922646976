"""A process's own small HTTP port: `/healthz` (it lives), `/readyz` (it can work), `/metrics`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Page = Callable[[], Awaitable[bytes]]
Obstacle = Callable[[], Awaitable[str | None]]
"""Why the process can't work just now; None: it can."""


class _Server(uvicorn.Server):
    """Leaves signals to the process, which has to drain first."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def app(obstacle: Obstacle, page: Page) -> Starlette:
    """Answered in the process's own event loop: one that stands still does not answer, and is started anew."""

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        reason = await obstacle()
        return JSONResponse(
            {"status": "not ready", "why": reason} if reason else {"status": "ready"}, 503 if reason else 200
        )

    async def metrics(_request: Request) -> Response:
        return Response(await page(), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)])


@asynccontextmanager
async def serving(host: str, port: int | None, obstacle: Obstacle, page: Page) -> AsyncIterator[str | None]:
    """Serves while the block runs, and gives the URL; None as the port: nothing is served. Port 0: any free one."""
    if port is None:
        yield None
        return
    config = uvicorn.Config(
        app(obstacle, page), host=host, port=port, log_config=None, log_level="warning", access_log=False, ws="none"
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve())
    try:
        while not server.started and not task.done():  # noqa: ASYNC110  # uvicorn tells of its start in no other way
            await asyncio.sleep(0.02)
        if not server.started:
            raise ValueError(
                f"port {port} of {host}, which TOKENS_METRICS_PORT names, can't be listened on; choose another"
            )
        yield f"http://{host}:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        with suppress(SystemExit):
            await task
