"""Puts the gateway together. It keeps nothing between two requests, so that many copies can run side by side."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles
from temporalio.client import Client

from connection import TASK_QUEUE, connect
from settings import Settings
from starter.gateway import carrier_webhook, health
from starter.gateway.activation import routes as activation
from starter.gateway.codec import codec_app
from starter.gateway.mailbox import routes as mailbox
from starter.gateway.parts import Gateway

_STATIC = Path(__file__).parent / "static"


def app(settings: Settings, client: Client | None = None, task_queue: str = TASK_QUEUE) -> FastAPI:
    """The gateway. Without a `client` it connects at its first need by the SDK's own settings, so that it starts, and says
    503, while Temporal is away."""
    gateway = Gateway(settings, task_queue)

    @contextlib.asynccontextmanager
    async def lifespan(_application: FastAPI) -> AsyncIterator[None]:
        gateway.open(client or await connect(settings, lazy=True))
        yield
        gateway.close()

    application = FastAPI(
        title="Token fulfilment",
        version="1",
        description="Requests, journeys and endings of EPCS tokens.",
        lifespan=lifespan,
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        openapi_url="/v1/openapi.json",
    )
    application.mount("/codec", codec_app(settings))
    application.mount("/static", StaticFiles(directory=_STATIC))
    application.include_router(health.router(gateway))
    application.include_router(carrier_webhook.router(gateway))
    application.include_router(activation.router(gateway))
    application.include_router(mailbox.router(gateway))
    return application
