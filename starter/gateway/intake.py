"""What every request passes before the application sees it: the largest body, and ids in addresses left as they were sent."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from starter.gateway.problems import problem

LARGEST_BODY = 256 * 1024
"""Bytes. The largest body that is sent for a reason is a carrier's event, of some 20 KB."""
_TOO_LARGE = f"The body is larger than {LARGEST_BODY // 1024} KB, which nothing here needs; send one request at a time."
_DROPPED = 4 * LARGEST_BODY
"""Bytes. So much of a body that is too large is read and dropped: closed before, the connection would be reset, and whoever sends it
would not read why."""
_OWN_LIMIT = ("/codec/", "/v1/webhooks/")


class LimitedBody:
    """Refuses a body that is too large, by its announced length at once, otherwise as soon as it has grown so."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_OWN_LIMIT):
            await self._app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > LARGEST_BODY:
            await _drop(receive)
            await problem(413, _TOO_LARGE, {"Connection": "close"})(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > LARGEST_BODY:
                if message.get("more_body"):
                    await _drop(receive)
                raise HTTPException(413, _TOO_LARGE, {"Connection": "close"})
            return message

        await self._app(scope, counted, send)


async def _drop(receive: Receive) -> None:
    dropped = 0
    while dropped < _DROPPED:
        message = await receive()
        dropped += len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            return


class RawIds:
    """Leaves the API's addresses percent-encoded for routing, so that an id with a `/` in it stays one segment. Whoever takes
    an id from the address decodes it (see `starter.gateway.api.addressing`)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = scope.get("raw_path")
        if scope["type"] == "http" and raw and raw.startswith(b"/v1/token"):
            scope["path"] = raw.split(b"?")[0].decode("ascii", "replace")
        await self._app(scope, receive, send)
