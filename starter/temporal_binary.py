"""Finds the Temporal server binary, or gets one: `python -m starter.temporal_binary` prints its path.

Looked for in this order: the setting `TOKENS_TEMPORAL_BINARY`; `temporal` on PATH if its server is new enough; the one built
before; the SDK's download; a build of the Go module in `tools/temporal/`. What is got is kept in the user's cache folder, so
that clean clones and CI get it once.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from importlib.metadata import version as version_of_package
from pathlib import Path
from typing import Literal, NamedTuple

from settings import Settings
from starter import go_build

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


def built_path() -> Path:
    """Where the build of exactly this module set is kept."""
    return _module().built() / "temporal"


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
    return go_build.cache() / f"sdk-{version_of_package('temporalio')}"


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
        process = go_build.start(command, environment, None, log.fileno())
        go_build.wait(process, stop, deadline=time.monotonic() + _DOWNLOAD_PATIENCE)
    return _usable(_downloaded(), "downloaded")


# The build


def _module() -> go_build.Module:
    return go_build.Module(
        MODULE,
        "temporal",
        "the Temporal server",
        {"temporal": PACKAGE},
        "about 4 minutes and 3.5 GB of Go's caches",
    )


def _build(tell: Tell, stop: threading.Event | None) -> Found:
    try:
        folder, built_now = go_build.build(_module(), tell, stop, lambda path: _usable(path, "built now") is not None)
    except go_build.GoMissing:
        raise TemporalMissing(
            "No Temporal server was found and none can be downloaded, so it must be built, for which Go is missing; install Go"
            f" {_module().go_version()} or newer from https://go.dev/dl, or set TOKENS_TEMPORAL_BINARY to a `temporal` binary."
        ) from None
    except go_build.NotBuilt as refusal:
        raise TemporalMissing(str(refusal)) from None
    binary = folder / "temporal"
    return Found(binary, server_version(binary) or "", "built now" if built_now else "built before")


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
