"""How people read days and moments: in emails, on pages, in the digest. English, in the reader's time zone."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def day(value: date | datetime | None, zone: ZoneInfo) -> str:
    """ "Tuesday 24 November 2026". A moment is taken in `zone`; a day is already somebody's day and stays."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        value = value.astimezone(zone)
    return f"{_DAYS[value.weekday()]} {value.day} {_MONTHS[value.month - 1]} {value.year}"


def short_day(at: datetime, zone: ZoneInfo) -> str:
    """ "Nov 24, 2026"."""
    local = at.astimezone(zone)
    return f"{local:%b} {local.day}, {local.year}"


def moment(value: date | datetime | None, zone: ZoneInfo) -> str:
    """ "Tuesday 24 November 2026, 3:05 PM EST", in `zone`; a day without a time is written as a day."""
    if not isinstance(value, datetime):
        return day(value, zone)
    local = value.astimezone(zone)
    name = local.tzname() or ""
    if not name[:1].isalpha():  # zones without letters of their own say "-03"
        name = f"UTC{name}"
    return f"{day(local, zone)}, {local.hour % 12 or 12}:{local:%M} {'AM' if local.hour < 12 else 'PM'} {name}"


def by_when(due: date | datetime | None, zone: ZoneInfo) -> str:
    """A deadline: a moment, or, due at a midnight in `zone`, "Monday 23 November 2026, end of the day"."""
    if isinstance(due, datetime) and due.astimezone(zone).time() == time(0):
        return f"{day(last_instant(due), zone)}, end of the day"
    return moment(due, zone)


def last_instant(due: datetime) -> datetime:
    """The last moment at which it is still in time."""
    return due - timedelta(microseconds=1)


def days_since(value: date | datetime, at: datetime, zone: ZoneInfo) -> int:
    """Whole calendar days from `value` to `at` in `zone`; 0 on the same day, never less."""
    began = value.astimezone(zone).date() if isinstance(value, datetime) else value
    return max(0, (at.astimezone(zone).date() - began).days)
