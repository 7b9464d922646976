"""Two calendars: federal business days, and the carrier's.

Federal: Monday to Friday without the federal holidays as observed (5 U.S.C. 6103), which are the eleven public ones and
not the closings that a president orders for a day. Carrier: Monday to Friday without six holidays on their actual dates
and without what the policy closes; UPS drove on Friday 3 July 2020, when 4 July was a Saturday.

Times taken have an offset, times given back are UTC. Nothing here reads the clock.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

from domain.policy import Policy

_CARRIER_HOLIDAYS = {
    "New Year's Day": "New Year's Day",
    "Memorial Day": "Memorial Day",
    "Independence Day": "Independence Day",
    "Labor Day": "Labor Day",
    "Thanksgiving Day": "Thanksgiving",
    "Christmas Day": "Christmas",
}
_DAY = timedelta(days=1)


class ShippingPlan(BaseModel):
    """When a parcel is handed to the carrier (UTC); `reason` is a plain clause where that is not the same day."""

    model_config = ConfigDict(frozen=True)

    ships_at: datetime
    same_day: bool
    reason: str | None = None


class DeliveryWindow(BaseModel):
    """`first` to `last` are days at the carrier's; the parcel is late from `late_at` and lost from `lost_at` (UTC)."""

    model_config = ConfigDict(frozen=True)

    first: date
    last: date
    late_at: datetime
    lost_at: datetime


def is_federal_business_day(day: date) -> bool:
    return day.weekday() < 5 and day not in _federal_holidays(day.year)


def is_carrier_business_day(day: date, policy: Policy) -> bool:
    return _carrier_rests(day, policy) is None


def business_deadline(start: datetime, days: int, zone: str) -> datetime:
    """`days` federal business days after `start`, at the same wall-clock time in `zone` (an IANA name); UTC.

    A start on a day that is none, or at a midnight, counts whole days, and is due at the midnight at which the last of them
    ends: one business day from any time on Saturday is Tuesday 00:00, when the whole of Monday has passed, and from any
    time on Thanksgiving Saturday 00:00. Raises ValueError for a start without an offset or fewer than one day,
    ZoneInfoNotFoundError for an unknown zone.
    """
    if days < 1:
        raise ValueError("a deadline is at least one business day away")
    local = _local(start, zone)
    day, clock = local.date(), local.time()
    if clock == time(0):
        day -= _DAY  # midnight is the end of a day, too
    last = _after(day, days, is_federal_business_day)
    if clock == time(0) or not is_federal_business_day(day):
        return _end_of(last, zone)
    return _utc(last, clock, zone)


def shipping_day(processed_at: datetime, policy: Policy) -> ShippingPlan:
    """At once when processed before the cut-off on a carrier business day, else when the carrier next opens.

    The cut-off itself is too late. Raises ValueError for a time without an offset.
    """
    local = _local(processed_at, policy.carrier_time_zone)
    day = local.date()
    rests = _carrier_rests(day, policy)
    if rests is None and local.time() < policy.carrier_cutoff:
        return ShippingPlan(ships_at=processed_at.astimezone(UTC), same_day=True)
    opens = _after(day, 1, lambda day: is_carrier_business_day(day, policy))
    return ShippingPlan(
        ships_at=_utc(opens, policy.carrier_opens, policy.carrier_time_zone),
        same_day=False,
        reason=rests or f"processed after the carrier's cut-off at {policy.carrier_cutoff:%H:%M} on {_named(day)}",
    )


def delivery_window(shipped_at: datetime, policy: Policy) -> DeliveryWindow:
    """The third to the fifth carrier business day after the day of shipping; lost when the tenth has ended.

    Days are the carrier's: each ends at midnight in its zone. Raises ValueError for a time without an offset.
    """
    shipped = _local(shipped_at, policy.carrier_time_zone).date()

    def day(number: int) -> date:
        return _after(shipped, number, lambda day: is_carrier_business_day(day, policy))

    last = day(policy.delivery_last_day)
    return DeliveryWindow(
        first=day(policy.delivery_first_day),
        last=last,
        late_at=_end_of(last, policy.carrier_time_zone),
        lost_at=_end_of(day(policy.lost_in_transit_day), policy.carrier_time_zone),
    )


def _carrier_rests(day: date, policy: Policy) -> str | None:
    """Why the carrier does not work on `day`, as a clause; None when it does."""
    if day.weekday() >= 5:
        return f"{_named(day)} is not a carrier business day"
    holiday = _carrier_holidays(day.year).get(day)
    if holiday:
        return f"{_named(day)} is a carrier holiday ({holiday})"
    if day in policy.carrier_closed:
        return f"the carrier is closed on {_named(day)}"
    return None


def _after(day: date, number: int, counts: Callable[[date], bool]) -> date:
    """The `number`th day after `day` of those that count."""
    while number:
        day += _DAY
        number -= counts(day)
    return day


def _local(moment: datetime, zone: str) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a time without an offset has no place in a calendar")
    return moment.astimezone(ZoneInfo(zone))


def _utc(day: date, clock: time, zone: str) -> datetime:
    """A wall-clock time that the night of a change skips is moved past it; one that comes twice is the earlier."""
    return datetime.combine(day, clock.replace(fold=0), ZoneInfo(zone)).astimezone(UTC)


def _end_of(day: date, zone: str) -> datetime:
    return _utc(day + _DAY, time(0), zone)


def _named(day: date) -> str:
    return f"{day:%A} {day.day} {day:%B %Y}"


# Asked one year at a time: the library's own calendars grow while they are read, which threads would trip over. It is
# imported on the first question because it takes longer to load than everything else here together.


@cache
def _federal_holidays(year: int) -> frozenset[date]:
    from holidays import country_holidays

    return frozenset(country_holidays("US", years=year, observed=True, expand=False, language="en_US"))


@cache
def _carrier_holidays(year: int) -> dict[date, str]:
    from holidays import country_holidays

    actual = country_holidays("US", years=year, observed=False, expand=False, language="en_US")
    return {day: _CARRIER_HOLIDAYS[name] for day, name in actual.items() if name in _CARRIER_HOLIDAYS}
