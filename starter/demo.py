"""`tokens demo`: a hard and a soft token side by side, from request to Active; then the hard one is replaced and comes back."""

import asyncio
import mailbox
import shutil
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from rich.panel import Panel
from sqlalchemy import select
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from activities.verification import NotVerified, Verification
from connection import TASK_QUEUE, connect
from database import audit
from database.tables import Prescriber
from domain.calendar import is_carrier_business_day, is_federal_business_day
from domain.peers import replacement_id, return_id
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
_COLOURS = {"hard": "cyan", "soft": "magenta", "new": "green", "back": "yellow"}


class Watched:
    """One journey of the demo, its clock, and how much of it has been shown. A return's emails are about the token's
    journey, `about`."""

    def __init__(self, demo: "Demo", handle: WorkflowHandle[Any, Any], name: str, about: str | None = None) -> None:
        self.demo, self.handle, self.name = demo, handle, name
        self.about = about or handle.id
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
        self.demo.show_mail(self.name, self.about)

    def _print(self, at: str, text: str) -> None:
        out.print(f"  {when(at)}  [{_COLOURS[self.name]}]{self.name}[/]  {text}", soft_wrap=True)

    def says(self, text: str) -> None:
        """A line that has no time of its own."""
        out.print(f"  {'':27}[{_COLOURS[self.name]}]{self.name}[/]  {text}", soft_wrap=True)

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
        raise Refusal(f"The journey {self.handle.id} did not become {status}.")


