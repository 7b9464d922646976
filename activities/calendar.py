"""Business days, worked out in an activity so that a changed calendar never disturbs a running journey."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from pydantic import BaseModel
from temporalio import activity

from domain import calendar
from domain.policy import Policy


class CalendarQuestion(BaseModel):
    """`at` is UTC."""

    at: datetime
    policy: Policy


class ShippingAnswer(BaseModel):
    """`promised_by`: the end of the day of processing, in the carrier's zone, as UTC."""

    plan: calendar.ShippingPlan
    promised_by: datetime
    window: calendar.DeliveryWindow | None = None
    """When it is expected if it leaves as planned; None: answered by release 0.1."""


class Calendar:
    """Given the days on which the carrier is known to be closed today. A journey keeps the figures that it started with, but a
    storm closes the carrier for those on their way, too."""

    def __init__(self, policy: Policy) -> None:
        self._closed = policy.carrier_closed

    @activity.defn(name="calendar.shipping_day")
    def shipping_day(self, question: CalendarQuestion) -> ShippingAnswer:
        """When a request processed at `at` is handed to the carrier, and why not the same day."""
        zone = ZoneInfo(question.policy.carrier_time_zone)
        day_after = question.at.astimezone(zone).date() + timedelta(days=1)
        policy = self._present(question.policy)
        plan = calendar.shipping_day(question.at, policy)
        return ShippingAnswer(
            plan=plan,
            promised_by=datetime.combine(day_after, time.min, zone).astimezone(UTC),
            window=calendar.delivery_window(question.at, policy) if plan.same_day else None,
        )

    @activity.defn(name="calendar.delivery_window")
    def delivery_window(self, question: CalendarQuestion) -> calendar.DeliveryWindow:
        """When a parcel shipped at `at` is expected, late and lost."""
        return calendar.delivery_window(question.at, self._present(question.policy))

    def _present(self, policy: Policy) -> Policy:
        return policy.model_copy(update={"carrier_closed": self._closed})
