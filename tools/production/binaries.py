"""The programs that stand in for images where there is no Docker: Temporal's server, schema tool and UI are built from
`tools/temporal-server`, the command comes from `tools/temporal`, PostgreSQL is the machine's own."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from settings import Settings
from starter import go_build, temporal_binary
from starter.supervision import HOST, StackError, Tell

_UI = "github.com/temporalio/ui-server/v2"
SERVER = go_build.Module(
    Path(__file__).resolve().parent.parent / "temporal-server",
    "temporal-server",
    "Temporal's production server with its UI",
    {
        "temporal-server": "go.temporal.io/server/cmd/server",
        "temporal-sql-tool": "go.temporal.io/server/cmd/tools/sql",
        "temporal-ui": f"{_UI}/cmd/server",
    },
    "about 4 minutes",
)


@dataclass(frozen=True)
class Binaries:
    """Folders with programs. `ui`: what stands in the UI's image beside the program."""

    server: Path
    command: Path
    postgresql: Path
    ui: Path

    @property
    def path(self) -> str:
        """A PATH with all of them."""
        return ":".join(map(str, (self.server, self.command, self.postgresql)))


def ensure(tell: Tell) -> Binaries:
    """All of them, built where they are not there yet. Raises StackError."""
    postgresql = _postgresql()
    if postgresql is None:
        raise StackError("PostgreSQL's server is not installed; on Debian and Ubuntu install postgresql.")
    try:
        command = temporal_binary.ensure(Settings(), tell).path
        server, _ = go_build.build(SERVER, tell, None, _runs)
    except (temporal_binary.TemporalMissing, go_build.NotBuilt) as refusal:
        raise StackError(str(refusal)) from None
    if command.name != "temporal":  # scripts call it by this name
        link = server / "command" / "temporal"
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(command)
        command = link
    return Binaries(server, command.parent, postgresql, _ui_configuration(server))


def _postgresql() -> Path | None:
    """The folder with `initdb`, `postgres` and `psql`."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parent.parent.name))
    return found[-1].parent if found else None


def _runs(program: Path) -> bool:
    if not program.is_file():
        return False
    try:
        subprocess.run([program, "--version"], capture_output=True, timeout=60, check=True, stdin=subprocess.DEVNULL)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _ui_configuration(server: Path) -> Path:
    """The image's own configuration, which reads `TEMPORAL_…` variables; it comes with the module's source."""
    kept = server / "ui"
    target = kept / "config" / "docker.yaml"
    if not target.exists():
        listed = subprocess.run(  # noqa: S603  # this module's own command
            ["go", "list", "-m", "-f", "{{.Dir}}", _UI],  # noqa: S607  # which has just built it
            cwd=SERVER.folder,
            capture_output=True,
            text=True,
            check=True,
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        template = (Path(listed.stdout.strip()) / "config" / "docker.yaml").read_text()
        target.write_text(f"{template}\nhost: {HOST}\n")  # a container has its own network; here others could reach it
    return kept
