"""Child processes that one parent starts, watches, starts again and ends. Nothing here knows what they do."""

import asyncio
import fcntl
import json
import os
import random
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout

Tell = Callable[[str], None]

HOST = "127.0.0.1"
RECORD = "stack.json"
_TETHER = str(Path(__file__).with_name("tether.py"))
_POLL = 0.02
_LARGEST_LOG = 5_000_000
_LIVED_LONG = 60.0
"""Seconds after which a child that ends is started again without paying for earlier ends."""
_FREE_PORTS = (20000, 32000)
"""Below those that Linux and macOS give to outgoing connections, so that none of them gets in between."""


class StackError(Exception):
    """The stack can't start; one sentence says why and what to do."""


@dataclass(frozen=True)
class Wanted:
    """A port, who wants it ("the gateway"), and the variable that changes it (None: it was chosen here)."""

    port: int
    who: str
    setting: str | None = None


@dataclass(frozen=True)
class Child:
    """What to run. `title`: as sentences name it ("the worker"). `answers`: asked again and again until true; left out, the
    child is ready when a line of its output begins with "ready"."""

    name: str
    title: str
    command: list[str]
    environment: Mapping[str, str]
    folder: Path | None = None
    ports: tuple[Wanted, ...] = ()
    answers: Callable[[], Awaitable[bool]] | None = None


# Ports


def choose(setting: int, chosen: set[int]) -> int:
    """The port that the setting names, or for 0 a free one; noted in `chosen`, so that it is given out once."""
    port = setting
    while port == 0 or (setting == 0 and (port in chosen or taken(port) or not _reserved(port))):
        port = random.randint(*_FREE_PORTS)  # noqa: S311  # not a secret
    chosen.add(port)
    return port


_RESERVATIONS: list[int] = []
"""Locked as long as this process lives."""


def _reserved(port: int) -> bool:
    """Whether it is this process's from now on: between the choice and the child that listens there, another stack that begins
    on this machine may choose, too."""
    folder = Path(tempfile.gettempdir()) / f"token-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    reservation = os.open(folder / str(port), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(reservation, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(reservation)
        return False
    _RESERVATIONS.append(reservation)
    return True


def taken(port: int) -> bool:
    """Whether some process has the port on this machine."""
    with closing(socket.socket()) as probe:
        # Else a connection that ended a minute ago would count as somebody.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return True
    return False


def refuse_taken(wanted: list[Wanted]) -> None:
    """Raises StackError about the first port that can't be had."""
    owners: dict[int, Wanted] = {}
    for want in wanted:
        other = owners.setdefault(want.port, want)
        if other is not want:
            setting = want.setting or other.setting
            raise StackError(
                f"Port {want.port} is wanted by both {other.who} and {want.who};"
                f" set {setting} to another one, or 0 for any free one."
            )
        if taken(want.port):
            raise StackError(_taken_sentence(want))


def _taken_sentence(want: Wanted) -> str:
    if want.setting is None:
        return f"Port {want.port}, chosen for {want.who}, has just been taken by another program; try again."
    return (
        f"Port {want.port}, which {want.who} wants, is taken by another program;"
        f" set {want.setting} to another one, or 0 for any free one."
    )


# Processes


def identity(pid: int) -> str | None:
    """What tells a process from a later one with the same number: when it was started. None where none runs."""
    if pid <= 0:
        return None
    if sys.platform == "linux":
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return None
        return None if fields[0] in "ZX" else f"{boot}:{fields[19]}"
    shown = subprocess.run(  # noqa: S603
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split(maxsplit=1)
    return None if len(shown) < 2 or shown[0].startswith("Z") else shown[1].strip()


def tethered(command: list[str]) -> list[str]:
    """What runs `command` so that it ends with this process (see `tether`)."""
    return [sys.executable, "-I", "-S", _TETHER, str(os.getpid()), "--", *command]


async def end_orphans(recorded: object, patience: float = 10.0) -> list[str]:
    """Ends what an earlier parent left running, by name to {"pid", "identity"}; returns the names of what was ended. A process
    that only got the number of one of them is left alone. Raises StackError if one can't be ended."""
    left: dict[str, tuple[int, str]] = {}
    for name, entry in recorded.items() if isinstance(recorded, Mapping) else ():
        pid, known = (entry.get("pid"), entry.get("identity")) if isinstance(entry, Mapping) else (None, None)
        if isinstance(pid, int) and isinstance(known, str) and identity(pid) == known:
            left[str(name)] = (pid, known)
    # Mildly at first: Temporal and the database write their last words.
    for number, seconds in ((signal.SIGTERM, patience / 2), (signal.SIGKILL, patience / 2)):
        deadline = time.monotonic() + seconds
        for pid, known in left.values():
            if identity(pid) == known:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
        while any(identity(pid) == known for pid, known in left.values()) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_POLL)
    for name, (pid, known) in left.items():
        if identity(pid) == known:
            raise StackError(
                f"Process {pid} ({name}) of an earlier stack can't be ended; end it by hand, then try again."
            )
    return list(left)


