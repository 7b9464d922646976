"""`/codec/encode` and `/codec/decode`: how the Temporal UI and command read and write encrypted payloads."""

import json

from google.protobuf import json_format
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from temporalio.api.common.v1 import Payloads

from connection import EncryptionCodec
from settings import Settings
from starter.gateway.problems import problem

_LARGEST_BODY = 4 * 1024 * 1024


def codec_app(settings: Settings) -> Starlette:
    """Both endpoints as Temporal's UI and command call them, for the UI's origin only."""
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
