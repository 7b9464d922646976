"""Figures of the business, counted where things happen; each worker counts for itself, and Prometheus adds them up. Labels are
kinds of things, never ids."""

from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import Counter, Histogram

from domain.chronicle import Promise

PROMISES = Counter("tokens_promises", "Promises that were met in time (kept) or not", ["what", "kept"])
SYNC_SECONDS = Histogram(
    "tokens_sync_seconds",
    "From enrolment to the directory's sync",
    buckets=(60, 120, 300, 600, 900, 1800, 2700, 3600, 5400, 7200, 14400),
)
EMAILS = Counter(
    "tokens_emails", "Emails by what became of them: sent, refused, or not taken yet", ["letter", "outcome"]
)
FAILURES = Counter("tokens_failures", "Attempts that failed, by the party that failed them", ["party", "kind"])


def judged(before: Iterable[Mapping[str, Any]], now: Iterable[Promise]) -> list[tuple[str, bool]]:
    """Promises that are kept or broken by now and were neither `before` (as the row has them): what, and whether kept."""
    open_before = {}
    known = set()
    for promise in before:
        key = (promise["what"], promise["due"])
        known.add(key)
        open_before[key] = promise.get("met_at") is None and promise.get("broken") is None
    found = []
    for promise in now:
        row = promise.model_dump(mode="json")
        if not open_before.get((row["what"], row["due"]), True) or not (promise.met_at or promise.broken):
            continue
        found.append(
            (promise.what, promise.broken is None and promise.met_at is not None and promise.met_at <= promise.due)
        )
    return found
