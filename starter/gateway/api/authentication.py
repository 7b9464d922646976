"""Who calls, and what they may: `Authorization: Bearer <key id>.<secret>`."""

import re
import time

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.exceptions import HTTPException
from starlette.requests import Request

from settings import Settings
from starter import api_keys
from starter.api_keys import Caller, Scope
from starter.gateway.api.records import in_thread
from starter.gateway.parts import Gateway

KEY = r"[A-Za-z0-9-]{1,40}\.[A-Za-z0-9_-]{1,200}"
"""How a key is written, as a regular expression."""
_BEARER = re.compile(rf"Bearer +(?P<key>{KEY})", re.IGNORECASE)
_MANY = 10
"""An address may fail so many times as often over all keys as with one."""


class Rates:
    """How often who may call. Counted in memory: each copy of the gateway for itself."""

    def __init__(self, settings: Settings) -> None:
        self._calls = parse(settings.api_rate)
        self._failures = parse(settings.api_failed_sign_ins)
        self._failures_together = parse(settings.api_failed_sign_ins)
        self._failures_together.amount *= _MANY
        self._window = MovingWindowRateLimiter(MemoryStorage())

    def called(self, key_id: str) -> None:
        """Raises HTTPException 429 where the key has called too often."""
        if not self._window.hit(self._calls, "calls", key_id):
            raise self._too_many("This key has called too often", self._calls, "calls", key_id)

    def may_try(self, address: str, key_id: str) -> None:
        """Raises HTTPException 429 where too many keys that don't fit have come from there."""
        for rate, names in ((self._failures, (address, key_id)), (self._failures_together, (address,))):
            if not self._window.test(rate, "failures", *names):
                raise self._too_many("Too many keys that don't fit have come from here", rate, "failures", *names)

    def failed(self, address: str, key_id: str) -> None:
        self._window.hit(self._failures, "failures", address, key_id)
        self._window.hit(self._failures_together, "failures", address)

    def _too_many(self, what: str, rate: RateLimitItem, *names: str) -> HTTPException:
        wait = max(1, round(self._window.get_window_stats(rate, *names).reset_time - time.time()))
        return HTTPException(429, f"{what}; wait {wait} seconds.", {"Retry-After": str(wait)})


class Authentication:
    """Given the gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._rates = Rates(gateway.settings)

    async def caller(self, request: Request, scopes: frozenset[str], *, counted: bool = True) -> tuple[Caller, str]:
        """The system that calls, and its secret. `scopes`: any of them is enough. `counted`: it may not call too often. Raises
        HTTPException: 401 for no key or one that does not fit, 403 for one that may not do this, 429 for calling too often."""
        match = _BEARER.fullmatch(request.headers.get("Authorization", ""))
        if match is None:
            raise _unauthorised("No key came with the request; send it as `Authorization: Bearer <key>`.", None)
        caller = await self.holder(request, match["key"])
        if counted:
            self._rates.called(caller.key_id)
        if not scopes & caller.scopes:
            needed = " or ".join(sorted(scopes))
            raise HTTPException(
                403,
                f"This key may not do that: it takes the scope {needed}; ask for a key that has it.",
                {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{" ".join(sorted(scopes))}"'},
            )
        return caller, match["key"].partition(".")[2]

    async def operator(self, request: Request, key: str) -> Caller:
        """The operator whose key it is. Raises HTTPException as `holder` does, and 403 for a key without the scope `operate`."""
        caller = await self.holder(request, key)
        if Scope.OPERATE not in caller.scopes:
            raise HTTPException(403, "This key may not do that: it takes the scope operate; ask for a key that has it.")
        return caller

    async def holder(self, request: Request, key: str) -> Caller:
        """Whose key it is, whatever it may do. Only keys that don't fit are counted. Raises HTTPException: 401 for one that does
        not fit, 429 for too many of them."""
        key_id, _, secret = key.partition(".")
        address = request.client.host if request.client else "unknown"
        self._rates.may_try(address, key_id)
        caller = await in_thread(lambda: api_keys.caller_of(self._gateway.sessions, key_id, secret))
        if caller is None:
            self._rates.failed(address, key_id)
            raise _unauthorised(
                "The key is not known, does not fit, or was revoked; ask for a new one.", "invalid_token"
            )
        return caller


def _unauthorised(detail: str, error: str | None) -> HTTPException:
    challenge = 'Bearer realm="tokens"' + (f', error="{error}"' if error else "")
    return HTTPException(401, detail, {"WWW-Authenticate": challenge})
