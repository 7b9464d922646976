from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.calendar import (
    DeliveryWindow,
    ShippingPlan,
    business_deadline,
    delivery_window,
    is_carrier_business_day,
    is_federal_business_day,
    shipping_day,
)
from domain.policy import Policy

POLICY = Policy()
EASTERN = ZoneInfo("America/New_York")
ZONES = st.sampled_from(
    [
        "America/New_York",
        "America/Chicago",
        "America/Phoenix",
        "America/Los_Angeles",
        "Pacific/Honolulu",
        "Pacific/Guam",
    ]
)
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2032, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


def eastern(text: str) -> datetime:
    """2026-01-02 16:59, in the carrier's zone."""
    return datetime.fromisoformat(text).replace(tzinfo=EASTERN)


def days(text: str) -> list[date]:
    return [date.fromisoformat(day) for day in text.split()]


@pytest.mark.parametrize(
    "day",
    days(
        "2026-01-01 2026-01-19 2026-02-16 2026-05-25 2026-06-19 2026-07-03 2026-09-07 2026-10-12 2026-11-11 2026-11-26 "
        "2026-12-25 2027-07-05 2027-12-24 2027-12-31 2026-01-03 2026-01-04"
    ),
)
def test_federal_holidays_are_kept_as_observed(day: date) -> None:
    assert not is_federal_business_day(day)


def test_a_day_of_mourning_is_no_federal_holiday() -> None:
    assert is_federal_business_day(date(2025, 1, 9))


@pytest.mark.parametrize("day", days("2026-01-01 2026-05-25 2026-09-07 2026-11-26 2026-12-25 2028-07-04 2026-07-04"))
def test_carrier_holidays_are_kept_on_their_date(day: date) -> None:
    assert not is_carrier_business_day(day, POLICY)


@pytest.mark.parametrize(
    "day", days("2020-07-03 2026-07-03 2027-07-05 2027-12-24 2027-12-31 2026-01-19 2026-06-19 2026-11-11 2026-11-27")
)
def test_the_carrier_works_when_the_government_rests(day: date) -> None:
    assert is_carrier_business_day(day, POLICY)


def test_the_policy_closes_the_carrier() -> None:
    storm = Policy(carrier_closed=(date(2026, 2, 3),))
    plan = shipping_day(eastern("2026-02-03 10:00"), storm)
    assert plan.ships_at == eastern("2026-02-04 09:00")
    assert plan.reason == "the carrier is closed on Tuesday 3 February 2026"
    assert delivery_window(eastern("2026-02-02 10:00"), storm).first == date(2026, 2, 6)


@pytest.mark.parametrize(
    ("start", "number", "due"),
    [
        ("2026-01-05 10:30", 1, "2026-01-06 10:30"),
        ("2026-01-09 10:30", 1, "2026-01-12 10:30"),  # Friday
        ("2026-01-16 10:30", 1, "2026-01-20 10:30"),  # before Martin Luther King's birthday
        ("2026-11-25 16:00", 1, "2026-11-27 16:00"),  # the day before Thanksgiving
        ("2026-12-24 16:00", 1, "2026-12-28 16:00"),
        ("2026-07-02 16:00", 1, "2026-07-06 16:00"),  # Friday 3 July is a federal holiday
        ("2026-07-02 16:00", 5, "2026-07-10 16:00"),
        ("2026-01-10 10:30", 1, "2026-01-13 00:00"),  # Saturday: all of Monday
        ("2026-01-10 10:30", 2, "2026-01-14 00:00"),
        ("2026-11-26 10:30", 1, "2026-11-28 00:00"),  # Thanksgiving itself: all of Friday
        ("2026-11-26 10:30", 2, "2026-12-01 00:00"),
        ("2026-11-27 00:00", 1, "2026-11-28 00:00"),  # its midnight: the same
        ("2026-11-27 00:01", 1, "2026-11-30 00:01"),
        ("2026-01-06 00:00", 1, "2026-01-07 00:00"),
        ("2026-03-06 02:30", 1, "2026-03-09 02:30"),  # over both nights of the change
        ("2026-10-30 01:30", 1, "2026-11-02 01:30"),
    ],
)
def test_business_deadlines(start: str, number: int, due: str) -> None:
    deadline = business_deadline(eastern(start), number, "America/New_York")
    assert deadline == eastern(due)
    assert deadline.tzinfo is UTC


def test_the_night_of_a_change_makes_a_deadline_an_hour_nearer_or_further() -> None:
    for friday, hours in (("2026-03-06 10:00", 71), ("2026-10-30 10:00", 73)):
        start = eastern(friday).astimezone(UTC)
        assert business_deadline(start, 1, "America/New_York") - start == timedelta(hours=hours)


