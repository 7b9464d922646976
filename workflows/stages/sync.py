"""Syncing: enrolled and linked; active once the Surescripts directory has it, which may take up to 60 minutes."""

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from activities.directory import Directory, DirectoryEntry
from domain.status import Status
from workflows import calls
from workflows.stages import promises

if TYPE_CHECKING:
    from workflows.token_journey import TokenJourney

LATE = "not synced with Surescripts within {minutes} minutes"


async def sync(journey: "TokenJourney") -> None:
    """Returns when the token is active. After an hour team and prescriber are told, and the asking goes on."""
    state = journey.state
    assert state.enrolled_at
    due = state.enrolled_at + timedelta(minutes=state.policy.sync_promise_minutes)
    state.promise(promises.ACTIVE, due)
    # A task of its own, so that the hour runs out on time even while the directory is down.
    synced = asyncio.create_task(_synced(journey, due))
    try:
        if not await journey.until(synced.done, at=due, summary="synced within the hour?"):
            _tell_late(journey)
        await synced
    except asyncio.CancelledError:
        # What is asked of the directory right now must be known before the retiring stage undoes it.
        synced.cancel()
        await workflow.wait([synced])
        raise
    now = journey.now()
    state.enter(Status.ACTIVE, now, "synced with Surescripts; the token can sign")
    state.keep(promises.ACTIVE, now)
    journey.settle("Surescripts has synced", "sync")
    state.post("active", now, step="active", facts={"active_at": now})


async def _synced(journey: "TokenJourney", due: datetime) -> None:
    policy = journey.state.policy
    entry = DirectoryEntry(
        journey_id=journey.state.journey_id, prescriber_id=journey.state.prescriber_id, kind=journey.state.kind
    )
    await journey.insist(Directory.enroll, entry, summary="Tell the Surescripts directory of the token")
    first_hour = due - journey.now()
    if first_hour > timedelta(0):
        try:
            await journey.insist(
                Directory.await_sync,
                entry.journey_id,
                summary="Ask Surescripts each minute",
                retry_policy=calls.polling(timedelta(seconds=policy.sync_poll_seconds)),
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
        retry_policy=calls.polling(timedelta(minutes=policy.sync_slow_poll_minutes)),
    )


def _tell_late(journey: "TokenJourney") -> None:
    now = journey.now()
    late = LATE.format(minutes=journey.state.policy.sync_promise_minutes)
    journey.state.breach(promises.ACTIVE, late)
    journey.state.attend(now, late, "sync")
    journey.state.post("sync_late", now, step="sync_late", facts={"waiting_since": journey.state.enrolled_at})
    journey.state.post("team_sync_late", now, step="team_sync_late", facts={"waiting_since": journey.state.enrolled_at})
