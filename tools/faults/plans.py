"""What becomes of each journey: every kind of end, in turn, in an order that follows from the seed."""

import random
from dataclasses import dataclass
from typing import Literal

End = Literal["cancelled early", "cancelled late", "active", "deactivated", "lost", "replaced"]
ENDS: dict[str, tuple[End, ...]] = {
    "hard": ("deactivated", "replaced", "cancelled late", "active", "cancelled early", "lost"),
    "soft": ("replaced", "cancelled early", "active", "deactivated", "cancelled late"),
}

LETTERS: dict[str, tuple[str, ...]] = {
    "requested": ("team_request_waiting", "request_received"),
    "edited": ("request_changed",),
    "processed hard": ("vendor_activation_hard",),
    "processed soft": ("vendor_download_soft",),
    "shipped": ("shipped",),
    "delivered": ("delivered",),
    "active": ("active",),
    "cancelled": ("request_cancelled",),
    "cancelled and asked back": ("cancelled_return", "return_label"),
    "deactivated": ("deactivated",),
    "asked back": ("return_label",),
    "received": ("return_received",),
    "incident": ("team_incident",),
}
"""What each step owes people by email, one of each. Written down a second time on purpose."""
WHEN_IN_TROUBLE = frozenset({"team_needs_attention", "team_low_stock", "sync_late", "team_sync_late", "team_digest"})
"""What may come besides: where something took long, and once a day."""


@dataclass(frozen=True)
class Plan:
    """`think`: how long people take between two steps at most, in seconds."""

    prescriber_id: str
    kind: Literal["hard", "soft"]
    end: End
    edited: bool
    doubled: bool
    """The carrier tells everything twice."""
    goes_on: bool
    """What replaces it is enrolled, too; else cancelled."""
    think: float


def made(people: list[str], rng: random.Random, think: float) -> list[Plan]:
    """A hard and a soft token for each person."""
    plans: list[Plan] = []
    for number, person in enumerate(people):
        for kind in ("hard", "soft"):
            end = ENDS[kind][number % len(ENDS[kind])]
            coins = [rng.random() < share for share in (0.4, 0.3, 0.5)]
            plans.append(Plan(person, kind, end, *coins, think=think))
    rng.shuffle(plans)
    return plans
