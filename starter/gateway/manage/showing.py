"""The list of tokens and the page of one, each with its live part."""

import asyncio
import hashlib
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from domain.status import Kind, Status
from starter.gateway.manage import tokens
from starter.gateway.manage.desk import Desk, may
from starter.gateway.manage.picture import picture
from starter.gateway.manage.screen import HOME, piece, screen, url_of
from starter.gateway.manage.tokens import Token, overdue
from starter.gateway.manage.words import flash, happened, now_what
from starter.gateway.pages import HEADERS
from starter.gateway.signon.sessions import Visitor


def router(desk: Desk) -> APIRouter:
    routes = APIRouter()

    @routes.get(HOME)
    async def everything(request: Request) -> Response:
        visitor = await desk.visitor(request)
        wanted = request.query_params.get("request")
        if wanted in set(Kind):  # the link in an email about a token that did not get there
            query = {"kind": wanted, "replaces": request.query_params.get("replaces", "")}
            return RedirectResponse(f"{HOME}/request?{urlencode(query)}", 303, HEADERS)
        listed = await desk.tokens(visitor)
        facts = await _list_facts(desk, visitor, listed)
        done = flash(request.query_params.get("done"))
        return screen("tokens.html", visitor, done=done, version=_version(listed), **facts)

    @routes.get(f"{HOME}/live")
    async def everything_live(request: Request) -> Response:
        visitor = await desk.door.visitor(request, touch=False)
        listed = await desk.tokens(visitor)
        if _unchanged(request, listed):
            return _not_modified(listed)
        return _part(listed, piece("_tokens.html", visitor, **await _list_facts(desk, visitor, listed)))

    @routes.get(HOME + "/token/{journey_id:path}/live")
    async def one_live(request: Request) -> Response:
        visitor = await desk.door.visitor(request, touch=False)
        token = await desk.token(visitor, request.path_params["journey_id"])
        if _unchanged(request, [token]):
            return _not_modified([token])
        facts = await _token_facts(desk, visitor, await desk.fresh(token))
        return _part([token], piece("_token.html", visitor, **facts))

    return routes


def last_router(desk: Desk) -> APIRouter:
    """The page of one token. Its path takes any id, so that it comes after all others that begin alike."""
    routes = APIRouter()

    @routes.get(HOME + "/token/{journey_id:path}")
    async def one(request: Request) -> Response:
        visitor = await desk.visitor(request)
        token = await desk.token(visitor, request.path_params["journey_id"])
        return await token_page(desk, visitor, token, done=flash(request.query_params.get("done")))

    return routes


async def token_page(
    desk: Desk, visitor: Visitor, token: Token, *, status: int = 200, done: str | None = None, refused: str = ""
) -> Response:
    """The page of one token; `refused`: a sentence about what was just asked of it."""
    facts = await _token_facts(desk, visitor, await desk.fresh(token))
    return screen("token.html", visitor, status, done=done, refused=refused, version=_version([token]), **facts)


async def _list_facts(desk: Desk, visitor: Visitor, listed: list[Token]) -> dict[str, Any]:
    replacing = await asyncio.to_thread(tokens.being_replaced, desk.gateway.sessions, visitor.prescriber_id)
    taken = {token.kind for token in listed if token.live} | replacing
    return {
        "cards": [_card(desk, visitor, token) for token in listed if token.live],
        "earlier": [_card(desk, visitor, token) for token in listed if not token.live],
        "can_request": len(taken) < len(Kind),
        "to_activate": any(awaits_activation(token) for token in listed),
    }


async def _token_facts(desk: Desk, visitor: Visitor, token: Token) -> dict[str, Any]:
    return {
        **_card(desk, visitor, token),
        "happened": happened(token, visitor),
        "late": overdue(token, datetime.now(UTC)),
        "return_address": desk.gateway.settings.policy.return_address,
        "asked_back": token.returned is not None and token.returned.open,
    }


def _card(desk: Desk, visitor: Visitor, token: Token) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "token": token,
        "url": url_of(token.journey_id),
        "stages": picture(token),
        "now_what": now_what(token, visitor.zone, now, desk.gateway.settings.carrier_name),
        "may": {message for message in ("edit", "cancel", "resend_activation", "deactivate") if may(token, message)},
    }


def awaits_activation(token: Token) -> bool:
    """The emailed link can be followed now."""
    if token.kind is Kind.SOFT:
        return token.status is Status.PROCESSED
    return token.status in (Status.SHIPPED, Status.DELIVERED)


def _version(listed: list[Token]) -> str:
    """Another one as soon as the page would look different."""
    now = datetime.now(UTC)
    seen = [
        (token.journey_id, token.version, token.status, overdue(token, now), token.returned and token.returned.status)
        for token in listed
    ]
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:32]


def _unchanged(request: Request, listed: list[Token]) -> bool:
    return request.headers.get("if-none-match") == f'"{_version(listed)}"'


def _not_modified(listed: list[Token]) -> Response:
    return Response(status_code=304, headers={**HEADERS, "ETag": f'"{_version(listed)}"'})


def _part(listed: list[Token], html: str) -> Response:
    return Response(html, headers={**HEADERS, "ETag": f'"{_version(listed)}"'}, media_type="text/html")
