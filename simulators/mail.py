"""Stands in for everybody's mail server: takes every message and keeps it in a Maildir. `python -m simulators.mail --port N --maildir DIR`.

Each message is a file of its own, written and flushed to disk before it is renamed into place, then answered with 250: what
was taken outlives a `kill -9`. A message whose Message-ID is there already, from before a restart too, is taken with 250 but
not kept twice, as large mailboxes do; `duplicates` counts them. One header is added, `X-Sink-Number`: the order of arrival.

`--control-port` serves the switches over HTTP: `PUT /faults`, `GET /faults`, `DELETE /faults`, and `GET /healthz`, which has
`duplicates`.

    {"kind": "tempfail"}     451 to every message
    {"kind": "refuse"}       550 to recipients in which `recipient`, a regular expression, is found
    {"kind": "full"}         452 to such recipients
    {"kind": "lose_reply"}   the message is kept, then the connection drops before the 250
    {"kind": "hang"}         no answer to a message until the client goes; 451 when faults are cleared or after `seconds`
    {"kind": "down"}         every connection drops at once

Any of them also takes `times`: how many messages, recipients (refuse, full) or connections (down) it hits; left out: until cleared.
"""

import argparse
import asyncio
import mailbox
import re
import signal
import socket
import sys
import threading
import weakref
from collections.abc import Callable, Coroutine
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.serving import Serving, listen

_NUMBER = "X-Sink-Number"
_LATER = "451 4.3.0 Try again later"


class MailFault(BaseModel):
    """See the module for what each does."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["tempfail", "refuse", "full", "lose_reply", "hang", "down"]
    times: int | None = Field(None, ge=1)
    recipient: str = ""
    seconds: float = Field(30, ge=0, le=120)

    @field_validator("recipient")
    @classmethod
    def _compiles(cls, recipient: str) -> str:
        try:
            re.compile(recipient)
        except re.error as fault:
            raise ValueError(f"not a regular expression ({fault})") from None
        return recipient


class MailSink:
    """`with MailSink(folder) as sink: sink.port`. The server runs in a thread of its own; every method may be called from
    any thread. Entering raises OSError when the port is taken."""

    def __init__(self, maildir: Path, port: int = 0, host: str = "127.0.0.1") -> None:
        self._host, self._wanted = host, port
        self._folder = maildir
        maildir.parent.mkdir(parents=True, exist_ok=True)
        self._box = mailbox.Maildir(maildir, create=True)
        headers = [BytesHeaderParser().parsebytes(self._box.get_bytes(key)) for key in self._box.keys()]  # noqa: SIM118
        self._known = {_message_id(message) for message in headers}
        self._last = max(map(_number, headers), default=0)
        self._lock = threading.Lock()
        self._hanging: set[asyncio.Event] = set()
        self.duplicates = 0
        self.faults: list[MailFault] = []
        """Those that are on. Switch them with `fault` and `clear_faults`."""
        self._controller: _Controller | None = None

    def __enter__(self) -> Self:
        listening = listen(self._host, self._wanted)
        self.port: int = listening.getsockname()[1]
        self._controller = _Controller(self, listening)
        self._controller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def messages(self) -> list[EmailMessage]:
        """Every message kept, oldest first; those that somebody else put there come before."""
        # A mailbox object of its own: they are not made to be shared between threads.
        box = mailbox.Maildir(self._folder, create=False)
        kept = [message_from_bytes(box.get_bytes(key), policy=policy.default) for key in sorted(box.keys())]
        return sorted(kept, key=_number)  # type: ignore[arg-type, return-value]

    def fault(self, kind: str, **options: Any) -> None:
        """Switches a fault on. Raises pydantic's ValidationError."""
        with self._lock:
            self.faults.append(MailFault.model_validate({"kind": kind, **options}))

    def clear_faults(self) -> None:
        """Switches all faults off; messages that hang are answered 451."""
        with self._lock:
            self.faults.clear()
        if self._controller is not None:
            self._controller.loop.call_soon_threadsafe(self._release)

    def _release(self) -> None:
        for cleared in self._hanging:
            cleared.set()

    def next(self, kind: str, hits: Callable[[MailFault], bool] = lambda _: True) -> MailFault | None:
        """The fault of this kind that hits now, counted down."""
        with self._lock:
            for fault in self.faults:
                if fault.kind == kind and hits(fault):
                    if fault.times is not None:
                        fault.times -= 1
                        if fault.times == 0:
                            self.faults.remove(fault)
                    return fault
        return None

    def _keep(self, content: bytes) -> None:
        """Raises OSError when it can't be written."""
        message_id = _message_id(BytesHeaderParser().parsebytes(content))
        if message_id is not None and message_id in self._known:
            self.duplicates += 1
            return
        # Maildir's names don't sort by arrival within one second; this does.
        self._box.add(f"{_NUMBER}: {self._last + 1}\r\n".encode() + content)
        self._last += 1
        self._known.add(message_id)

    # What aiosmtpd calls

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.next("refuse", lambda fault: re.search(fault.recipient, address) is not None):
            return "550 5.1.1 No such mailbox here"
        if self.next("full", lambda fault: re.search(fault.recipient, address) is not None):
            return "452 4.2.2 The mailbox is full"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.next("tempfail"):
            return _LATER
        if fault := self.next("hang"):
            await self._hang(fault.seconds)
            return _LATER
        try:
            self._keep(envelope.original_content or b"")
        except OSError:
            return _LATER
        if self.next("lose_reply") and server.transport is not None:
            server.transport.abort()  # type: ignore[attr-defined]
            await asyncio.Event().wait()  # until aiosmtpd notices, and cancels this
        return "250 OK: kept"

    async def _hang(self, seconds: float) -> None:
        cleared = asyncio.Event()
        self._hanging.add(cleared)
        try:
            await asyncio.wait_for(cleared.wait(), seconds)
        except TimeoutError:
            pass
        finally:
            self._hanging.discard(cleared)


