"""What runs by itself, by the clock: Temporal's schedules, brought to what the settings say. `python -m starter.schedules` does
it once, for stacks that are not the embedded one."""

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
KNOWN = (PROCESS_QUEUE,)
"""The ids of all schedules of this system; one that is not wanted any more is removed, others are left alone."""

_CATCH_UP = timedelta(minutes=10)
"""After an outage a run that is later than this is not made up for: the next one does its work."""


class NotArranged(Exception):
    """A schedule can't be made; one sentence says which setting is wrong."""


def wanted(settings: Settings, task_queue: str = TASK_QUEUE) -> dict[str, Schedule]:
    """The schedules that the settings ask for, by id."""
    schedules = {}
    if settings.process_queue_every:
        schedules[PROCESS_QUEUE] = Schedule(
            action=ScheduleActionStartWorkflow(
                "ProcessQueue",
                {"operator": "schedule"},
                id=PROCESS_QUEUE,
                task_queue=task_queue,
                static_summary="Processing the queue",
            ),
            spec=_spec(settings.process_queue_every, settings.policy.carrier_time_zone),
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=_CATCH_UP),
            state=ScheduleState(note="TOKENS_PROCESS_QUEUE_EVERY"),
        )
    return schedules


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
    await arrange(await connect(settings), settings)
    print(f"Schedules: {', '.join(wanted(settings)) or 'none'}.")


if __name__ == "__main__":
    job.run(main(Settings()), (NotArranged, RPCError, RuntimeError, ValueError), "The schedules can't be arranged")