def test_the_zone_says_which_day_it_is() -> None:
    friday_night = eastern("2026-01-10 01:00")  # Friday 20:00 in Honolulu
    assert business_deadline(friday_night, 1, "Pacific/Honolulu") == eastern("2026-01-13 01:00")
    assert business_deadline(friday_night, 1, "America/New_York") == eastern("2026-01-13 00:00")


CUT_OFF = "processed after the carrier's cut-off at 17:00 on "


@pytest.mark.parametrize(
    ("processed", "ships", "reason"),
    [
        ("2026-01-06 00:00", "2026-01-06 00:00", None),
        ("2026-01-09 16:59:59.999999", "2026-01-09 16:59:59.999999", None),
        ("2026-01-09 17:00", "2026-01-12 09:00", CUT_OFF + "Friday 9 January 2026"),
        ("2026-01-06 23:59", "2026-01-07 09:00", CUT_OFF + "Tuesday 6 January 2026"),
        ("2026-01-10 10:00", "2026-01-12 09:00", "Saturday 10 January 2026 is not a carrier business day"),
        ("2026-01-11 23:00", "2026-01-12 09:00", "Sunday 11 January 2026 is not a carrier business day"),
        ("2026-11-25 17:01", "2026-11-27 09:00", CUT_OFF + "Wednesday 25 November 2026"),
        ("2026-11-26 10:00", "2026-11-27 09:00", "Thursday 26 November 2026 is a carrier holiday (Thanksgiving)"),
        ("2026-11-27 10:00", "2026-11-27 10:00", None),
        ("2026-12-25 10:00", "2026-12-28 09:00", "Friday 25 December 2026 is a carrier holiday (Christmas)"),
        ("2026-12-31 17:30", "2027-01-04 09:00", CUT_OFF + "Thursday 31 December 2026"),
        ("2026-07-03 10:00", "2026-07-03 10:00", None),  # a federal holiday, not the carrier's
        ("2026-07-02 18:00", "2026-07-03 09:00", CUT_OFF + "Thursday 2 July 2026"),
        ("2026-07-04 10:00", "2026-07-06 09:00", "Saturday 4 July 2026 is not a carrier business day"),
        ("2026-03-06 18:00", "2026-03-09 09:00", CUT_OFF + "Friday 6 March 2026"),  # summer time begins in between
        ("2026-10-30 18:00", "2026-11-02 09:00", CUT_OFF + "Friday 30 October 2026"),  # and ends
    ],
)
def test_shipping_days(processed: str, ships: str, reason: str | None) -> None:
    plan = shipping_day(eastern(processed).astimezone(UTC), POLICY)
    assert plan == ShippingPlan(ships_at=eastern(ships).astimezone(UTC), same_day=reason is None, reason=reason)


def test_the_cut_off_is_the_carriers_wherever_the_clock_was_read() -> None:
    honolulu = datetime(2026, 1, 6, 11, 59, tzinfo=ZoneInfo("Pacific/Honolulu"))
    assert shipping_day(honolulu, POLICY).same_day
    assert not shipping_day(honolulu + timedelta(minutes=1), POLICY).same_day
    in_summer = datetime(2026, 7, 7, 20, 59, tzinfo=UTC)
    assert shipping_day(in_summer, POLICY).same_day
    assert not shipping_day(in_summer + timedelta(minutes=1), POLICY).same_day


@pytest.mark.parametrize(
    ("shipped", "first", "last", "late", "lost"),
    [
        ("2026-01-05 12:00", "2026-01-08", "2026-01-12", "2026-01-13", "2026-01-20"),
        ("2026-01-09 12:00", "2026-01-14", "2026-01-16", "2026-01-17", "2026-01-24"),  # Friday
        ("2026-11-20 12:00", "2026-11-25", "2026-11-30", "2026-12-01", "2026-12-08"),  # over Thanksgiving
        ("2026-12-21 12:00", "2026-12-24", "2026-12-29", "2026-12-30", "2027-01-07"),  # Christmas and New Year
        ("2026-06-30 12:00", "2026-07-03", "2026-07-07", "2026-07-08", "2026-07-15"),  # 3 July counts
        ("2026-03-04 12:00", "2026-03-09", "2026-03-11", "2026-03-12", "2026-03-19"),
    ],
)
def test_delivery_windows(shipped: str, first: str, last: str, late: str, lost: str) -> None:
    assert delivery_window(eastern(shipped).astimezone(UTC), POLICY) == DeliveryWindow(
        first=date.fromisoformat(first),
        last=date.fromisoformat(last),
        late_at=eastern(late),
        lost_at=eastern(lost),
    )


