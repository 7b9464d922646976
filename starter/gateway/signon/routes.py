"""`/launch`, to which the EHR hands the browser over, and `/sign-out`."""

import asyncio
import re

from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from starter.gateway.pages import HEADERS, page
from starter.gateway.parts import Gateway
from starter.gateway.signon import demo, launch, sessions
from starter.gateway.signon.door import Door, EarlierForm, SignedOff, earlier_form, not_taken
from starter.gateway.signon.forms import NotTaken, fields_of
from starter.gateway.signon.launch import NotLaunched

HOME = "/manage-tokens"
_OUR_PAGE = re.compile(r"/manage-tokens([/?][A-Za-z0-9._~:@%&=+/?-]*)?")
"""Where a launch may lead; anything else leads home."""


def install(application: FastAPI, gateway: Gateway) -> Door:
    """Adds sign-on to the application. What it returns lets visitors of the pages in."""
    door = Door(gateway)
    application.include_router(router(gateway, door))
    application.include_router(demo.router(gateway, door))
    application.add_exception_handler(SignedOff, door.signed_off)
    application.add_exception_handler(NotTaken, not_taken)
    application.add_exception_handler(EarlierForm, earlier_form)
    return door


def router(gateway: Gateway, door: Door) -> APIRouter:
    routes = APIRouter(include_in_schema=False)

    @routes.post("/launch")
    async def by_post(request: Request) -> Response:
        """The better way: what is posted stands in no log and no history."""
        fields = await fields_of(request)
        return await hand_over(request, fields.get("token", ""), fields.get("to", ""))

    @routes.get("/launch")
    async def by_get(request: Request) -> Response:
        return await hand_over(request, request.query_params.get("token", ""), request.query_params.get("to", ""))

    async def hand_over(request: Request, token: str, to: str) -> Response:
        try:
            launched = launch.read(token, gateway.settings)
            await asyncio.to_thread(launch.use, launched, gateway.sessions)
        except NotLaunched as refusal:
            return page("no_access.html", 403, why="launch", sentence=str(refusal))
        response: Response
        try:
            session_id = await asyncio.to_thread(
                sessions.begin, launched, gateway.sessions, gateway.settings, door.session_id(request)
            )
        except sessions.NoAccess as refusal:
            response = page("no_access.html", 403, why=refusal.why, sentence="")
            door.let_out(response)
        else:
            response = RedirectResponse(to if _OUR_PAGE.fullmatch(to) else HOME, 303, HEADERS)
            door.let_in(response, session_id)
        if launched.device is not None and launched.device.prescribes:
            door.remember_device(response, launched.device.fingerprint)
        return response

    @routes.post("/sign-out")
    async def sign_out(request: Request) -> Response:
        visitor = await door.visitor(request)
        await door.form(request, visitor)
        await asyncio.to_thread(sessions.end, door.session_id(request) or "", gateway.sessions)
        response = page("signed_out.html", demo=door.has_demo(request))
        door.let_out(response)
        return response

    return routes
