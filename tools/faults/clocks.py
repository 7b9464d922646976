"""Wall clocks of single processes that can be put ahead or back while they run (see `clock.c`)."""

import shutil
import struct
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from starter.supervision import StackError

_SOURCE = Path(__file__).with_name("clock.c")


class Clocks:
    """Of the processes `names`; the shim is compiled into `folder`. Raises StackError without a C compiler."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise StackError("A C compiler is needed for clocks that are off; on Debian and Ubuntu install gcc.")
        folder.mkdir(parents=True, exist_ok=True)
        self._shim = folder / "clock.so"
        command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(self._shim), str(_SOURCE), "-ldl"]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603
        self._files = {name: folder / f"{name}.clock" for name in names}
        for name in names:
            self._files[name].write_bytes(struct.pack("=q", 0))

    def settings(self) -> Mapping[str, Mapping[str, str]]:
        """What each of them needs in its environment."""
        return {name: {"LD_PRELOAD": str(self._shim), "FAULTS_CLOCK": str(file)} for name, file in self._files.items()}

    def put(self, name: str, seconds: int) -> None:
        """Ahead, or back where it is negative; 0 is right."""
        with self._files[name].open("r+b") as file:  # in place: the process looks at this very file
            file.write(struct.pack("=q", seconds))
