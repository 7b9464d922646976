"""A PostgreSQL server without its image: made at the first start, as the image does it, and run as an ordinary user."""

import hashlib
import os
import pwd
import shutil
import subprocess
from pathlib import Path

from starter.supervision import HOST, StackError
from tools.production.binaries import Binaries

_USER = "postgres"


class Database:
    """The server's files. PostgreSQL refuses to run as root: then it runs as user `postgres`, and its files lie where that user
    may go, outside `state`."""

    def __init__(self, state: Path) -> None:
        self._root = os.geteuid() == 0
        digest = hashlib.sha256(str(state).encode()).hexdigest()[:16]
        self.folder = Path(f"/var/tmp/token-fulfillment-{digest}") if self._root else state / "postgresql"  # noqa: S108
        self._data = self.folder / "data"

    @property
    def exists(self) -> bool:
        return (self._data / "PG_VERSION").exists()

    def make(self, binaries: Binaries, password: str) -> None:
        """Nothing where it is there already. Raises StackError."""
        if self.exists:
            self._check_owner()
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, mode=0o700, exist_ok=True)  # there still where something is mounted on it
        file = self.folder / "password"
        file.touch(mode=0o600)
        file.write_text(password)
        if self._root:
            for path in (self.folder, file):
                shutil.chown(path, _USER, _USER)
        try:
            subprocess.run(  # noqa: S603
                [
                    *self._as_user(),
                    str(binaries.postgresql / "initdb"),
                    *("-D", str(self._data), "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8"),
                    *("--auth-host=scram-sha-256", "--auth-local=scram-sha-256", f"--pwfile={file}"),
                ],
                cwd=self.folder,
                capture_output=True,
                text=True,
                check=True,
            )
        except subprocess.CalledProcessError as fault:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise StackError(f"The database can't be made: {fault.stderr.strip()[-300:]}") from None
        finally:
            file.unlink(missing_ok=True)

    def command(self, binaries: Binaries, port: int, flags: list[str]) -> list[str]:
        """The server, with the flags that the compose file gives it."""
        own = ["-D", str(self._data), "-p", str(port), "-k", str(self.folder), "-c", f"listen_addresses={HOST}"]
        return [*self._as_user(), str(binaries.postgresql / "postgres"), *own, *flags]

    def remove(self) -> None:
        """All data, for good."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _as_user(self) -> list[str]:
        # Another user's process is not told by the kernel that its parent has ended, unless setpriv asks for it.
        asked = ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--init-groups", "--pdeathsig", "INT"]
        return asked if self._root else []

    def _check_owner(self) -> None:
        wanted = pwd.getpwnam(_USER).pw_uid if self._root else os.geteuid()
        if self._data.stat().st_uid != wanted:
            raise StackError(f"{self._data} belongs to somebody else; remove it, or choose another state folder.")
