"""Finds the Temporal server binary, or gets one: `python -m starter.temporal_binary` prints its path.

Looked for in this order: the setting `TOKENS_TEMPORAL_BINARY`; `temporal` on PATH if its server is new enough; the one built
before; the SDK's download; a build of the Go module in `tools/temporal/`. What is got is kept in the user's cache folder, so
that clean clones and CI get it once.
"""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version as version_of_package
from pathlib import Path
from typing import Literal, NamedTuple

from filelock import FileLock, Timeout

from settings import Settings

Tell = Callable[[str], None]
How = Literal["setting", "PATH", "built before", "downloaded", "built now"]

MODULE = Path(__file__).resolve().parent.parent / "tools" / "temporal"
PACKAGE = "github.com/temporalio/cli/cmd/temporal"
OLDEST_SERVER = (1, 32)
"""The first server that can skip time for one workflow."""
_DOWNLOAD_PATIENCE = 180.0
_TELL_EVERY = 10.0
_STOPPED = "The build of the Temporal server was stopped; the next start takes it up again."


class TemporalMissing(Exception):
    """No usable binary; one sentence says why and what to do."""


class Found(NamedTuple):
    """A usable binary. `version`: of the server inside it. `how`: where it came from."""

    path: Path
    version: str
    how: How


def find(settings: Settings) -> Found | None:
    """The binary if there is one on this machine; nothing is downloaded or built. Raises TemporalMissing when the setting
    names one that can't be used."""
    if settings.temporal_binary is not None:
        return _from_setting(settings.temporal_binary)
    on_path = shutil.which("temporal")
    return (
        _usable(Path(on_path) if on_path else None, "PATH")
        or _usable(built_path(), "built before")
        or _usable(_downloaded(), "downloaded")
    )


def ensure(settings: Settings, tell: Tell, stop: threading.Event | None = None) -> Found:
    """The binary, got if there is none: takes about 4 minutes at the first time where it must be built. `tell` is given
    progress by the line; setting `stop` ends it. Raises TemporalMissing."""
    return find(settings) or _download(tell, stop) or _build(tell, stop)


def cache() -> Path:
    """The folder in the user's cache that belongs to this project."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "token-fulfillment"


def built_path() -> Path:
    """Where the build of exactly this module set is kept."""
    content = (MODULE / "go.mod").read_bytes() + (MODULE / "go.sum").read_bytes()
    return cache() / f"temporal-{hashlib.sha256(content).hexdigest()[:16]}" / "temporal"


def server_version(binary: Path) -> str | None:
    """The version of the server inside, such as "1.32.0"; None if `binary` is no Temporal that can be run."""
    try:
        answer = subprocess.run(  # noqa: S603  # the binary that the person named, or that was found
            [str(binary), "--version"], capture_output=True, text=True, timeout=20, check=True, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    match = re.search(r"\bServer (\d+\.\d+\.\d+[^\s,)]*)", answer.stdout)
    return match[1] if match else None


def _new_enough(version: str) -> bool:
    major, minor = version.split(".")[:2]
    return (int(major), int(minor)) >= OLDEST_SERVER


def _usable(binary: Path | None, how: How) -> Found | None:
    version = server_version(binary) if binary is not None and binary.is_file() else None
    return Found(binary, version, how) if binary and version and _new_enough(version) else None


def _from_setting(binary: Path) -> Found:
    instead = "; correct it, or leave it out to have one found or built"
    if not binary.is_file():
        raise TemporalMissing(f"TOKENS_TEMPORAL_BINARY names {binary}, which is not a file{instead}.")
    version = server_version(binary)
    if version is None:
        raise TemporalMissing(
            f"TOKENS_TEMPORAL_BINARY names {binary}, which does not run as a Temporal binary{instead}."
        )
    if not _new_enough(version):
        oldest = ".".join(map(str, OLDEST_SERVER))
        raise TemporalMissing(
            f"TOKENS_TEMPORAL_BINARY names {binary}, whose server is {version}, but {oldest} or newer is needed{instead}."
        )
    return Found(binary.resolve(), version, "setting")


# The SDK's download


def _download_folder() -> Path:
    return cache() / f"sdk-{version_of_package('temporalio')}"


def _downloaded() -> Path | None:
    """What the SDK left in its folder (it gives the file a name of its own)."""
    files = [path for path in _download_folder().glob("*") if path.is_file() and os.access(path, os.X_OK)]
    return files[0] if files else None


def _download(tell: Tell, stop: threading.Event | None) -> Found | None:
    """None where the site can't be reached, or where what it has is too old (then it is kept, so as not to ask again)."""
    from starter import temporal_download  # loads the SDK, which a binary that is there does not need

    if _downloaded() is not None or not temporal_download.reachable():
        return None
    tell("Downloading the Temporal server, once.")
    folder = _download_folder()
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "starter.temporal_download", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(MODULE.parent.parent)}
    with tempfile.TemporaryFile() as log:
        process = _start(command, environment, None, log.fileno())
        _wait(process, stop, deadline=time.monotonic() + _DOWNLOAD_PATIENCE)
    return _usable(_downloaded(), "downloaded")


