"""`/codec/encode` and `/codec/decode`: how operators read and write encrypted payloads in the Temporal UI and with the
`temporal` command. Whoever asks shows who it is: with a key of scope `operate` as `Authorization: Bearer`, with an operator's
session, or, in the embedded stack, with the key that stands in the address (`/codec/<key>/decode`)."""

import hmac
import json
import re

from google.protobuf import json_format
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from temporalio.api.common.v1 import Payloads

from connection import EncryptionCodec
from settings import Settings
from starter.api_keys import Scope as KeyScope
from starter.gateway.api.authentication import Authentication
from starter.gateway.operators.door import SIGN_IN, OperatorDoor
from starter.gateway.parts import Gateway
from starter.gateway.problems import problem

_LARGEST_BODY = 4 * 1024 * 1024
_WITH_KEY = re.compile(r"/codec/(?P<key>[^/]+)/(?P<work>encode|decode)")
_KEY = "tokens.codec_key"
_OPERATE = frozenset({str(KeyScope.OPERATE)})


def codec_app(gateway: Gateway, door: OperatorDoor) -> Starlette:
    """Both endpoints as Temporal's UI and command call them. Browsers are answered on the UI's pages only."""
    settings = gateway.settings
    keys = {key_id: key.get_secret_value() for key_id, key in settings.payload_keys.items()}
    codec = EncryptionCodec(keys) if keys else None
    gate = _Gate(gateway, door)

    async def convert(request: Request) -> Response:
        await gate.admit(request)
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
        return JSONResponse(json.loads(json_format.MessageToJson(payloads)), headers={"Cache-Control": "no-store"})

    async def refused(_request: Request, fault: Exception) -> Response:
        assert isinstance(fault, HTTPException)
        return problem(fault.status_code, fault.detail, fault.headers)

    return Starlette(
        routes=[Route("/encode", convert, methods=["POST"]), Route("/decode", convert, methods=["POST"])],
        exception_handlers={HTTPException: refused},
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=_origins(settings),
                allow_methods=["POST"],
                allow_headers=["content-type", "x-namespace", "authorization"],
                allow_credentials=True,
            )
        ],
    )


class _Gate:
    """Who may have payloads encrypted and decrypted."""

    def __init__(self, gateway: Gateway, door: OperatorDoor) -> None:
        self._key = gateway.settings.codec_key.get_secret_value()
        self._origins = {*_origins(gateway.settings), gateway.settings.public_base}
        self._authentication = Authentication(gateway)
        self._door = door

    async def admit(self, request: Request) -> None:
        """Raises HTTPException 401, 403 or 429 with a sentence."""
        in_address = request.scope.get(_KEY)
        if in_address is not None:
            if self._key and hmac.compare_digest(in_address.encode(), self._key.encode()):
                return
            raise HTTPException(
                401, "The key in the address is not this stack's; take the codec endpoint that `tokens up` prints."
            )
        if "authorization" in request.headers:
            # Not counted: the UI asks for each payload of a long history by itself.
            await self._authentication.caller(request, _OPERATE, counted=False)
            return
        # A cookie comes along by itself, so it counts on the UI's pages and ours only.
        if request.headers.get("origin") in self._origins and await self._door.operator(request):
            return
        raise HTTPException(
            401,
            "Payloads are shown to operators only, and nobody is signed in: send `Authorization: Bearer <key>` with a key of"
            f" scope operate (`temporal --codec-auth`), or sign in at {SIGN_IN} and let the Temporal UI include credentials.",
            {"WWW-Authenticate": 'Bearer realm="tokens"'},
        )


class KeyInPath:
    """Takes the key out of the codec endpoint's address before anybody else sees it: middleware, metrics, the server's access
    log. Only the gate is told of it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match = _WITH_KEY.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if match is not None:
            scope[_KEY] = match["key"]
            # In place: uvicorn's access log reads this very scope when the answer begins.
            scope["path"] = f"/codec/{match['work']}"
            scope["raw_path"] = scope["path"].encode()
        await self._app(scope, receive, send)


def _origins(settings: Settings) -> list[str]:
    """Where the Temporal UI's pages come from."""
    here = [f"http://{host}:{settings.ui_port}" for host in ("localhost", "127.0.0.1")]
    return here if settings.ui_url is None else [*here, _origin(settings.ui_url)]


def _origin(url: str) -> str:
    """Scheme, host and port: the UI may stand under a path."""
    match = re.match(r"[a-z]+://[^/]+", url)
    return match[0] if match else url
