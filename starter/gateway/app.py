"""Puts the gateway together. It keeps nothing between two requests, so that many copies can run side by side."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles
from temporalio.client import Client, Interceptor

from connection import TASK_QUEUE, connect
from domain import address
from settings import Settings
from starter.gateway import health, problems
from starter.gateway.activation import routes as activation
from starter.gateway.api.openapi import describe
from starter.gateway.api.routers import routers
from starter.gateway.codec import KeyInPath, codec_app
from starter.gateway.desk import routes as desk
from starter.gateway.intake import LimitedBody, RawIds
from starter.gateway.mailbox import routes as mailbox
from starter.gateway.manage import routes as manage
from starter.gateway.metrics import Measured, Metrics
from starter.gateway.operators import routes as operators
from starter.gateway.ops import routes as ops
from starter.gateway.parts import Gateway
from starter.gateway.signon import routes as signon
from starter.gateway.webhooks.router import router as webhooks
from starter.gateway.webhooks.sweep import sweeping
from telemetry.gauges import Gauges

_STATIC = Path(__file__).parent / "static"


def app(
    settings: Settings,
    client: Client | None = None,
    task_queue: str = TASK_QUEUE,
    interceptors: Sequence[Interceptor] = (),
) -> FastAPI:
    """The gateway. Without a `client` it connects at its first need by the SDK's own settings, so that it starts, and says
    503, while Temporal is away. `task_queue`: where what it starts is worked on; `interceptors`: of the
    client that it makes."""
    gateway = Gateway(settings, task_queue)
    metrics = Metrics()
    metrics.registry.register(Gauges(gateway.sessions))

    @contextlib.asynccontextmanager
    async def lifespan(_application: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(address.load)
        gateway.open(client or await connect(settings, lazy=True, interceptors=interceptors))
        async with sweeping(gateway):
            yield
        gateway.close()

    application = FastAPI(
        title="Token fulfilment",
        version="1",
        lifespan=lifespan,
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        openapi_url="/v1/openapi.json",
    )
    application.mount("/static", StaticFiles(directory=_STATIC))
    application.include_router(health.router(gateway))
    application.include_router(metrics.router())
    application.include_router(webhooks(gateway))
    for router in routers(gateway):
        application.include_router(router)
    operator_door = operators.install(application, gateway)
    application.include_router(ops.router(gateway, operator_door))
    application.mount("/codec", codec_app(gateway, operator_door))
    door = signon.install(application, gateway)
    manage.install(application, gateway, door)
    application.include_router(activation.router(gateway))
    application.include_router(mailbox.router(gateway))
    application.include_router(desk.router(gateway))
    describe(application)
    problems.install(application)
    application.add_middleware(LimitedBody)
    application.add_middleware(RawIds)
    application.add_middleware(Measured, metrics=metrics)
    application.add_middleware(KeyInPath)  # the last one added comes first, so that no other sees the key
    return application
