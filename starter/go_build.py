"""Builds programs from a pinned Go module, once, into the user's cache folder; two at once build once."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

Tell = Callable[[str], None]
_TELL_EVERY = 10.0


class NotBuilt(Exception):
    """One sentence says why and what to do."""


class GoMissing(NotBuilt):
    """Go is not installed."""


@dataclass(frozen=True)
class Module:
    """A folder with go.mod and go.sum. `title`: what it builds, as sentences name it. `packages`: file name of each program to
    the package it is built from. `cost`: what the first build takes, in words."""

    folder: Path
    name: str
    title: str
    packages: Mapping[str, str]
    cost: str

    def built(self) -> Path:
        """The folder in which the programs of exactly this module set are kept."""
        content = (self.folder / "go.mod").read_bytes() + (self.folder / "go.sum").read_bytes()
        return cache() / f"{self.name}-{hashlib.sha256(content).hexdigest()[:16]}"

    def go_version(self) -> str:
        """The Go that it needs at least, such as "1.26"."""
        match = re.search(r"^go (\d+\.\d+)", (self.folder / "go.mod").read_text(), re.MULTILINE)
        return match[1] if match else ""

    @property
    def stopped(self) -> str:
        return f"The build of {self.title} was stopped; the next start takes it up again."


def cache() -> Path:
    """The folder in the user's cache that belongs to this project."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "token-fulfillment"


def build(
    module: Module, tell: Tell, stop: threading.Event | None, usable: Callable[[Path], bool]
) -> tuple[Path, bool]:
    """The folder with all programs, and whether any was built now. `usable`: whether one runs. `tell` is given progress by the
    line; setting `stop` ends it. Raises NotBuilt."""
    go = shutil.which("go")
    if go is None:
        raise GoMissing(
            f"{module.title[0].upper()}{module.title[1:]} must be built, for which Go is missing; install Go"
            f" {module.go_version()} or newer from https://go.dev/dl."
        )
    target = module.built()
    target.mkdir(parents=True, exist_ok=True)
    with _alone(module, target.with_suffix(".lock"), tell, stop):
        missing = {name: package for name, package in module.packages.items() if not usable(target / name)}
        if missing:
            _build_into(module, target, missing, go, tell, stop, usable)
    return target, bool(missing)


@contextmanager
def _alone(module: Module, path: Path, tell: Tell, stop: threading.Event | None) -> Iterator[None]:
    """Two at once must not build twice. The lock ends with the process that holds it."""
    lock = FileLock(path, fallback_to_soft=False, preserve_lock_file=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        tell(f"{module.title[0].upper()}{module.title[1:]} is being built by another process; waiting for it.")
        try:
            lock.acquire(poll_interval=0.2, cancel_check=stop.is_set if stop else None)
        except Timeout:
            raise NotBuilt(module.stopped) from None
    try:
        yield
    finally:
        lock.release()


def _build_into(
    module: Module,
    target: Path,
    packages: Mapping[str, str],
    go: str,
    tell: Tell,
    stop: threading.Event | None,
    usable: Callable[[Path], bool],
) -> None:
    where = "/".join(module.folder.parts[-2:])
    tell(f"Building {module.title} from {where}, once: {module.cost}.")
    log_path = target / "build.log"
    for stale in target.glob(".building-*"):  # of a build that was killed: the lock says that none is running
        stale.unlink()
    log_path.write_bytes(b"")
    progress = _Progress(log_path, tell)
    for name, package in packages.items():
        temporary = target / f".building-{os.getpid()}"
        command = [go, "build", "-v", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o", str(temporary), package]
        try:
            with log_path.open("ab") as log:
                process = start(command, {**os.environ, "GOWORK": "off"}, module.folder, log.fileno())
                wait(process, stop, progress.show)
            if process.returncode != 0:
                raise NotBuilt(_failure(module, process.returncode, log_path, stop))
            if not usable(temporary):
                raise NotBuilt(
                    f"{module.title[0].upper()}{module.title[1:]} was built, but does not run; see `tokens doctor`."
                )
            temporary.replace(target / name)
        finally:
            temporary.unlink(missing_ok=True)
    tell(f"Built {module.title} in {progress.elapsed()}; it is kept in {target}.")


def _failure(module: Module, code: int, log_path: Path, stop: threading.Event | None) -> str:
    if stop is not None and stop.is_set():
        return module.stopped
    lines = [line for line in log_path.read_text(errors="replace").splitlines() if line.strip()]
    last = lines[-1].strip() if lines else f"go ended with {code}"
    return f"{module.title[0].upper()}{module.title[1:]} could not be built ({last}); see {log_path}."


class _Progress:
    """Counts what `go build -v` says, and tells it now and then with the time that it has taken."""

    def __init__(self, log_path: Path, tell: Tell) -> None:
        self._log_path, self._tell = log_path, tell
        self._began = self._told = time.monotonic()

    def elapsed(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        return f"{minutes}:{seconds:02}"

    def show(self) -> None:
        if time.monotonic() - self._told < _TELL_EVERY:
            return
        self._told = time.monotonic()
        lines = self._log_path.read_text(errors="replace").splitlines()
        modules = sum(line.startswith("go: downloading") for line in lines)
        packages = sum(not line.startswith("go: ") for line in lines)
        what = f"{packages} packages compiled" if packages else f"{modules} modules downloaded"
        self._tell(f"  {self.elapsed()}  {what}")


def start(command: list[str], environment: Mapping[str, str], folder: Path | None, log: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603  # this project's own commands
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def wait(
    process: subprocess.Popen[bytes],
    stop: threading.Event | None,
    meanwhile: Callable[[], None] = lambda: None,
    deadline: float = float("inf"),
) -> None:
    """Waits for the end of `process`; ends it and what it started when `stop` is set or the deadline has passed."""
    try:
        while True:
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.2)
                return
            if (stop is not None and stop.is_set()) or time.monotonic() > deadline:
                return
            meanwhile()
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
