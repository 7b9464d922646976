"""Who sends webhooks, where to, how each is recognised and how each is read."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from starter.gateway.webhooks import easypost, notices, plain, shippo
from starter.gateway.webhooks.event import Event
from starter.gateway.webhooks.signatures import Call, stamped


class Read(Protocol):
    """What the body says, in our words; None where no journey needs to know. Raises Unreadable."""

    def __call__(self, body: dict[str, Any], *, test_events: bool) -> Event | None: ...


@dataclass(frozen=True)
class Sender:
    """`authentic` judges the signature; `made_at` says when an event was made, where the signature itself has no time."""

    name: str
    path: str
    authentic: Callable[[Call, str], bool]
    read: Read
    made_at: Callable[[dict[str, Any]], datetime | None] = lambda _body: None


SENDERS = (
    Sender(plain.NAME, "/carrier/plain", plain.authentic, plain.read),
    Sender(easypost.NAME, "/carrier/easypost", easypost.authentic, easypost.read, easypost.made_at),
    Sender(shippo.NAME, "/carrier/shippo", shippo.authentic, shippo.read),
    Sender("vendor", "/vendor", stamped, notices.reader("vendor", "vendor_event", notices.VENDOR)),
    Sender(
        "surescripts", "/surescripts", stamped, notices.reader("surescripts", "directory_event", notices.SURESCRIPTS)
    ),
)
