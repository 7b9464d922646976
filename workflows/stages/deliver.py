"""Shipped: on its way, expected on the third to fifth carrier business day."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from activities.calendar import Calendar, CalendarQuestion
from domain.status import Kind, Status
from workflows import calls
from workflows.stages import promises

if TYPE_CHECKING:
    from workflows.token_journey import TokenJourney

LOST = "lost in transit: not delivered by business day {day}"
SENT_BACK = "the carrier could not deliver the parcel, and brings it back to us"


async def deliver(journey: "TokenJourney") -> None:
    """Returns when the token is in the prescriber's hands: delivered, or enrolled before the carrier said so. A soft token
    is not delivered at all."""
    state = journey.state
    if state.kind is Kind.SOFT:
        return
    assert state.shipped_at
    window = journey.expected or await calls.local(
        Calendar.delivery_window,
        CalendarQuestion(at=state.shipped_at, policy=state.policy),
        summary="When is it expected?",
    )
    state.promise(promises.DELIVERED, window.late_at)
    days = {"window_first": window.first.isoformat(), "window_last": window.last.isoformat()}
    shipping = {"ships_on": state.shipped_at, "reason": state.broken(promises.SHIPPED), **days}
    state.post("shipped", state.shipped_at, step="shipped", facts=shipping)
    arrived = await journey.until(
        lambda: state.status is not Status.SHIPPED, at=window.late_at, summary="delivered in time?"
    )
    if not arrived:
        now = journey.now()
        late = f"not delivered by business day {state.policy.delivery_last_day}"
        state.breach(promises.DELIVERED, late)
        if not state.sent_back:
            _ask(journey, now, late, days, window.lost_at)
        arrived = await journey.until(lambda: state.status is not Status.SHIPPED, at=window.lost_at, summary="lost?")
    if not arrived and state.sent_back:
        journey.end_request(SENT_BACK, by=None, told={"reason": SENT_BACK})
        return
    if not arrived:
        now = journey.now()
        state.lost_in_transit = True
        state.enter(Status.CANCELLED, now, LOST.format(day=state.policy.lost_in_transit_day))
        state.post("lost_in_transit", now, step="lost_in_transit", facts=days)
        return
    journey.settle("the parcel has arrived", "parcel")


def _ask(journey: "TokenJourney", now: datetime, late: str, days: dict[str, str], lost_at: datetime) -> None:
    """The prescriber whether it has arrived; the team is told. Not of a parcel that is known to come back: the team was told
    of that one, and there is nothing to ask."""
    state = journey.state
    state.attend(now, late, "parcel")
    state.post(
        "has_it_arrived",
        now,
        step="has_it_arrived",
        facts={**days, "lost_at": lost_at - timedelta(seconds=1)},
    )
    state.post("team_needs_attention", now, step="late_parcel", facts={"reason": late})
