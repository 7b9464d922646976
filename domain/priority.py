"""Who goes first where more waits than the workers can do. Smaller goes first; Temporal knows 1 to 5, and takes 3 where nothing
is said. Within one number each practice has its turn, so that nobody waits behind another's hundred requests."""

from hashlib import sha256

URGENT = 1
"""A token that must stop signing, and what a loss sets going."""
ROUTINE = 3
BULK = 4
"""What nobody waits for: imports."""

URGENT_WORKFLOWS = frozenset({"DeactivateAll", "ReplaceToken", "SecurityIncident"})


def turn_of(practice_id: str | None) -> str | None:
    """The practice as a fairness key, which stands in histories as plain text and so does not name it."""
    return sha256(practice_id.encode()).hexdigest()[:16] if practice_id else None
