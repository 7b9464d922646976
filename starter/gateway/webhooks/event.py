"""What a webhook says, in our own words, and what can be wrong with it."""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Message = Literal["carrier_event", "vendor_event", "directory_event"]

_CODE = re.compile(r"[a-z][a-z_]{0,59}")


class Unreadable(Exception):
    """The body is not what the sender says it sends; the text is one sentence of what, why and what instead."""


class Stale(Exception):
    """Signed, but older than what is remembered: it may be a replay."""


@dataclass(frozen=True)
class Event:
    """`message` is the signal that takes it. About a parcel (`tracking_number`) or a journey (`journey_id`). `occurred_at` is
    the sender's own time for it, UTC."""

    sender: str
    message: Message
    status: str
    occurred_at: datetime
    tracking_number: str | None = None
    journey_id: str | None = None
    detail: str | None = None

    @property
    def key(self) -> str:
        """The same for the same fact, whatever envelope, id or repeat it comes in."""
        said = [self.sender, self.message, self.tracking_number, self.journey_id, self.status]
        return hashlib.sha256(json.dumps([*said, self.occurred_at.isoformat()]).encode()).hexdigest()

    def body(self) -> dict[str, Any]:
        """The signal's one JSON object."""
        at = self.occurred_at.isoformat()
        if self.message == "carrier_event":
            said = {"tracking_number": self.tracking_number, "status": self.status, "occurred_at": at}
            return {**said, "detail": self.detail} if self.detail else said
        return {"event": self.status, "occurred_at": at}


def code(value: object) -> str | None:
    """A sender's code such as `available_for_pickup`. Anything else is left out: free text may name people and places."""
    return value if isinstance(value, str) and _CODE.fullmatch(value) else None


def moment(value: object) -> datetime | None:
    """An ISO 8601 time as UTC, which it is taken for where it has no offset; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(value.strip())
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def some(value: object) -> dict[str, Any]:
    """The object, or an empty one where there is none."""
    return value if isinstance(value, dict) else {}


def several(value: object) -> list[dict[str, Any]]:
    """The objects of a list; whatever else stands there is left out."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def about(tracking_number: object, sender: str) -> str:
    """The tracking number in the form in which journeys know it. Raises Unreadable."""
    number = "".join(tracking_number.split()) if isinstance(tracking_number, str) else ""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,99}", number):
        raise Unreadable(f"The event has no tracking number that a parcel can have; send {sender}'s event as it is.")
    return number
