"""Syncing: enrolled and linked; active once the Surescripts directory has it, which may take up to 60 minutes."""

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

from activities.directory import Directory, DirectoryEntry
from domain.status import Status
from workflows import calls
from workflows.stages import promises

if TYPE_CHECKING:
    from workflows.token_journey import TokenJourney

_WORTH_ASKING = timedelta(minutes=1)
"""After that the next question of the polling has been asked."""

_TELL_AND_ASK = "Tell Surescripts of the token, and ask until it has synced"
LATE = "not synced with Surescripts within {minutes} minutes"


async def sync(journey: "TokenJourney") -> None:
    """Returns when the token is active. After an hour team and prescriber are told, and the asking goes on."""
    state = journey.state
    assert state.enrolled_at
    due = state.enrolled_at + timedelta(minutes=state.policy.sync_promise_minutes)
    state.promise(promises.ACTIVE, due)
    # Tasks of their own: whichever hears of it first.
    asked = asyncio.create_task(_asked(journey, due))
    told = asyncio.create_task(_told(journey))
    try:
        hour = None if journey.since_0_2 else due  # since then the asking itself knows when the hour is over
        if not await journey.until(lambda: asked.done() or told.done(), at=hour, summary="synced within the hour?"):
            _tell_late(journey)
            await workflow.wait_condition(lambda: asked.done() or told.done())
    except asyncio.CancelledError:
        await _leave(journey, asked, told)
        raise
    first = told if told.done() else asked
    await _leave(journey, asked, told)
    first.result()
    now = journey.now()
    state.enter(Status.ACTIVE, now, "synced with Surescripts; the token can sign")
    state.keep(promises.ACTIVE, now)
    journey.settle("Surescripts has synced", "sync")
    state.post("active", now, step="active", facts={"active_at": now})


async def _leave(journey: "TokenJourney", *tasks: asyncio.Task[None]) -> None:
    """Ends them. What is asked of the directory right now must be known before anything else is done there."""
    open_ = [task for task in tasks if not task.done()]
    if not open_:
        return
    journey.leaving = True
    for task in open_:
        task.cancel()
    await workflow.wait(open_)
    journey.leaving = journey.state.ended


async def _told(journey: "TokenJourney") -> None:
    """Returns when the directory, asked because it was said to have synced, says so itself. Whoever sends such word, or a
    forged one, can only make it be asked sooner."""
    while True:
        await workflow.wait_condition(lambda: journey.directory_has_news)
        journey.directory_has_news = False
        try:
            if await calls.remote(
                Directory.has_synced,
                journey.state.journey_id,
                summary="Ask Surescripts, which says that it has synced",
                within=_WORTH_ASKING,
            ):
                return
        except (ActivityError, ApplicationError):
            pass  # no answer: it is asked each minute anyway
        if journey.leaving:
            raise asyncio.CancelledError


async def _asked(journey: "TokenJourney", due: datetime) -> None:
    """Returns when the directory, asked again and again, says that it has synced."""
    policy = journey.state.policy
    entry = DirectoryEntry(
        journey_id=journey.state.journey_id, prescriber_id=journey.state.prescriber_id, kind=journey.state.kind
    )
    each_minute = calls.polling(timedelta(seconds=policy.sync_poll_seconds))
    more_slowly = calls.polling(timedelta(minutes=policy.sync_slow_poll_minutes))
    if not journey.since_0_2:
        await _asked_by_0_1(journey, entry, due - journey.now(), each_minute, more_slowly)
        return
    try:
        await journey.insist(
            Directory.sync,
            entry,
            summary=_TELL_AND_ASK,
            retry_policy=each_minute,
            by=due,
            here_first=False,
        )
    except (TimeoutError, ApplicationError):
        _tell_late(journey)
    else:
        return
    await journey.insist(
        Directory.sync,
        entry,
        summary=_TELL_AND_ASK,
        retry_policy=more_slowly,
        here_first=False,
    )


async def _asked_by_0_1(
    journey: "TokenJourney",
    entry: DirectoryEntry,
    first_hour: timedelta,
    each_minute: RetryPolicy,
    more_slowly: RetryPolicy,
) -> None:
    await journey.insist(Directory.enroll, entry, summary="Tell the Surescripts directory of the token")
    if first_hour > timedelta(0):
        try:
            await journey.insist(
                Directory.await_sync,
                entry.journey_id,
                summary="Ask Surescripts each minute",
                retry_policy=each_minute,
                within=first_hour,
            )
        except (ActivityError, ApplicationError):
            pass  # the hour is over without an answer; the asking goes on below, more slowly
        else:
            return
    await journey.insist(
        Directory.await_sync,
        entry.journey_id,
        summary="Ask Surescripts every quarter of an hour",
        retry_policy=more_slowly,
    )


def _tell_late(journey: "TokenJourney") -> None:
    now = journey.now()
    late = LATE.format(minutes=journey.state.policy.sync_promise_minutes)
    journey.state.breach(promises.ACTIVE, late)
    journey.state.attend(now, late, "sync")
    journey.state.post("sync_late", now, step="sync_late", facts={"waiting_since": journey.state.enrolled_at})
    journey.state.post("team_sync_late", now, step="team_sync_late", facts={"waiting_since": journey.state.enrolled_at})
