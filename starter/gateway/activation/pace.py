"""How often somebody may try, whom nobody knows. Each copy of the gateway counts by itself; what must hold over all of them
(passcodes, one new link per link and time) is judged by the journey."""

import math
import time

from limits import RateLimitItem, RateLimitItemPerDay, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

_UNKNOWN = (RateLimitItemPerMinute(20, 15, namespace="unknown"),)
"""Links that don't exist, by address: slows down whoever tries them out."""
_RESENT = (RateLimitItemPerHour(3, namespace="resent"), RateLimitItemPerDay(6, namespace="resent"))
"""Emails by journey: nobody's mailbox is flooded."""
_TRIED = (RateLimitItemPerHour(40, namespace="tried"), RateLimitItemPerDay(120, namespace="tried"))
"""Enrolments by journey. Each try is a message to the journey, which may take 2,000 in its life."""
_STORED = (RateLimitItemPerHour(20, namespace="stored"), RateLimitItemPerDay(60, namespace="stored"))
"""PINs by journey: each makes a seed, and costs an argon2 hash."""


class Pace:
    """Every question answers how many seconds to wait; 0 is leave to go on, and counts."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def blocked(self, address: str) -> int:
        """Whether this address has tried out too many links; does not count."""
        return self._wait(_UNKNOWN, address)

    def unknown(self, address: str) -> None:
        """This address has tried a link that does not exist."""
        self._limiter.hit(_UNKNOWN[0], address)

    def resend(self, journey_id: str) -> int:
        return self._count(_RESENT, journey_id)

    def try_(self, journey_id: str) -> int:
        return self._count(_TRIED, journey_id)

    def store(self, journey_id: str) -> int:
        return self._count(_STORED, journey_id)

    def _count(self, items: tuple[RateLimitItem, ...], key: str) -> int:
        wait = self._wait(items, key)
        if not wait:
            for item in items:
                self._limiter.hit(item, key)
        return wait

    def _wait(self, items: tuple[RateLimitItem, ...], key: str) -> int:
        full = [item for item in items if not self._limiter.test(item, key)]
        ends = [self._limiter.get_window_stats(item, key).reset_time - time.time() for item in full]
        return max((max(1, math.ceil(seconds)) for seconds in ends), default=0)
