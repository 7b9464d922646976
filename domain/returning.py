"""The state of one return by mail."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from domain.address import Address
from domain.chronicle import Chronicle
from domain.policy import Policy
from domain.status import Kind

FROM_CARRIER = "back from the carrier, who could not deliver it"
"""How it is awaited, in the timeline: by it a return that is taken up again knows that nobody is to be asked for it."""
_RECEIVED = "received"


class ReturnStatus(StrEnum):
    """The last thing that happened."""

    AWAITED = "Awaited"
    ON_ITS_WAY = "On its way back"
    RECEIVED = "Received"
    WRITTEN_OFF = "Written off"


class Receipt(NamedTuple):
    """By whom the mail room's receipt was told, and in which condition the device came."""

    by: str | None
    condition: str | None

    @property
    def destroyed(self) -> bool:
        return (self.condition or "").strip().lower() == "destroyed"


def receipt(timeline: Iterable[Mapping[str, Any]]) -> Receipt | None:
    """What `Return.receive` has noted in a timeline as the `status` query answers it; None: the device has not come."""
    for each in timeline:
        what, _, condition = each["what"].partition(", ")
        if what == _RECEIVED:
            return Receipt(each["by"], condition or None)
    return None


class Return(Chronicle):
    """What is known of one token on its way back. Times are UTC."""

    return_id: str
    kind: Kind = Kind.HARD
    status: ReturnStatus = ReturnStatus.AWAITED
    policy: Policy = Policy()
    serial_number: str
    sent_back: bool = False
    """The carrier brings it: the prescriber has never had it, gets no label, and is not reminded."""
    sender: Address | None = None
    """Where the token was sent, and comes back from."""
    outbound_tracking_number: str | None = None
    """The parcel that brought the token; a cancelled one may be turned round by the carrier."""
    tracking_number: str | None = None
    """The return parcel's."""
    label_url: str | None = None
    started_at: datetime | None = None
    carrier_events: list[str] = []  # noqa: RUF012  # pydantic copies it
    received_at: datetime | None = None
    received_by: str | None = None
    condition: str | None = None
    destroyed: bool = False
    written_off_at: datetime | None = None

    @property
    def ended(self) -> bool:
        return self.status in (ReturnStatus.RECEIVED, ReturnStatus.WRITTEN_OFF)

    @property
    def return_by(self) -> datetime:
        """When it is written off."""
        assert self.started_at
        return self.started_at + timedelta(days=self.policy.return_written_off_days)

    def receive(self, at: datetime, by: str, condition: str | None) -> None:
        """The mail room has it."""
        self.status = ReturnStatus.RECEIVED
        self.received_at, self.received_by, self.condition = at, by, condition
        self.destroyed = Receipt(by, condition).destroyed
        self.forget_matters()
        self.note(at, f"{_RECEIVED}{f', {condition}' if condition else ''}", by=by, message="received")

    def write_off(self, at: datetime) -> None:
        """It did not come."""
        self.status = ReturnStatus.WRITTEN_OFF
        self.written_off_at = at
        self.forget_matters()
        self.note(at, f"written off: not returned within {self.policy.return_written_off_days} days")
