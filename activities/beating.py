"""Heartbeats of an activity that works for long without coming by: derives a key, reads a large file, moves a million rows."""

import contextvars
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from temporalio import activity

_EVERY = 2.0
"""Seconds; the SDK sends only as many as the heartbeat timeout asks for."""


class Beating:
    """`with Beating() as beat:` heartbeats go out until the end, each with `beat.progress`, which the UI shows."""

    def __init__(self) -> None:
        self.progress: Any = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=contextvars.copy_context().run, args=(self._beat,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        with suppress(RuntimeError):  # the worker ends under it
            activity.heartbeat(self.progress)
            while not self._over.wait(_EVERY):
                activity.heartbeat(self.progress)
