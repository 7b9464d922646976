"""A carrier that speaks our own language: the body is the `carrier_event` itself, signed by our own scheme."""

from datetime import UTC
from typing import Any

from starter.gateway.webhooks.event import Event, Unreadable
from starter.gateway.webhooks.signatures import Call, stamped
from workflows.messages import CarrierEvent
from workflows.reading import Refused
from workflows.reading import read as read_message

NAME = "plain"


def authentic(call: Call, secret: str) -> bool:
    """Whether the carrier has signed it, within the replay window."""
    return stamped(call, secret)


def read(body: dict[str, Any], *, test_events: bool) -> Event | None:
    """The event. Raises Unreadable with the sentence with which a journey would refuse it."""
    try:
        said = read_message(CarrierEvent, (body,), "carrier_event")
        at = said.occurred_at.astimezone(UTC)
    except Refused as refused:
        raise Unreadable(refused.message) from None
    except OverflowError:
        raise Unreadable("`occurred_at` lies outside of what a calendar has; send the event's own time.") from None
    return Event(NAME, "carrier_event", said.status, at, tracking_number=said.tracking_number, detail=said.detail)