# The build


def _build(tell: Tell, stop: threading.Event | None) -> Found:
    go = shutil.which("go")
    if go is None:
        raise TemporalMissing(
            "No Temporal server was found and none can be downloaded, so it must be built, for which Go is missing; install Go"
            f" {_go_version()} or newer from https://go.dev/dl, or set TOKENS_TEMPORAL_BINARY to a `temporal` binary."
        )
    target = built_path()
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target.parent.with_suffix(".lock"), tell, stop):
        return _usable(target, "built before") or _build_into(target, go, tell, stop)


@contextmanager
def _alone(path: Path, tell: Tell, stop: threading.Event | None) -> Iterator[None]:
    """Two at once must not build twice. The lock ends with the process that holds it."""
    lock = FileLock(path, fallback_to_soft=False, preserve_lock_file=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        tell("The Temporal server is being built by another process; waiting for it.")
        try:
            lock.acquire(poll_interval=0.2, cancel_check=stop.is_set if stop else None)
        except Timeout:
            raise TemporalMissing(_STOPPED) from None
    try:
        yield
    finally:
        lock.release()


def _build_into(target: Path, go: str, tell: Tell, stop: threading.Event | None) -> Found:
    tell("Building the Temporal server from tools/temporal, once: about 4 minutes and 3.5 GB of Go's caches.")
    temporary = target.with_name(f".building-{os.getpid()}")
    log_path = target.with_name("build.log")
    command = [go, "build", "-v", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o", str(temporary), PACKAGE]
    environment = {**os.environ, "GOWORK": "off"}
    for stale in target.parent.glob(".building-*"):  # of a build that was killed: the lock says that none is running
        stale.unlink()
    try:
        with log_path.open("wb") as log:
            process = _start(command, environment, MODULE, log.fileno())
            progress = _Progress(log_path, tell)
            _wait(process, stop, progress.show)
        if process.returncode != 0:
            raise TemporalMissing(_build_failure(process.returncode, log_path, stop))
        if server_version(temporary) is None:
            raise TemporalMissing("The Temporal server was built, but does not run; see `tokens doctor`.")
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    tell(f"Built the Temporal server in {progress.elapsed()}; it is kept in {target.parent}.")
    return Found(target, server_version(target) or "", "built now")


def _build_failure(code: int, log_path: Path, stop: threading.Event | None) -> str:
    if stop is not None and stop.is_set():
        return _STOPPED
    lines = [line for line in log_path.read_text(errors="replace").splitlines() if line.strip()]
    last = lines[-1].strip() if lines else f"go ended with {code}"
    return f"The Temporal server could not be built ({last}); see {log_path}, or set TOKENS_TEMPORAL_BINARY to a `temporal` binary."


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


def _go_version() -> str:
    match = re.search(r"^go (\d+\.\d+)", (MODULE / "go.mod").read_text(), re.MULTILINE)
    return match[1] if match else ""


# The work of others


def _start(command: list[str], environment: dict[str, str], folder: Path | None, log: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603  # this module's own commands
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def _wait(
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


def main() -> int:
    """Prints the path of the binary; progress and refusals go to standard error."""
    try:
        found = ensure(Settings(), lambda said: print(said, file=sys.stderr, flush=True))
    except TemporalMissing as refusal:
        print(refusal, file=sys.stderr)
        return 1
    print(found.path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
