"""The hard journey's effects, in their order, without Temporal: what DBOS and the polled column carry out.

Each stage is a generator that yields `Call`s and is sent what came of them with the time (UTC); it changes the journey's state by the
product's own pure code, and the effects are the product's own activities.
"""

from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from activities.calendar import CalendarQuestion
from activities.carrier import LabelOrder
from activities.directory import DirectoryEntry
from activities.enrollment import HardAttempt
from activities.mail import Mailing
from activities.records import Admission, Writing
from activities.stock import Allocation, Taken
from activities.vendor import VendorOrder
from connection import TASK_QUEUE
from domain.journey import Journey
from domain.status import Kind, Status
from settings import Settings
from worker import Dependencies
from workflows.stages import promises

STAGES = ("request", "process", "deliver", "enrol")
"""All but the first begin with a message of that name."""


class Call(NamedTuple):
    """An effect: the activity's name and what it is given."""

    name: str
    body: Any


Steps = Generator[Call, tuple[Any, datetime], None]


class Effects:
    """The product's activities by name, to be carried out in whatever thread asks."""

    def __init__(self, settings: Settings, client: Client | None = None) -> None:
        """`client`: where activities are carried out that speak to Temporal."""
        self.dependencies = Dependencies(settings)
        found: list[Callable[..., Any]] = self.dependencies.activities(client)  # type: ignore[arg-type]
        self._activities = {getattr(one, "__temporal_activity_definition").name: one for one in found}

    def carry_out(self, call: Call, key: str) -> tuple[Any, datetime]:
        """What came of it, and when. `key`: of this very call, the same where it is tried again."""
        now = datetime.now(UTC)
        return self._environment(key, now).run(self._activities[call.name], call.body), now

    async def carry_out_async(self, call: Call, key: str) -> tuple[Any, datetime]:
        """The same for an activity that is a coroutine."""
        now = datetime.now(UTC)
        return await self._environment(key, now).run(self._activities[call.name], call.body), now

    def _environment(self, key: str, now: datetime) -> ActivityEnvironment:
        environment = ActivityEnvironment()
        environment.info = replace(environment.info, started_time=now, activity_id=key, task_queue=TASK_QUEUE)
        return environment


def begun(journey_id: str, prescriber_id: str) -> Journey:
    return Journey(journey_id=journey_id, prescriber_id=prescriber_id, kind=Kind.HARD)


def stage(name: str, state: Journey, message: dict[str, Any]) -> Steps:
    """The steps of one stage."""
    return {"request": _request, "process": _process, "deliver": _deliver, "enrol": _enrol}[name](state, message)


def through(steps: Steps, carry_out: Callable[[Call], tuple[Any, datetime]]) -> None:
    """Carries a stage out to its end."""
    try:
        call = next(steps)
        while True:
            call = steps.send(carry_out(call))
    except StopIteration:
        return


def _write(state: Journey) -> Steps:
    without = {"timeline": [], "refused": [], "letters": [], "latest": []}
    yield Call("records.write", Writing(run_id=state.journey_id, journey=state.model_copy(update=without, deep=True)))
    state.unwritten.clear()


def _send(state: Journey) -> Steps:
    yield Call("mail.send", Mailing(journey_id=state.journey_id, letters=list(state.letters), may_defer=True))
    state.letters.clear()


def _request(state: Journey, _message: dict[str, Any]) -> Steps:
    admission = Admission(
        journey_id=state.journey_id,
        run_id=state.journey_id,
        at=datetime.now(UTC),
        prescriber_id=state.prescriber_id,
        kind=state.kind,
    )
    admitted, now = yield Call("records.admit", admission)
    state.policy, state.email, state.shipping_address = admitted.policy, admitted.email, admitted.shipping_address
    state.requested_at, state.queue_alert_at = now, admitted.queue_alert_at
    state.note(now, "requested")
    state.promise(promises.PROCESSED, admitted.queue_alert_at)
    state.post("team_request_waiting", now, step="team_request_waiting", facts={"due_at": admitted.queue_alert_at})
    state.post("request_received", now, step="request_received", facts={"due_at": admitted.queue_alert_at})
    yield from _write(state)
    yield from _send(state)


def _process(state: Journey, message: dict[str, Any]) -> Steps:
    serial, now = yield Call("stock.allocate", Allocation(journey_id=state.journey_id))
    _, now = yield Call("stock.watch", Taken(journey_id=state.journey_id, at=now))
    state.serial_number = serial
    state.enter(Status.PROCESSED, now, f"processed, token {serial}", by=message["operator"])
    state.keep(promises.PROCESSED, now)
    state.promise(promises.ACTIVATION_EMAIL, now + timedelta(hours=1))
    yield from _write(state)
    order = VendorOrder(journey_id=state.journey_id, kind=state.kind, serial_number=serial)
    _, now = yield Call("vendor.provision", order)
    state.link_sent_at = now
    state.post("vendor_activation_hard", now, step="activation", link=True)
    yield from _send(state)
    planned, now = yield Call("calendar.shipping_day", CalendarQuestion(at=now, policy=state.policy))
    state.promise(promises.SHIPPED, planned.promised_by)
    assert state.shipping_address
    label = LabelOrder(journey_id=state.journey_id, to=state.shipping_address, sender=state.policy.return_address)
    state.tracking_number, now = yield Call("carrier.label", label)
    window, now = yield Call("calendar.delivery_window", CalendarQuestion(at=now, policy=state.policy))
    state.enter(Status.SHIPPED, now, "handed to the carrier")
    state.keep(promises.SHIPPED, now)
    state.promise(promises.DELIVERED, window.late_at)
    days = {"window_first": window.first.isoformat(), "window_last": window.last.isoformat()}
    state.post("shipped", now, step="shipped", facts={"ships_on": now, "reason": None, **days})
    yield from _write(state)
    yield from _send(state)


def _deliver(state: Journey, message: dict[str, Any]) -> Steps:
    now = datetime.fromisoformat(message["occurred_at"])
    state.enter(Status.DELIVERED, now, "delivered, says the carrier", by="carrier")
    state.keep(promises.DELIVERED, now)
    yield from _write(state)
    until = now + timedelta(days=state.policy.link_validity_days)
    state.post("delivered", now, step="delivered", link=True, link_valid_until=until, older_links="extend")
    yield from _send(state)


def _enrol(state: Journey, message: dict[str, Any]) -> Steps:
    attempt = HardAttempt(journey_id=state.journey_id, at=datetime.now(UTC), policy=state.policy, **message)
    verdict, now = yield Call("enrollment.verify_hard", attempt)
    assert verdict.refusal is None, verdict.refusal
    state.enter(Status.SYNCING, now, "enrolled by serial number and passcode")
    state.promise(promises.ACTIVE, now + timedelta(minutes=state.policy.sync_promise_minutes))
    yield from _write(state)
    entry = DirectoryEntry(journey_id=state.journey_id, prescriber_id=state.prescriber_id, kind=state.kind)
    yield Call("directory.enroll", entry)
    _, now = yield Call("directory.await_sync", state.journey_id)
    state.enter(Status.ACTIVE, now, "synced with Surescripts; the token can sign")
    state.keep(promises.ACTIVE, now)
    state.post("active", now, step="active", facts={"active_at": now})
    yield from _write(state)
    yield from _send(state)
