"""Stands in for the token vendor, which makes tokens usable and revokes them. `python -m simulators.vendor --port N --state DIR`.

    PUT /v1/provisionings/{key}   {"kind": "hard" | "soft", "reference", "serial_number"?}
                                  -> {"provisioning_id", "state": "provisioned", "serial_number"?}
    PUT /v1/revocations/{key}     {"reference", "serial_number"?}   -> {"state": "revoked"}
    GET /v1/provisionings, /v1/revocations   ?reference=   lists, oldest first
    GET /v1/tokens                ?after=cursor&limit=  -> {"tokens": [{"key", "reference", "kind", "serial_number"?, "state":
                                  "provisioned" | "revoked"}], "next": cursor or null}, oldest first
    POST /simulate/events   {"event": "provisioned" | "activation_email_bounced" | "revoked", "reference", "occurred_at"}

Every PUT is done once per key: 201 the first time, 200 with the same answer after that, 409 for another body. A hard token
needs its serial number. A refusal is `{"detail": one sentence}`. What was done is kept in DIR/vendor.db and outlives a
`kill -9`. Switches for faults: see `simulators.faults`.
"""

import uuid
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulators import webhooks
from simulators.answers import Refusal, Text, listing, once, paged, party, read
from simulators.faults import Faults
from simulators.serving import arguments, run
from simulators.store import Store
from simulators.webhooks import Hook, hooks_of, post, with_webhooks


class Provisioning(BaseModel):
    kind: Literal["hard", "soft"]
    reference: Text
    serial_number: Text | None = None


class Revocation(BaseModel):
    reference: Text
    serial_number: Text | None = None


class Event(BaseModel):
    event: Literal["provisioned", "activation_email_bounced", "revoked"]
    reference: Text
    occurred_at: Text


def _token(row: dict[str, Any]) -> dict[str, Any]:
    state = "revoked" if row["undone"] else "provisioned"
    return {"key": row["key"], **row["request"], "state": state}


def app(state: Path, hook: Hook | None = None) -> Starlette:
    """The server; what it has done is kept in `state`. `hook`: where its webhooks go."""
    store = Store(state / "vendor.db")

    async def provision(request: Request) -> Response:
        body = await read(request, Provisioning)
        serial = body.get("serial_number")
        if body["kind"] == "hard" and serial is None:
            raise Refusal("A hard token is provisioned by its serial_number; send it.")
        result = {"provisioning_id": uuid.uuid4().hex, "state": "provisioned"}
        return once(
            store, "provisionings", request, body, result if serial is None else {**result, "serial_number": serial}
        )

    async def revoke(request: Request) -> Response:
        return once(store, "revocations", request, await read(request, Revocation), {"state": "revoked"})

    async def event(request: Request) -> Response:
        return await post(hook, webhooks.plain, await read(request, Event))

    return party(
        store,
        Faults(),
        [
            # A key may be any text: `path` lets its slashes through, which arrive decoded.
            Route("/v1/provisionings/{key:path}", provision, methods=["PUT"]),
            Route("/v1/revocations/{key:path}", revoke, methods=["PUT"]),
            Route("/v1/provisionings", listing(store, "provisionings")),
            Route("/v1/revocations", listing(store, "revocations")),
            Route("/v1/tokens", paged(store, "provisionings", "revocations", "tokens", _token)),
            Route("/simulate/events", event, methods=["POST"]),
        ],
    )


if __name__ == "__main__":
    given = with_webhooks(arguments(__doc__)).parse_args()
    run(app(given.state, hooks_of(given.webhooks_file).get("vendor")), given.host, given.port)
