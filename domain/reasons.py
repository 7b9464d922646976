"""Why a token is deactivated (article, "Deactivating a Token" and "Request a replacement token")."""

from enum import StrEnum


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
