"""The HTTP gateway: `python -m starter.gateway --port N`.

So far it holds what the embedded stack cannot do without: the codec endpoints through which the Temporal UI reads and
writes encrypted payloads, the carrier's webhook, and health. The API for upstream systems and the pages join it here.
"""

import argparse
import asyncio
import contextlib
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator

import uvicorn
from google.protobuf import json_format
from sqlalchemy import select
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from temporalio.api.common.v1 import Payloads
from temporalio.client import Client
from temporalio.service import RPCError

from connection import EncryptionCodec, connect
from database.engine import Sessions, engine_of, sessions_of
from database.tables import JourneyRow, ReturnRow
from settings import Settings
from starter.problems import problem

REPLAY_WINDOW = 300
"""Seconds by which a webhook's time stamp may be off; an older one may be a replay."""
_LARGEST_BODY = 4 * 1024 * 1024


def app(settings: Settings, client: Client | None = None) -> Starlette:
    """The gateway. Without a `client` it connects at start by the SDK's own settings."""
    engine = engine_of(settings.url_of_database)
    sessions = sessions_of(engine)

    @contextlib.asynccontextmanager
    async def lifespan(application: Starlette) -> AsyncIterator[None]:
        application.state.client = client or await connect(settings)
        yield
        engine.dispose()

    return Starlette(
        routes=[
            Route("/healthz", _healthy),
            Route("/readyz", _ready(sessions)),
            Mount("/codec", codec_app(settings)),
            Route("/v1/webhooks/carrier/plain", _carrier(settings, sessions), methods=["POST"]),
        ],
        lifespan=lifespan,
    )


def codec_app(settings: Settings) -> Starlette:
    """`/encode` and `/decode` as Temporal's UI and command call them, for the UI's origin only."""
    keys = {key_id: key.get_secret_value() for key_id, key in settings.payload_keys.items()}
    codec = EncryptionCodec(keys) if keys else None

    async def convert(request: Request) -> Response:
        body = await request.body()
        if len(body) > _LARGEST_BODY:
            return problem(
                413, "The payloads are larger than 4 MB, which Temporal does not take either; send fewer at once."
            )
        try:
            payloads = json_format.Parse(body, Payloads())
        except json_format.ParseError:
            return problem(400, "The body is not Temporal's JSON form of Payloads; send what the UI or the CLI sends.")
        if codec is not None:
            work = codec.encode if request.url.path.endswith("/encode") else codec.decode
            payloads = Payloads(payloads=await work(payloads.payloads))
        return JSONResponse(json.loads(json_format.MessageToJson(payloads)))

    origins = [f"http://{host}:{settings.ui_port}" for host in ("localhost", "127.0.0.1")]
    if settings.ui_url:
        origins.append(settings.ui_url.rstrip("/"))
    return Starlette(
        routes=[Route("/encode", convert, methods=["POST"]), Route("/decode", convert, methods=["POST"])],
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=origins,
                allow_methods=["POST"],
                allow_headers=["content-type", "x-namespace", "authorization"],
            )
        ],
    )


async def _healthy(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


def _ready(sessions: Sessions):  # a Starlette endpoint
    def reachable() -> None:
        with sessions() as session:
            session.execute(select(1))

    async def ready(request: Request) -> Response:
        try:
            await asyncio.to_thread(reachable)
            await request.app.state.client.service_client.check_health()
        except Exception as fault:
            return problem(
                503, f"Not ready: database or Temporal does not answer ({type(fault).__name__}); try again soon."
            )
        return JSONResponse({"status": "ready"})

    return ready


def _carrier(settings: Settings, sessions: Sessions):  # a Starlette endpoint
    """Signals the parcel's journey; the work happens there."""

    def awaiting(tracking_number: str) -> str | None:
        """Who waits for news of the parcel: its journey, or the return that goes on after it."""
        with sessions() as session:
            outbound = session.scalars(
                select(JourneyRow)
                .where(JourneyRow.tracking_number == tracking_number)
                .order_by(JourneyRow.requested_at.desc())
            ).first()
            if outbound is not None and outbound.live:
                return outbound.journey_id
            returned = ReturnRow.tracking_number == tracking_number
            if outbound is not None:
                returned = returned | (ReturnRow.journey_id == outbound.journey_id)
            return session.scalars(select(ReturnRow.return_id).where(returned, ReturnRow.open)).first()

    async def receive(request: Request) -> Response:
        body = await request.body()
        if not _signed(settings, request, body):
            return problem(401, "The signature does not fit the body and time stamp; sign with the secret agreed on.")
        try:
            event = json.loads(body)
            tracking_number = str(event["tracking_number"])
        except (ValueError, KeyError, TypeError):
            return problem(422, "The event needs a tracking_number; send the carrier's event as one JSON object.")
        workflow_id = await asyncio.to_thread(awaiting, tracking_number)
        if workflow_id is None:
            return JSONResponse({"taken": False}, status_code=202)
        try:
            await request.app.state.client.get_workflow_handle(workflow_id).signal("carrier_event", event)
        except RPCError as fault:
            if fault.status.name == "NOT_FOUND":
                return JSONResponse({"taken": False}, status_code=202)  # the journey has ended: nothing waits for it
            return problem(503, "Temporal does not answer; send the event again later.", {"Retry-After": "30"})
        return JSONResponse({"taken": True}, status_code=202)

    return receive


def _signed(settings: Settings, request: Request, body: bytes) -> bool:
    secret = settings.webhook_secrets.get("plain")
    stamp = request.headers.get("X-Tokens-Timestamp", "")
    if secret is None or not stamp.isdecimal() or abs(time.time() - int(stamp)) > REPLAY_WINDOW:
        return False
    expected = hmac.new(secret.get_secret_value().encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    given = request.headers.get("X-Tokens-Signature", "")
    return hmac.compare_digest(given.encode(), f"sha256={expected}".encode())


async def main(settings: Settings, host: str, port: int) -> None:
    config = uvicorn.Config(app(settings), host=host, port=port, log_level="warning", access_log=False)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started and not serving.done():  # noqa: ASYNC110  # uvicorn tells of its start in no other way
        await asyncio.sleep(0.02)
    if server.started:
        print(f"ready http://{host}:{server.servers[0].sockets[0].getsockname()[1]}", flush=True)
    await serving


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=None, help="default: TOKENS_GATEWAY_PORT; 0 for any free one")
    arguments = parser.parse_args()
    settings = Settings()
    asyncio.run(main(settings, arguments.host, settings.gateway_port if arguments.port is None else arguments.port))
