"""The state of each serial number, in stock and after: one at any time, and never back to where it could be used again."""

from enum import StrEnum


class TokenState(StrEnum):
    """What `tokens stock` shows."""

    IN_STOCK = "in_stock"
    ASSIGNED = "assigned"
    SHIPPED = "shipped"
    ACTIVE = "active"
    COMING_BACK = "coming_back"
    RETURNED = "returned"
    WRITTEN_OFF = "written_off"
    DESTROYED = "destroyed"
    REVOKED = "revoked"
    """Soft: its journey has ended; there is no device."""


IN_THE_JOURNEYS_HANDS = frozenset({TokenState.ASSIGNED, TokenState.SHIPPED, TokenState.ACTIVE})
"""Until the journey ends it decides about its token. After that only the return does."""

MAY_COME_BACK = frozenset({TokenState.SHIPPED, TokenState.ACTIVE, TokenState.COMING_BACK, TokenState.WRITTEN_OFF})
"""What a return by mail may be about, once the journey has ended: asked back, given up and turned up after all, or left out there
by a journey that was not ended by its own workflow."""


def in_words(state: str) -> str:
    """Such as "coming back"."""
    return state.replace("_", " ")
