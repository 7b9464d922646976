"""Why a token is deactivated (article, "Deactivating a Token" and "Request a replacement token")."""

from enum import StrEnum

from domain.status import Kind


class DeactivationReason(StrEnum):
    """A hard token needs one of these; a soft token may go without."""

    LOST = "lost"
    STOLEN = "stolen"
    FAULTY = "faulty"
    NO_LONGER_NEEDED = "no_longer_needed"
    UNINSTALLED = "uninstalled"
    """Soft only: the app is gone from its device."""


HARD_REASONS = frozenset(
    {
        DeactivationReason.LOST,
        DeactivationReason.STOLEN,
        DeactivationReason.FAULTY,
        DeactivationReason.NO_LONGER_NEEDED,
    }
)

LOSS = frozenset({DeactivationReason.LOST, DeactivationReason.STOLEN})
"""What opens a security incident: somebody else may hold the token (21 CFR 1311.102(d))."""

REPLACEMENT_REASONS: dict[Kind, tuple[DeactivationReason, ...]] = {
    Kind.HARD: (DeactivationReason.LOST, DeactivationReason.FAULTY),
    Kind.SOFT: (DeactivationReason.LOST, DeactivationReason.FAULTY, DeactivationReason.UNINSTALLED),
}
"""The reasons that the article offers for a replacement."""
