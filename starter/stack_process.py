"""One process of the embedded stack: how it is started, known to be ready, told from others, and ended."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from starter import stack_launcher
from starter.stack_ports import Wanted, taken, taken_sentence

_POLL = 0.02
_LARGEST_LOG = 5_000_000
_WATCHDOG = sys.platform != "linux"


class StackError(Exception):
    """The stack can't start; one sentence says why and what to do."""


@dataclass(frozen=True)
class Child:
    """What to run. `title`: as sentences name it ("the worker"). `ready`: a pattern that a line of its output begins with once
    it does its work; it is the process's own word, which an answering port is not."""

    name: str
    title: str
    command: list[str]
    environment: Mapping[str, str]
    ready: str = "ready"
    ports: tuple[Wanted, ...] = ()
    grace: float = 10.0
    """Seconds between SIGTERM and SIGKILL."""


class Running:
    """A child's process, and the next one when it is started again."""

    def __init__(self, child: Child, logs: Path) -> None:
        self.child = child
        self.log = logs / f"{child.name}.log"
        self.process: asyncio.subprocess.Process | None = None
        self.started_at = 0.0
        self._read_from = 0

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self.process.pid if self.process is not None and self.process.returncode is None else None

    async def start(self) -> None:
        """Starts the process, in a session of its own (Ctrl-C is for the stack, which ends its children in order), from the
        thread that runs the event loop (see `stack_launcher`)."""
        if self.log.exists() and self.log.stat().st_size > _LARGEST_LOG:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            self._read_from = log.tell()
            self.process = await asyncio.create_subprocess_exec(
                *stack_launcher.tied_to_this_process(self.child.command, _WATCHDOG),
                env=self.child.environment,
                stdin=subprocess.PIPE if _WATCHDOG else subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.started_at = time.monotonic()

    async def until_ready(self, patience: float) -> None:
        """Returns when the process says so. Raises StackError when it ends instead, or takes longer than `patience` seconds."""
        process, deadline = self.process, time.monotonic() + patience
        assert process is not None
        pattern = re.compile(rf"^{self.child.ready}".encode(), re.MULTILINE)
        while not pattern.search(self._output()):
            if process.returncode is not None:
                raise StackError(self._why_ended())
            if time.monotonic() > deadline:
                raise StackError(
                    f"{self._title()} was not ready within {patience:g} s; its log is {self.log}. Try again, or see `tokens doctor`."
                )
            await asyncio.sleep(_POLL)
        if process.returncode is not None:
            raise StackError(self._why_ended())

    async def end(self) -> None:
        """SIGTERM, and SIGKILL after the grace; returns when nothing of it is left."""
        process = self.process
        if process is None:
            return
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), self.child.grace)
        with suppress(ProcessLookupError, PermissionError):  # also what it may have started itself
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        if process.stdin is not None:
            process.stdin.close()

    def ended_sentence(self) -> str:
        """How a process that was ready has ended."""
        return f"{self._title()} ended ({self._how()})"

    def _why_ended(self) -> str:
        for want in self.child.ports:
            if taken(want.port):
                return taken_sentence(want)
        lines = [line for line in self._output().decode(errors="replace").splitlines() if line.strip()]
        last = f": {lines[-1].strip()[:300]}" if lines else ""
        return f"{self._title()} ended while it was starting ({self._how()}){last} (its log is {self.log})."

    def _how(self) -> str:
        code = self.process.returncode if self.process is not None else None
        return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"

    def _title(self) -> str:
        return self.child.title[0].upper() + self.child.title[1:]

    def _output(self) -> bytes:
        """What this process has said so far; the log also holds its forerunners' words."""
        with self.log.open("rb") as log:
            log.seek(self._read_from)
            return log.read(_LARGEST_LOG)


def identity(pid: int) -> str | None:
    """What tells a process from a later one with the same number: when it was started. None where there is none (any more)."""
    if pid <= 0:
        return None
    if sys.platform == "linux":
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return None
        state, started = fields[0], fields[19]
        return None if state in "ZX" else f"{boot}:{started}"
    shown = subprocess.run(  # noqa: S603
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split(maxsplit=1)
    return None if len(shown) < 2 or shown[0].startswith("Z") else shown[1].strip()


async def end_orphans(recorded: Mapping[str, object], patience: float = 10.0) -> list[str]:
    """Ends what an earlier stack left running; `recorded`: name to {"pid", "identity"}. Returns the names of what was ended.
    A process that only got the number of one of them is left alone. Raises StackError if one can't be ended."""
    left: dict[str, tuple[int, str]] = {}
    for name, entry in recorded.items():
        if not isinstance(entry, Mapping):
            continue
        pid, known = entry.get("pid"), entry.get("identity")
        if isinstance(pid, int) and isinstance(known, str) and identity(pid) == known:
            left[name] = (pid, known)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + patience
    for name, (pid, known) in left.items():
        while identity(pid) == known:
            if time.monotonic() > deadline:
                raise StackError(
                    f"Process {pid} ({name}) of an earlier stack can't be ended; end it by hand, then try again."
                )
            await asyncio.sleep(_POLL)
    return list(left)
