"""The vendor and Surescripts, which name the journey itself. Neither has published a scheme of signatures; both sign by ours."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from starter.gateway.webhooks.event import Event, Message, Unreadable

VENDOR = ("provisioned", "activation_email_bounced", "revoked")
SURESCRIPTS = ("synced", "rejected")

_LONGEST_REFERENCE = 200


def reader(sender: str, message: Message, known: tuple[str, ...]) -> Callable[..., Event | None]:
    """Reads `{"event", "reference", "occurred_at"}`, whatever else stands beside them: `reference` is the journey's id."""

    def read(body: dict[str, Any], *, test_events: bool) -> Event | None:
        said, reference, at = body.get("event"), body.get("reference"), body.get("occurred_at")
        if said not in known:
            raise Unreadable(f"`event` is none that is known; send one of {', '.join(known)}.")
        if (
            not isinstance(reference, str)
            or not reference.isprintable()
            or not 0 < len(reference) <= _LONGEST_REFERENCE
        ):
            raise Unreadable("`reference` does not name a journey; send the reference that came with the order.")
        return Event(sender, message, said, _time(at), journey_id=reference)

    return read


def _time(value: object) -> datetime:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
        if at is not None and at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise Unreadable("`occurred_at` is no time with an offset; send one such as 2026-11-24T15:04:00Z.")
