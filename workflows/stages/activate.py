"""The token is in hand (or, soft, its email is sent): links, reminders, enrolment."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from domain.status import Kind, Status

if TYPE_CHECKING:
    from workflows.token_journey import TokenJourney

NEVER = "never activated: not enrolled within {days} days"


async def activate(journey: "TokenJourney") -> None:
    """Returns when the token is enrolled, or cancelled after thirty days without it."""
    state = journey.state
    waiting = state.status
    if waiting is Status.SYNCING:
        return  # enrolled before the carrier said that it was delivered
    since = state.delivered_at if state.kind is Kind.HARD else state.link_sent_at
    assert since
    if journey.since_0_2 and state.kind is Kind.HARD and not journey.passed(since):
        # A delivery that the carrier tells of late: reminders and validity count from when we, too, knew.
        since = max(since, journey.now())
    if state.kind is Kind.HARD:
        # The email saved since processing must work now that the token is in hand: every link gets the new validity.
        state.post(
            "delivered",
            journey.now(),
            step="delivered",
            link=True,
            link_valid_until=journey.days_after(since, state.policy.link_validity_days),
            older_links="extend",
        )
    for day in state.policy.reminder_days:
        if journey.passed(journey.days_after(since, day)):
            continue
        if await journey.until(
            lambda: state.status is not waiting, at=journey.days_after(since, day), summary=f"enrolled by day {day}?"
        ):
            return
        _remind(journey, since, day)
    last = state.policy.never_activated_days
    if await journey.until(
        lambda: state.status is not waiting, at=journey.days_after(since, last), summary=f"enrolled by day {last}?"
    ):
        return
    now = journey.now()
    state.enter(Status.CANCELLED, now, NEVER.format(days=last))
    state.post(
        "never_activated", now, step="never_activated", facts={"waiting_since": since, **_asked_back(journey, now)}
    )


def _remind(journey: "TokenJourney", since: datetime, day: int) -> None:
    """Each reminder carries a working link; the older ones go on working."""
    valid_until = journey.days_after(since, journey.state.policy.link_validity_days)
    days_left = journey.state.policy.never_activated_days - day
    if journey.since_0_2:  # it may be sent late
        left = journey.days_after(since, journey.state.policy.never_activated_days) - journey.now()
        days_left = max(round(left / timedelta(days=1)), 1)
    journey.state.post(
        "reminder",
        journey.now(),
        step=f"reminder-{day}",
        link=True,
        link_valid_until=valid_until,
        facts={
            "waiting_since": since,
            "days_left": days_left,
        },
    )
    journey.state.note(journey.now(), f"reminded on day {day}")


def _asked_back(journey: "TokenJourney", now: datetime) -> dict[str, datetime]:
    return {"return_by": journey.return_by(now)} if journey.state.asked_back else {}
