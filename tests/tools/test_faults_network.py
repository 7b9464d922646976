"""What `make faults` puts between and under the parts does what it says, for real."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tools.faults.battlefield import carrier_zone
from tools.faults.clocks import Clocks
from tools.faults.disk import Disk
from tools.faults.network import Line


@asynccontextmanager
async def echo(heard: list[bytes]) -> AsyncIterator[int]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while said := await reader.read(100):
            heard.append(said)
            writer.write(said)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_line_passes_on_hangs_swallows_an_answer_and_breaks() -> None:
    heard: list[bytes] = []
    async with echo(heard) as port, Line(port) as line:

        async def said(what: bytes) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", line.port)
            try:
                writer.write(what)
                return await reader.read(100)
            except ConnectionResetError:
                return b"broken"
            finally:
                writer.close()

        assert await said(b"one") == b"one"
        line.lose(1)
        assert await said(b"two") in (b"", b"broken")
        assert heard == [b"one", b"two"], "the request has gone through"
        assert line.lost == 1
        assert await said(b"three") == b"three"
        line.hang()
        waiting = asyncio.create_task(said(b"four"))
        assert await asyncio.wait({waiting}, timeout=0.2) == (set(), {waiting})
        assert heard[-1] == b"three"
        line.go_on()
        assert await waiting == b"four"
        reader, writer = await asyncio.open_connection("127.0.0.1", line.port)
        writer.write(b"five")
        assert await reader.read(100) == b"five"
        line.hang()
        line.cut()
        with suppress(ConnectionResetError):
            assert await reader.read(100) == b""
        writer.close()


def test_a_clock_is_off_and_turns_while_the_process_runs(tmp_path: Path) -> None:
    clocks = Clocks(tmp_path, ["worker-1"])
    clocks.put("worker-1", 600)
    code = """import time, sys, datetime
for _ in sys.stdin:
    print(time.time(), datetime.datetime.now().timestamp(), time.monotonic(), flush=True)"""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, **clocks.settings()["worker-1"]},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for off in (600, -300, 0):
            clocks.put("worker-1", off)
            process.stdin.write("\n")
            process.stdin.flush()
            wall, date, monotonic = map(float, process.stdout.readline().split())
            assert abs(wall - time.time() - off) < 30
            assert abs(date - time.time() - off) < 30
            assert abs(monotonic - time.monotonic()) < 30
        process.stdin.close()


def test_a_disk_is_full_and_has_room_again(tmp_path: Path) -> None:
    with Disk(tmp_path / "disk") as disk:
        if "tmpfs" not in disk.kind:
            pytest.skip("nobody may mount a file system here")
        disk.fill(None)
        with pytest.raises(OSError, match="No space left"):
            (tmp_path / "disk" / "more").write_bytes(b"x" * 10_000)
        disk.free(None)
        (tmp_path / "disk" / "more").write_bytes(b"x" * 10_000)
    assert not (tmp_path / "disk" / "more").exists()


def test_the_carrier_works_somewhere_on_every_working_day() -> None:
    assert carrier_zone(datetime(2026, 11, 25, 4, 0, tzinfo=UTC)) is not None
    assert carrier_zone(datetime(2026, 11, 28, 14, 0, tzinfo=UTC)) is None  # Saturday, from one end to the other
    assert carrier_zone(datetime(2026, 11, 29, 14, 0, tzinfo=UTC)) == "Etc/GMT-10"  # Monday has begun there
