"""For which days a report is, where nobody or only half says so."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from domain.policy import Policy
from domain.report import LONGEST, Period

USUAL = 30
"""Days."""


def last_days(policy: Policy, now: datetime, first: date | None = None, last: date | None = None) -> Period:
    """From `first` to `last`, days in the carrier's zone. Left out: today, and the days before it. Raises ValueError where that
    is no period, with the sentence to show."""
    today = now.astimezone(ZoneInfo(policy.carrier_time_zone)).date()
    last = last or (max(today, first) if first else today)
    first = first or last - timedelta(days=USUAL - 1)
    if first > last:
        raise ValueError(f"the report would begin on {first} and end on {last}, before it; give the earlier day first")
    if (last - first).days >= LONGEST:
        raise ValueError(f"the report would span more than {LONGEST} days; give a shorter period")
    return Period(first=first, last=last, zone=policy.carrier_time_zone)
