"""Requesting a token: hard, soft or both; email and address; review; submit. Each step carries what was typed on in the form,
so that nothing is lost and nothing is kept here in between."""

import asyncio
import hashlib
import secrets
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from domain.status import Kind, Status
from starter.gateway.manage import contact, tokens
from starter.gateway.manage.desk import DONE, Answer, Desk, answer_of
from starter.gateway.manage.screen import HOME, screen
from starter.gateway.manage.tokens import Token
from starter.gateway.pages import HEADERS
from starter.gateway.signon.forms import checked
from starter.gateway.signon.sessions import Visitor
from starter.journeys import NotDone

_CARRIED = ("hard", "soft", "replaces", "request_id", "email", *contact.PARTS)


def router(desk: Desk) -> APIRouter:
    routes = APIRouter()
    path = f"{HOME}/request"

    @routes.get(path)
    async def begin(request: Request) -> Response:
        visitor = await desk.visitor(request)
        fields = contact.typed(visitor.email, visitor.address)
        if (kind := request.query_params.get("kind")) in set(Kind):
            fields[str(kind)] = "yes"
        if (replaces := request.query_params.get("replaces")) and await _replaceable(visitor, replaces):
            fields["replaces"] = replaces
        return await choose(visitor, fields)

    @routes.post(path)
    async def step(request: Request) -> Response:
        visitor, sent = await desk.form(request)
        fields = {name: sent[name] for name in _CARRIED if name in sent}
        if fields.get("replaces") and not await _replaceable(visitor, fields["replaces"]):
            del fields["replaces"]
        if not _kinds(fields):
            return await choose(visitor, fields, "Choose a hard token, a soft token, or both.")
        match sent.get("go"):
            case "contact" | "back_to_contact":
                return details(visitor, fields)
            case "review" | "submit" as go:
                checked_contact = await asyncio.to_thread(contact.read, fields, shipped=Kind.HARD in _kinds(fields))
                if checked_contact.wrong:
                    return details(visitor, fields, checked_contact.wrong)
                if go == "submit" and fields.get("request_id"):
                    return await submit(visitor, fields, checked_contact)
                return review(visitor, fields, checked_contact)
            case _:
                return await choose(visitor, fields)

    async def choose(visitor: Visitor, fields: dict[str, str], wrong: str = "") -> Response:
        have = {token.kind: token for token in await desk.tokens(visitor) if token.live}
        replacing = await asyncio.to_thread(tokens.being_replaced, desk.gateway.sessions, visitor.prescriber_id)
        status = 422 if wrong else 200
        return screen("request.html", visitor, status, fields=fields, wrong=wrong, have=have, replacing=replacing)

    def details(visitor: Visitor, fields: dict[str, str], wrong: dict[str, str] | None = None) -> Response:
        return screen(
            "contact.html",
            visitor,
            422 if wrong else 200,
            fields=fields,
            wrong=wrong or {},
            labels=contact.LABELS,
            shipped=Kind.HARD in _kinds(fields),
            kinds=_kinds(fields),
            action=path,
            replacing=False,
        )

    def review(visitor: Visitor, fields: dict[str, str], given: contact.Contact, answer: Answer = DONE) -> Response:
        # The request's id is made here, so that the same submission twice is one request.
        fields = {**fields, "request_id": fields.get("request_id") or secrets.token_hex(8)}
        return screen(
            "review.html",
            visitor,
            answer.status,
            fields=fields,
            kinds=_kinds(fields),
            email=given.email,
            address=given.address,
            refused=answer.sentence,
            action=path,
            replacing=False,
        )

    async def submit(visitor: Visitor, fields: dict[str, str], given: contact.Contact) -> Response:
        kinds = _kinds(fields)
        answers = await asyncio.gather(*(_request(visitor, kind, fields, given) for kind in kinds))
        if all(answer.done for answer in answers):
            return RedirectResponse(f"{HOME}?done=requested", 303, HEADERS)
        if len(answers) == 1:
            return review(visitor, fields, given, answers[0])
        status = max(answer.status for answer in answers)
        return screen("request_outcome.html", visitor, status, answers=list(zip(kinds, answers, strict=True)))

    async def _request(visitor: Visitor, kind: Kind, fields: dict[str, str], given: contact.Contact) -> Answer:
        order: dict[str, Any] = {
            "prescriber_id": visitor.prescriber_id,
            "kind": kind,
            "email": given.email,
            "requested_by": visitor.prescriber_id,
        }
        if kind is Kind.HARD and given.address:
            order["shipping_address"] = given.address.model_dump()
        if fields.get("replaces") and (await desk.token(visitor, fields["replaces"])).kind is kind:
            order["replaces"] = fields["replaces"]
        try:
            await desk.gateway.journeys.request(_journey_id(visitor, kind, fields["request_id"]), order)
        except NotDone as failure:
            return answer_of(failure)
        return DONE

    async def _replaceable(visitor: Visitor, journey_id: str) -> bool:
        """Whether it is a token of the visitor's that never got there, and has no successor yet. Raises NoSuchToken."""
        token: Token = await desk.token(visitor, journey_id)
        return token.status is Status.CANCELLED and token.row.replaced_by is None

    return routes


def _kinds(fields: dict[str, str]) -> list[Kind]:
    return [kind for kind in Kind if checked(fields, kind)]


def _journey_id(visitor: Visitor, kind: Kind, request_id: str) -> str:
    """Made with the prescriber's own id: whatever a form says, it can't be another's journey."""
    digest = hashlib.sha256(f"{visitor.prescriber_id}\n{request_id}".encode()).hexdigest()
    return f"token-{kind}-{digest[:16]}"
