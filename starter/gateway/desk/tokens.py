"""The tokens of the embedded stack as they lie on the desk, whoever they belong to."""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import select

from database.engine import Sessions
from database.tables import JourneyRow, Prescriber
from domain.status import Kind, Status

Place = Literal["nowhere", "packing", "post", "desk"]
"""Where a hard token's device is: not chosen yet, with the team, with the carrier, with the prescriber."""

_MOST = 50
_PLACES: dict[Status, Place] = {
    Status.REQUESTED: "nowhere",
    Status.PROCESSED: "packing",
    Status.SHIPPED: "post",
}

_ALL = select(JourneyRow, Prescriber.name).join(Prescriber, Prescriber.prescriber_id == JourneyRow.prescriber_id)


@dataclass(frozen=True)
class Token:
    journey_id: str
    kind: Kind
    status: Status
    prescriber: str
    email: str
    serial_number: str | None

    @property
    def ended(self) -> bool:
        return self.status in (Status.CANCELLED, Status.DEACTIVATED)

    @property
    def place(self) -> Place:
        if self.kind is Kind.SOFT or self.serial_number is None:
            return "nowhere"
        return _PLACES.get(self.status, "desk")


def newest(sessions: Sessions) -> list[Token]:
    """The latest of them all, newest first."""
    latest = _ALL.order_by(JourneyRow.requested_at.desc()).limit(_MOST)
    with sessions() as session:
        return [_token(journey, name) for journey, name in session.execute(latest)]


def one(sessions: Sessions, journey_id: str) -> Token | None:
    with sessions() as session:
        for journey, name in session.execute(_ALL.where(JourneyRow.journey_id == journey_id)):
            return _token(journey, name)
    return None


def _token(journey: JourneyRow, name: str) -> Token:
    return Token(
        journey_id=journey.journey_id,
        kind=Kind(journey.kind),
        status=Status(journey.status),
        prescriber=name,
        email=journey.email,
        serial_number=journey.serial_number,
    )
