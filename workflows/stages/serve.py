"""Active, for years: the journey only waits, and continues as new when its history has grown long."""

from typing import TYPE_CHECKING

from temporalio import workflow

if TYPE_CHECKING:
    from workflows.token_journey import TokenJourney


async def serve(journey: "TokenJourney") -> None:
    """Returns when the history has grown long; a deactivation ends the stages from outside."""
    await journey.until(workflow.info().is_continue_as_new_suggested)
