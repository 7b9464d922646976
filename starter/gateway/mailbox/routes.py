"""`/mailbox`: only in the embedded stack, and only for a browser on the same machine."""

import asyncio
from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from starter.gateway.mailbox import reading
from starter.gateway.pages import HEADERS, page
from starter.gateway.parts import Gateway
from starter.gateway.signon.origin import trying_out

_MOST = 200
_FRAMING = HEADERS | {
    "Content-Security-Policy": HEADERS["Content-Security-Policy"].replace(
        "connect-src", "frame-src 'self'; connect-src"
    )
}
# An email is somebody else's page: no script, nothing loaded from elsewhere, framed by nobody but the mailbox, and its links
# lead out of the frame only when they are clicked.
_MAY = "allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation"
_FRAMED = HEADERS | {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; "
    f"base-uri 'none'; frame-ancestors 'self'; sandbox {_MAY}",
    "X-Frame-Options": "SAMEORIGIN",
}


def router(gateway: Gateway) -> APIRouter:
    routes = APIRouter(include_in_schema=False)

    def folder() -> Path:
        return gateway.settings.state / "mail"

    def hidden(request: Request) -> bool:
        return not trying_out(request, gateway.settings)

    @routes.get("/mailbox")
    async def listed(request: Request) -> Response:
        if hidden(request):
            return _nothing()
        return _listed(request, await asyncio.to_thread(reading.envelopes, folder()), "mailbox/list.html")

    @routes.get("/mailbox/list")
    async def live(request: Request) -> Response:
        if hidden(request):
            return _nothing()
        return _listed(request, await asyncio.to_thread(reading.envelopes, folder()), "mailbox/_list.html")

    @routes.get("/mailbox/{number}")
    async def read(request: Request, number: str) -> Response:
        found = None if hidden(request) else await _opened(folder(), number)
        if found is None:
            return _nothing()
        response = page("mailbox/message.html", letter=found, may=_MAY)
        response.headers.update(_FRAMING)
        return response

    @routes.get("/mailbox/{number}/html")
    async def framed(request: Request, number: str) -> Response:
        found = None if hidden(request) else await _opened(folder(), number)
        if found is None or found.html is None:
            return _nothing()
        return HTMLResponse(found.html, headers=_FRAMED)

    return routes


def _listed(request: Request, envelopes: list[reading.Envelope], template: str) -> Response:
    counts: dict[str, int] = {}
    for envelope in envelopes:
        counts[envelope.recipient] = counts.get(envelope.recipient, 0) + 1
    to = request.query_params.get("to", "")
    shown = [envelope for envelope in envelopes if to in ("", envelope.recipient)]
    return page(
        template, envelopes=shown[:_MOST], more=max(0, len(shown) - _MOST), recipients=sorted(counts.items()), to=to
    )


async def _opened(folder: Path, number: str) -> reading.Opened | None:
    if not (number.isascii() and number.isdecimal() and len(number) < 12):
        return None
    return await asyncio.to_thread(reading.opened, folder, int(number))


def _nothing() -> Response:
    return page("mailbox/nothing.html", 404)
