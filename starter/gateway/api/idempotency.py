"""`Idempotency-Key`: a POST that comes again does not happen again, whether the first is done, under way, or broke off.

What came is written down before anything is sent, with the id from which the ids of workflows and updates follow. So
whoever does it again after a crash finds what the first one began.
"""

import asyncio
import hashlib
import hmac
import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, update
from sqlalchemy.exc import IntegrityError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from database.tables import IdempotentRequest
from starter.api_keys import Caller
from starter.gateway.api.records import in_thread
from starter.gateway.parts import Gateway

_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_ABANDONED = timedelta(seconds=60)
"""Longer than any request takes: whoever has not answered by then was killed."""
_BETWEEN_LOOKS = 0.1
_KEPT_HEADERS = ("content-type", "location")
_OPEN = frozenset({202, 207, 500, 503})
"""After these the same may be sent again, and goes on where it stopped."""
_NOTHING_SENT = frozenset({400, 404, 413, 415, 422})
"""After these nothing has happened, and the key is as good as new."""

Work = Callable[[], Awaitable[Response]]


@dataclass(frozen=True)
class _Found:
    row: IdempotentRequest
    mine: bool
    """This request has it to do."""


class Idempotency:
    """Given the gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._kept = timedelta(hours=gateway.settings.idempotency_hours)

    async def once(
        self, request: Request, caller: Caller, secret: str, work: Work, stands: Callable[[], Awaitable[bool]]
    ) -> Response:
        """The answer: `work`'s, or the one it gave before, if that still `stands`. `request.state.request_id` is set for it."""
        key = request.headers.get("Idempotency-Key")
        if key is None:
            request.state.request_id = uuid.uuid4().hex[:16]
            return await work()
        if not _KEY.fullmatch(key):
            raise HTTPException(
                422, "The Idempotency-Key was not taken; send 1 to 200 visible ASCII characters, such as a UUID."
            )
        print_ = await _fingerprint(request, secret)
        found = await self._claimed(caller.key_id, key, print_)
        request.state.request_id = found.row.request_id
        if not found.mine and not await stands():
            return await work()
        if not found.mine:
            return Response(
                found.row.body, found.row.status or 200, {**(found.row.headers or {}), "Idempotent-Replayed": "true"}
            )
        return await self._worked(caller.key_id, key, work)

    async def _claimed(self, caller: str, key: str, fingerprint: str) -> _Found:
        """Waits for another request with the same key, for as long as a journey's answer is waited for."""
        until = datetime.now(UTC) + timedelta(seconds=self._gateway.settings.api_patience_seconds)
        while True:
            found = await in_thread(lambda: self._look(caller, key, fingerprint, datetime.now(UTC)))
            if found is not None and not hmac.compare_digest(found.row.fingerprint, fingerprint):
                raise HTTPException(
                    422, "This Idempotency-Key was used for another request; take a new key for each new request."
                )
            if found is not None:
                return found
            if datetime.now(UTC) > until:
                raise HTTPException(
                    409, "The same request is still under way; send it again in a moment.", {"Retry-After": "5"}
                )
            await asyncio.sleep(_BETWEEN_LOOKS)

    def _look(self, caller: str, key: str, fingerprint: str, now: datetime) -> _Found | None:
        """What is known of the key, claimed where nobody has it; None: another request has it now."""
        try:
            with self._gateway.sessions.begin() as session:
                session.execute(delete(IdempotentRequest).where(IdempotentRequest.came_at < now - self._kept))
                row = session.get(IdempotentRequest, (caller, key))
                if row is None:
                    row = IdempotentRequest(
                        caller=caller,
                        idempotency_key=key,
                        fingerprint=fingerprint,
                        request_id=uuid.uuid4().hex[:16],
                        came_at=now,
                        claimed_at=now,
                    )
                    session.add(row)
                    return _Found(row, mine=True)
                if row.status is not None or row.fingerprint != fingerprint:
                    return _Found(row, mine=False)
                if row.claimed_at is not None and row.claimed_at > now - _ABANDONED:
                    return None
                taken = session.execute(
                    update(IdempotentRequest)
                    .where(
                        IdempotentRequest.caller == caller,
                        IdempotentRequest.idempotency_key == key,
                        IdempotentRequest.claimed_at.is_not_distinct_from(row.claimed_at),
                    )
                    .values(claimed_at=now)
                    .execution_options(synchronize_session=False)
                )
                return _Found(row, mine=True) if taken.rowcount else None  # type: ignore[attr-defined]
        except IntegrityError:  # another request with the key came at the same instant
            return None

    async def _worked(self, caller: str, key: str, work: Work) -> Response:
        values: dict[str, Any] | None = {"claimed_at": None}
        try:
            response = await work()
            if response.status_code in _NOTHING_SENT:
                values = None
            elif response.status_code not in _OPEN:
                values = {
                    "status": response.status_code,
                    "headers": {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers},
                    "body": bytes(response.body).decode(),
                }
            return response
        finally:
            await self._note(caller, key, values)

    async def _note(self, caller: str, key: str, values: dict[str, Any] | None) -> None:
        """What came of it; None: forget the key. Where the database is away now, the answer is given all the same: the next
        one to come does it again, and finds it done."""

        def write() -> None:
            this = (IdempotentRequest.caller == caller, IdempotentRequest.idempotency_key == key)
            with self._gateway.sessions.begin() as session:
                if values is None:
                    session.execute(delete(IdempotentRequest).where(*this))
                else:
                    session.execute(update(IdempotentRequest).where(*this).values(**values))

        try:
            await in_thread(write)
        except HTTPException:
            return


async def _fingerprint(request: Request, secret: str) -> str:
    sent = b"\0".join((request.method.encode(), request.scope["path"].encode(), request.url.query.encode()))
    return hmac.new(secret.encode(), sent + b"\0" + await request.body(), hashlib.sha256).hexdigest()
