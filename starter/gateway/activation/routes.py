"""`/activate/{link}` and its steps."""

from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from domain.status import Kind
from starter.gateway.activation import hard, progress, resend, soft
from starter.gateway.activation.pace import Pace
from starter.gateway.activation.visit import Answered, Moved, Visit
from starter.gateway.pages import HEADERS, page
from starter.gateway.parts import Gateway

Step = Callable[[Visit, Mapping[str, str]], Awaitable[Response]]

_STEPS: dict[str, tuple[Kind | None, Step]] = {
    "serial": (Kind.HARD, hard.serial),
    "passcode": (Kind.HARD, hard.passcode),
    "device": (Kind.SOFT, soft.device),
    "download": (Kind.SOFT, soft.download),
    "name": (Kind.SOFT, soft.name),
    "pin": (Kind.SOFT, soft.pin),
    "enroll": (Kind.SOFT, soft.enroll),
    "resend": (None, resend.resend),
}


def router(gateway: Gateway) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    pace = Pace()

    @routes.get("/activate/{secret}")
    async def show(secret: str, request: Request) -> Response:
        """Uses nothing up: mail scanners open links, too."""
        try:
            visit = await Visit.open(gateway, pace, request, secret)
        except Answered as answer:
            return answer.response
        kind = hard if visit.link.kind is Kind.HARD else soft
        return visit.stands() or kind.show(visit, request.query_params.get("step", ""))

    @routes.get("/activate/{secret}/progress")
    async def live(secret: str, request: Request) -> Response:
        """What the page of an enrolled token asks for by itself."""
        try:
            visit = await Visit.open(gateway, pace, request, secret)
        except Answered as answer:
            return answer.response
        return page(
            "activate/_progress.html", path=visit.link.path, kind=visit.link.kind.value, **progress.facts(visit)
        )

    @routes.get("/activate/{secret}/{_step}")
    async def reloaded(secret: str, _step: str) -> Response:
        return RedirectResponse(f"/activate/{secret}", 303, HEADERS)

    @routes.post("/activate/{secret}/{step}")
    async def take(secret: str, step: str, request: Request) -> Response:
        try:
            visit = await Visit.open(gateway, pace, request, secret)
            fields = await visit.fields()
            kind, work = _STEPS.get(step, (None, None))
            if work is None or kind not in (None, visit.link.kind):
                return visit.go()
            if kind is not None:
                if work is not soft.enroll and (instead := visit.stands()):
                    return instead
                if kind is Kind.SOFT and soft.prescribing_device(visit):
                    return soft.same_device(visit)
            try:
                return await work(visit, fields)
            except Moved:
                return visit.stands() or visit.go()
        except Answered as answer:
            return answer.response

    return routes
