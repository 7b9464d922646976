"""What a report on the system's work says. Spans of time are in seconds."""

from datetime import date, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field

from domain.status import Kind, Status

LONGEST = 366
"""Days in one report."""


class Period(BaseModel):
    """Whole days in `zone` (IANA), both ends among them."""

    first: date
    last: date
    zone: str

    @property
    def begins(self) -> datetime:
        return datetime(self.first.year, self.first.month, self.first.day, tzinfo=ZoneInfo(self.zone))

    @property
    def ends(self) -> datetime:
        """The first moment after it."""
        after = self.last + timedelta(days=1)
        return datetime(after.year, after.month, after.day, tzinfo=ZoneInfo(self.zone))

    @property
    def days(self) -> list[date]:
        return [self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1)]


class Day(BaseModel):
    """What came in and what came of it on one day."""

    day: date
    hard: int = 0
    """Requests for hard tokens."""
    soft: int = 0
    activated: int = 0
    """Tokens of both kinds that became active."""


class Pace(BaseModel):
    """How long one stage took, of the tokens that became active in the period and passed through it."""

    kind: Kind
    stage: str
    tokens: int
    median: float
    """Nearest rank: half of them took no longer."""
    p90: float
    """Nine of ten took no longer."""


class Kept(BaseModel):
    """What became of one promise, wherever it fell due in the period."""

    what: str
    kept: int
    broken: int
    """Met late, or overdue now."""
    open: int
    """Not met, and not due yet."""
    dropped: int
    """The journey ended before it was due: nothing was owed any more."""

    @property
    def share(self) -> float | None:
        """Of those that are decided, how many were kept: 0 to 1."""
        decided = self.kept + self.broken
        return self.kept / decided if decided else None


class Batch(BaseModel):
    """Where the hard tokens of a batch are: state to number."""

    batch: str
    states: dict[str, int]
    low: bool


class Standing(BaseModel):
    """Journeys that stand at one status now."""

    status: Status
    kind: Kind
    journeys: int
    need_attention: int
    overdue: int
    oldest: datetime
    """When the oldest of them was requested (UTC)."""


class Report(BaseModel):
    """Everything of one look at the database. `days`, `paces` and `promises` are of the period, the rest is as it is now."""

    at: datetime
    period: Period
    days: Annotated[list[Day], Field(max_length=LONGEST)]
    paces: list[Pace]
    promises: list[Kept]
    stock: list[Batch]
    standing: list[Standing]
    returns: int
    """Tokens that are awaited by mail."""
    incidents: int
    """Losses that are not reported yet."""
    incidents_overdue: int


STAGES: dict[Kind, list[tuple[str, str, str]]] = {
    Kind.HARD: [
        ("request to processed", "requested_at", "processed_at"),
        ("processed to shipped", "processed_at", "shipped_at"),
        ("shipped to delivered", "shipped_at", "delivered_at"),
        ("delivered to enrolled", "delivered_at", "enrolled_at"),
        ("enrolled to active", "enrolled_at", "active_at"),
        ("request to active", "requested_at", "active_at"),
    ],
    Kind.SOFT: [
        ("request to processed", "requested_at", "processed_at"),
        ("processed to enrolled", "processed_at", "enrolled_at"),
        ("enrolled to active", "enrolled_at", "active_at"),
        ("request to active", "requested_at", "active_at"),
    ],
}
"""Each with when it begins and ends; the last is the whole way."""


def in_words(seconds: float) -> str:
    """Such as `4 min`, `2 h 10 min`, `3 d 4 h`: the two largest units that matter."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{round(seconds)} s"
    days, hours, minutes = minutes // 1440, minutes % 1440 // 60, minutes % 60
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{minutes} min"
