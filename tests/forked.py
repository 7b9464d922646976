"""Programs of this project in processes of their own, forked from one that has imported them: to import them anew takes each
a second and a half of CPU. That they start from nothing, too, shows wherever a test starts `python -m …` itself."""

import asyncio
import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from starter import cli

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["__main__", "tests.forked", "tests.dying_worker"])
_PATIENCE = 90
"""Seconds."""


class Forked:
    """A process in which `main` runs with these words on its command line, and nothing but `environment` in its environment.
    It reads `stdin`; what it writes is added to the other files."""

    def __init__(
        self,
        main: Callable[[], object],
        *words: str,
        environment: Mapping[str, str],
        stdin: Path = Path(os.devnull),
        stdout: Path = Path(os.devnull),
        stderr: Path = Path(os.devnull),
    ) -> None:
        self._process = _FORKS.Process(target=_become, args=(main, words, dict(environment), (stdin, stdout, stderr)))
        self._process.start()
        self.pid = self._process.pid
        self.kill = self._process.kill

    def ended(self, patience: float = _PATIENCE) -> int:
        """Its exit code, negative for a signal. Raises TimeoutError, and kills it, when it has not ended after `patience` s."""
        self._process.join(patience)
        code = self._process.exitcode
        if code is None:
            self.kill()
            self._process.join()
        self._process.close()
        if code is None:
            raise TimeoutError(f"the process has not ended after {patience} s")
        return code

    async def wait(self) -> int:
        """The same, while others go on."""
        return await asyncio.to_thread(self.ended)


def tokens(*words: str, environment: Mapping[str, str], typed: str = "") -> tuple[int, str]:
    """The `tokens` command, with `typed` on its standard input: its exit code, and what stands on the screen."""
    with TemporaryDirectory() as folder:
        stdin, stdout, stderr = (Path(folder) / name for name in ("stdin", "stdout", "stderr"))
        for path in (stdin, stdout, stderr):
            path.write_text(typed if path is stdin else "")
        code = Forked(cli.main, *words, environment=environment, stdin=stdin, stdout=stdout, stderr=stderr).ended()
        return code, (stdout.read_text() + stderr.read_text()).strip()


def _become(
    main: Callable[[], object], words: tuple[str, ...], environment: dict[str, str], files: tuple[Path, Path, Path]
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    for number, path in enumerate(files):
        opened = os.open(path, os.O_APPEND | os.O_WRONLY if number else os.O_RDONLY)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin, sys.stdout, sys.stderr = open(0, closefd=False), open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
    sys.argv = ["tokens", *words]
    main()
