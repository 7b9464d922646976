"""Serving in a thread."""

import signal
import socket
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulators import vendor
from simulators.serving import Serving, listen
from tests.simulators.conftest import PATIENCE, until


async def test_in_a_running_loop(tmp_path: Path) -> None:
    async with Serving(vendor.app(tmp_path)) as serving, httpx.AsyncClient(base_url=serving.url) as http:
        assert (await http.get("/healthz")).status_code == 200


def test_signals_are_left_alone(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with Serving(vendor.app(tmp_path)):
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_stopped_twice_and_started_again(tmp_path: Path) -> None:
    serving = Serving(vendor.app(tmp_path))
    for _ in range(2):
        serving.start()
        assert httpx.get(f"{serving.url}/healthz").status_code == 200
        serving.stop()
        serving.stop()
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{serving.url}/healthz")


def test_ends_while_requests_hang(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as threads:
        with Serving(vendor.app(tmp_path)) as serving:
            for fault in ({"kind": "hang"}, {"kind": "latency", "seconds": 60}):
                httpx.put(f"{serving.url}/faults", json={**fault, "times": 1})
            requests = [threads.submit(httpx.get, f"{serving.url}/v1/revocations", timeout=PATIENCE) for _ in range(2)]
            until(lambda: not httpx.get(f"{serving.url}/faults").json())
        for request in requests:
            with pytest.raises(httpx.RemoteProtocolError):
                request.result(PATIENCE)


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with Serving(vendor.app(tmp_path / "a")) as first:
        port = int(first.url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            Serving(vendor.app(tmp_path / "b"), port).start()


def test_a_state_that_can_not_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "vendor.db").mkdir()
    with pytest.raises(RuntimeError, match="did not start"):
        Serving(vendor.app(tmp_path)).start()
    assert sqlite3.OperationalError.__name__ in caplog.text


def test_a_fault_of_our_own_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(_request: Request) -> Response:
        raise ZeroDivisionError

    with Serving(Starlette(routes=[Route("/", broken)])) as serving:
        assert httpx.get(serving.url).status_code == 500
    assert "ZeroDivisionError" in caplog.text


def test_nothing_is_logged_of_faults_that_were_ordered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Serving(vendor.app(tmp_path)) as serving:
        httpx.put(f"{serving.url}/faults", json={"kind": "lose_reply", "times": 1})
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"{serving.url}/v1/revocations")
    assert [record for record in caplog.records if not record.name.startswith("http")] == []


def test_only_this_machine_is_served(tmp_path: Path) -> None:
    with Serving(vendor.app(tmp_path)) as serving, socket.socket() as outside:
        outside.settimeout(PATIENCE)
        with pytest.raises(OSError, match="refused"):
            outside.connect(("127.0.0.2", int(serving.url.rpartition(":")[2])))


def test_answers_are_sent_without_delay() -> None:
    """asyncio does so only for sockets that say they are TCP; else each answer on a kept connection takes 40 ms."""
    with listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname(), PATIENCE):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.proto == socket.IPPROTO_TCP
