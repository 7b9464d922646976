"""What `tokens doctor` finds: each thing the system needs or could use, whether it is here, and what to do where it isn't."""

import os
import platform
import shutil
import socket
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from settings import Settings
from starter import temporal_binary

_OLDEST_PYTHON = (3, 11)
_PATIENCE = 2.0
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_GET_GO = "Where Temporal can't be downloaded, it is built with Go: install it from https://go.dev/dl."


@dataclass(frozen=True)
class Check:
    """One thing that was looked for. `found`: what is there, in words. `advice`: what to do, where something can be done.
    `required`: without it the system does not work. `extra`: what machines are told beside that."""

    name: str
    ok: bool
    found: str
    advice: str | None = None
    required: bool = True
    extra: dict[str, Any] = field(default_factory=dict)


def examine(settings: Settings) -> list[Check]:
    """All checks. Nothing is started, made, downloaded or built. Raises nothing for what is missing or broken: its check
    says so."""
    binary = _temporal_binary(settings)
    checks = [_python(), binary]
    if not binary.ok:
        checks.append(_go())
    checks += [_database(settings), *_stack(settings)]
    if address := os.environ.get("TEMPORAL_ADDRESS"):
        checks.append(_server(address))
    checks.append(_browser())
    return checks


def healthy(checks: list[Check]) -> bool:
    """Whether everything that is required is here."""
    return all(check.ok for check in checks if check.required)


def as_json(checks: list[Check]) -> dict[str, Any]:
    """The checks as one JSON object. `temporal` names the binary in use: its fields are null where there is none."""
    binary = next((check.extra for check in checks if check.name == "Temporal binary"), {})
    return {
        "ok": healthy(checks),
        "temporal": {name: binary.get(name) for name in ("path", "version", "how")},
        "checks": [_plain(check) for check in checks],
    }


def _plain(check: Check) -> dict[str, Any]:
    fixed = {name: getattr(check, name) for name in ("name", "ok", "required", "found", "advice")}
    return {**check.extra, **fixed}


def _python() -> Check:
    ok = sys.version_info >= _OLDEST_PYTHON
    advice = None if ok else f"Install Python {'.'.join(map(str, _OLDEST_PYTHON))} or newer."
    return Check("Python", ok, f"{platform.python_version()} at {sys.executable}", advice)


def _temporal_binary(settings: Settings) -> Check:
    name = "Temporal binary"
    try:
        found = temporal_binary.find(settings)
    except temporal_binary.TemporalMissing as refusal:
        return Check(name, False, "the one that the setting names can't be used", str(refusal))
    if found is None:
        return Check(
            name,
            False,
            "none that is new enough",
            "`make demo`, `make test` and `tokens up` get one: a download, or about 4 minutes of building with Go.",
        )
    extra = {"path": str(found.path), "version": found.version, "how": found.how}
    return Check(name, True, f"server {found.version} ({found.how}) at {found.path}", extra=extra)


def _go() -> Check:
    """Asked only where there is no binary."""
    go = shutil.which("go")
    if go is None:
        return Check("Go", False, "not on PATH", _GET_GO)
    try:
        answer = subprocess.run(  # noqa: S603  # what PATH names as Go
            [go, "version"], capture_output=True, text=True, timeout=20, check=True, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError) as fault:
        return Check("Go", False, f"{go} does not run ({type(fault).__name__})", _GET_GO)
    return Check("Go", True, answer.stdout.strip().removeprefix("go version "))


def _database(settings: Settings) -> Check:
    name, shown = "Database", "TOKENS_DATABASE_URL"
    try:
        url = make_url(settings.url_of_database)
        shown = url.render_as_string(hide_password=True)
        if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).exists():
            return Check(name, True, f"{shown}, not made yet", "`tokens up` makes it, or `tokens db upgrade`.")
        from database import migrate  # Alembic is slow to import

        current, newest = migrate.state(settings.url_of_database)
    except (SQLAlchemyError, OSError, ImportError) as fault:
        # The kind of fault only: its text may hold the password.
        why = type(getattr(fault, "orig", None) or fault).__name__
        return Check(
            name, False, f"{shown} can't be read ({why})", "Correct TOKENS_DATABASE_URL, or start the database."
        )
    extra = {"revision": current, "newest_revision": newest}
    if current != newest:
        found = f"{shown}, revision {current or 'none'}, newest {newest}"
        return Check(name, False, found, "Bring it up with `tokens up` or `tokens db upgrade`.", extra=extra)
    return Check(name, True, f"{shown}, revision {current}", extra=extra)


def _stack(settings: Settings) -> list[Check]:
    """The running stack, or else whether its ports are there to be had."""
    from starter import stack

    name = "Embedded stack"
    info = stack.connect_info(settings.state)
    if info is None:
        stopped = Check(name, False, f"not running on {settings.state}", "Start it with `tokens up`.", required=False)
        return [stopped, *_ports(settings)]
    extra = {"ui": info["ui"], "pids": info["pids"]}
    dead = [part for part, pid in info["pids"].items() if not _alive(pid)]
    if dead:
        advice = f"It is started again by itself; if it stays away, see {settings.state / 'logs'}."
        return [Check(name, False, f"running, but without {', '.join(dead)}", advice, extra=extra)]
    return [Check(name, True, f"running, with its UI at {info['ui']}", required=False, extra=extra)]


def _ports(settings: Settings) -> list[Check]:
    ports = {
        "TOKENS_TEMPORAL_PORT": settings.temporal_port,
        "TOKENS_UI_PORT": settings.ui_port,
        "TOKENS_GATEWAY_PORT": settings.gateway_port,
        "TOKENS_SMTP_PORT": settings.smtp_port,
    }
    held = [f"{port} ({setting})" for setting, port in ports.items() if port and _taken(port)]
    if not held:
        return [Check("Ports", True, "free", required=False)]
    advice = "`tokens up` needs them: end what holds them, or set others (0 = any free one)."
    return [Check("Ports", False, f"held by another program: {', '.join(held)}", advice, required=False)]


def _alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _taken(port: int) -> bool:
    with closing(socket.socket()) as probe:
        # Else connections of a stack that has just ended would count as somebody.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return True
    return False


def _server(address: str) -> Check:
    """Whether anything listens at TEMPORAL_ADDRESS; what it is shows with the first command."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]") or "127.0.0.1", int(port)), timeout=_PATIENCE):
            return Check("Temporal server", True, f"something answers at {address}")
    except (OSError, ValueError, OverflowError):
        advice = "Start it, or correct TEMPORAL_ADDRESS; without it the embedded stack is used."
        return Check("Temporal server", False, f"nothing answers at {address}", advice)


def _browser() -> Check:
    path = next(filter(None, map(shutil.which, _BROWSERS)), None) or _playwright_browser()
    if path is None:
        return Check("Chromium", False, "not found", "Only browser tests need it: install chromium.", required=False)
    return Check("Chromium", True, path, required=False)


def _playwright_browser() -> str | None:
    """The browser that Playwright has downloaded. Read from its folder: Playwright itself is a development dependency."""
    given = os.environ.get("PLAYWRIGHT_BROWSERS_PATH", "")
    caches = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    folder = Path(given) if given not in ("", "0") else caches / "ms-playwright"
    inside = ("chromium-*/chrome-linux*/chrome", "chromium-*/chrome-mac*/*.app/Contents/MacOS/*")
    return next((str(path) for pattern in inside for path in sorted(folder.glob(pattern), reverse=True)), None)
