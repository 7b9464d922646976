"""A carrier's event in the words of those who pass such events on: EasyPost's tracker, Shippo's track."""

import secrets
from datetime import UTC, datetime
from typing import Any

_EASYPOST = {"returned": "return_to_sender"}
_SHIPPO = {
    "pre_transit": ("PRE_TRANSIT", "information_received"),
    "in_transit": ("TRANSIT", "package_departed"),
    "out_for_delivery": ("TRANSIT", "out_for_delivery"),
    "delivered": ("DELIVERED", "delivered"),
    "failure": ("FAILURE", "package_undeliverable"),
    "returned": ("RETURNED", "return_to_sender"),
}


def plain(event: dict[str, Any], _previous: str | None) -> dict[str, Any]:
    """Our own words, as they are."""
    return event


def easypost(event: dict[str, Any], previous: str | None) -> dict[str, Any]:
    """An EasyPost `Event` about a `Tracker`."""
    status = _EASYPOST.get(event["status"], event["status"])
    now = datetime.now(UTC).isoformat(timespec="seconds")
    before = {} if previous is None else {"status": _EASYPOST.get(previous, previous)}
    scan = {
        "object": "TrackingDetail",
        "status": status,
        "datetime": event["occurred_at"],
        "message": "",
        "source": "SIM",
    }
    return {
        "object": "Event",
        "id": f"evt_{secrets.token_hex(16)}",
        "mode": "production",
        "description": "tracker.created" if previous is None else "tracker.updated",
        "created_at": now,
        "updated_at": now,
        "status": "pending",
        "previous_attributes": before,
        "pending_urls": [],
        "completed_urls": [],
        "result": {
            "object": "Tracker",
            "id": f"trk_{secrets.token_hex(16)}",
            "mode": "production",
            "tracking_code": event["tracking_number"],
            "status": status,
            "status_detail": "unknown",
            "carrier": "SimulatedCarrier",
            "updated_at": now,
            "tracking_details": [scan],
        },
    }


def shippo(event: dict[str, Any], _previous: str | None) -> dict[str, Any]:
    """Shippo's `track_updated`."""
    status, substatus = _SHIPPO[event["status"]]
    now = {
        "object_id": secrets.token_hex(16),
        "status": status,
        "substatus": {"code": substatus, "text": "", "action_required": status == "FAILURE"},
        "status_date": event["occurred_at"],
        "status_details": "",
        "location": None,
    }
    track = {
        "carrier": "simulated",
        "tracking_number": event["tracking_number"],
        "tracking_status": now,
        "tracking_history": [now],
        "messages": [],
        "metadata": "",
    }
    return {"event": "track_updated", "test": False, "data": track}
