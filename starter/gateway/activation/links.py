"""Emailed links: found by their hash, and what one is still good for."""

import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from sqlalchemy import select

from database.engine import Sessions
from database.tables import ActivationLink, JourneyRow, Practice, Prescriber, TokenRow
from domain.status import Kind, Status

Standing = Literal["open", "early", "locked", "expired", "superseded", "enrolled", "over"]
"""`early`: the hard token has not been shipped yet. `over`: the request has ended, or the token has."""

_SHAPE = re.compile(r"[A-Za-z0-9_-]{22,64}")


@dataclass(frozen=True)
class Link:
    """A link that was emailed, and its journey as the records have it. Times are UTC; `zone` is the practice's."""

    secret: str = field(repr=False)
    link_hash: str
    journey_id: str
    kind: Kind
    status: Status
    serial_number: str | None
    ended_because: str | None
    valid_until: datetime | None
    locked: bool
    zone: str

    @property
    def path(self) -> str:
        return f"/activate/{self.secret}"


def find(sessions: Sessions, secret: str) -> Link | None:
    """None for whatever was never emailed."""
    if not _SHAPE.fullmatch(secret):
        return None
    link_hash = hashlib.sha256(secret.encode()).hexdigest()
    with sessions() as session:
        row = session.execute(
            select(ActivationLink, JourneyRow, Practice.time_zone, TokenRow.locked)
            .join(JourneyRow, JourneyRow.journey_id == ActivationLink.journey_id)
            .join(Prescriber, Prescriber.prescriber_id == JourneyRow.prescriber_id)
            .join(Practice, Practice.practice_id == Prescriber.practice_id)
            .outerjoin(TokenRow, TokenRow.journey_id == JourneyRow.journey_id)
            .where(ActivationLink.link_hash == link_hash)
        ).first()
    if row is None:
        return None
    link, journey, zone, locked = row
    return Link(
        secret=secret,
        link_hash=link_hash,
        journey_id=journey.journey_id,
        kind=Kind(journey.kind),
        status=Status(journey.status),
        serial_number=journey.serial_number,
        ended_because=link.ended_because,
        valid_until=link.valid_until,
        locked=bool(locked),
        zone=zone,
    )


def standing(link: Link, status: Status, now: datetime) -> Standing:
    """What the link is good for. `status`: what the journey says of itself, ahead of the records. `now` is UTC, and this
    machine's: a journey's own clock may be ahead, so its answer to an enrolment is the last word on expiry."""
    if status in (Status.SYNCING, Status.ACTIVE):
        return "enrolled"
    if status in (Status.CANCELLED, Status.DEACTIVATED) or link.ended_because == "withdrawn":
        return "over"
    if link.ended_because == "used":
        return "enrolled"
    if link.ended_because == "superseded":
        return "superseded"
    if link.valid_until is not None and now > link.valid_until:
        return "expired"
    if link.locked:
        return "locked"
    return "early" if link.kind is Kind.HARD and status is Status.PROCESSED else "open"
