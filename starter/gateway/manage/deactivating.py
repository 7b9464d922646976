"""Deactivating a token: hard: the reason, then the confirmation with the return address; soft: the confirmation."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from domain.status import Kind, refusal
from starter.gateway.manage import reasons
from starter.gateway.manage.changing import done
from starter.gateway.manage.desk import Desk, may
from starter.gateway.manage.reasons import Ending
from starter.gateway.manage.screen import HOME, screen, url_of
from starter.gateway.manage.showing import token_page
from starter.gateway.manage.tokens import Token
from starter.gateway.signon.sessions import Visitor

_PATH = HOME + "/token/{journey_id:path}/deactivate"
_CARRIED = ("reason", "in_possession", "confirmed")


def router(desk: Desk) -> APIRouter:
    routes = APIRouter()

    @routes.get(_PATH)
    async def begin(request: Request) -> Response:
        visitor = await desk.visitor(request)
        token = await desk.fresh(await desk.token(visitor, request.path_params["journey_id"]))
        if not may(token, "deactivate"):
            sentence = refusal("deactivate", token.kind, token.status) or ""
            return await token_page(desk, visitor, token, status=409, refused=sentence)
        if token.kind is Kind.HARD:
            return reason_page(visitor, token, {})
        return confirm_page(desk, visitor, token, {})

    @routes.post(_PATH)
    async def step(request: Request) -> Response:
        visitor, sent = await desk.form(request)
        token = await desk.token(visitor, request.path_params["journey_id"])
        fields = {name: sent[name] for name in _CARRIED if name in sent}
        ending = reasons.read(fields, token.kind, replacing=False)
        go = sent.get("go")
        if token.kind is Kind.HARD and (go == "back" or not ending.reason_is_good):
            return reason_page(visitor, token, fields, "" if go == "back" else ending.wrong["reason"])
        if go != "deactivate" or ending.wrong:
            return confirm_page(desk, visitor, token, fields, ending if go == "deactivate" else None)
        answer = await desk.tell(token, "deactivate", order_of(ending, by=visitor.prescriber_id))
        if answer.done:
            return done(token, "deactivated")
        return await token_page(desk, visitor, token, status=answer.status, refused=answer.sentence)

    return routes


def order_of(ending: Ending, by: str) -> dict[str, Any]:
    order: dict[str, Any] = {"confirmed": ending.confirmed, "in_possession": ending.in_possession, "by": by}
    return order | ({"reason": ending.reason} if ending.reason else {})


def reason_page(
    visitor: Visitor, token: Token, fields: dict[str, str], wrong: str = "", *, replacing: bool = False
) -> Response:
    """Which reason it has."""
    return screen(
        "ending_reason.html",
        visitor,
        422 if wrong else 200,
        token=token,
        fields=fields,
        wrong={"reason": wrong} if wrong else {},
        reasons=reasons.offered(token.kind, replacing=replacing),
        replacing=replacing,
        action=url_of(token.journey_id, "replace" if replacing else "deactivate"),
    )


def confirm_page(
    desk: Desk,
    visitor: Visitor,
    token: Token,
    fields: dict[str, str],
    ending: Ending | None = None,
    *,
    replacing: bool = False,
) -> Response:
    """Whether it is really to end. `ending`: what was sent and is not good yet."""
    given = reasons.read(fields, token.kind, replacing=replacing)
    return screen(
        "ending_confirm.html",
        visitor,
        422 if ending else 200,
        token=token,
        fields=fields,
        wrong=ending.wrong if ending else {},
        reason=reasons.LABELS[given.reason][0] if given.reason else "",
        reasons=reasons.offered(token.kind, replacing=replacing) if token.kind is Kind.SOFT else [],
        asks_for_possession=reasons.asks_for_possession(token.kind, given.reason),
        return_address=desk.gateway.settings.policy.return_address,
        replacing=replacing,
        action=url_of(token.journey_id, "replace" if replacing else "deactivate"),
    )
