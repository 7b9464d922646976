"""The token vendor: provisions tokens and revokes them. `python -m simulators.vendor --port N --state DIR`.

    PUT /v1/provisionings/{key}   {"kind", "reference", "serial_number"?}
    PUT /v1/revocations/{key}     {"reference", "serial_number"?}
    GET /v1/provisionings, /v1/revocations   ?reference=

Every PUT is done once per key: asked again it answers the same, for another body it says 409.
"""

import uuid
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from simulators.answers import body_of, listing, once, sentence
from simulators.faults import Faults
from simulators.serving import arguments, run
from simulators.store import Store


def app(state: Path) -> ASGIApp:
    """The server; what it has done is kept in `state`."""
    store = Store(state / "vendor.db")
    faults = Faults()

    async def provision(request: Request) -> Response:
        body = await body_of(request)
        if body is None or body.get("kind") not in ("hard", "soft") or not body.get("reference"):
            return sentence("A provisioning needs kind (hard or soft) and reference; send both.", 422)
        if body["kind"] == "hard" and not body.get("serial_number"):
            return sentence("A hard token is provisioned by its serial_number; send it.", 422)
        result = {
            "provisioning_id": uuid.uuid4().hex,
            "state": "provisioned",
            "serial_number": body.get("serial_number"),
        }
        return once(store, "provisionings", request, body, result)

    async def revoke(request: Request) -> Response:
        body = await body_of(request)
        if body is None or not body.get("reference"):
            return sentence("A revocation needs the reference of what is revoked; send it.", 422)
        return once(store, "revocations", request, body, {"state": "revoked"})

    return faults.wrap(
        Starlette(
            routes=[
                Route("/v1/provisionings/{key}", provision, methods=["PUT"]),
                Route("/v1/revocations/{key}", revoke, methods=["PUT"]),
                Route("/v1/provisionings", listing(store, "provisionings")),
                Route("/v1/revocations", listing(store, "revocations")),
                *faults.routes(),
            ]
        )
    )


if __name__ == "__main__":
    given = arguments(__doc__).parse_args()
    run(app(given.state), given.host, given.port)
