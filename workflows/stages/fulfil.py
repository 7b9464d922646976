"""Processed: registered with the vendor, the activation email sent, and, hard, handed to the carrier the same day."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from activities.calendar import Calendar, CalendarQuestion, ShippingAnswer
from activities.carrier import Carrier, LabelOrder
from activities.vendor import Vendor, VendorOrder
from domain.journey import HANDED_OVER
from domain.status import Kind, Status
from workflows import calls
from workflows.stages import promises

if TYPE_CHECKING:
    from workflows.token_journey import TokenJourney


async def fulfil(journey: "TokenJourney") -> None:
    """Vendor and activation email for both kinds; label and shipping for a hard token."""
    state = journey.state
    if journey.since_0_2:
        # Until then somebody still waits for the answer to `process`.
        await journey.recorded()
    order = VendorOrder(journey_id=state.journey_id, kind=state.kind, serial_number=state.serial_number)
    await journey.insist(Vendor.provision, order, summary="Register the token with the vendor")
    if state.kind is Kind.SOFT:
        # The link's validity and the reminders are counted from here; the letter may go out a little later.
        state.link_sent_at = state.link_sent_at or journey.now()
        state.post(
            "vendor_download_soft",
            state.link_sent_at,
            step="activation",
            link=True,
            link_valid_until=journey.days_after(state.link_sent_at, state.policy.link_validity_days),
        )
        return
    state.link_sent_at = state.link_sent_at or journey.now()
    state.post("vendor_activation_hard", state.link_sent_at, step="activation", link=True)
    await _ship(journey)


async def _ship(journey: "TokenJourney") -> None:
    state = journey.state
    assert state.processed_at
    assert state.shipping_address
    planned = await _shipping_day(journey, state.processed_at)
    state.promise(promises.SHIPPED, planned.promised_by)
    plan = planned.plan
    label = LabelOrder(journey_id=state.journey_id, to=state.shipping_address, sender=state.policy.return_address)
    state.tracking_number = await journey.insist(Carrier.label, label, summary="Buy the shipping label")
    if journey.now() - state.processed_at > timedelta(minutes=1):
        # A vendor or carrier that was down may have cost the day.
        plan = (await _shipping_day(journey, journey.now())).plan
    if not plan.same_day or journey.now() > planned.promised_by:
        reason = planned.plan.reason or "vendor or carrier could not be reached in time"
        state.breach(promises.SHIPPED, reason)
        state.note(journey.now(), f"ships later than the day it was processed: {reason}")
        if not plan.same_day:
            await journey.pause(plan.ships_at, summary="Wait for the carrier's next business day")
    elif journey.since_0_2:
        journey.expected = planned.window
    now = journey.now()
    state.enter(Status.SHIPPED, now, HANDED_OVER)
    state.keep(promises.SHIPPED, now)


async def _shipping_day(journey: "TokenJourney", at: datetime) -> ShippingAnswer:
    question = CalendarQuestion(at=at, policy=journey.state.policy)
    return await calls.local(Calendar.shipping_day, question, summary="Which day does it ship?")
