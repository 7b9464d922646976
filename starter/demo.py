"""`tokens demo`: a hard and a soft token side by side, from request to Active, watched by a person."""

import asyncio
import mailbox
import shutil
import uuid
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from rich.panel import Panel
from sqlalchemy import select
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from connection import TASK_QUEUE, connect
from database import audit
from database.tables import Prescriber
from domain.calendar import is_carrier_business_day, is_federal_business_day
from domain.policy import Policy
from domain.status import Kind
from settings import Settings
from simulators.devices import HardDevice
from starter import soft_enrollment, stack, target
from starter.clock import Clock
from starter.output import Refusal, out, table, when
from workflows.details import summary

PRESCRIBER = "P-1002"
NEW_ADDRESS = {
    "name": "Front desk",
    "street1": "12 State Circle",
    "city": "Annapolis",
    "state": "MD",
    "postal_code": "21401",
}
_COLOURS = {"hard": "cyan", "soft": "magenta"}


class Watched:
    """One journey of the demo, its clock, and how much of it has been shown."""

    def __init__(self, demo: "Demo", handle: WorkflowHandle[Any, Any], kind: str) -> None:
        self.demo, self.handle, self.kind = demo, handle, kind
        self.clock = Clock(demo.client, handle)
        self._lines = 0

    async def status(self) -> dict[str, Any]:
        return await self.handle.query("status")

    async def wait(self, **ahead: float) -> None:
        """Moves the clock by so many days, hours, minutes, and shows what has happened."""
        await self.to(await self.clock.now() + timedelta(**ahead))

    async def to(self, moment: datetime) -> None:
        await self.clock.to(moment)
        await self.show()

    async def show(self) -> None:
        """Prints what is new: the journey's timeline, and the emails that came of it."""
        snapshot = await self.status()
        for line in snapshot["timeline"][self._lines :]:
            by = f" [dim]({line['by']})[/]" if line["by"] else ""
            self._print(line["at"], line["what"] + by)
        self._lines = len(snapshot["timeline"])
        self.demo.show_mail(self.kind, self.handle.id)

    def _print(self, at: str, text: str) -> None:
        out.print(f"  {when(at)}  [{_COLOURS[self.kind]}]{self.kind}[/]  {text}", soft_wrap=True)

    async def send(self, name: str, body: dict[str, Any]) -> None:
        await self.handle.execute_update(name, body)
        await self.wait(seconds=2)

    async def reached(self, status: str) -> None:
        """Waits for what comes in from outside (a webhook), and shows it."""
        for _ in range(200):
            if (await self.status())["status"] == status:
                await self.wait(seconds=2)
                return
            await asyncio.sleep(0.05)
        raise Refusal(f"The {self.kind} token did not become {status}.")


class Demo:
    """The stack, a client of it, and the mailbox that both journeys' emails arrive in."""

    def __init__(self, client: Client, settings: Settings, info: dict[str, Any]) -> None:
        self.client, self.settings, self.info = client, settings, info
        self._mail = mailbox.Maildir(info["mail"], create=False)
        self._shown: set[str] = set()

    def show_mail(self, kind: str, journey_id: str) -> None:
        """Prints the emails of a journey that have arrived since."""
        for key in sorted(self._mail.keys()):
            if key in self._shown:
                continue
            message = self._mail[key]
            if message["X-Token-Journey"] == journey_id:
                self._shown.add(key)
                out.print(
                    f"  {'':27}[{_COLOURS[kind]}]{kind}[/]  [dim]email to[/] {message['To']}[dim]:[/] {message['Subject']}",
                    soft_wrap=True,
                )

    async def begin(self, kind: str, at: datetime) -> Watched:
        """Starts a journey on its own clock, at `at`."""
        journey_id = f"token-{kind}-{uuid.uuid4().hex[:8]}"
        handle = await self.client.start_workflow(
            "TokenJourney",
            {"prescriber_id": PRESCRIBER, "kind": kind, "requested_by": "the prescriber"},
            id=journey_id,
            task_queue=TASK_QUEUE,
            start_delay=at - datetime.now(UTC),
            static_summary=summary(Kind(kind), PRESCRIBER),
        )
        watched = Watched(self, handle, kind)
        await watched.clock.begin(at + timedelta(milliseconds=50))
        await watched.wait(seconds=2)
        return watched

    def carrier_says(self, tracking_number: str, status: str, at: datetime) -> None:
        """The carrier simulator tells the gateway, which signals the journey."""
        event = {"tracking_number": tracking_number, "status": status, "occurred_at": at.isoformat()}
        httpx.post(f"{self.info['carrier']}/simulate/events", json=event, timeout=10).raise_for_status()


