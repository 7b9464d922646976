"""Stands in for the parcel carrier: sells labels and tells of its parcels. `python -m simulators.carrier --port N --state DIR`.

    PUT  /v1/shipments/{key}        {"to": address, "from": address, "reference", "service"?}
                                    -> {"shipment_id", "tracking_number", "label_url", "state": "bought"}
    PUT  /v1/shipments/{key}/void   {}   -> {"state": "voided"}, also where there is no such label
    GET  /v1/shipments, /v1/voids   ?reference=   lists, oldest first
    GET  /v1/labels                 ?after=cursor&limit=   -> {"labels": [{"key", "reference", "tracking_number", "service"?,
                                    "state": "bought" | "voided"}], "next": cursor or null}, oldest first; no addresses
    GET  /labels/{tracking_number}  the label to print, as a page; "service": "return" makes it a prepaid one
    POST /simulate/events           {"tracking_number", "status", "occurred_at", "detail"?, "sender"?}

A label is bought once per key: 201 the first time, 200 with the same answer after that, 409 for another body. `label_url` is
absolute, at the address by which the carrier was asked the first time. A refusal is `{"detail": one sentence}`. What was done
is kept in DIR/carrier.db and outlives a `kill -9`. Switches for faults: see `simulators.faults`.

Parcels never move by themselves. An event is posted at once to the webhook of `sender`: `plain`, or as `easypost` and `shippo`
pass such events on, each in its own shape and signed by its own scheme (see `simulators.webhooks`). Any tracking number will
do, so that events of unknown parcels can be played. It is sent once: a lost one stays lost until somebody sends it again. The
answer is 202 with `{"webhook": status}`; 502 if the webhook did not take it, with null for the status if it could not be
reached.
"""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from simulators import label, shapes, webhooks
from simulators.answers import Refusal, Text, key_of, listing, once, paged, party, read
from simulators.faults import Faults
from simulators.serving import arguments, run
from simulators.store import Store
from simulators.webhooks import Hook, hooks_of, post, with_webhooks

_SENDERS = {
    "plain": (shapes.plain, webhooks.plain),
    "easypost": (shapes.easypost, webhooks.easypost),
    "shippo": (shapes.shippo, webhooks.shippo),
}


class Shipment(BaseModel):
    """Addresses are objects; what stands in them is the sender's affair."""

    to: dict[str, Any]
    sender: dict[str, Any] = Field(alias="from")
    reference: Text
    service: Text | None = None


class Event(BaseModel):
    tracking_number: Text
    status: Literal["pre_transit", "in_transit", "out_for_delivery", "delivered", "failure", "returned"]
    occurred_at: Text
    detail: str | None = None
    sender: Literal["plain", "easypost", "shippo"] = "plain"


class Nothing(BaseModel):
    """`{}`."""


def _label(row: dict[str, Any]) -> dict[str, Any]:
    shown = {
        "key": row["key"],
        "reference": row["reference"],
        "tracking_number": row["result"]["tracking_number"],
        "state": "voided" if row["undone"] else "bought",
    }
    service = row["request"].get("service")
    return shown if service is None else {**shown, "service": service}


def app(
    state: Path, webhook_url: str | None = None, webhook_secret: str = "", hooks: Mapping[str, Hook] | None = None
) -> Starlette:
    """The server; what it has done is kept in `state`. `hooks`: where webhooks go, by sender; the plain ones may be given by
    `webhook_url` as well."""
    hooks = dict(hooks or {})
    if webhook_url is not None:
        hooks["plain"] = Hook(webhook_url, webhook_secret)
    store = Store(state / "carrier.db")

    async def ship(request: Request) -> Response:
        body = await read(request, Shipment)
        result = {}
        if store.reference("shipments", key_of(request)) is None:
            number = _claimed(store, body["reference"])
            store.put("labels", number, body["reference"], {**body, "tracking_number": number})
            url = str(request.base_url.replace(path=f"/labels/{number}", query=""))
            result = {
                "shipment_id": secrets.token_hex(8),
                "tracking_number": number,
                "label_url": url,
                "state": "bought",
            }
        return once(store, "shipments", request, body, result)

    async def void(request: Request) -> Response:
        await read(request, Nothing)
        key = key_of(request)
        store.put("voids", key, store.reference("shipments", key) or key, {"state": "voided"})
        return JSONResponse({"state": "voided"})

    async def show_label(request: Request) -> Response:
        shipment = store.get("labels", request.path_params["number"])
        if shipment is None:
            raise Refusal("There is no label of that tracking number; look at the email it came with again.", 404)
        return HTMLResponse(label.page(shipment["tracking_number"], shipment))

    async def event(request: Request) -> Response:
        body = await read(request, Event)
        sender = body.pop("sender", "plain")
        shape, sign = _SENDERS[sender]
        number = body["tracking_number"]
        told = shape(body, store.get("last_statuses", number))
        answer = await post(hooks.get(sender), sign, told)
        store.put("last_statuses", number, number, body["status"])
        return answer

    return party(
        store,
        Faults(),
        [
            # A key may be any text: `path` lets its slashes through, which arrive decoded. The longer route comes first.
            Route("/v1/shipments/{key:path}/void", void, methods=["PUT"]),
            Route("/v1/shipments/{key:path}", ship, methods=["PUT"]),
            Route("/v1/shipments", listing(store, "shipments")),
            Route("/v1/voids", listing(store, "voids")),
            Route("/v1/labels", paged(store, "shipments", "voids", "labels", _label)),
            Route("/labels/{number}", show_label),
            Route("/simulate/events", event, methods=["POST"]),
        ],
    )


def signature(content: bytes, secret: str) -> dict[str, str]:
    """The headers of a signed plain webhook, stamped now."""
    return {"Content-Type": "application/json", **webhooks.plain(Hook("", secret), content)}


def check_digit(digits: str) -> str:
    """The digit that follows them: weights 3 and 1 in turn from the left, to the next ten."""
    weighted = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(digits))
    return str(-weighted % 10)


def _claimed(store: Store, reference: str) -> str:
    """`TKN` and twelve digits, the last one the check digit; never given out before, and never again.

    Drawn at random, not counted: a simulator that begins anew must not give out the numbers of older journeys again.
    """
    while True:
        digits = f"{secrets.randbelow(10**11):011d}"
        number = f"TKN{digits}{check_digit(digits)}"
        _, new = store.once("tracking_numbers", number, reference, None, {})
        if new:
            return number


def main() -> None:
    parser = with_webhooks(arguments(__doc__))
    parser.add_argument("--webhook-url", help="where plain events are posted; without any webhook they are refused")
    secrets_ = parser.add_mutually_exclusive_group()
    secrets_.add_argument(
        "--webhook-secret", default="", help="everybody on this machine can read it in the process list"
    )
    secrets_.add_argument("--webhook-secret-file", type=Path, help="a file that holds it")
    given = parser.parse_args()
    secret = given.webhook_secret_file.read_text().strip() if given.webhook_secret_file else given.webhook_secret
    run(app(given.state, given.webhook_url, secret, hooks_of(given.webhooks_file)), given.host, given.port)


if __name__ == "__main__":
    main()
