""" "Once you have validated the PIN, you will be prompted to select your EPCS token type" (article, "Activate a Token"): which
token is to be activated, and how."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from starter.gateway.manage.desk import Desk
from starter.gateway.manage.screen import HOME, screen
from starter.gateway.manage.showing import awaits_activation
from starter.gateway.signon.forms import checked


def router(desk: Desk) -> APIRouter:
    routes = APIRouter()

    @routes.get(f"{HOME}/select")
    async def begin(request: Request) -> Response:
        visitor = await desk.visitor(request)
        if not visitor.pin_validated:
            return screen("select_pin.html", visitor, 403)
        waiting = [token for token in await desk.tokens(visitor) if awaits_activation(token)]
        return screen("select.html", visitor, waiting=waiting, chosen=[], wrong="")

    @routes.post(f"{HOME}/select")
    async def choose(request: Request) -> Response:
        visitor, fields = await desk.form(request)
        if not visitor.pin_validated:
            return screen("select_pin.html", visitor, 403)
        waiting = [token for token in await desk.tokens(visitor) if awaits_activation(token)]
        chosen = [token for token in waiting if checked(fields, token.kind)]
        wrong = "" if chosen else "Choose the token that you want to activate."
        return screen("select.html", visitor, 422 if wrong else 200, waiting=waiting, chosen=chosen, wrong=wrong)

    return routes
