"""A token's way as a picture: which stages lie behind it, where it is, what lies ahead."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from domain.status import Kind, Status
from starter.gateway.manage.tokens import Token
from workflows.stages import promises

_WAY = {
    Kind.HARD: (
        Status.REQUESTED,
        Status.PROCESSED,
        Status.SHIPPED,
        Status.DELIVERED,
        Status.SYNCING,
        Status.ACTIVE,
    ),
    Kind.SOFT: (Status.REQUESTED, Status.PROCESSED, Status.SYNCING, Status.ACTIVE),
}
_OWED = {
    Status.PROCESSED: promises.PROCESSED,
    Status.SHIPPED: promises.SHIPPED,
    Status.DELIVERED: promises.DELIVERED,
    Status.ACTIVE: promises.ACTIVE,
}


@dataclass(frozen=True)
class Stage:
    """`at`: when it was reached; `due`: by when it is promised. Both UTC."""

    label: str
    place: Literal["was", "here", "next", "end"]
    at: datetime | None = None
    due: datetime | None = None


def picture(token: Token) -> list[Stage]:
    """The stages in order. A token that has ended shows how far it came, and its end."""
    reached = _reached(token)
    way = _WAY[token.kind]
    furthest = max((place for place, status in enumerate(way) if reached[status] is not None), default=0)
    stages = [
        Stage(
            label=status,
            place="here" if token.live and place == furthest else "was",
            # Enrolling proves delivery, also where the carrier has not said so.
            at=reached[status] or (token.row.enrolled_at if status is Status.DELIVERED else None),
        )
        for place, status in enumerate(way[: furthest + 1])
    ]
    if not token.live:
        return [*stages, Stage(label=token.status, place="end", at=token.row.ended_at)]
    return [*stages, *(Stage(label=status, place="next", due=_due(token, status)) for status in way[furthest + 1 :])]


def _reached(token: Token) -> dict[Status, datetime | None]:
    row = token.row
    times = {
        Status.REQUESTED: row.requested_at,
        Status.PROCESSED: row.processed_at,
        Status.SHIPPED: row.shipped_at,
        Status.DELIVERED: row.delivered_at,
        Status.SYNCING: row.enrolled_at,
        Status.ACTIVE: row.active_at,
    }
    if times.get(token.status, row.ended_at) is None and token.timeline:
        times[token.status] = token.timeline[-1].at  # the journey is a moment ahead of its row
    return times


def _due(token: Token, status: Status) -> datetime | None:
    promise = token.promise(_OWED[status]) if status in _OWED else None
    return promise.due if promise else None
