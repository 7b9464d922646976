"""Times on the pages, in the practice's zone. A deadline at midnight is the end of the day before."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from domain.wording import day, moment


def short(at: datetime, zone: ZoneInfo) -> str:
    """ "Nov 24, 2026"."""
    local = at.astimezone(zone)
    return f"{local:%b} {local.day}, {local.year}"


def last_instant(due: datetime) -> datetime:
    """The last moment at which it is still in time."""
    return due - timedelta(seconds=1)


def by_when(due: datetime, zone: ZoneInfo) -> str:
    """A deadline: a moment, or the end of a day."""
    local = due.astimezone(zone)
    if (local.hour, local.minute) == (0, 0):
        return f"{day(last_instant(due), zone)}, end of the day"
    return moment(due, zone)
