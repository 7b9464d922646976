"""HTTP to an outside party: one client with timeouts, and its answers sorted into the three kinds of `errors`."""

import functools
import hashlib
import re
import ssl
from datetime import timedelta
from typing import Any

import httpx
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.errors import needs_person


def key_of(journey_id: str) -> str:
    """The journey's idempotency key in a party's URL: its id, or a digest of one that would not fit there."""
    if re.fullmatch(r"[A-Za-z0-9._~-]{1,100}", journey_id):
        return journey_id
    return "j-" + hashlib.sha256(journey_id.encode()).hexdigest()[:32]


_TRY_LATER = frozenset({408, 425, 429})
_SHORTLY = 2.0
"""Seconds; as long a party is waited for within a workflow task, which holds up all else at the journey."""


@functools.cache
def trusted() -> ssl.SSLContext:
    """The certificate authorities that this machine trusts. Reading them takes 25 ms of CPU, so all clients share them."""
    return httpx.create_ssl_context()


class Party:
    """`name` as people call it, for sentences; `url` its base address; `timeout` in seconds."""

    def __init__(self, name: str, url: str, timeout: float) -> None:
        self.name = name
        self._timeout = timeout
        self._http = httpx.Client(base_url=url, timeout=timeout, verify=trusted())

    def close(self) -> None:
        self._http.close()

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The party's JSON answer. Raises an ApplicationError: transient, or `needs_person` for any other 4xx."""
        try:
            answer = self._http.request(method, path, json=body, timeout=self._patience())
        except httpx.HTTPError as fault:
            # The fault's own text may hold what was sent; its type says enough.
            raise ApplicationError(
                f"{self.name} could not be reached ({type(fault).__name__})", type="Unreachable"
            ) from None
        if answer.is_success:
            return answer.json()
        if answer.status_code >= 500 or answer.status_code in _TRY_LATER:
            raise ApplicationError(
                f"{self.name} answered {answer.status_code}", type="Unavailable", next_retry_delay=_retry_after(answer)
            )
        raise needs_person(f"{self.name} refused with status {answer.status_code}; its log names this journey")

    def _patience(self) -> float:
        here = activity.in_activity() and activity.info().is_local
        return min(_SHORTLY, self._timeout) if here else self._timeout


def _retry_after(answer: httpx.Response) -> timedelta | None:
    wait = answer.headers.get("Retry-After", "")
    return timedelta(seconds=min(int(wait), 3600)) if wait.isdecimal() else None
