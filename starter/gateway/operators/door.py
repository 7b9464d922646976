"""Who comes in: the operator behind a request, by the session's cookie."""

import asyncio
import hmac
import re
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from starter.gateway.api.authentication import KEY, Authentication
from starter.gateway.operators import sessions
from starter.gateway.operators.sessions import Operator
from starter.gateway.pages import HEADERS
from starter.gateway.parts import Gateway
from starter.gateway.signon.forms import NotTaken, fields_of
from starter.gateway.signon.origin import from_our_pages, secure

SIGN_IN = "/ops/sign-in"
HOME = "/ops"
"""Where a sign-in leads if nothing else was asked for."""
_OUR_PAGE = re.compile(r"/ops([/?][A-Za-z0-9._~:@%&=+/?-]*)?")
_KEY = re.compile(KEY)


class SignedOut(Exception):
    """No operator is signed in, or not any more."""


class OperatorDoor:
    """Given the gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._authentication = Authentication(gateway)
        self._secure = secure(gateway.settings)
        # With the prefix, browsers take the cookie from this very host and over HTTPS only.
        self._cookie = "__Host-tokens_operator" if self._secure else "tokens_operator"

    async def operator_of(self, request: Request) -> Operator:
        """Who is signed in: a FastAPI dependency for the team's pages. Raises SignedOut, which leads to the sign-in page."""
        operator = await self.operator(request)
        if operator is None:
            raise SignedOut
        return operator

    async def operator(self, request: Request) -> Operator | None:
        """Who is signed in, if anybody."""
        session_id = request.cookies.get(self._cookie)
        if not session_id:
            return None
        gateway = self._gateway
        return await asyncio.to_thread(sessions.find, session_id, gateway.sessions, gateway.settings)

    async def form(self, request: Request, operator: Operator) -> dict[str, str]:
        """The fields of a form of this operator's. Raises NotTaken."""
        fields = await self.own_fields(request)
        if not hmac.compare_digest(fields.pop("csrf", "").encode(), operator.csrf.encode()):
            raise NotTaken(
                403, "This form is from an earlier session, so nothing was done; open the page again and repeat it."
            )
        return fields

    async def own_fields(self, request: Request) -> dict[str, str]:
        """The fields of a form from a page of ours, whoever sent it. Raises NotTaken."""
        if not from_our_pages(request, self._gateway.settings):
            raise NotTaken(403, "This form did not come from our own pages, so nothing was done; open the page again.")
        return await fields_of(request)

    async def sign_in(self, request: Request, key: str, to: str) -> Response:
        """Lets the browser in, on to the page `to` if it is one of the team's. Raises HTTPException: 401 for a key that does
        not fit, 403 for one without the scope, 429 for too many tries."""
        caller = await self._authentication.operator(request, key.strip() if _KEY.fullmatch(key.strip()) else "")
        gateway = self._gateway
        earlier = request.cookies.get(self._cookie)
        session_id = await asyncio.to_thread(sessions.begin, caller, gateway.sessions, gateway.settings, earlier)
        response = RedirectResponse(to if _OUR_PAGE.fullmatch(to) else HOME, 303, HEADERS)
        response.set_cookie(self._cookie, session_id, path="/", secure=self._secure, httponly=True, samesite="strict")
        return response

    async def sign_out(self, request: Request) -> Response:
        """Ends the session of the browser."""
        session_id = request.cookies.get(self._cookie)
        if session_id:
            await asyncio.to_thread(sessions.end, session_id, self._gateway.sessions)
        response = RedirectResponse(SIGN_IN, 303, HEADERS)
        response.delete_cookie(self._cookie, path="/", secure=self._secure, httponly=True, samesite="strict")
        return response


async def signed_out(request: Request, _reason: Exception) -> Response:
    """Leads to the sign-in page, and from there back to the page that was asked for."""
    if request.method != "GET":
        return RedirectResponse(SIGN_IN, 303, HEADERS)
    to = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"{SIGN_IN}?to={quote(to, safe='/')}", 303, HEADERS)