def _message_id(message: Any) -> str | None:
    value = message["Message-ID"]
    return None if value is None else str(value).strip() or None


def _number(message: Any) -> int:
    value = str(message[_NUMBER] or "")
    return int(value) if value.isascii() and value.isdecimal() else 0


class _Controller(Controller):
    """Listens on a socket that is there already, drops every connection at once while the sink is `down`, and leaves no
    connection open at the end."""

    def __init__(self, sink: MailSink, listening: socket.socket) -> None:
        self._sink, self._listening = sink, listening
        self._sessions: weakref.WeakSet[SMTP] = weakref.WeakSet()
        host, port = listening.getsockname()[:2]
        super().__init__(sink, hostname=host, port=port, ready_timeout=10)

    def _create_server(self) -> Coroutine[Any, Any, asyncio.Server]:
        # The base class would listen in its thread, and take ten seconds to tell that it could not.
        return self.loop.create_server(self._factory_invoker, sock=self._listening)

    def factory(self) -> SMTP:
        server = super().factory()
        if self._sink.next("down"):
            server.connection_made = lambda transport: transport.abort()  # type: ignore[method-assign, attr-defined]
            server.connection_lost = lambda error: None  # type: ignore[method-assign]
        else:
            self._sessions.add(server)
        return server

    def stop(self, no_assert: bool = False) -> None:
        asyncio.run_coroutine_threadsafe(self._hang_up(), self.loop).result(10)
        super().stop(no_assert)

    async def _hang_up(self) -> None:
        """The base class stops the loop without waiting for what it cancels."""
        assert self.server is not None
        self.server.close()
        # A connection accepted a moment ago has no transport yet, and would never be closed.
        for _ in range(5):
            await asyncio.sleep(0)
        for session in list(self._sessions):
            if session.transport is not None:
                session.transport.abort()  # type: ignore[attr-defined]
        under_way = asyncio.all_tasks() - {asyncio.current_task()}
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


def control(sink: MailSink) -> Starlette:
    """The switches over HTTP."""

    async def set_(request: Request) -> Response:
        try:
            fault = MailFault.model_validate_json(await request.body())
        except ValidationError:
            return JSONResponse({"detail": "That is not a fault; see simulators/mail.py for its form."}, 422)
        sink.fault(**fault.model_dump())
        return await list_(request)

    async def list_(_request: Request) -> Response:
        return JSONResponse([fault.model_dump() for fault in list(sink.faults)])

    async def clear(_request: Request) -> Response:
        sink.clear_faults()
        return Response(status_code=204)

    async def healthy(_request: Request) -> Response:
        return JSONResponse({"status": "ok", "duplicates": sink.duplicates})

    return Starlette(
        routes=[
            Route("/faults", set_, methods=["PUT"]),
            Route("/faults", list_, methods=["GET"]),
            Route("/faults", clear, methods=["DELETE"]),
            Route("/healthz", healthy),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--maildir", type=Path, required=True)
    parser.add_argument("--control-port", type=int, default=0, help="0: any free one")
    given = parser.parse_args()
    # Blocked in every thread, so that they wait for `sigwait` instead of ending the process half way.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        with (
            MailSink(given.maildir, given.port, given.host) as sink,
            Serving(control(sink), given.control_port, given.host) as serving,
        ):
            print(f"ready smtp://{given.host}:{sink.port} control {serving.url}", flush=True)
            signal.sigwait({signal.SIGTERM, signal.SIGINT})
    except OSError as fault:
        sys.exit(
            f"The mail sink can't start ({fault.strerror}); give other ports (0 for any free one) or another --maildir."
        )


if __name__ == "__main__":
    main()
