"""`/desk` and its tokens: only in the embedded stack, and only for a browser on the same machine. A journey is named in the query or
the form, as one that was started in the Temporal UI may have any id."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from temporalio.service import RPCError

from simulators.devices import HardDevice
from starter import carrying
from starter.clock import Clock, Stuck
from starter.gateway.desk import tokens
from starter.gateway.desk.tokens import Token
from starter.gateway.pages import HEADERS, page
from starter.gateway.parts import Gateway
from starter.gateway.signon.forms import NotTaken, fields_of
from starter.gateway.signon.origin import from_our_pages, trying_out
from starter.journeys import NotDone

_AHEAD = {
    "10m": ("Ten minutes", timedelta(minutes=10)),
    "1h": ("An hour", timedelta(hours=1)),
    "1d": ("A day", timedelta(days=1)),
    "7d": ("A week", timedelta(days=7)),
}
_SAID = {"in_transit": "The carrier says that the parcel is on its way.", "delivered": "The parcel has been delivered."}
_PATIENCE = 20
"""Seconds for a clock to get where it is moved."""
_AWAY = "Temporal does not answer just now, and nothing was done; try again in a moment."


def router(gateway: Gateway) -> APIRouter:
    routes = APIRouter(include_in_schema=False)

    @routes.get("/desk")
    async def everything(request: Request) -> Response:
        if not trying_out(request, gateway.settings):
            return _nothing()
        return page("desk/desk.html", tokens=await _newest(), ui=gateway.settings.list_url)

    @routes.get("/desk/live")
    async def everything_live(request: Request) -> Response:
        if not trying_out(request, gateway.settings):
            return _nothing()
        return page("desk/_list.html", tokens=await _newest())

    @routes.get("/desk/token")
    async def one(request: Request) -> Response:
        token = await _asked(request, request.query_params.get("journey", ""))
        if token is None:
            return _nothing()
        return await _shown(token, done=_SAID.get(request.query_params.get("said", ""), ""))

    @routes.get("/desk/token/live")
    async def one_live(request: Request) -> Response:
        token = await _asked(request, request.query_params.get("journey", ""))
        return _nothing() if token is None else page("desk/_status.html", **_facts(token))

    @routes.post("/desk/press")
    async def press(request: Request) -> Response:
        async def work(token: Token, _fields: dict[str, str]) -> Response:
            if token.serial_number is None or token.place not in ("post", "desk"):
                return await _shown(token, wrong="There is no device yet whose button could be pressed.")
            device = HardDevice(token.serial_number, gateway.settings.state)
            return await _shown(token, digits=device.press(at=await _clock(token).now()))

        return await _worked(request, work)

    @routes.post("/desk/parcel")
    async def parcel(request: Request) -> Response:
        async def work(token: Token, fields: dict[str, str]) -> Response:
            status = fields.get("status", "")
            if status not in _SAID:
                return await _shown(token, wrong="Choose what the carrier says.")
            await carrying.report(gateway.settings, gateway.client, token.journey_id, status)
            await _settled(token)
            return _on(token, said=status)

        return await _worked(request, work)

    @routes.post("/desk/ahead")
    async def ahead(request: Request) -> Response:
        async def work(token: Token, fields: dict[str, str]) -> Response:
            _, by = _AHEAD.get(fields.get("by", ""), ("", None))
            if by is None:
                return await _shown(token, wrong="Choose how far ahead.")
            clock = _clock(token)
            await clock.to(await clock.now() + by)
            await _settled(token)
            return _on(token)

        return await _worked(request, work)

    async def _newest() -> list[Token]:
        return await asyncio.to_thread(tokens.newest, gateway.sessions)

    async def _asked(request: Request, journey_id: str) -> Token | None:
        if not trying_out(request, gateway.settings):
            return None
        return await asyncio.to_thread(tokens.one, gateway.sessions, journey_id)

    def _clock(token: Token) -> Clock:
        return Clock(gateway.client, gateway.client.get_workflow_handle(token.journey_id), _PATIENCE)

    async def _settled(token: Token) -> None:
        """Returns when the records say what the journey says, for at most two seconds."""
        for _ in range(20):
            now = await asyncio.to_thread(tokens.one, gateway.sessions, token.journey_id)
            if now and now.status == (await gateway.journeys.ask(token.journey_id))["status"] != token.status:
                return
            await asyncio.sleep(0.1)

    async def _worked(request: Request, work: Callable[[Token, dict[str, str]], Awaitable[Response]]) -> Response:
        if not trying_out(request, gateway.settings):
            return _nothing()
        if not from_our_pages(request, gateway.settings):
            raise NotTaken(403, "This form did not come from our own pages, so nothing was done; open the desk again.")
        fields = await fields_of(request)
        token = await _asked(request, fields.get("journey", ""))
        if token is None:
            return _nothing()
        try:
            return await work(token, fields)
        except Stuck as fault:
            return await _shown(
                token, wrong=f"The clock was not moved to its goal: {fault}; see the journey in the UI."
            )
        except (carrying.NotReported, ValueError) as fault:
            return await _shown(token, wrong=str(fault))
        except (NotDone, RPCError, RuntimeError):
            return await _shown(token, wrong=_AWAY)

    async def _shown(token: Token, *, digits: str = "", wrong: str = "", done: str = "") -> Response:
        now = None
        if not token.ended:
            try:
                now = await _clock(token).now()
            except (RPCError, RuntimeError):
                wrong = wrong or _AWAY
        ahead = {name: said for name, (said, _) in _AHEAD.items()}
        facts = {"digits": digits, "wrong": wrong, "done": done, "now": now, "ahead": ahead}
        return page("desk/token.html", 409 if wrong else 200, **_facts(token), **facts)

    def _facts(token: Token) -> dict[str, Any]:
        return {"token": token, "ui": gateway.settings.journey_url(token.journey_id)}

    return routes


def _on(token: Token, **more: str) -> Response:
    """To the token's page by a GET, so that reloading repeats nothing."""
    return RedirectResponse(f"/desk/token?{urlencode({'journey': token.journey_id, **more})}", 303, HEADERS)


def _nothing() -> Response:
    return page("not_found.html", 404)
