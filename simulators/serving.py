"""Serving a simulator: in a thread for tests, or as a process of its own."""

import argparse
import asyncio
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from simulators.faults import LostReply


class _DroppingProtocol(H11Protocol):
    """Lets an application drop the connection without an answer, by raising LostReply."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        inner = self.app

        async def dropping(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await inner(scope, receive, send)  # type: ignore[arg-type]
            except LostReply:
                transport.abort()

        self.app = dropping  # type: ignore[assignment]


class _Server(uvicorn.Server):
    """Signals are the main thread's business."""

    def install_signal_handlers(self) -> None:
        return


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app, http=_DroppingProtocol, ws="none", log_level="critical", access_log=False, timeout_graceful_shutdown=1
    )


def _listen(host: str, port: int) -> socket.socket:
    listening = socket.create_server((host, port))
    listening.set_inheritable(False)
    return listening


class Serving:
    """A Starlette application on a free port, in a thread of its own: `with Serving(app) as serving: serving.url`."""

    def __init__(self, app: ASGIApp, port: int = 0) -> None:
        self._app, self._port = app, port

    def __enter__(self) -> Self:
        self._socket = _listen("127.0.0.1", self._port)
        self._server = _Server(_config(self._app))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve([self._socket])), daemon=True)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.005)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        with suppress(OSError):
            self._socket.close()


def arguments(about: str | None) -> argparse.ArgumentParser:
    """What every simulator's process takes."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--state", type=Path, required=True, help="folder in which what was done is kept")
    return parser


def run(app: ASGIApp, host: str, port: int) -> None:
    """Serves until SIGTERM or SIGINT; says `ready` with its address."""
    listening = _listen(host, port)
    server = uvicorn.Server(_config(app))

    async def serve() -> None:
        serving = asyncio.create_task(server.serve([listening]))
        while not server.started and not serving.done():  # noqa: ASYNC110  # uvicorn tells of its start in no other way
            await asyncio.sleep(0.01)
        print(f"ready http://{host}:{listening.getsockname()[1]}", flush=True)
        await serving

    asyncio.run(serve())
