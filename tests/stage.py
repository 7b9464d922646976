"""What tests play on: `Theatre` (the outside parties, for the session), `Stage` (worker, database and mailbox of one test)
and `Play` (one journey, moved by its own clock)."""

import asyncio
import shutil
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar
from zoneinfo import ZoneInfo

import httpx
from sqlalchemy import select
from temporalio.client import (
    Client,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from activities.party import trusted
from activities.verification import NotVerified, Verification
from connection import TASK_QUEUE
from database import migrate
from database.engine import Sessions
from database.sealing import Seal
from database.tables import TokenRow
from settings import Settings
from simulators import carrier, directory, vendor
from simulators.devices import HardDevice
from simulators.mail import MailSink
from simulators.serving import Serving
from starter import sample_data, soft_enrollment
from starter.clock import Clock
from starter.temporal_server import time_skipping_flags as time_skipping_flags  # conftest takes it from here
from worker import SANDBOX, Dependencies, worker_for

NEW_YORK = ZoneInfo("America/New_York")
TUESDAY = datetime(2037, 3, 3, 10, 0, tzinfo=NEW_YORK)
"""An ordinary morning. 2037 has the calendar of 2026, and is far enough ahead for the tests not to age."""
EVENING = TUESDAY.replace(hour=18)
"""After the carrier's cut-off: what is processed now waits for the next day."""
_PATIENCE = 60
T = TypeVar("T")


async def eventually(ask: Callable[[], Awaitable[T]], good: Callable[[T], bool] = bool) -> T:
    """What is answered as soon as it is good, for what is seen an instant after it was done: records, visibility."""
    answer = await ask()
    for _ in range(200):
        if good(answer):
            return answer
        await asyncio.sleep(0.05)
        answer = await ask()
    raise AssertionError(f"after ten seconds still {answer!r:.2000}")


class _ValidatedOnce(SandboxedWorkflowRunner):
    """The worker's sandbox. That each workflow can be loaded in it is found out by the first worker of the session, not by
    each: a fifth of a second. Every run is loaded anew, as always."""

    _validated: ClassVar[set[object]] = set()

    def prepare_workflow(self, defn: Any) -> None:
        if defn.cls not in self._validated:
            super().prepare_workflow(defn)
            self._validated.add(defn.cls)


_VALIDATED = _ValidatedOnce(SANDBOX.restrictions)


class Theatre(ExitStack):
    """Vendor, carrier and directory as servers, and a migrated database with the sample data to copy from."""

    threads: ThreadPoolExecutor

    def __init__(self, settings: Settings, folder: Path) -> None:
        super().__init__()
        self.settings = settings
        self.vendor, self.carrier, self.directory = (
            self.enter_context(Serving(module.app(folder / module.__name__))) for module in (vendor, carrier, directory)
        )
        self.database = folder / "template.db"
        url = f"sqlite:///{self.database}"
        migrate.upgrade(url)
        with Dependencies(settings.model_copy(update={"database_url": url})) as dependencies:
            sample_data.load(dependencies.sessions, seal_of(settings))
            with dependencies.sessions() as session:
                session.connection().exec_driver_sql("COMMIT")
                session.connection().exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def urls(self) -> dict[str, str]:
        return {"vendor": self.vendor.url, "carrier": self.carrier.url, "directory": self.directory.url}


def seal_of(settings: Settings) -> Seal:
    return Seal({key_id: key.get_secret_value() for key_id, key in settings.seal_keys.items()})


class Stage:
    """One test's worker, database, mailbox and task queue."""

    def __init__(self, client: Client, theatre: Theatre, folder: Path, database_url: str | None = None) -> None:
        self.client = client
        self.theatre = theatre
        self.folder = folder
        self.database_url = database_url
        self.task_queue = f"{TASK_QUEUE}-{uuid.uuid4().hex[:8]}"
        self.extra: dict[str, Any] = {}
        """Further settings of this test."""
        self.http = httpx.Client(timeout=10, verify=trusted())
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        if self.database_url is None:
            shutil.copy(self.theatre.database, self.folder / "tokens.db")
            self.database_url = f"sqlite:///{self.folder / 'tokens.db'}"
        self.mailbox = self._stack.enter_context(MailSink(self.folder / "mail"))
        self.settings = self.theatre.settings.model_copy(
            update={
                "database_url": self.database_url,
                "smtp_port": self.mailbox.port,
                "import_folder": self.folder / "import",
                **{f"{name}_url": url for name, url in self.theatre.urls().items()},
                **self.extra,
            }
        )
        self.seal = seal_of(self.settings)
        self.dependencies = self._stack.enter_context(Dependencies(self.settings))
        self._stack.callback(self.http.close)
        self._stack.callback(self.clear_faults)
        self._worker = await self._stack.enter_async_context(AsyncExitStack())
        await self._start_worker()
        return self

    async def _start_worker(self) -> None:
        await self._worker.enter_async_context(
            worker_for(
                self.client,
                self.dependencies,
                self.theatre.threads,
                task_queue=self.task_queue,
                max_cached_workflows=100,
                workflow_runner=_VALIDATED,
            )
        )

    async def stop_worker(self) -> None:
        """From here on a test runs its own."""
        await self._worker.aclose()

    async def restart_worker(self) -> None:
        """Another worker takes over, and replays what the first one had in its memory."""
        await self.stop_worker()
        self._worker = await self._stack.enter_async_context(AsyncExitStack())
        await self._start_worker()

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def sessions(self) -> Sessions:
        return self.dependencies.sessions

    # The outside parties

    def fault(self, party: str, **fault: Any) -> None:
        """Switches a fault on at `vendor`, `carrier` or `directory`."""
        self.http.put(f"{self.theatre.urls()[party]}/faults", json=fault).raise_for_status()

    def clear_faults(self) -> None:
        for url in self.theatre.urls().values():
            self.http.delete(f"{url}/faults").raise_for_status()
        self.polls_until_synced(3)

    def polls_until_synced(self, polls: int | None) -> None:
        """How often the directory is asked until it says that it has synced; None: never by itself."""
        body = {"polls_until_synced": polls}
        self.http.put(f"{self.theatre.urls()['directory']}/simulate/settings", json=body).raise_for_status()

    def done(self, party: str, what: str, reference: str) -> list[Any]:
        """What a party has on record for a journey, such as its shipments."""
        answer = self.http.get(f"{self.theatre.urls()[party]}/v1/{what}", params={"reference": reference})
        return answer.raise_for_status().json()

    # Journeys

    async def start(self, *bodies: Any, at: datetime = TUESDAY, journey_id: str | None = None) -> "Play":
        """Starts a `TokenJourney` with whatever is given, on its own clock, at the moment `at`."""
        journey_id = journey_id or f"token-{uuid.uuid4().hex[:12]}"
        handle = await self.client.start_workflow(
            "TokenJourney",
            args=list(bodies),
            id=journey_id,
            task_queue=self.task_queue,
            start_delay=at - datetime.now(UTC),
        )
        play = Play(self, handle, at)
        await play.clock.begin(at + timedelta(milliseconds=50))
        return play

    async def request(
        self, kind: str = "hard", prescriber_id: str = "P-1001", at: datetime = TUESDAY, **body: Any
    ) -> "Play":
        """A good request, already admitted."""
        play = await self.start({"prescriber_id": prescriber_id, "kind": kind, **body}, at=at)
        await play.status()
        return play

    async def open(self, name: str, *bodies: Any, workflow_id: str | None = None) -> "Play":
        """Starts a workflow of another type, now."""
        handle = await self.client.start_workflow(
            name, args=list(bodies), id=workflow_id or f"{name}-{uuid.uuid4().hex[:12]}", task_queue=self.task_queue
        )
        return Play(self, handle, datetime.now(UTC))

    async def peer(self, workflow_id: str) -> "Play":
        """What a journey has started, as soon as it is there and has been admitted."""
        play = Play(self, self.client.get_workflow_handle(workflow_id), datetime.now(UTC))
        for _ in range(200):
            try:
                if (await play.status())["timeline"]:
                    return play
            except RPCError as fault:
                if fault.status is not RPCStatusCode.NOT_FOUND:
                    raise
            await asyncio.sleep(0.05)
        raise AssertionError(f"{workflow_id} has not been started")

    async def exists(self, workflow_id: str) -> bool:
        try:
            await self.client.get_workflow_handle(workflow_id).describe()
        except RPCError as fault:
            assert fault.status is RPCStatusCode.NOT_FOUND
            return False
        return True

    def verification(self) -> Verification:
        """Signing in, as an upstream system asks for it."""
        return Verification(self.sessions, self.seal, self.settings.pin_pepper.get_secret_value(), self.settings.policy)

    def token_state(self, serial: str) -> str:
        """What the stock shows of a serial."""
        with self.sessions() as session:
            return session.get_one(TokenRow, serial).state

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the database says."""
        with self.sessions() as session:
            return [tuple(row) for row in session.connection().exec_driver_sql(query)]


class Play:
    """One journey and its own clock."""

    def __init__(self, stage: Stage, handle: WorkflowHandle[Any, Any], start: datetime) -> None:
        self.stage = stage
        self.handle = handle
        self.start = start
        self.clock = Clock(stage.client, handle, patience=_PATIENCE)

    @property
    def id(self) -> str:
        return self.handle.id

    # The clock

    async def now(self) -> datetime:
        return await self.clock.now()

    async def to(self, moment: datetime) -> None:
        """Moves this journey's clock to `moment`; all that falls due by then is done when it returns."""
        await self.clock.to(moment)

    async def wait(self, **ahead: float) -> None:
        """Moves the clock by so many days, hours, minutes."""
        await self.to(await self.now() + timedelta(**ahead))

    # Messages

    async def status(self) -> dict[str, Any]:
        said: dict[str, Any] = await self.query("status")
        return said

    async def query(self, name: str) -> Any:
        """Asked once more where the first answer fails or does not come: tasks are tried again by the server, queries not. The
        SDK takes a busy machine that stands still for two seconds for a deadlock, and a query that meets the end of its
        workflow gets lost now and then."""
        try:
            return await asyncio.wait_for(self._asked(name), _PATIENCE / 4)
        except (WorkflowQueryFailedError, TimeoutError):
            return await asyncio.wait_for(self._asked(name), _PATIENCE)

    async def _asked(self, name: str) -> Any:
        """Answered once a worker has taken up what has just been started; the server refuses it until then."""
        for _ in range(200):
            try:
                return await self.handle.query(name)
            except RPCError as fault:
                if fault.status is not RPCStatusCode.FAILED_PRECONDITION:
                    raise
            await asyncio.sleep(0.05)
        return await self.handle.query(name)

    async def update(self, name: str, *bodies: Any) -> dict[str, Any]:
        return await asyncio.wait_for(self.handle.execute_update(name, args=list(bodies)), _PATIENCE)

    async def signal(self, name: str, *bodies: Any) -> None:
        await self.handle.signal(name, args=list(bodies))
        await self.status()

    async def refused(self, name: str, *bodies: Any) -> str:
        """The sentence with which an update is refused."""
        try:
            await self.update(name, *bodies)
        except WorkflowUpdateFailedError as error:
            assert isinstance(error.cause, ApplicationError)
            assert error.cause.type == "Refused"
            return error.cause.message
        raise AssertionError(f"{name} was not refused")

    async def result(self) -> Any:
        return await asyncio.wait_for(self.handle.result(), _PATIENCE)

    async def failed(self) -> str:
        """The sentence with which the journey failed."""
        try:
            await self.result()
        except WorkflowFailureError as error:
            assert isinstance(error.cause, ApplicationError)
            return error.cause.message
        raise AssertionError("the journey did not fail")

    # The steps that many tests need

    async def process(self, **body: Any) -> None:
        """Processes the request and lets its label and emails happen."""
        await self.update("process", {"operator": "Dana", **body})
        await self.wait(seconds=5)

    async def deliver(self) -> None:
        """The carrier says that the parcel is there, now."""
        await self.carrier("delivered", await self.now())
        await self.wait(seconds=5)

    async def carrier(self, status: str, at: datetime, **body: Any) -> None:
        number = (await self.status())["tracking_number"]
        event = {"tracking_number": number, "status": status, "occurred_at": at.isoformat()}
        await self.signal("carrier_event", {**event, **body})

    async def enroll(self) -> None:
        """Enrols as the prescriber would: with the device in hand, or the app and a PIN."""
        snapshot = await self.status()
        if snapshot["kind"] == "hard":
            serial = snapshot["serial_number"]
            passcode = self.device(serial).press(at=await self.now())
            await self.update("enroll_hard", {"serial_number": serial, "passcode": passcode})
        else:
            await self.update("enroll_soft", {"token_name": "My phone", "enrollment_ref": await self.soft_ref()})

    async def signs(self, at: datetime | None = None) -> bool:
        """Whether the hard token in hand signs: its next passcode is taken."""
        token = self.token()
        assert token is not None
        at = at or await self.now()
        try:
            self.stage.verification().verify(self.id, self.device(token.serial_number).press(at=at), None, at)
        except NotVerified:
            return False
        return True

    def device(self, serial: str) -> HardDevice:
        return HardDevice(serial, self.stage.folder)

    async def soft_ref(self, pin: str = "2580") -> str:
        stored = soft_enrollment.store(
            self.stage.sessions,
            self.stage.seal,
            self.stage.settings.pin_pepper.get_secret_value(),
            journey_id=self.id,
            pin=pin,
            device=None,
            at=await self.now(),
        )
        return stored.enrollment_ref

    async def reach(self, status: str) -> None:
        """Brings a fresh request to `status` by the ordinary way."""
        steps = {"hard": ["Shipped", "Delivered", "Syncing", "Active"], "soft": ["Processed", "Syncing", "Active"]}
        if status == "Requested":
            return
        if status == "Cancelled":
            await self.update("cancel", {})
            return
        await self.process()
        snapshot = await self.status()
        if snapshot["status"] == status:
            return
        kind = snapshot["kind"]
        for _ in range(
            7
        ):  # what journeys start begins on the real clock: after the cut-off, at a weekend, on a holiday
            if kind == "soft" or (await self.status())["status"] != "Processed":
                break
            await self.wait(days=1)
        order = steps[kind]
        if status == order[0]:
            return
        if kind == "hard":
            await self.deliver()
            if status == "Delivered":
                return
        if status == "Syncing":
            self.stage.polls_until_synced(None)
        await self.enroll()
        if status == "Syncing":
            await self.wait(seconds=5)
            return
        await self.wait(minutes=10)
        if status == "Deactivated":
            await self.update("deactivate", {"confirmed": True, "reason": "faulty"})
        assert (await self.status())["status"] == status

    # What came of it

    def emails(self, journey_id: str | None = None) -> list[EmailMessage]:
        """This journey's emails, or those about another's token, in the order in which they came."""
        wanted = journey_id or self.id
        return [message for message in self.stage.mailbox.messages() if message["X-Token-Journey"] == wanted]

    def letters(self) -> list[str]:
        """Their names."""
        return [message["X-Token-Letter"] for message in self.emails()]

    def said(self, letter: str) -> str:
        """The text of its latest email of that name."""
        body = [each for each in self.emails() if each["X-Token-Letter"] == letter][-1].get_body(("plain",))
        assert body is not None
        return body.get_content()

    def token(self) -> TokenRow | None:
        with self.stage.sessions() as session:
            return session.scalars(select(TokenRow).where(TokenRow.journey_id == self.id)).first()
