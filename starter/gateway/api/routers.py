"""All routers of the API, put together."""

from collections.abc import Iterator

from fastapi import APIRouter
from starlette.requests import Request

from starter.gateway.api import docs_page, endings, requests, tokens, verification
from starter.gateway.api.authentication import Authentication
from starter.gateway.api.idempotency import Idempotency
from starter.gateway.api.routing import router
from starter.gateway.parts import Gateway


def routers(gateway: Gateway) -> Iterator[APIRouter]:
    authentication, idempotency = Authentication(gateway), Idempotency(gateway)

    async def stands(request: Request) -> bool:
        return await verification.still_active(gateway, request)

    for part, tag in ((requests, "requests"), (tokens, "tokens"), (endings, "tokens")):
        routes = router(authentication, idempotency, tag)
        part.add(routes, gateway)
        yield routes
    signing = router(authentication, idempotency, "signing in", stands)
    verification.add(signing, gateway)
    yield signing
    yield docs_page.router()
