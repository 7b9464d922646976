"""The compose file's health checks, asked here. Those by `nc`, `wget` and `tools.probe` are asked by this process itself: not
every machine has the first two, and a process each time would take the machine's time."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping

import httpx

from starter.supervision import HOST

_PAUSE = 0.1


def check(words: list[str], environment: Mapping[str, str]) -> Callable[[], Awaitable[bool]]:
    """`words`: the command of `healthcheck: test:`, with this machine's addresses. Raises ValueError for one that is not
    known."""
    if words[:2] == ["nc", "-z"]:
        return _listens(int(words[-1]))
    if words[0] == "wget" or words[:3] == ["python", "-m", "tools.probe"]:
        return _answers(words[-1])
    if words[0] == "pg_isready":
        return _succeeds(words, environment)
    raise ValueError(f"this health check can't be asked without its image: {' '.join(words)}")


def http(port: int, path: str) -> Callable[[], Awaitable[bool]]:
    return _answers(f"http://{HOST}:{port}{path}")


def _listens(port: int) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        await asyncio.sleep(_PAUSE)
        try:
            _, writer = await asyncio.open_connection(HOST, port)
        except OSError:
            return False
        writer.close()
        return True

    return ask


def _answers(url: str) -> Callable[[], Awaitable[bool]]:
    if re.match(r"https?://", url) is None:
        raise ValueError(f"{url!r} is not a URL that a health check could ask")

    async def ask() -> bool:
        await asyncio.sleep(_PAUSE)
        async with httpx.AsyncClient(timeout=5, trust_env=False) as asking:
            try:
                return (await asking.get(url)).status_code == 200
            except httpx.HTTPError:
                return False

    return ask


def _succeeds(words: list[str], environment: Mapping[str, str]) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        await asyncio.sleep(_PAUSE)
        process = await asyncio.create_subprocess_exec(*words, env=dict(environment))
        return await process.wait() == 0

    return ask
