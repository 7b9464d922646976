"""Events as the carriers send them, made up by hand after their documentation."""

import json
from typing import Any

AT = "2037-03-04T15:20:00Z"


def easypost(number: str, status: str, at: str = AT, previous: str | None = "unknown", **more: Any) -> dict[str, Any]:
    """An EasyPost event. `more` goes over the tracker."""
    tracker = {
        "id": "trk_0a1b",
        "object": "Tracker",
        "mode": "production",
        "tracking_code": number,
        "status": status,
        "status_detail": "status_update",
        "signed_by": "JOHN TESTER",
        "updated_at": "2037-03-04T16:00:00Z",
        "carrier": "UPS",
        "tracking_details": [
            {
                "object": "TrackingDetail",
                "message": "Origin scan",
                "status": "pre_transit",
                "datetime": "2037-03-03T01:00:00Z",
                "tracking_location": {"city": "Annapolis", "state": "MD"},
            },
            {"object": "TrackingDetail", "message": "Left with Ann", "status": status, "datetime": at},
        ],
    }
    return {
        "id": "evt_0a1b",
        "object": "Event",
        "mode": "production",
        "description": "tracker.updated",
        "previous_attributes": {} if previous is None else {"status": previous},
        "result": tracker | more,
    }


def shippo(number: str, status: str, code: str | None = None, at: str = AT, **more: Any) -> dict[str, Any]:
    """A Shippo event. `more` goes over the tracking status."""
    now = {
        "object_id": "0a1b",
        "status": status,
        "status_details": "Left with Ann",
        "status_date": at,
        "substatus": None if code is None else {"code": code, "text": "In words", "action_required": False},
        "location": {"city": "Annapolis", "state": "MD"},
    }
    track = {
        "carrier": "ups",
        "tracking_number": number,
        "tracking_status": now | more,
        "tracking_history": [{**now, "status": "PRE_TRANSIT", "status_date": "2037-03-03T01:00:00Z"}, now],
    }
    return {"event": "track_updated", "test": False, "data": track}


def plain(number: str, status: str, at: str = AT) -> dict[str, Any]:
    return {"tracking_number": number, "status": status, "occurred_at": at}


def encoded(body: Any) -> bytes:
    return json.dumps(body).encode()
