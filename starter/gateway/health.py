"""Whether the gateway lives, and whether it can work: for load balancers and people."""

import asyncio

from fastapi import APIRouter
from sqlalchemy import select
from starlette.responses import JSONResponse, Response

from starter.gateway.parts import Gateway
from starter.gateway.problems import problem

_PATIENCE = 5
"""Seconds; a load balancer asks again."""


def router(gateway: Gateway) -> APIRouter:
    routes = APIRouter(include_in_schema=False)

    def reachable() -> None:
        with gateway.sessions() as session:
            session.execute(select(1))

    @routes.get("/healthz")
    async def healthy() -> Response:
        return JSONResponse({"status": "ok"})

    @routes.get("/readyz")
    async def ready() -> Response:
        try:
            await asyncio.wait_for(asyncio.to_thread(reachable), _PATIENCE)
            await asyncio.wait_for(gateway.client.service_client.check_health(), _PATIENCE)
        except Exception as fault:
            return problem(
                503,
                f"Not ready: database or Temporal does not answer ({type(fault).__name__}); try again soon.",
                {"Retry-After": "5"},
            )
        return JSONResponse({"status": "ready"})

    return routes
