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


class Calendar:
    """Needs nothing: the calendars come with the release."""

    @activity.defn(name="calendar.shipping_day")
    def shipping_day(self, question: CalendarQuestion) -> ShippingAnswer:
        """When a request processed at `at` is handed to the carrier, and why not the same day."""
        zone = ZoneInfo(question.policy.carrier_time_zone)
        day_after = question.at.astimezone(zone).date() + timedelta(days=1)
        return ShippingAnswer(
            plan=calendar.shipping_day(question.at, question.policy),
            promised_by=datetime.combine(day_after, time.min, zone).astimezone(UTC),
        )

    @activity.defn(name="calendar.delivery_window")
    def delivery_window(self, question: CalendarQuestion) -> calendar.DeliveryWindow:
        """When a parcel shipped at `at` is expected, late and lost."""
        return calendar.delivery_window(question.at, question.policy)
