"""EasyPost: `tracker.created` and `tracker.updated`.

Signatures (docs.easypost.com/docs/webhooks and "Webhook HMAC Validation" in its help centre): `X-Hmac-Signature-V2` over
`X-Timestamp` (RFC 2822), method, `X-Path` and body; the older `X-Hmac-Signature` over the body alone. Both are HMAC-SHA256 in
hex after `hmac-sha256-hex=`, keyed with the webhook's secret in Unicode's NFKD form.
"""

import unicodedata
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from starter.gateway.webhooks.event import Event, Unreadable, about, code, moment, several, some
from starter.gateway.webhooks.signatures import REPLAY_WINDOW, Call, digest, same

NAME = "easypost"

STATUSES: dict[str, str | None] = {
    "unknown": None,
    "pre_transit": "pre_transit",
    "in_transit": "in_transit",
    "out_for_delivery": "out_for_delivery",
    "delivered": "delivered",
    "available_for_pickup": "in_transit",
    "return_to_sender": "returned",
    "failure": "failure",
    "cancelled": "failure",
    "error": "failure",
}
"""A tracker's status to ours; None: it says nothing. What waits to be fetched has not been delivered; what was cancelled or
went wrong at the carrier needs a person, as a failure does."""

_PREFIX = "hmac-sha256-hex="


def authentic(call: Call, secret: str) -> bool:
    """Whether EasyPost has signed it. Where the newer signature is there it has to hold, within the replay window; the older
    one carries no time, so that only our memory of events guards against its replay."""
    secret = unicodedata.normalize("NFKD", secret)
    newer = call.headers.get("X-Hmac-Signature-V2")
    if newer is None:
        return same(call.headers.get("X-Hmac-Signature", ""), _PREFIX + digest(secret, call.body))
    stamp, path = call.headers.get("X-Timestamp", ""), call.headers.get("X-Path", "")
    if not _fresh(stamp, call.now) or not path.partition("?")[0].endswith(call.path):
        return False
    return same(newer.removeprefix(_PREFIX), digest(secret, stamp, "POST", path, call.body))


def _fresh(stamp: str, now: float) -> bool:
    try:
        at = parsedate_to_datetime(stamp)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at  # `-0000`: UTC, says RFC 2822
        return abs(now - at.timestamp()) <= REPLAY_WINDOW
    except (ValueError, OverflowError):
        return False


def made_at(body: dict[str, Any]) -> datetime | None:
    """When EasyPost made the event; signed with the rest of the body."""
    return moment(body.get("created_at"))


def read(body: dict[str, Any], *, test_events: bool) -> Event | None:
    """The event; None where it is not about a parcel, of the test mode, or nothing has changed. Raises Unreadable."""
    if body.get("description") not in ("tracker.created", "tracker.updated"):
        return None
    if body.get("mode") == "test" and not test_events:
        return None
    tracker = some(body.get("result"))
    number = about(tracker.get("tracking_code"), "EasyPost")
    status = tracker.get("status")
    if not isinstance(status, str) or status not in STATUSES:
        raise Unreadable("The tracker's status is none that EasyPost has documented; send its event as it is.")
    said = STATUSES[status]
    if said is None or some(body.get("previous_attributes")).get("status") == status:
        return None
    at = _occurred_at(tracker, status) or made_at(body)
    if at is None:
        raise Unreadable("The event has no time: neither its tracker nor the event says when; send it as it is.")
    detail = status if said != status else code(tracker.get("status_detail"))
    return Event(NAME, "carrier_event", said, at, tracking_number=number, detail=detail)


def _occurred_at(tracker: dict[str, Any], status: str) -> datetime | None:
    """When the carrier's latest scan of that status was; else when the tracker was last changed."""
    scans = [
        at
        for scan in several(tracker.get("tracking_details"))
        if scan.get("status") == status and (at := moment(scan.get("datetime")))
    ]
    return max(scans, default=None) or moment(tracker.get("updated_at"))
