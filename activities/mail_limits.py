"""How long one attempt to send mail may take, however slowly the mail server answers."""

import smtplib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

_AT_MOST = 100.0
"""Seconds after which an attempt says nothing more to the mail server: it must be over, thread and all, before Temporal begins the
next (`SENDING` in `workflows/calls.py`), or the two would send the same letter side by side. Another minute is for a
connection begun just before."""
_SHORTLY = 2.0
"""The same for an attempt within a workflow task, which holds up all else at its journey. What the server has begun to read it
may take to the end, however: broken off there, a letter would come twice."""


class Limits:
    """Of one attempt, from now on. `here`: it runs within a workflow task."""

    def __init__(self, *, here: bool) -> None:
        now = time.monotonic()
        self._over_at = now + _AT_MOST
        self._begun_by = now + _SHORTLY if here else self._over_at
        self._here = here

    @property
    def connecting(self) -> float | None:
        """Seconds that are left to reach the server; None: as long as it usually takes. Raises TimeoutError when there are none."""
        left = self._begun_by - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left if self._here else None

    @contextmanager
    def kept(self, server: smtplib.SMTP, timeout: float) -> Iterator[None]:
        """The connection is cut when the time is over. `timeout`: the seconds that each of its answers usually may take."""
        if server.sock:
            server.sock.settimeout(timeout)
        cut = _cutting(server, self._begun_by)
        read = server.data

        def data(msg: Any) -> tuple[int, bytes]:
            nonlocal cut
            cut.cancel()
            cut = _cutting(server, self._over_at)
            return read(msg)

        server.data = data
        try:
            yield
        finally:
            cut.cancel()


def _cutting(server: smtplib.SMTP, at: float) -> threading.Timer:
    timer = threading.Timer(max(at - time.monotonic(), 0), _cut, [server])
    timer.daemon = True
    timer.start()
    return timer


def _cut(server: smtplib.SMTP) -> None:
    """Whoever reads from it is told that the connection has ended."""
    if server.sock:
        with suppress(OSError):
            server.sock.shutdown(socket.SHUT_RDWR)
