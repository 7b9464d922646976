"""The three HTTP simulators, and simulators as processes."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from simulators import carrier, directory, vendor
from simulators.serving import Serving

_ROOT = Path(__file__).resolve().parents[2]
ADDRESS = {
    "name": "Front desk",
    "street1": "12 State Circle",
    "city": "Annapolis",
    "state": "MD",
    "postal_code": "21401",
}
PATIENCE = 20
"""Seconds until a test gives up; nothing waits this long when all is well."""


@dataclass(frozen=True)
class Party:
    """`what`: the kind of thing that a PUT of `body` does."""

    name: str
    app: Callable[[Path], Starlette]
    what: str
    body: dict[str, Any]

    def path(self, key: str = "") -> str:
        return f"/v1/{self.what}/{key}".rstrip("/")


PARTIES = (
    Party("vendor", vendor.app, "provisionings", {"kind": "hard", "serial_number": "HT-1", "reference": "token-1"}),
    Party("carrier", carrier.app, "shipments", {"to": ADDRESS, "from": ADDRESS, "reference": "token-1"}),
    Party(
        "directory", directory.app, "enrollments", {"prescriber_id": "P-1001", "kind": "hard", "reference": "token-1"}
    ),
)


@pytest.fixture(params=PARTIES, ids=lambda party: party.name)
def party(request: pytest.FixtureRequest) -> Party:
    return request.param


@contextmanager
def serving(app: Starlette) -> Iterator[httpx.Client]:
    """A client of the app, which runs inside."""
    with Serving(app) as server, httpx.Client(base_url=server.url, timeout=PATIENCE, trust_env=False) as client:
        yield client


@pytest.fixture
def http(party: Party, tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of the party."""
    with serving(party.app(tmp_path)) as client:
        yield client


def until(condition: Callable[[], object]) -> None:
    """Returns when it is true."""
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up, "it did not come to pass"
        time.sleep(0.01)


def line_of(process: subprocess.Popen[str]) -> str:
    """The process's first line of output; what it complained of if it has none."""
    assert process.stdout is not None
    assert process.stderr is not None
    assert select.select([process.stdout], [], [], PATIENCE)[0], "it is not ready"
    return process.stdout.readline().rstrip() or process.stderr.read()


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`python -m simulators.<arguments>`, killed at the end if it is left."""
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    with subprocess.Popen(
        [sys.executable, "-m", f"simulators.{arguments[0]}", *arguments[1:]],
        cwd=_ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
