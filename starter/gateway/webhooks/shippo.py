"""Shippo: `track_updated`.

Signatures (docs.goshippo.com/tracking/webhook-security): `Shippo-Auth-Signature: t=<Unix seconds>,v1=<hex>`, HMAC-SHA256 over
`<t>.<body>`, which Shippo sets up on request; or a token of our own in the webhook's URL, `?token=`. One secret serves for
whichever of the two an account has.
"""

from datetime import datetime
from typing import Any

from starter.gateway.webhooks.event import Event, Unreadable, about, code, moment, several, some
from starter.gateway.webhooks.signatures import Call, digest, fresh, same

NAME = "shippo"

STATUSES: dict[str, str | None] = {
    "UNKNOWN": None,
    "PRE_TRANSIT": "pre_transit",
    "TRANSIT": "in_transit",
    "DELIVERED": "delivered",
    "RETURNED": "returned",
    "FAILURE": "failure",
}
"""Shippo's tracking status to ours; None: it says nothing."""

SUBSTATUSES: dict[str, str | None] = {
    "information_received": "pre_transit",
    "address_issue": "in_transit",
    "contact_carrier": "in_transit",
    "delayed": "in_transit",
    "delivery_attempted": "in_transit",
    "delivery_rescheduled": "in_transit",
    "delivery_scheduled": "in_transit",
    "location_inaccessible": "in_transit",
    "notice_left": "in_transit",
    "out_for_delivery": "out_for_delivery",
    "package_accepted": "in_transit",
    "package_arrived": "in_transit",
    "package_damaged": "in_transit",
    "package_departed": "in_transit",
    "package_forwarded": "in_transit",
    "package_held": "in_transit",
    "package_processed": "in_transit",
    "package_processing": "in_transit",
    "pickup_available": "in_transit",
    "reschedule_delivery": "in_transit",
    "delivered": "delivered",
    "package_unclaimed": "returned",
    "return_to_sender": "returned",
    "package_disposed": "failure",
    "package_lost": "failure",
    "package_undeliverable": "failure",
    "other": None,
}
"""What each of Shippo's substatus codes means in our words."""

_SAY_MORE = ("out_for_delivery", "returned", "failure")
"""What a code may say beyond `TRANSIT`. That a parcel was delivered is believed of the status alone."""


def authentic(call: Call, secret: str) -> bool:
    """Whether it is Shippo's. Where the signature is there it has to hold, within the replay window; the token in the URL
    carries no time, so that only our memory of events guards against a replay."""
    header = call.headers.get("Shippo-Auth-Signature")
    if header is None:
        return same(call.query.get("token", ""), secret)
    fields = {name: value for name, _, value in (part.strip().partition("=") for part in header.split(","))}
    stamp = fields.get("t", "")
    return fresh(stamp, call.now) and same(fields.get("v1", ""), digest(secret, stamp, ".", call.body))


def read(body: dict[str, Any], *, test_events: bool) -> Event | None:
    """The event; None where it is not about a parcel, of the test mode, or nothing is known yet. Raises Unreadable."""
    if body.get("event") != "track_updated":
        return None
    if body.get("test") is True and not test_events:
        return None
    track = some(body.get("data"))
    number = about(track.get("tracking_number"), "Shippo")
    if track.get("tracking_status") is None:
        return None
    now = some(track["tracking_status"])
    status = now.get("status")
    if not isinstance(status, str) or status not in STATUSES:
        raise Unreadable("The tracking status is none that Shippo has documented; send its event as it is.")
    said, detail = STATUSES[status], _code_of(now)
    if said is None:
        return None
    more = SUBSTATUSES.get(detail or "")
    if said == "in_transit" and more in _SAY_MORE:
        said = more
    at = moment(now.get("status_date")) or _latest(track, status) or moment(now.get("object_updated"))
    if at is None:
        raise Unreadable("The event has no status_date, so that nobody knows when it happened; send it as it is.")
    return Event(NAME, "carrier_event", said, at, tracking_number=number, detail=detail)


def _code_of(status: dict[str, Any]) -> str | None:
    """The substatus, which is an object in newer versions of Shippo's API and a text in older ones."""
    substatus = status.get("substatus")
    return code(substatus.get("code") if isinstance(substatus, dict) else substatus)


def _latest(track: dict[str, Any], status: str) -> datetime | None:
    """When the history has the status last."""
    dates = (
        moment(entry.get("status_date"))
        for entry in several(track.get("tracking_history"))
        if entry.get("status") == status
    )
    return max((date for date in dates if date), default=None)
