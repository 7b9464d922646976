"""A TCP proxy between two parties that can stand still without hanging up, hang up, or swallow an answer."""

import asyncio
from types import TracebackType
from typing import Self

from starter.supervision import HOST


class Line:
    """`async with Line(port) as line:` forwards from `line.port` to `port` of this machine."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._ends: set[_End] = set()
        self._server: asyncio.Server | None = None
        self._moving = asyncio.Event()
        self._moving.set()
        self._to_lose = 0
        self.lost = 0
        """How many answers were swallowed."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.get_running_loop().create_server(lambda: _Caller(self), HOST, 0, backlog=512)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self._moving.set()
        self.cut()

    def hang(self) -> None:
        """Nothing passes any more, and nobody is told."""
        self._moving.clear()
        for end in list(self._ends):
            end.look()

    def go_on(self) -> None:
        self._moving.set()
        for end in list(self._ends):
            end.look()

    def cut(self) -> None:
        """Every connection breaks."""
        for end in list(self._ends):
            end.abort()

    def lose(self, times: int) -> None:
        """The next answers, so many, don't arrive: the request has gone through, then the connection breaks."""
        self._to_lose = times

    @property
    def moving(self) -> bool:
        return self._moving.is_set()

    async def connected(self, caller: "_Caller") -> None:
        """Connects a caller through, once the line moves."""
        await self._moving.wait()
        try:
            await asyncio.get_running_loop().create_connection(lambda: _Called(self, caller), HOST, self._to)
        except OSError:
            caller.abort()

    def add(self, end: "_End") -> None:
        self._ends.add(end)

    def gone(self, end: "_End") -> None:
        self._ends.discard(end)

    def swallows(self) -> bool:
        """Whether this answer is to be lost."""
        if self._to_lose == 0:
            return False
        self._to_lose -= 1
        self.lost += 1
        return True


class _End(asyncio.Protocol):
    """One of a connection's two ends."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.transport: asyncio.Transport | None = None
        self.other: _End | None = None
        self._clogged = False  # the other end takes no more at the moment

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.line.add(self)

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.line.gone(self)
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close() if exc is None else self.other.transport.abort()

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other._clogged = True
            self.other.look()

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other._clogged = False
            self.other.look()

    def look(self) -> None:
        """Reads on, or stands still."""
        if self.transport is None or self.transport.is_closing():
            return
        if self.line.moving and not self._clogged and self.other is not None:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def abort(self) -> None:
        for end in (self, self.other):
            if end is not None and end.transport is not None:
                end.transport.abort()


class _Caller(_End):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.look()  # nothing is read until it is connected through
        self._connecting = asyncio.create_task(self.line.connected(self))


class _Called(_End):
    def __init__(self, line: Line, caller: _Caller) -> None:
        super().__init__(line)
        self._caller = caller

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.other, self._caller.other = self._caller, self
        if self._caller.transport is None or self._caller.transport.is_closing():
            self.abort()
            return
        self.look()
        self._caller.look()

    def data_received(self, data: bytes) -> None:
        if self.line.swallows():
            self.abort()
            return
        super().data_received(data)
