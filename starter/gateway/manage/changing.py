"""While a request is on its way: editing it, cancelling it, having the activation email sent again."""

import asyncio
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from domain.status import Kind, refusal
from starter.gateway.manage import contact
from starter.gateway.manage.desk import DONE, Answer, Desk, may
from starter.gateway.manage.screen import HOME, screen, url_of
from starter.gateway.manage.showing import token_page
from starter.gateway.manage.tokens import Token
from starter.gateway.pages import HEADERS
from starter.gateway.parts import LOCKED
from starter.gateway.signon.sessions import Visitor

_TOKEN = HOME + "/token/{journey_id:path}"


def router(desk: Desk) -> APIRouter:
    routes = APIRouter()

    async def _of(request: Request, visitor: Visitor) -> Token:
        return await desk.token(visitor, request.path_params["journey_id"])

    @routes.get(_TOKEN + "/edit")
    async def edit_form(request: Request) -> Response:
        visitor = await desk.visitor(request)
        token = await desk.fresh(await _of(request, visitor))
        if not may(token, "edit"):
            return await refused(visitor, token, "edit")
        return edit_page(visitor, token, contact.typed(token.row.email, token.address), {})

    @routes.post(_TOKEN + "/edit")
    async def edit(request: Request) -> Response:
        visitor, fields = await desk.form(request)
        token = await _of(request, visitor)
        hard = token.kind is Kind.HARD
        given = await asyncio.to_thread(contact.read, fields, shipped=hard)
        if given.wrong:
            return edit_page(visitor, token, fields, given.wrong)
        body: dict[str, Any] = {"email": given.email, "by": visitor.prescriber_id}
        if given.address is not None:
            body["shipping_address"] = given.address.model_dump()
        answer = await desk.tell(token, "edit", body)
        if answer.done:
            return done(token, "edited")
        return edit_page(visitor, token, fields, {}, answer)

    def edit_page(
        visitor: Visitor, token: Token, fields: dict[str, str], wrong: dict[str, str], answer: Answer = DONE
    ) -> Response:
        return screen(
            "edit.html",
            visitor,
            422 if wrong else answer.status,
            token=token,
            fields=fields,
            wrong=wrong,
            labels=contact.LABELS,
            refused=answer.sentence,
        )

    @routes.get(_TOKEN + "/cancel")
    async def cancel_form(request: Request) -> Response:
        visitor = await desk.visitor(request)
        token = await desk.fresh(await _of(request, visitor))
        if not may(token, "cancel"):
            return await refused(visitor, token, "cancel")
        return screen("cancel.html", visitor, token=token, return_address=desk.gateway.settings.policy.return_address)

    @routes.post(_TOKEN + "/cancel")
    async def cancel(request: Request) -> Response:
        visitor, _ = await desk.form(request)
        token = await _of(request, visitor)
        answer = await desk.tell(token, "cancel", {"by": visitor.prescriber_id})
        if answer.done:
            return done(token, "cancelled")
        return await token_page(desk, visitor, token, status=answer.status, refused=answer.sentence)

    @routes.post(_TOKEN + "/resend")
    async def resend(request: Request) -> Response:
        visitor, _ = await desk.form(request)
        token = await _of(request, visitor)
        if await asyncio.to_thread(desk.gateway.locked, token.journey_id):
            return await token_page(desk, visitor, token, status=409, refused=LOCKED)
        answer = await desk.tell(token, "resend_activation", {"by": visitor.prescriber_id, "unlock": False})
        if answer.done:
            return done(token, "resent")
        return await token_page(desk, visitor, token, status=answer.status, refused=answer.sentence)

    async def refused(visitor: Visitor, token: Token, message: str) -> Response:
        sentence = refusal(message, token.kind, token.status) or ""
        return await token_page(desk, visitor, token, status=409, refused=sentence)

    return routes


def done(token: Token, what: str) -> Response:
    return RedirectResponse(f"{url_of(token.journey_id)}?done={what}", 303, HEADERS)
