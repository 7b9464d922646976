"""Faults at the switch: every HTTP simulator goes through this middleware.

`PUT /faults` switches one on, `GET /faults` lists them, `DELETE /faults` clears them:

    {"kind": "latency"}      waits `seconds`, then does the work
    {"kind": "error"}        answers `status` without doing the work
    {"kind": "refuse"}       answers 422 without doing the work: no for good
    {"kind": "hang"}         neither works nor answers; the connection drops when the faults are cleared
    {"kind": "lose_reply"}   does the work, then drops the connection without an answer

Any of them also takes `times` (requests it hits before it clears itself; left out: until cleared), `path` (a regular
expression found in the path) and `method`. Of several that match, the first that was set is the one that hits. They never
apply to the switches themselves, to `/healthz`, or to `/simulate/...`.
"""

import asyncio
import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

DROP = "simulators.drop"
"""The ASGI extension under which `simulators.serving` hands over what drops the connection."""


class Fault(BaseModel):
    """`seconds` is for `latency`, `status` for `error`; `times` None: until it is cleared."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["latency", "error", "refuse", "hang", "lose_reply"]
    seconds: float = Field(0.2, ge=0, le=60)
    status: int = Field(503, ge=400, le=599)
    times: int | None = Field(None, ge=1)
    path: str = ".*"
    method: str | None = None

    def hits(self, method: str, path: str) -> bool:
        return (self.method or method).upper() == method and re.search(self.path, path) is not None


class Faults:
    """The switches of one server."""

    def __init__(self) -> None:
        self.active: list[Fault] = []
        self._hanging: set[asyncio.Event] = set()

    def routes(self) -> list[Route]:
        return [
            Route("/faults", self._set, methods=["PUT"]),
            Route("/faults", self._list, methods=["GET"]),
            Route("/faults", self._clear, methods=["DELETE"]),
            Route("/healthz", _healthy),
        ]

    async def _set(self, request: Request) -> Response:
        try:
            fault = Fault.model_validate_json(await request.body())
            re.compile(fault.path)
        except (ValidationError, re.error):
            return JSONResponse({"detail": "That is not a fault; see simulators/faults.py for its form."}, 422)
        self.active.append(fault)
        return await self._list(request)

    async def _list(self, _request: Request) -> Response:
        return JSONResponse([fault.model_dump() for fault in self.active])

    async def _clear(self, _request: Request) -> Response:
        self.active.clear()
        for cleared in self._hanging:
            cleared.set()
        return Response(status_code=204)

    def next(self, method: str, path: str) -> Fault | None:
        """The fault that hits this request, counted down."""
        for fault in self.active:
            if fault.hits(method, path):
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times == 0:
                        self.active.remove(fault)
                return fault
        return None

    async def hang(self, receive: Receive) -> None:
        """Returns when the client goes or the faults are cleared."""
        cleared = asyncio.Event()
        self._hanging.add(cleared)
        waits = {asyncio.create_task(_gone(receive)), asyncio.create_task(cleared.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._hanging.discard(cleared)
            for wait in waits:
                wait.cancel()


class FaultGate:
    """The middleware."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app, self._faults = app, faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        spared = scope["type"] != "http" or _is_spared(scope["path"])
        fault = None if spared else self._faults.next(scope["method"], scope["path"])
        if fault is None:
            await self._app(scope, receive, send)
            return
        match fault.kind:
            case "latency":
                await asyncio.sleep(fault.seconds)
                await self._app(scope, receive, send)
            case "error":
                await JSONResponse({"detail": "out of order"}, fault.status)(scope, receive, send)
            case "refuse":
                await JSONResponse({"detail": "refused for good"}, 422)(scope, receive, send)
            case "hang":
                await self._faults.hang(receive)
                await _drop(scope, receive)
            case "lose_reply":
                # Read first: a connection that is closed on unread data is reset, which clients tell from a lost reply.
                content = await Request(scope, receive).body()
                await self._app(scope, _again(content, receive), _swallow)
                await _drop(scope, receive)


def _is_spared(path: str) -> bool:
    return path in ("/faults", "/healthz") or path.startswith("/simulate/")


async def _drop(scope: Scope, receive: Receive) -> None:
    """Ends the connection, and returns when it has ended: until then the server would still answer, with 500."""
    scope["extensions"][DROP]["now"]()
    await _gone(receive)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _again(content: bytes, receive: Receive) -> Receive:
    """What hands out a body that was read already."""
    messages = [{"type": "http.request", "body": content, "more_body": False}]

    async def received() -> Message:
        return messages.pop() if messages else await receive()

    return received


async def _swallow(_message: Message) -> None:
    return


async def _healthy(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})
