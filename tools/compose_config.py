"""Has Docker Compose itself read `docker-compose.yml`: `python -m tools.compose_config` ends with 0, or with what is wrong.

No engine is needed for it, only the compose plugin; where there is none it is built once from `tools/compose`.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from starter import go_build

ROOT = Path(__file__).resolve().parent.parent
MODULE = go_build.Module(
    Path(__file__).resolve().parent / "compose",
    "compose",
    "Docker Compose",
    {"docker-compose": "github.com/docker/compose/v2/cmd"},
    "about 2 minutes",
)


def command() -> list[str] | None:
    """How Compose is called on this machine; None where it would have to be built."""
    docker = shutil.which("docker")
    if docker and _runs([docker, "compose"]):
        return [docker, "compose"]
    built = [str(MODULE.built() / "docker-compose")]
    return built if _runs(built) else None


def config(
    compose: list[str], *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`docker compose config` with all profiles; nothing of this machine's settings gets in but `environment`."""
    clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(  # noqa: S603  # Compose, which was just found or built
        [
            *compose,
            "--env-file",
            os.devnull,
            "--profile",
            "*",
            "--file",
            str(ROOT / "docker-compose.yml"),
            "config",
            *arguments,
        ],
        capture_output=True,
        text=True,
        env={**clean, **(environment or {})},
        check=False,
    )


def _runs(compose: list[str]) -> bool:
    try:
        return subprocess.run([*compose, "version"], capture_output=True, timeout=60, check=False).returncode == 0  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return False


def main() -> None:
    compose = command()
    if compose is None:
        folder, _ = go_build.build(MODULE, lambda said: print(said, flush=True), None, lambda path: _runs([str(path)]))
        compose = [str(folder / "docker-compose")]
    checked = config(compose, "--quiet")
    if checked.returncode != 0:
        sys.exit(f"docker-compose.yml is not right: {checked.stderr.strip()}")
    # What it says besides is about variables that it does not know: each must have something that stands instead.
    if checked.stderr.strip():
        sys.exit(f"docker compose config warns: {checked.stderr.strip()}")
    print("docker-compose.yml: docker compose config has no complaint.")


if __name__ == "__main__":
    try:
        main()
    except go_build.NotBuilt as refusal:
        sys.exit(str(refusal))