class _Running:
    """A child's process, and the next one when it is started again."""

    def __init__(self, child: Child, logs: Path) -> None:
        self.child = child
        self.log = logs / f"{child.name}.log"
        self.title = child.title[0].upper() + child.title[1:]
        self.process: asyncio.subprocess.Process | None = None
        self.started_at = 0.0
        self.wanted = asyncio.Event()  # cleared: it is not started again
        self.wanted.set()
        self.ready = asyncio.Event()
        self._read_from = 0

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self.process.pid if self.process is not None and self.process.returncode is None else None

    async def start(self) -> None:
        """In a session of its own: Ctrl-C is for the parent, which ends its children in order."""
        if self.log.exists() and self.log.stat().st_size > _LARGEST_LOG:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            self._read_from = log.tell()
            self.process = await asyncio.create_subprocess_exec(
                *tethered(self.child.command),
                cwd=self.child.folder,
                env=self.child.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.started_at = time.monotonic()

    async def until_ready(self, patience: float) -> None:
        """Raises StackError when the process ends instead, or takes longer than `patience` seconds."""
        deadline = time.monotonic() + patience
        while not await self._is_ready():
            self._must_run()
            if time.monotonic() > deadline:
                raise StackError(
                    f"{self.title} was not ready within {patience:g} s; see {self.log}, or `tokens doctor`."
                )
            await asyncio.sleep(_POLL)
        self._must_run()  # what has answered may be another's
        self.ready.set()

    async def _is_ready(self) -> bool:
        if self.child.answers is not None:
            return await self.child.answers()
        return re.search(rb"^ready", self._output(), re.MULTILINE) is not None

    async def end(self, grace: float) -> None:
        """SIGTERM, and SIGKILL after `grace` seconds; returns when nothing of it is left."""
        process = self.process
        if process is None:
            return
        self.process = None
        try:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.terminate()
                with suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), grace)
        finally:
            with suppress(ProcessLookupError, PermissionError):  # also what it may have started itself
                os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    def how_ended(self) -> str:
        code = self.process.returncode if self.process is not None else None
        return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"

    def _must_run(self) -> None:
        if self.pid is not None:
            return
        for want in self.child.ports:
            if taken(want.port):
                raise StackError(_taken_sentence(want))
        lines = [line.strip() for line in self._output().decode(errors="replace").splitlines() if line.strip()]
        last = f": {lines[-1][:300].rstrip('.')}" if lines else ""
        raise StackError(f"{self.title} ended while it was starting ({self.how_ended()}){last}; see {self.log}.")

    def _output(self) -> bytes:
        """What this process has said so far; the log also holds its forerunners' words."""
        with self.log.open("rb") as log:
            log.seek(self._read_from)
            return log.read(_LARGEST_LOG)