async def play(keep: bool) -> None:
    """Plays the demo. Raises Refusal when anything is not as promised."""
    folder = Settings().state / "demo"
    if stack.connect_info(folder) is not None:
        raise Refusal("A demo is running on this state already; end it first, or look at what it left up.")
    shutil.rmtree(folder, ignore_errors=True)
    settings = Settings().model_copy(
        update={
            "state": folder,
            "temporal_port": 0,
            "ui_port": 0,
            "gateway_port": 0,
            "smtp_port": 0,
            "database_url": None,
        }
    )
    out.print("[bold]Starting the stack[/] (Temporal, vendor, carrier, Surescripts, mail, gateway, worker)")
    async with stack.Stack(settings, lambda said: out.print(f"  {said}", markup=False, soft_wrap=True)) as running:
        in_use = target.settings_of(folder, running.info)
        client = await connect(in_use)
        kept = await _play(Demo(client, in_use, running.info))
        if keep:
            out.print(f"\nThe stack stays up: {running.info['ui']} (Ctrl-C ends it).")
            await stack.until_stopped()
        if not kept:
            raise Refusal("Not everything was as promised: see the table above.")


async def _play(demo: Demo) -> bool:
    start = _next_ordinary_morning(datetime.now(UTC))
    _heading("A prescriber asks for a hard and a soft token")
    hard, soft = await demo.begin("hard", start), await demo.begin("soft", start)

    _heading("An hour later the shipping address is corrected: allowed, nobody has processed it yet")
    await hard.wait(hours=1)
    await hard.send("edit", {"shipping_address": NEW_ADDRESS, "by": "the prescriber"})

    _heading("The team processes both: activation emails go out, the device ships the same day")
    await soft.wait(hours=1, minutes=30)
    await soft.send("process", {"operator": "Dana"})
    await hard.wait(minutes=30)
    await hard.send("process", {"operator": "Dana"})

    _heading("Another edit comes too late")
    refused = await _refused(hard, "edit", {"email": "elsewhere@clinic.example", "by": "the prescriber"})

    _heading("The soft token is set up on a phone, with a name and a PIN, and syncs with Surescripts")
    await soft.wait(minutes=20)
    await soft.send("enroll_soft", {"token_name": "My phone", "enrollment_ref": _choose_pin(demo, soft)})
    await soft.wait(minutes=15)

    _heading("Days pass; the parcel travels")
    tracking = (await hard.status())["tracking_number"]
    await hard.wait(days=1)
    demo.carrier_says(tracking, "in_transit", await hard.clock.now())
    await hard.to(await _third_day(hard))
    demo.carrier_says(tracking, "delivered", await hard.clock.now())
    await hard.reached("Delivered")

    _heading("It lies on the desk for three days: a reminder")
    await hard.wait(days=3, minutes=1)

    _heading("The hard token is enrolled: a mistyped passcode first, then the right one")
    serial = (await hard.status())["serial_number"]
    device = HardDevice(serial, demo.settings.state)
    wrong = await _refused(hard, "enroll_hard", {"serial_number": serial, "passcode": "000000"})
    passcode = device.press(4, at=await hard.clock.now())  # its button was pressed in the post, too
    await hard.send("enroll_hard", {"serial_number": serial, "passcode": passcode})
    await hard.wait(minutes=15)
    return await _report(demo, [hard, soft], refused and wrong)


