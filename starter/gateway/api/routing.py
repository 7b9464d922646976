"""What every address of the API has in common, in this order: key and scope, rate, `Idempotency-Key`, and whatever comes of
it as a response."""

from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastapi import APIRouter
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from starter.api_keys import Scope
from starter.gateway.api.addressing import location
from starter.gateway.api.authentication import Authentication
from starter.gateway.api.idempotency import Idempotency
from starter.gateway.api.openapi import SCHEME
from starter.gateway.problems import problem
from starter.gateway.validation import sentence
from starter.journeys import NotDone, Refused, Unanswered, Unknown

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

_LISTS = frozenset({"status"})
"""Query parameters that may be given more than once. Of any other FastAPI would take the last and pass over the rest."""


def needs(*scopes: Scope) -> dict[str, Any]:
    """For a route: any of these scopes is enough. Stands in the OpenAPI document, and is enforced from there."""
    return {"openapi_extra": {"security": [{SCHEME: [str(scope)]} for scope in scopes]}}


async def _always(_request: Request) -> bool:
    return True


def router(
    authentication: Authentication,
    idempotency: Idempotency,
    tag: str,
    stands: Callable[[Request], Awaitable[bool]] = _always,
) -> APIRouter:
    """Routes that each name their scopes by `needs`. `stands`: whether an answer that was given before still holds."""

    class Route(APIRoute):
        def get_route_handler(self) -> Handler:
            inner = super().get_route_handler()
            security = (self.openapi_extra or {})["security"]
            scopes = frozenset(scope for alternative in security for scope in alternative[SCHEME])

            async def handle(request: Request) -> Response:
                caller, secret = await authentication.caller(request, scopes)
                request.state.caller = caller
                if request.method != "POST":
                    return await answered(inner, request)

                async def work() -> Response:
                    return await answered(inner, request)

                return await idempotency.once(request, caller, secret, work, lambda: stands(request))

            return handle

    return APIRouter(prefix="/v1", route_class=Route, tags=[tag])


async def answered(handler: Handler, request: Request) -> Response:
    """Whatever comes of it, as a response."""
    given = Counter(name for name, _ in request.query_params.multi_items())
    if twice := sorted(name for name, times in given.items() if times > 1 and name not in _LISTS):
        return problem(422, f"`{twice[0]}` is given more than once; give it once."[:300])
    try:
        return await handler(request)
    except NotDone as fault:
        return not_done(fault)
    except RequestValidationError as fault:
        return problem(422, sentence(fault))
    except HTTPException as fault:
        if fault.status_code == 400:  # FastAPI's word for a body that is not even text
            return problem(
                422, "The request was not taken: the body is not JSON in UTF-8; see /v1/docs for what to send."
            )
        return problem(fault.status_code, fault.detail, fault.headers)


def not_done(fault: NotDone) -> Response:
    """A journey's no, or its silence, in HTTP's terms; the sentence stays."""
    match fault:
        case Refused():
            return problem(409, str(fault))
        case Unknown():
            return problem(404, str(fault))
        case Unanswered():
            headers = {"Location": location(fault.journey_id), "Retry-After": "2"}
            return JSONResponse({"journey_id": fault.journey_id, "detail": str(fault)}, 202, headers)
        case _:
            return problem(503, str(fault), {"Retry-After": "10"})