class Supervisor:
    """`async with Supervisor(state, tell) as supervisor:` holds the state folder's lock; after it nothing is left running.

    Enter it from the main thread (see `tether`). `info` is what `stack.json` has, with "pids". `backoff`: the first and the
    longest wait, in seconds, before a child that ended is started again. `patience`: seconds to become ready. `grace`: seconds
    between SIGTERM and SIGKILL. Entering raises StackError."""

    def __init__(
        self,
        state: Path,
        tell: Tell,
        backoff: tuple[float, float] = (0.5, 10.0),
        patience: float = 60.0,
        grace: float = 8.0,
    ) -> None:
        self.info: dict[str, Any] = {}
        self.state = state.resolve()
        self._tell, self._backoff, self._patience, self._grace = tell, backoff, patience, grace
        self._lock = lock_of(self.state)
        self._running: list[_Running] = []
        self._watching: dict[str, asyncio.Task[None]] = {}
        self._ready = False

    async def __aenter__(self) -> Self:
        self._take_lock()
        try:
            (self.state / "logs").mkdir(exist_ok=True)
            ended = await end_orphans((read(self.state) or {}).get("children"))
            self._record()
            if ended:
                self._tell(f"Ended what an earlier stack had left running: {', '.join(ended)}.")
        except BaseException:
            self._lock.release()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._watching.values():
            task.cancel()
        await asyncio.gather(*self._watching.values(), return_exceptions=True)
        try:
            for running in reversed(self._running):
                await running.end(self._grace)
            (self.state / RECORD).unlink(missing_ok=True)
        finally:
            self._lock.release()

    async def start(self, *children: Child) -> None:
        """Starts these together and returns when all are ready; from then on each is started again if it ends. Raises
        StackError."""
        refuse_taken([want for child in children for want in child.ports])
        wave = [_Running(child, self.state / "logs") for child in children]
        for running in wave:
            self._running.append(running)
            await running.start()
            self._record()
        await all_of(*(running.until_ready(self._patience) for running in wave))
        for running in wave:
            self._watching[running.child.name] = asyncio.create_task(self._watch(running))

    def pid(self, name: str) -> int | None:
        """The process id of a child while it runs. Raises KeyError where there is no such child."""
        return self._named(name).pid

    async def hold(self, name: str, number: int = signal.SIGKILL) -> None:
        """Ends a child by that signal, and leaves it ended until `resume`. Returns when it has ended."""
        running = self._named(name)
        running.wanted.clear()
        process = running.process
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(number)
            await process.wait()

    async def resume(self, name: str) -> None:
        """Returns when the child runs and is ready again."""
        running = self._named(name)
        running.wanted.set()
        await self.until_ready(name)

    async def until_ready(self, name: str) -> None:
        """Returns when the child runs and is ready, however often it must be started for that."""
        running = self._named(name)
        while running.pid is None:
            running.ready.clear()  # of a process that has ended since
            await running.ready.wait()
        await running.ready.wait()

    async def retire(self, name: str) -> None:
        """Ends a child for good, mildly."""
        running = self._named(name)
        task = self._watching.pop(name)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await running.end(self._grace)
        self._running.remove(running)
        self._record()

    def _named(self, name: str) -> "_Running":
        for running in self._running:
            if running.child.name == name:
                return running
        raise KeyError(name)

    def ready(self) -> None:
        """From here on `connect_info` tells others of this stack."""
        self._ready = True
        self._record()

    async def _watch(self, running: _Running) -> None:
        wait, longest = self._backoff
        while True:
            if running.process is not None:
                await running.process.wait()
                running.ready.clear()
                if time.monotonic() - running.started_at > _LIVED_LONG:
                    wait = self._backoff[0]
                again = f"starting it again in {wait:g} s" if running.wanted.is_set() else "as it was told to"
                self._tell(f"{running.title} ended ({running.how_ended()}); {again}.")
                await running.end(self._grace)
                self._record()
            if running.wanted.is_set():
                await asyncio.sleep(wait)
            await running.wanted.wait()
            wait = min(wait * 2, longest)
            try:
                await running.start()
                self._record()
                await running.until_ready(self._patience)
            except (StackError, OSError) as fault:
                self._tell(f"{fault} Trying again in {wait:g} s.")
                await running.end(self._grace)
            else:
                self._tell(f"{running.title} is back.")

    def _record(self) -> None:
        pids = {running.child.name: running.pid for running in self._running if running.pid is not None}
        self.info["pids"] = {"stack": os.getpid(), **pids}
        record = {
            **self.info,
            "ready": self._ready,
            "started": identity(os.getpid()),
            "children": {name: {"pid": pid, "identity": identity(pid)} for name, pid in pids.items()},
        }
        path = self.state / RECORD
        temporary = path.with_name(f".{RECORD}-{secrets.token_hex(4)}")
        try:
            # For the owner only: a database's address may hold a password.
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                json.dump(record, file, indent=2)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def _take_lock(self) -> None:
        try:
            self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock.acquire()
        except Timeout:
            other = (read(self.state) or {}).get("pids", {}).get("stack")
            who = f"process {other}" if other else "it is just starting"
            raise StackError(
                f"A stack already runs on {self.state} ({who}); end it first, or choose another TOKENS_STATE."
            ) from None
        except OSError as fault:
            raise StackError(
                f"The state folder {self.state} can't be used ({fault.strerror}); choose another TOKENS_STATE."
            ) from None


def lock_of(state: Path) -> FileLock:
    """What a stack holds while it runs on `state`; taking it raises filelock's Timeout at once where another holds it."""
    return FileLock(state.resolve() / "stack.lock", timeout=0, fallback_to_soft=False, preserve_lock_file=True)


def connect_info(state: Path) -> dict[str, Any] | None:
    """Addresses and process ids of the stack that is ready on `state`; None if there is none."""
    record = read(state)
    try:
        if record is None or not record.get("ready", True) or record["started"] is None:
            return None
        if identity(record["pids"]["stack"]) != record["started"]:
            return None
    except (KeyError, TypeError):
        return None
    return {name: value for name, value in record.items() if name not in ("ready", "started", "children")}


def read(state: Path) -> dict[str, Any] | None:
    """`stack.json` as it is, whoever wrote it; None if it is not there or damaged."""
    try:
        content = json.loads((state / RECORD).read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


async def all_of(*work: Awaitable[None]) -> None:
    """All at once; when one fails the others are cancelled, and its exception is raised as it is."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
