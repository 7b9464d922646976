"""Requested: in the processing queue, where it can be edited, cancelled and processed."""

from typing import TYPE_CHECKING

from domain.status import Status
from workflows.stages import promises

if TYPE_CHECKING:
    from workflows.token_journey import TokenJourney


async def queue(journey: "TokenJourney") -> None:
    """Returns when the request is processed. Not processed within one business day: the team is told again."""
    state = journey.state
    assert state.requested_at
    assert state.queue_alert_at
    if not await journey.until(
        lambda: state.status is not Status.REQUESTED,
        at=state.queue_alert_at,
        summary="processed in time?",
    ):
        now = journey.now()
        state.breach(promises.PROCESSED, "nobody has processed it in time")
        days = state.policy.queue_alert_business_days
        state.attend(now, f"not processed within {days} business day{'s' if days > 1 else ''}", "queue")
        state.post(
            "team_still_waiting",
            now,
            step="team_still_waiting",
            facts={"waiting_since": state.requested_at, "due_at": state.queue_alert_at},
        )
        await journey.until(lambda: state.status is not Status.REQUESTED)
