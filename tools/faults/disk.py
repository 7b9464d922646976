"""A disk of the database's own that can be full: a file system in memory, or where nobody may mount one, a limit on the size of
its files that leaves no room either."""

import os
import resource
import subprocess
from pathlib import Path

import psutil

_SIZE = 3 << 30
_CHUNK = 1 << 24


class Disk:
    """`with Disk(folder) as disk:` `folder` is a file system of its own inside. `kind` says which way it is filled."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ballast = folder / "ballast"
        self._mounted = False

    @property
    def kind(self) -> str:
        return "a full file system (tmpfs)" if self._mounted else "a limit on the size of files (RLIMIT_FSIZE)"

    def __enter__(self) -> "Disk":
        self._folder.mkdir(parents=True, exist_ok=True)
        options = f"size={_SIZE},mode=0700"
        command = ["mount", "-t", "tmpfs", "-o", options, "token-fulfillment-faults", str(self._folder)]
        self._mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603
        return self

    def __exit__(self, *_: object) -> None:
        if self._mounted:
            subprocess.run(["umount", "--lazy", str(self._folder)], capture_output=True, check=False)  # noqa: S603, S607

    def fill(self, postmaster: int | None) -> None:
        """Not a byte is left. `postmaster`: the database's process."""
        if not self._mounted:
            self._limit(postmaster, 0)
            return
        with self._ballast.open("ab", buffering=0) as file:
            size = _CHUNK
            while size >= 1:
                try:
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), size)
                except OSError:
                    size //= 2

    def free(self, postmaster: int | None) -> None:
        if self._mounted:
            self._ballast.unlink(missing_ok=True)
        else:
            self._limit(postmaster, resource.RLIM_INFINITY)

    def _limit(self, postmaster: int | None, size: int) -> None:
        if postmaster is None:
            return
        try:
            parent = psutil.Process(postmaster)
            for process in [parent, *parent.children(recursive=True)]:
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        except (psutil.NoSuchProcess, ProcessLookupError):
            return
