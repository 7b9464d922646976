"""How a workflow that is gone goes on: what `Reconcile` decides, and what the journey that it starts is told."""

from enum import StrEnum

from domain.status import ENDED, Kind, Status


class How(StrEnum):
    """What becomes of a journey, or a return, whose workflow is gone."""

    CARRY_ON = "carry on"
    """From where the records say it was."""
    CANCEL = "cancel"
    """The request ends: somebody has terminated it before anything was sent."""
    END = "end"
    """It had ended already, and the records do not say so. Decided by none any more: the records are brought to it instead."""
    RETIRE = "retire"
    """The records say that it has ended; what is left to undo is undone."""
    RECEIVED = "received"
    """A return that had ended so already, which the records do not say."""
    WRITTEN_OFF = "written off"
    """Likewise."""


def how_to_go_on(status: Status, kind: Kind, shipped: bool, closed_as: str | None) -> How:
    """What is right for a journey that the records show at `status`, by how its last run has closed, which was not by its own
    end: Temporal's name for it, such as TERMINATED, or None where Temporal knows no such workflow.

    What somebody has terminated before anything was sent is wanted no more. Everything else goes on: a device on its way
    comes back or is enrolled, an active token keeps signing, and what was lost with Temporal's database nobody has ended.
    """
    if status in ENDED:
        return How.RETIRE
    if closed_as in ("TERMINATED", "CANCELED") and not shipped and status in (Status.REQUESTED, Status.PROCESSED):
        return How.CANCEL
    return How.CARRY_ON
