"""The mail sink: takes every message and keeps it in a Maildir. `python -m simulators.mail --port N --maildir DIR`.

A message whose Message-ID it has already is taken with 250, but not kept twice, as large mailboxes do; `duplicates`
counts them. `--control-port` serves the switches over HTTP: `PUT /faults`, `GET /faults`, `DELETE /faults`.
"""

import argparse
import asyncio
import mailbox
import signal
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.serving import Serving


class MailFault(BaseModel):
    """tempfail: 451 to every message. refuse: 550 to recipients that match. lose_reply: kept, then the connection drops
    before the 250. hang: no answer. down: no connection is served. `times`: messages it hits; None: until cleared."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["tempfail", "refuse", "lose_reply", "hang", "down"]
    times: int | None = Field(None, ge=1)
    recipient: str = ""
    seconds: float = Field(30, ge=0, le=120)


class MailSink:
    """`with MailSink(folder) as sink: sink.port`. The server runs in a thread of its own."""

    def __init__(self, maildir: Path, port: int = 0, host: str = "127.0.0.1") -> None:
        self._host, self._wanted = host, port
        maildir.parent.mkdir(parents=True, exist_ok=True)
        self._box = mailbox.Maildir(maildir, create=True)
        self._known = {str(message["Message-ID"]) for message in self._box}
        self.duplicates = 0
        self.faults: list[MailFault] = []

    def __enter__(self) -> Self:
        self._controller = _Controller(self, hostname=self._host, port=self._wanted, ready_timeout=10)
        self._controller.start()
        self.port: int = self._controller.port
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._controller.stop()

    def messages(self) -> list[EmailMessage]:
        """Every message kept, oldest first."""
        keys = sorted(self._box.keys(), key=lambda key: self._box.get_message(key)["X-Sink-Number"].zfill(9))
        return [message_from_bytes(self._box.get_bytes(key), policy=policy.default) for key in keys]  # type: ignore[misc]

    def fault(self, kind: str, **options: Any) -> None:
        """Switches a fault on."""
        self.faults.append(MailFault.model_validate({"kind": kind, **options}))

    def _next(self, kind: str) -> MailFault | None:
        for fault in self.faults:
            if fault.kind == kind:
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times == 0:
                        self.faults.remove(fault)
                return fault
        return None

    def _keep(self, content: bytes) -> None:
        message = message_from_bytes(content)
        message_id = str(message["Message-ID"])
        if message_id in self._known:
            self.duplicates += 1
            return
        # Maildir's names don't sort by arrival within one second; this does.
        stamped = b"X-Sink-Number: %d\r\n" % (len(self._known) + 1) + content
        self._box.add(stamped)
        self._known.add(message_id)

    # What aiosmtpd calls

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        for fault in self.faults:
            if fault.kind == "refuse" and fault.recipient in address:
                self._next("refuse")
                return "550 5.1.1 No such mailbox here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self._next("tempfail"):
            return "451 4.3.0 Try again later"
        if fault := self._next("hang"):
            await asyncio.sleep(fault.seconds)
            return "451 4.3.0 Try again later"
        content = envelope.original_content or b""
        self._keep(content)
        if self._next("lose_reply") and server.transport is not None:
            server.transport.abort()  # type: ignore[attr-defined]
        return "250 OK: kept"


class _Controller(Controller):
    """Drops every connection at once while the sink is `down`."""

    def __init__(self, sink: MailSink, **options: Any) -> None:
        self._sink = sink
        super().__init__(sink, **options)

    def factory(self) -> SMTP:
        server = super().factory()
        if self._sink._next("down"):
            server.connection_made = lambda transport: transport.abort()  # type: ignore[method-assign, attr-defined]
        return server

    def _trigger_server(self) -> None:
        """The base class probes the port it was given; 0 has become a real one by now."""
        self.port = self.server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        super()._trigger_server()


def control(sink: MailSink) -> Starlette:
    """The switches over HTTP."""

    async def set_(request: Request) -> Response:
        try:
            sink.faults.append(MailFault.model_validate_json(await request.body()))
        except ValidationError:
            return JSONResponse({"detail": "That is not a fault; see simulators/mail.py for its form."}, 422)
        return await list_(request)

    async def list_(_request: Request) -> Response:
        return JSONResponse([fault.model_dump() for fault in sink.faults])

    async def clear(_request: Request) -> Response:
        sink.faults.clear()
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
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    with MailSink(given.maildir, given.port, given.host) as sink, Serving(control(sink), given.control_port) as serving:
        print(f"ready smtp://{given.host}:{sink.port} control {serving.url}", flush=True)
        signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main()
