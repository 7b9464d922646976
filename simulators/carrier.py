"""The parcel carrier: labels, and events of the parcels. `python -m simulators.carrier --port N --state DIR`.

    PUT  /v1/shipments/{key}        {"to", "from", "reference"}   one label per key
    PUT  /v1/shipments/{key}/void   {}
    GET  /v1/shipments              ?reference=
    POST /simulate/events           {"tracking_number", "status", "occurred_at", "detail"?}

An event is posted at once to `--webhook-url`, signed: `X-Tokens-Signature` is `sha256=` and the HMAC of
`<X-Tokens-Timestamp>.<body>`. It is sent once, so that a lost one stays lost until somebody sends it again.
"""

import hashlib
import hmac
import json
import secrets
import time
from pathlib import Path

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from simulators.answers import body_of, listing, once, sentence
from simulators.faults import Faults
from simulators.serving import arguments, run
from simulators.store import Store

STATUSES = ("pre_transit", "in_transit", "out_for_delivery", "delivered", "failure", "returned")


def app(state: Path, webhook_url: str | None = None, webhook_secret: str = "") -> ASGIApp:
    """The server; what it has done is kept in `state`."""
    store = Store(state / "carrier.db")
    faults = Faults()

    async def ship(request: Request) -> Response:
        body = await body_of(request)
        if body is None or not body.get("reference") or not isinstance(body.get("to"), dict):
            return sentence("A shipment needs to (an address) and reference; send both.", 422)
        result = {"shipment_id": secrets.token_hex(8), "tracking_number": _tracking_number(), "state": "bought"}
        return once(store, "shipments", request, body, result)

    async def void(request: Request) -> Response:
        key = request.path_params["key"]
        store.put("voids", key, key, {"state": "voided"})
        return JSONResponse({"state": "voided"})

    async def event(request: Request) -> Response:
        body = await body_of(request)
        if body is None or not body.get("tracking_number") or body.get("status") not in STATUSES:
            return sentence(f"An event needs tracking_number and a status of {', '.join(STATUSES)}; send both.", 422)
        if webhook_url is None:
            return sentence("No webhook is set; start the carrier with --webhook-url.", 409)
        content = json.dumps(body).encode()
        async with httpx.AsyncClient(timeout=10) as client:
            answer = await client.post(webhook_url, content=content, headers=signature(content, webhook_secret))
        return JSONResponse({"webhook": answer.status_code}, 202 if answer.is_success else 502)

    return faults.wrap(
        Starlette(
            routes=[
                Route("/v1/shipments/{key}", ship, methods=["PUT"]),
                Route("/v1/shipments/{key}/void", void, methods=["PUT"]),
                Route("/v1/shipments", listing(store, "shipments")),
                Route("/v1/voids", listing(store, "voids")),
                Route("/simulate/events", event, methods=["POST"]),
                *faults.routes(),
            ]
        )
    )


def signature(content: bytes, secret: str) -> dict[str, str]:
    """The headers of a signed webhook, stamped now."""
    stamp = str(int(time.time()))
    digest = hmac.new(secret.encode(), stamp.encode() + b"." + content, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "X-Tokens-Timestamp": stamp,
        "X-Tokens-Signature": f"sha256={digest}",
    }


def _tracking_number() -> str:
    """`TKN`, twelve digits, and their check digit (weights 3 and 1 in turn, as on parcels' bar codes)."""
    digits = [secrets.randbelow(10) for _ in range(12)]
    weighted = sum(digit * (3 if place % 2 == 0 else 1) for place, digit in enumerate(digits))
    return "TKN" + "".join(map(str, digits)) + str(-weighted % 10)


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--webhook-url")
    parser.add_argument("--webhook-secret-file", type=Path)
    given = parser.parse_args()
    secret = given.webhook_secret_file.read_text().strip() if given.webhook_secret_file else ""
    run(app(given.state, given.webhook_url, secret), given.host, given.port)
