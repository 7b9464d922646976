"""`/ops` and its charts: for operators who are signed in."""

from datetime import UTC, date, datetime
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from domain.report import Period, in_words
from domain.status import Kind
from domain.token_state import TokenState
from domain.token_state import in_words as state_in_words
from starter.gateway.operators.door import OperatorDoor
from starter.gateway.operators.sessions import Operator
from starter.gateway.ops.board import Board
from starter.gateway.pages import HEADERS, page
from starter.gateway.parts import Gateway
from starter.reports import last_days
from starter.views import VIEWS, link

_THEMES = ("light", "dark")
_CHARTS = ("requests", "times", "promises", "stock", "open")
# An image brings its own colours; opened by itself it may do nothing else.
_IMAGE = HEADERS | {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox"}
_STATES = [state for state in TokenState if state is not TokenState.REVOKED]
_QUICK = ("queue", "attention", "overdue", "parcel-trouble", "sync-stuck", "returns", "incidents")


def router(gateway: Gateway, door: OperatorDoor) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    board = Board(gateway)
    signed_in = Depends(door.operator_of)

    def period_of(request: Request) -> Period:
        """Raises ValueError with the sentence to show."""
        first, last = (_day(request.query_params.get(name, ""), name) for name in ("from", "to"))
        return last_days(gateway.settings.policy, datetime.now(UTC), first, last)

    @routes.get("/ops")
    async def shown(request: Request, operator: Annotated[Operator, signed_in]) -> Response:
        wrong, status = "", 200
        try:
            period = period_of(request)
        except ValueError as fault:
            said = str(fault)
            wrong, status = f"{said[:1].upper()}{said[1:]}.", 400
            period = last_days(gateway.settings.policy, datetime.now(UTC))
        now = datetime.now(UTC)
        return page(
            "ops/board.html",
            status,
            operator=operator,
            report=await board.report(period),
            wrong=wrong,
            query=urlencode({"from": period.first, "to": period.last}),
            lists=[(v.question, link(gateway.settings, v.filled(now))) for v in VIEWS if v.name in _QUICK],
            states=_STATES,
            state_in_words=state_in_words,
            in_words=in_words,
            kinds=list(Kind),
        )

    @routes.get("/ops/charts/{name}.svg")
    async def chart(request: Request, name: str, _operator: Annotated[Operator, signed_in]) -> Response:
        theme = request.query_params.get("theme", "light")
        try:
            period = period_of(request)
        except ValueError:
            return Response("No such period.", 400, HEADERS, "text/plain")
        if name not in _CHARTS or theme not in _THEMES:
            return Response("There is no such chart.", 404, HEADERS, "text/plain")
        return Response(await board.chart(name, period, theme), 200, _IMAGE, "image/svg+xml")

    return routes


def _day(text: str, name: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"the day `{name}` can't be read; write it as 2026-11-24") from None
