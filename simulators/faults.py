"""Faults at the switch: every HTTP simulator goes through this middleware.

`PUT /faults` with `{"kind": "latency" | "error" | "refuse" | "hang" | "lose_reply", "seconds"?, "status"?, "times"?,
"path"?, "method"?}` switches one on, `GET` lists them, `DELETE` clears them. They never apply to the switches themselves,
to `/healthz`, or to `/simulate/...`.
"""

import asyncio
import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SPARED = ("/faults", "/healthz", "/simulate")


class Fault(BaseModel):
    """`times`: how many requests it hits before it clears itself; None: until it is cleared."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["latency", "error", "refuse", "hang", "lose_reply"]
    seconds: float = Field(0.2, ge=0, le=60)
    status: int = Field(503, ge=400, le=599)
    times: int | None = Field(None, ge=1)
    path: str = ".*"
    method: str | None = None

    def hits(self, method: str, path: str) -> bool:
        return (self.method or method).upper() == method and re.search(self.path, path) is not None


class LostReply(Exception):
    """The work is done; the connection is dropped before its answer."""


class Faults:
    """The middleware and its switches."""

    def __init__(self) -> None:
        self.active: list[Fault] = []
        self._cleared = asyncio.Event()

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
        self._cleared.set()
        self._cleared = asyncio.Event()
        return Response(status_code=204)

    def wrap(self, inner: ASGIApp) -> ASGIApp:
        async def faulty(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["path"].startswith(_SPARED):
                await inner(scope, receive, send)
                return
            fault = self._next(scope["method"], scope["path"])
            match fault.kind if fault else None:
                case "latency":
                    await asyncio.sleep(fault.seconds)  # type: ignore[union-attr]
                case "error":
                    await JSONResponse({"detail": "out of order"}, fault.status)(scope, receive, send)  # type: ignore[union-attr]
                    return
                case "refuse":
                    await JSONResponse({"detail": "refused for good"}, 422)(scope, receive, send)
                    return
                case "hang":
                    await self._hang(receive)
                    raise LostReply
                case "lose_reply":

                    async def swallow(_message: Message) -> None:
                        return

                    await inner(scope, receive, swallow)
                    raise LostReply
            await inner(scope, receive, send)

        return faulty

    def _next(self, method: str, path: str) -> Fault | None:
        for fault in self.active:
            if fault.hits(method, path):
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times == 0:
                        self.active.remove(fault)
                return fault
        return None

    async def _hang(self, receive: Receive) -> None:
        """Until the client goes or the faults are cleared."""

        async def gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        waits = {asyncio.create_task(gone()), asyncio.create_task(self._cleared.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


async def _healthy(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})
