"""What runs by itself, by the clock: Temporal's schedules, brought to what the settings say. `python -m starter.schedules` does
it once, for stacks that are not the embedded one."""

import asyncio
import time
from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError, RPCStatusCode

from connection import TASK_QUEUE, connect
from settings import Settings
from starter import job

PROCESS_QUEUE = "process-queue"
ANCHOR_AUDIT = "anchor-audit"
RECONCILE = "reconcile"
DAILY_DIGEST = "daily-digest"
KNOWN = (PROCESS_QUEUE, RECONCILE, DAILY_DIGEST, ANCHOR_AUDIT)
"""The ids of all schedules of this system; one that is not wanted any more is removed, others are left alone."""

_PATIENCE = 100.0
"""Seconds for which a server is waited for that is not ready yet. One whose parts don't find each other starts anew after
70."""
_AGAIN = frozenset(
    {
        RPCStatusCode.UNAVAILABLE,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.RESOURCE_EXHAUSTED,
        RPCStatusCode.UNKNOWN,  # by which the server hides a fault of its own, and asks to try again: a shard that moves
    }
)
_CATCH_UP = timedelta(minutes=10)
"""After an outage a run that is later than this is not made up for: the next one does its work."""


class NotArranged(Exception):
    """A schedule can't be made; one sentence says which setting is wrong."""


def wanted(settings: Settings, task_queue: str = TASK_QUEUE) -> dict[str, Schedule]:
    """The schedules that the settings ask for, by id."""
    asked = (
        (PROCESS_QUEUE, settings.process_queue_every, "ProcessQueue", {"operator": "schedule"}, "Processing the queue"),
        (RECONCILE, settings.reconcile_every, "Reconcile", {}, "Comparing what there is everywhere"),
        (DAILY_DIGEST, settings.daily_digest_every, "DailyDigest", {}, "What waits for the team"),
        (ANCHOR_AUDIT, settings.audit_anchor_every, "AnchorAudit", {}, "Anchoring the audit trail"),
    )
    return {
        schedule_id: Schedule(
            action=ScheduleActionStartWorkflow(
                name, body, id=schedule_id, task_queue=task_queue, static_summary=summary
            ),
            spec=_spec(pace, settings.policy.carrier_time_zone),
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=_CATCH_UP),
            state=ScheduleState(note=f"TOKENS_{schedule_id.replace('-', '_').upper()}_EVERY"),
        )
        for schedule_id, pace, name, body, summary in asked
        if pace
    }


def _spec(pace: str, zone: str) -> ScheduleSpec:
    if pace.isdecimal():
        return ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(minutes=int(pace)))])
    return ScheduleSpec(cron_expressions=[pace], time_zone_name=zone)


async def arrange(client: Client, settings: Settings, task_queue: str = TASK_QUEUE) -> None:
    """Makes what is wanted, changes what is there already, removes what is not wanted any more. One that the team has paused
    stays paused. Harmless when repeated. Raises NotArranged."""
    schedules = wanted(settings, task_queue)
    for schedule_id in KNOWN:
        if schedule_id in schedules:
            try:
                await _make(client, schedule_id, schedules[schedule_id])
            except RPCError as fault:
                if fault.status is not RPCStatusCode.INVALID_ARGUMENT:
                    raise
                raise NotArranged(
                    f"The schedule {schedule_id} can't be made: {fault.message}; correct {schedules[schedule_id].state.note}."
                ) from None
        else:
            await _remove(client, schedule_id)


async def _make(client: Client, schedule_id: str, schedule: Schedule) -> None:
    def changed(found: ScheduleUpdateInput) -> ScheduleUpdate:
        schedule.state.paused = found.description.schedule.state.paused
        return ScheduleUpdate(schedule)

    try:
        await client.create_schedule(schedule_id, schedule)
    except ScheduleAlreadyRunningError:
        await client.get_schedule_handle(schedule_id).update(changed)


async def _remove(client: Client, schedule_id: str) -> None:
    try:
        await client.get_schedule_handle(schedule_id).delete()
    except RPCError as fault:
        if fault.status is not RPCStatusCode.NOT_FOUND:
            raise


async def main(settings: Settings) -> None:
    """Waits for a server that has only just begun, whose parts find each other in some seconds. Raises as `arrange` does."""
    client = await connect(settings)
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            await arrange(client, settings)
        except RPCError as fault:
            if fault.status not in _AGAIN or time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.5)
        else:
            break
    print(f"Schedules: {', '.join(wanted(settings)) or 'none'}.")


if __name__ == "__main__":
    job.run(main(Settings()), (NotArranged, RPCError, RuntimeError, ValueError), "The schedules can't be arranged")
