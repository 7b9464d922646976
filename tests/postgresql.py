"""A throw-away PostgreSQL server, where its programs are installed."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from starter.supervision import choose


def programs() -> Path | None:
    """The folder with `initdb` and `pg_ctl`; None where there is no server."""
    on_path = shutil.which("pg_ctl")
    if on_path:
        return Path(on_path).parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    return found[-1].parent if found else None


@contextmanager
def server() -> Iterator[str]:
    """SQLAlchemy's URL of a fresh server; it refuses to run as root, so as root it runs as user `postgres`."""
    bin_ = programs()
    assert bin_ is not None
    as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []
    # Not in pytest's folders, which other runs of pytest close to everybody but their owner.
    folder = Path(tempfile.mkdtemp(prefix="tokens-postgresql-"))
    if as_user:
        shutil.chown(folder, "postgres", "postgres")
    port = choose(0, set())
    data = folder / "data"

    def run(*command: str) -> None:
        subprocess.run(
            [*as_user, *command], check=True, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    run(str(bin_ / "initdb"), "-D", str(data), "-U", "tokens", "--auth=trust", "-E", "UTF8", "--no-sync")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    run(str(bin_ / "pg_ctl"), "-D", str(data), "-o", options, "-l", str(folder / "log"), "-w", "start")
    try:
        yield f"postgresql+psycopg://tokens@127.0.0.1:{port}/postgres"
    finally:
        run(str(bin_ / "pg_ctl"), "-D", str(data), "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder)
