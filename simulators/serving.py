"""Serving a simulator: in a thread for tests, or as a process of its own."""

import argparse
import asyncio
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from simulators.faults import DROP

_GRACE = 0.3
"""Seconds that requests under way are given at the end; what hangs is cut off then."""


class _DroppingProtocol(H11Protocol):
    """Hands applications what drops their connection without an answer, as an ASGI extension."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        inner = self.app

        async def dropping(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[DROP] = {"now": transport.abort}
            try:
                await inner(scope, receive, send)  # type: ignore[arg-type]
            except asyncio.CancelledError:  # the server ends; uvicorn would answer 500
                transport.abort()
                while (await receive())["type"] != "http.disconnect":
                    pass

        self.app = dropping  # type: ignore[assignment]


class _Server(uvicorn.Server):
    """Leaves signals to the main thread, says when it has started, and ends soon even while requests hang."""

    def __init__(self, app: ASGIApp, on_start: Callable[[], None]) -> None:
        # No log configuration of uvicorn's own: errors go where the process's logs go, the rest nowhere.
        super().__init__(
            uvicorn.Config(app, http=_DroppingProtocol, ws="none", log_config=None, log_level="error", access_log=False)
        )
        self._on_start = on_start

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        cut = asyncio.get_running_loop().call_later(_GRACE, self._cut)
        try:
            await super().shutdown(sockets)
        finally:
            cut.cancel()

    def _cut(self) -> None:
        for task in list(self.server_state.tasks):
            task.cancel()
        for connection in list(self.server_state.connections):
            connection.transport.abort()  # type: ignore[union-attr]


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket; port 0 is any free one. Raises OSError.

    It names its protocol, which `socket.create_server` leaves out: asyncio sends without delay only where it sees TCP, and
    each answer on a connection that is kept open would take 40 ms.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen()
    except OSError:
        listening.close()
        raise
    return listening


class Serving:
    """An ASGI application on a free port of 127.0.0.1, in a thread of its own: `with Serving(app) as serving: serving.url`.

    `async with` does the same without holding up the loop. Raises OSError when the port is taken, RuntimeError when the
    application does not start.
    """

    def __init__(self, app: ASGIApp, port: int = 0, host: str = "127.0.0.1") -> None:
        self._app, self._port, self._host = app, port, host
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Returns when it listens."""
        listening = listen(self._host, self._port)
        ready = threading.Event()
        self._server = _Server(self._app, ready.set)
        self.url = _url(self._host, listening)

        def serve() -> None:
            try:
                asyncio.run(self._server.serve([listening]))
            except SystemExit:  # how uvicorn ends when the application does not start; its log says why
                pass
            finally:
                listening.close()
                ready.set()

        self._thread = threading.Thread(target=serve, daemon=True)
        self._thread.start()
        ready.wait()
        if not self._server.started:
            raise RuntimeError("the application did not start; the log says why")

    def stop(self) -> None:
        """Returns when nothing of it runs any more. A second time it does nothing."""
        if self._thread is not None:
            self._server.should_exit = True
            self._thread.join(10)
            self._thread = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)


def _url(host: str, listening: socket.socket) -> str:
    return f"http://{host}:{listening.getsockname()[1]}"


def arguments(about: str | None) -> argparse.ArgumentParser:
    """What every simulator's process takes."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--state", type=Path, required=True, help="folder in which what was done is kept")
    return parser


def run(app: ASGIApp, host: str, port: int) -> None:
    """Serves until SIGTERM or SIGINT; prints `ready` with its address when it listens.

    Raises SystemExit with a sentence when the port is taken, with 3 when the application does not start.
    """
    try:
        listening = listen(host, port)
    except OSError as fault:
        sys.exit(f"{host}:{port} can't be listened on ({fault.strerror}); give another --port, or 0 for any free one.")
    with listening:
        server = _Server(app, lambda: print(f"ready {_url(host, listening)}", flush=True))

        def end(_number: int, _frame: Any) -> None:
            server.should_exit = True

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        asyncio.run(server.serve([listening]))