async def _refused(journey: Watched, name: str, body: dict[str, Any]) -> bool:
    try:
        await journey.handle.execute_update(name, body)
    except WorkflowUpdateFailedError as fault:
        sentence = fault.cause.message if isinstance(fault.cause, ApplicationError) else str(fault.cause)
        out.print(
            f"  {'':27}[{_COLOURS[journey.kind]}]{journey.kind}[/]  [yellow]refused:[/] {sentence}", soft_wrap=True
        )
        return True
    out.print(f"  [red]`{name}` should have been refused, and was not.[/]")
    return False


def _choose_pin(demo: Demo, soft: Watched) -> str:
    with target.database(demo.settings) as sessions:
        stored = soft_enrollment.store(
            sessions,
            target.seal_of(demo.settings),
            demo.settings.pin_pepper.get_secret_value(),
            journey_id=soft.handle.id,
            pin="2580",
            device=None,
            at=datetime.now(UTC),
        )
    return stored.enrollment_ref


async def _report(demo: Demo, journeys: list[Watched], refusals: bool) -> bool:
    _heading("What was promised, and when it was met")
    promised = table("token", "promised", "due", "met", "")
    kept = refusals
    for journey in journeys:
        snapshot = await journey.status()
        kept = kept and snapshot["status"] == "Active"
        for promise in snapshot["promises"]:
            good = promise["met_at"] is not None and promise["broken"] is None
            kept = kept and good
            promised.add_row(
                journey.kind,
                promise["what"],
                when(promise["due"]),
                when(promise["met_at"]),
                "[green]kept[/]" if good else f"[red]{promise['broken'] or 'open'}[/]",
            )
    out.print(promised)
    sizes = table("journey", "status", "events", "history", "open it")
    for journey in journeys:
        described = await journey.handle.describe()
        events = described.history_length
        size = described.raw_description.workflow_execution_info.history_size_bytes
        url = demo.settings.journey_url(journey.handle.id)
        sizes.add_row(journey.handle.id, (await journey.status())["status"], str(events), f"{size / 1024:.1f} KB", url)
    out.print()
    out.print(sizes)
    with target.database(demo.settings) as sessions, sessions() as session:
        rows, faults = audit.verify(session)
        name = session.scalars(select(Prescriber.name).where(Prescriber.prescriber_id == PRESCRIBER)).one()
    out.print(f"\nAudit trail: {rows} rows, {len(faults)} faults. All of it for {name}, who is made up.")
    out.print(f"Emails: {Path(demo.info['mail'])}", markup=False, soft_wrap=True)
    return kept and not faults


def _heading(text: str) -> None:
    out.print()
    out.print(Panel.fit(text, style="bold"))


def _next_ordinary_morning(now: datetime) -> datetime:
    """The next 10:00 in New York on a day on which offices and carrier both work."""
    zone = ZoneInfo("America/New_York")
    day = now.astimezone(zone).date() + timedelta(days=1)
    while not (is_federal_business_day(day) and is_carrier_business_day(day, Policy())):
        day += timedelta(days=1)
    return datetime.combine(day, time(10), zone)


async def _third_day(hard: Watched) -> datetime:
    """Three in the afternoon of the third carrier business day after shipping: inside the window."""
    zone = ZoneInfo("America/New_York")
    shipped = next(line["at"] for line in (await hard.status())["timeline"] if line["what"] == "handed to the carrier")
    day, left = datetime.fromisoformat(shipped).astimezone(zone).date(), 3
    while left:
        day += timedelta(days=1)
        left -= is_carrier_business_day(day, Policy())
    return datetime.combine(day, time(15), zone)