def test_a_late_evening_belongs_to_the_carriers_day() -> None:
    assert delivery_window(datetime(2026, 1, 6, 4, 59, tzinfo=UTC), POLICY).first == date(2026, 1, 8)
    assert delivery_window(datetime(2026, 1, 6, 5, 0, tzinfo=UTC), POLICY).first == date(2026, 1, 9)


def test_days_end_at_midnight_before_and_after_a_change() -> None:
    spring = delivery_window(eastern("2026-02-27 12:00"), POLICY)
    assert (spring.late_at.hour, spring.lost_at.hour) == (5, 4)
    autumn = delivery_window(eastern("2026-10-23 12:00"), POLICY)
    assert (autumn.late_at.hour, autumn.lost_at.hour) == (4, 5)


def test_answers_travel_as_json() -> None:
    plan, window = (
        shipping_day(eastern("2026-01-10 10:00"), POLICY),
        delivery_window(eastern("2026-01-12 10:00"), POLICY),
    )
    assert ShippingPlan.model_validate_json(plan.model_dump_json()) == plan
    assert DeliveryWindow.model_validate_json(window.model_dump_json()) == window


def test_questions_without_a_place_in_time_are_refused() -> None:
    naive = datetime(2026, 1, 6, 10, 0)  # noqa: DTZ001
    for question in (
        lambda: business_deadline(naive, 1, "America/New_York"),
        lambda: shipping_day(naive, POLICY),
        lambda: delivery_window(naive, POLICY),
        lambda: business_deadline(eastern("2026-01-06 10:00"), 0, "America/New_York"),
    ):
        with pytest.raises(ValueError, match=r"offset|at least one"):
            question()
    with pytest.raises(ZoneInfoNotFoundError):
        business_deadline(eastern("2026-01-06 10:00"), 1, "America/Annapolis")


@given(MOMENTS, st.integers(1, 20), ZONES)
def test_deadlines_fall_on_business_days_and_count_them(start: datetime, number: int, zone: str) -> None:
    deadline = business_deadline(start, number, zone)
    begun, due = start.astimezone(ZoneInfo(zone)), deadline.astimezone(ZoneInfo(zone))
    whole_days = begun.time() == time(0) or not is_federal_business_day(begun.date())
    assert due.time() == (time(0) if whole_days else begun.time())
    first, last = (
        (moment - timedelta(microseconds=1)).date() if whole_days else moment.date() for moment in (begun, due)
    )
    assert is_federal_business_day(last)
    between = [first + timedelta(n) for n in range(1, (last - first).days + 1)]
    assert sum(map(is_federal_business_day, between)) == number


@given(MOMENTS, st.timedeltas(timedelta(0), timedelta(days=10)), st.integers(1, 10), ZONES)
def test_starting_later_never_is_due_earlier(start: datetime, later: timedelta, number: int, zone: str) -> None:
    # Both nights of a change fall on Sundays, so that wall clocks of business days never run backwards.
    assert business_deadline(start, number, zone) <= business_deadline(start + later, number, zone)
    assert business_deadline(start, number, zone) < business_deadline(start, number + 1, zone)


@given(MOMENTS)
def test_parcels_leave_on_a_carrier_business_day_and_never_in_the_past(processed_at: datetime) -> None:
    plan = shipping_day(processed_at, POLICY)
    assert is_carrier_business_day(plan.ships_at.astimezone(EASTERN).date(), POLICY)
    assert plan.same_day == (plan.ships_at == processed_at) == (plan.reason is None)
    assert timedelta(0) <= plan.ships_at - processed_at < timedelta(days=5)
    assert shipping_day(plan.ships_at, POLICY).same_day


@given(MOMENTS)
def test_windows_open_before_they_close_and_count_carrier_days(shipped_at: datetime) -> None:
    window = delivery_window(shipped_at, POLICY)
    shipped = shipped_at.astimezone(EASTERN).date()

    def counted(until: date) -> int:
        spanned = [shipped + timedelta(n) for n in range(1, (until - shipped).days + 1)]
        return sum(is_carrier_business_day(day, POLICY) for day in spanned)

    assert shipped < window.first < window.last
    assert (counted(window.first), counted(window.last)) == (3, 5)
    assert shipped_at < window.late_at < window.lost_at
    for ends, number in ((window.late_at, 5), (window.lost_at, 10)):
        midnight = ends.astimezone(EASTERN)
        assert midnight.time() == time(0)
        assert counted(midnight.date() - timedelta(1)) == number
