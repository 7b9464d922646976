"""The state of one token's journey: pure, serializable, and the only thing that handlers change and stages wait on."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime

from domain.address import Address
from domain.chronicle import Chronicle
from domain.policy import Policy
from domain.reasons import LOSS, DeactivationReason
from domain.status import ENDED, TRANSITIONS, Kind, Status

HANDED_OVER = "handed to the carrier"
"""When the device leaves, in the timeline."""
PROCESSED = "processed in time"
SHIPPED = "shipped the day it is processed"
COMING_BACK = "is coming back to the sender"
"""Of a parcel, in the timeline: by it a journey that is taken up again knows who brings the token."""


class IllegalTransition(Exception):
    """A stage asked for a status that can't follow: a bug, never an operator's mistake."""


def edition(email: str, shipping_address: Mapping[str, str | None] | None) -> str:
    """Names what can be edited as it stands: another email or address is another edition."""
    stands = json.dumps([email, dict(shipping_address) if shipping_address else None], sort_keys=True)
    return hashlib.sha256(stands.encode()).hexdigest()[:20]


class Journey(Chronicle):
    """What is known of one token from its request on. Times are UTC."""

    kind: Kind
    status: Status = Status.REQUESTED
    policy: Policy = Policy()
    email: str = ""
    shipping_address: Address | None = None
    requested_by: str | None = None
    replaces: str | None = None
    replaced_by: str | None = None
    serial_number: str | None = None
    tracking_number: str | None = None

    requested_at: datetime | None = None
    processed_at: datetime | None = None
    link_sent_at: datetime | None = None
    shipped_at: datetime | None = None
    delivered_at: datetime | None = None
    enrolled_at: datetime | None = None
    active_at: datetime | None = None
    ended_at: datetime | None = None
    queue_alert_at: datetime | None = None
    why_ended: str | None = None
    ended_by: str | None = None
    reason: DeactivationReason | None = None
    in_possession: bool = False
    lost_in_transit: bool = False
    sent_back: bool = False
    """The carrier brings the parcel back to us: the prescriber has never had it."""
    edits: int = 0
    resends: int = 0
    known_under: str | None = None
    """The run under which records and letters know it, where `Reconcile` let it go on: not the first of its present runs."""
    carrier_events: list[str] = []  # noqa: RUF012  # pydantic copies it
    party_events: list[str] = []  # noqa: RUF012
    """What vendor and directory have told, so that a repeat is known."""

    @property
    def edition(self) -> str:
        return edition(self.email, self.shipping_address.model_dump() if self.shipping_address else None)

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def shipped(self) -> bool:
        """The parcel has left: whatever ends the journey now, the device has to come back."""
        return self.shipped_at is not None

    @property
    def comes_back(self) -> bool:
        """The token has ended and the device is awaited at the mail room: by the carrier's hand where it was sent back, else
        asked back by mail from the prescriber, who has it or will have it."""
        if self.kind is not Kind.HARD or not self.shipped or self.lost_in_transit:
            return False
        if self.status is Status.CANCELLED:
            return self.reason not in LOSS
        return self.status is Status.DEACTIVATED and self.in_possession

    @property
    def asked_back(self) -> bool:
        """The prescriber is to mail it."""
        return self.comes_back and not self.sent_back

    def admit(self, at: datetime, queue_alert_at: datetime) -> None:
        """The request is accepted: what is written of it, and by when it is to be processed."""
        self.requested_at, self.queue_alert_at = at, queue_alert_at
        self.note(at, "requested", by=self.requested_by)
        self.promise(PROCESSED, queue_alert_at)

    def enter(self, status: Status, at: datetime, what: str, by: str | None = None) -> None:
        """Moves on to `status`. Raises IllegalTransition where it can't follow."""
        if status not in TRANSITIONS[self.kind][self.status]:
            raise IllegalTransition(f"{self.kind} {self.status} -> {status}")
        self.status = status
        match status:
            case Status.PROCESSED:
                self.processed_at = at
            case Status.SHIPPED:
                self.shipped_at = at
            case Status.DELIVERED:
                self.delivered_at = at
            case Status.SYNCING:
                self.enrolled_at = at
            case Status.ACTIVE:
                self.active_at = at
            case Status.DEACTIVATED | Status.CANCELLED:
                self.ended_at, self.why_ended, self.ended_by = at, what, by
                self.forget_matters()
        self.note(at, what, by)