class Demo:
    """The stack, a client of it, and the mailbox that both journeys' emails arrive in. `between` is called before each part."""

    def __init__(
        self,
        client: Client,
        settings: Settings,
        info: dict[str, Any],
        between: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.client, self.settings, self.info = client, settings, info
        self._between = between
        self._mail = mailbox.Maildir(info["mail"], create=False)
        self._shown: set[str] = set()

    async def part(self, heading: str) -> None:
        """Begins the next part."""
        if self._between is not None:
            await self._between()
        _heading(heading)

    def show_mail(self, name: str, journey_id: str) -> None:
        """Prints the emails of a journey that have arrived since."""
        for key in sorted(self._mail.keys()):
            if key in self._shown:
                continue
            message = self._mail[key]
            of_the_return = message["X-Token-Letter"].startswith("return_")
            if message["X-Token-Journey"] == journey_id and of_the_return == (name == "back"):
                self._shown.add(key)
                out.print(
                    f"  {'':27}[{_COLOURS[name]}]{name}[/]  [dim]email to[/] {message['To']}[dim]:[/] {message['Subject']}",
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

    async def begun(self, name: str, workflow_id: str, about: str | None = None) -> Watched:
        """What a journey has started, as soon as it is there."""
        watched = Watched(self, self.client.get_workflow_handle(workflow_id), name, about)
        for _ in range(200):
            try:
                if (await watched.status())["timeline"]:
                    await watched.wait(seconds=2)
                    return watched
            except RPCError as fault:
                if fault.status not in (RPCStatusCode.NOT_FOUND, RPCStatusCode.FAILED_PRECONDITION):
                    raise
            await asyncio.sleep(0.05)
        raise Refusal(f"{workflow_id} was not started.")

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
        kept = await play_on(Demo(client, in_use, running.info))
        if keep:
            out.print(f"\nThe stack stays up: {running.info['ui']} (Ctrl-C ends it).")
            await stack.until_stopped()
        if not kept:
            raise Refusal("Not everything was as promised: see the table above.")


async def play_on(demo: Demo) -> bool:
    """Plays it on a stack that runs; whether everything was as promised."""
    start = _next_ordinary_morning(datetime.now(UTC))
    await demo.part("A prescriber asks for a hard and a soft token")
    hard, soft = await demo.begin("hard", start), await demo.begin("soft", start)

    await demo.part("An hour later the shipping address is corrected: allowed, nobody has processed it yet")
    await hard.wait(hours=1)
    await hard.send("edit", {"shipping_address": NEW_ADDRESS, "by": "the prescriber"})

    await demo.part("The team processes both: activation emails go out, the device ships the same day")
    await soft.wait(hours=1, minutes=30)
    await soft.send("process", {"operator": "Dana"})
    await hard.wait(minutes=30)
    await hard.send("process", {"operator": "Dana"})

    await demo.part("Another edit comes too late")
    refused = await _refused(hard, "edit", {"email": "elsewhere@clinic.example", "by": "the prescriber"})

    await demo.part("The soft token is set up on a phone, with a name and a PIN, and syncs with Surescripts")
    await soft.wait(minutes=20)
    await soft.send("enroll_soft", {"token_name": "My phone", "enrollment_ref": _choose_pin(demo, soft)})
    await soft.wait(minutes=15)

    await demo.part("Days pass; the parcel travels")
    tracking = (await hard.status())["tracking_number"]
    await hard.wait(days=1)
    demo.carrier_says(tracking, "in_transit", await hard.clock.now())
    await hard.to(await _third_day(hard))
    demo.carrier_says(tracking, "delivered", await hard.clock.now())
    await hard.reached("Delivered")

    await demo.part("It lies on the desk for three days: a reminder")
    await hard.wait(days=3, minutes=1)

    await demo.part("The hard token is enrolled: a mistyped passcode first, then the right one")
    serial = (await hard.status())["serial_number"]
    device = HardDevice(serial, demo.settings.state)
    wrong = await _refused(hard, "enroll_hard", {"serial_number": serial, "passcode": "000000"})
    passcode = device.press(4, at=await hard.clock.now())  # its button was pressed in the post, too
    await hard.send("enroll_hard", {"serial_number": serial, "passcode": passcode})
    await hard.wait(minutes=15)

    await demo.part("Half a year later its button sticks: it is replaced")
    await hard.wait(days=180)
    signed = await _signs(demo, hard, device)
    order = {
        "journey_id": hard.handle.id,
        "reason": "faulty",
        "in_possession": True,
        "confirmed": True,
        "requested_by": "the prescriber",
    }
    replaced = await demo.client.execute_workflow(
        "ReplaceToken", order, id=replacement_id(hard.handle.id), task_queue=TASK_QUEUE
    )
    await hard.handle.result()
    await hard.show()
    signs_still = await _signs(demo, hard, device)

    await demo.part("The new token is requested, and the old one asked back: both begin today, on the real clock")
    new = await demo.begun("new", replaced["journey_id"])
    back = await demo.begun("back", return_id(hard.handle.id), about=hard.handle.id)

    await demo.part("A week later a reminder; then it is on its way, and the mail room takes it in")
    await back.wait(days=7, minutes=1)
    label = (await back.status())["tracking_number"]
    demo.carrier_says(label, "in_transit", await back.clock.now())
    await back.reached("On its way back")
    await back.wait(days=2)
    elsewhere = await _refused(back, "received", {"serial_number": "HT-0000000000", "received_by": "Mo"})
    await back.send("received", {"serial_number": serial, "condition": "intact", "received_by": "Mo"})
    await back.handle.result()

    expected = {hard: "Deactivated", soft: "Active", new: "Requested", back: "Received"}
    return await _report(demo, expected, refused and wrong and signed and not signs_still and elsewhere)


async def _signs(demo: Demo, hard: Watched, device: HardDevice) -> bool:
    """Signs a prescription: whether the passcode of the device is taken."""
    settings, at = demo.settings, await hard.clock.now()
    with target.database(settings) as sessions:
        pepper = settings.pin_pepper.get_secret_value()
        verification = Verification(sessions, target.seal_of(settings), pepper, settings.policy)
        try:
            verification.verify(hard.handle.id, device.press(at=at), None, at)
        except NotVerified as fault:
            hard.says(f"[yellow]does not sign:[/] {fault}")
            return False
    hard.says("signs a prescription: its passcode is taken")
    return True


async def _refused(journey: Watched, name: str, body: dict[str, Any]) -> bool:
    try:
        await journey.handle.execute_update(name, body)
    except WorkflowUpdateFailedError as fault:
        sentence = fault.cause.message if isinstance(fault.cause, ApplicationError) else str(fault.cause)
        journey.says(f"[yellow]refused:[/] {sentence}")
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


async def _report(demo: Demo, expected: dict[Watched, str], kept: bool) -> bool:
    """Prints what came of it; whether each journey is what is expected of it, and each promise that has fallen due was kept."""
    _heading("What was promised, and when it was met")
    promised = table("token", "promised", "due", "met", "")
    for journey, status in expected.items():
        snapshot = await journey.status()
        kept = kept and snapshot["status"] == status
        for promise in snapshot["promises"]:
            met, waiting = promise["met_at"] is not None, promise["broken"] is None
            kept = kept and waiting and (met or status == "Requested")
            good = "[green]kept[/]" if met else "open" if status == "Requested" else "[red]open[/]"
            promised.add_row(
                journey.name,
                promise["what"],
                when(promise["due"]),
                when(promise["met_at"]) if met else "",
                good if waiting else f"[red]{promise['broken']}[/]",
            )
    out.print(promised)
    sizes = table("journey", "status", "events", "history", "open it")
    for journey in expected:
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
