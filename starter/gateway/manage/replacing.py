"""Replacing an active token: reason (hard), confirmation, address and email, review, request. The old token is touched only
by the last step: everything that could refuse the new one is checked by `ReplaceToken` before."""

import asyncio
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from domain.peers import replacement_id
from domain.status import Kind, Status
from starter.gateway.manage import contact, reasons
from starter.gateway.manage.deactivating import confirm_page, reason_page
from starter.gateway.manage.desk import DONE, Answer, Desk, answer_of
from starter.gateway.manage.reasons import Ending
from starter.gateway.manage.screen import HOME, screen, url_of
from starter.gateway.manage.showing import token_page
from starter.gateway.manage.tokens import Token
from starter.gateway.pages import HEADERS
from starter.gateway.signon.sessions import Visitor
from starter.journeys import NotDone

_PATH = HOME + "/token/{journey_id:path}/replace"
_CARRIED = ("reason", "in_possession", "confirmed", "email", *contact.PARTS)


def router(desk: Desk) -> APIRouter:
    routes = APIRouter()

    @routes.get(_PATH)
    async def begin(request: Request) -> Response:
        visitor = await desk.visitor(request)
        token = await desk.fresh(await desk.token(visitor, request.path_params["journey_id"]))
        if token.status is not Status.ACTIVE:
            return await token_page(desk, visitor, token, status=409, refused=_not_active(token))
        fields = contact.typed(visitor.email, visitor.address)
        if token.kind is Kind.HARD:
            return reason_page(visitor, token, fields, replacing=True)
        return confirm_page(desk, visitor, token, fields, replacing=True)

    @routes.post(_PATH)
    async def step(request: Request) -> Response:
        visitor, sent = await desk.form(request)
        token = await desk.token(visitor, request.path_params["journey_id"])
        fields = {name: sent[name] for name in _CARRIED if name in sent}
        ending, go = reasons.read(fields, token.kind, replacing=True), sent.get("go")
        if token.kind is Kind.HARD and (go == "back" or not ending.reason_is_good):
            return reason_page(visitor, token, fields, "" if go == "back" else ending.wrong["reason"], replacing=True)
        if go not in ("contact", "review", "submit", "back_to_contact") or ending.wrong:
            sent_too_early = ending if go not in ("confirm", "back") else None
            return confirm_page(desk, visitor, token, fields, sent_too_early, replacing=True)
        if go in ("contact", "back_to_contact"):
            return details(visitor, token, fields)
        given = await asyncio.to_thread(contact.read, fields, shipped=token.kind is Kind.HARD)
        if given.wrong:
            return details(visitor, token, fields, given.wrong)
        if go == "review":
            return review(visitor, token, fields, given)
        return await submit(visitor, token, fields, given, ending)

    def details(
        visitor: Visitor, token: Token, fields: dict[str, str], wrong: dict[str, str] | None = None
    ) -> Response:
        return screen(
            "contact.html",
            visitor,
            422 if wrong else 200,
            fields=fields,
            wrong=wrong or {},
            labels=contact.LABELS,
            shipped=token.kind is Kind.HARD,
            kinds=[token.kind],
            action=url_of(token.journey_id, "replace"),
            replacing=True,
        )

    def review(
        visitor: Visitor, token: Token, fields: dict[str, str], given: contact.Contact, answer: Answer = DONE
    ) -> Response:
        return screen(
            "review.html",
            visitor,
            answer.status,
            fields=fields,
            kinds=[token.kind],
            email=given.email,
            address=given.address,
            refused=answer.sentence,
            action=url_of(token.journey_id, "replace"),
            replacing=True,
        )

    async def submit(
        visitor: Visitor, token: Token, fields: dict[str, str], given: contact.Contact, ending: Ending
    ) -> Response:
        order: dict[str, Any] = {
            "journey_id": token.journey_id,
            "prescriber_id": visitor.prescriber_id,
            "confirmed": ending.confirmed,
            "in_possession": ending.in_possession,
            "email": given.email,
            "requested_by": visitor.prescriber_id,
        }
        if ending.reason:
            order["reason"] = ending.reason
        if given.address:
            order["shipping_address"] = given.address.model_dump()
        try:
            # The same id again is the same replacement: sent twice, it happens once.
            await desk.gateway.journeys.run("ReplaceToken", order, replacement_id(token.journey_id))
        except NotDone as failure:
            return review(visitor, token, fields, given, answer_of(failure))
        return RedirectResponse(f"{HOME}?done=replaced", 303, HEADERS)

    return routes


def _not_active(token: Token) -> str:
    instead = "wait until it is active, or cancel it" if token.live else "request a new token instead"
    return f"The token can't be replaced: only an active token is, and it is {token.status}; {instead}."
