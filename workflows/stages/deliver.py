"""Shipped: on its way, expected on the third to fifth carrier business day."""

from typing import TYPE_CHECKING

from activities.calendar import Calendar, CalendarQuestion
from domain.status import Kind, Status
from workflows import calls
from workflows.stages import promises

if TYPE_CHECKING:
    from workflows.token_journey import TokenJourney

LOST = "lost in transit: not delivered by the tenth business day"


async def deliver(journey: "TokenJourney") -> None:
    """Returns when the token is in the prescriber's hands: delivered, or enrolled before the carrier said so. A soft token
    is not delivered at all."""
    state = journey.state
    if state.kind is Kind.SOFT:
        return
    assert state.shipped_at
    window = await calls.local(
        Calendar.delivery_window,
        CalendarQuestion(at=state.shipped_at, policy=state.policy),
        summary="When is it expected?",
    )
    state.promise(promises.DELIVERED, window.late_at)
    days = {"window_first": window.first.isoformat(), "window_last": window.last.isoformat()}
    state.post("shipped", state.shipped_at, step="shipped", facts={"ships_on": state.shipped_at, **days})
    arrived = await journey.until(
        lambda: state.status is not Status.SHIPPED, at=window.late_at, summary="delivered by the fifth business day?"
    )
    if not arrived:
        now = journey.now()
        state.breach(promises.DELIVERED, "not delivered by the fifth business day")
        state.attend(now, "not delivered by the fifth business day")
        state.post("has_it_arrived", now, step="has_it_arrived", facts={**days, "lost_at": window.lost_at})
        state.post(
            "team_needs_attention", now, step="late_parcel", facts={"reason": "not delivered by the fifth business day"}
        )
        arrived = await journey.until(
            lambda: state.status is not Status.SHIPPED, at=window.lost_at, summary="lost after the tenth business day?"
        )
    if not arrived:
        now = journey.now()
        state.lost_in_transit = True
        state.enter(Status.CANCELLED, now, LOST)
        state.post("lost_in_transit", now, step="lost_in_transit", facts=days)
        return
    state.settle(journey.now(), "the parcel has arrived")
