"""Small stand-ins for the stack's processes, and a stack of two of them as a program: `python -m tests.starter.stack_children
STATE` says `up` with its process ids when it is ready, and stays up until SIGTERM."""

import asyncio
import json
import os
import sys
import textwrap
from pathlib import Path

from settings import Settings
from starter.stack import Stack, serve
from starter.stack_plan import ROOT, Plan
from starter.stack_ports import Wanted
from starter.stack_process import Child

_GOOD = """
    import signal, sys, time
    journal = open({journal!r}, "a", buffering=1)
    def end(*_):
        journal.write("end {name}\\n")
        sys.exit(0)
    signal.signal(signal.SIGTERM, end)
    journal.write("start {name}\\n")
    print("ready {name}", flush=True)
    while True:
        signal.pause()
"""
_STUBBORN = """
    import signal, subprocess, sys
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    own = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    print("grandchild", own.pid, flush=True)
    print("ready", flush=True)
    while True:
        signal.pause()
"""
_LISTENING = """
    import socket, sys
    try:
        socket.create_server(("127.0.0.1", {port}))
    except OSError as fault:
        sys.exit(f"bind: {{fault.strerror}}")
"""


def child(name: str, folder: Path, code: str = _GOOD, ports: tuple[Wanted, ...] = (), grace: float = 10.0) -> Child:
    """A child that writes its start and end into `folder/journal`."""
    source = textwrap.dedent(code).format(
        name=name, journal=str(folder / "journal"), port=ports[0].port if ports else 0
    )
    return Child(
        name, f"the {name}", [sys.executable, "-I", "-S", "-c", source], dict(os.environ), ports=ports, grace=grace
    )


def stubborn(name: str, folder: Path, grace: float) -> Child:
    """A child that ignores SIGTERM and has a child of its own."""
    return child(name, folder, _STUBBORN, grace=grace)


def binding(name: str, folder: Path, port: Wanted) -> Child:
    """A child that needs its port, or ends."""
    return child(name, folder, _LISTENING + _GOOD, (port,))


def settings_for(folder: Path) -> Settings:
    return Settings(_env_file=None, state=folder / "state")  # type: ignore[call-arg]


def two(folder: Path) -> Plan:
    return Plan([[child("server", folder)], [child("worker", folder)]], {"ui": "http://127.0.0.1:1"})


def stack_of(planned: Plan, folder: Path, said: list[str], **options: float) -> Stack:
    """A stack of these children that starts ended ones again at once."""

    async def as_planned(_settings: object, _tell: object) -> Plan:
        return planned

    return Stack(settings_for(folder), said.append, as_planned, backoff=(0.01, 0.02), **options)


def program(folder: Path) -> list[str]:
    """The command that runs this module on `folder`."""
    source = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.starter.stack_children import main; main({str(folder)!r})"
    return [sys.executable, "-c", source]


def main(folder: str) -> None:
    said: list[str] = []
    made = stack_of(two(Path(folder)), Path(folder), said)
    asyncio.run(
        serve(
            made._settings,
            said.append,
            lambda info: print("up", json.dumps(info["pids"]), flush=True),
            lambda *_: made,
        )
    )
