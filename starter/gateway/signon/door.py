"""Who comes in: the visitor of a page by the session's cookie, and what a form of that visitor's brings."""

import asyncio
import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from starter.gateway.pages import page
from starter.gateway.parts import Gateway
from starter.gateway.signon import sessions
from starter.gateway.signon.origin import from_our_pages, on_this_machine, secure
from starter.gateway.signon.sessions import Visitor

_LARGEST_FORM = 64 * 1024
_MOST_FIELDS = 60


class SignedOff(Exception):
    """Nobody is signed on, or not any more."""


class NotOurForm(Exception):
    """A form that can't have come from a page of this session, or not in one piece; the text says so in a sentence."""


class Door:
    """Given the gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._secure = secure(gateway.settings)
        # With the prefix, browsers take the cookie from this very host and over HTTPS only.
        self._cookie = "__Host-tokens_session" if self._secure else "tokens_session"

    async def visitor(self, request: Request, *, touch: bool = True) -> Visitor:
        """Who is signed on. Raises SignedOff. `touch`: false for what a page asks by itself."""
        session_id = self.session_id(request)
        gateway = self._gateway
        if session_id:
            found = await asyncio.to_thread(sessions.find, session_id, gateway.sessions, gateway.settings, touch=touch)
            if found:
                return found
        raise SignedOff

    async def form(self, request: Request, visitor: Visitor) -> dict[str, str]:
        """The fields of a form of this visitor's. Raises NotOurForm."""
        if not from_our_pages(request, self._gateway.settings):
            raise NotOurForm(
                "This form did not come from our own pages, so nothing was done; open Manage Tokens again."
            )
        fields = await fields_of(request)
        if not hmac.compare_digest(fields.pop("csrf", "").encode(), visitor.csrf.encode()):
            raise NotOurForm(
                "This form is from an earlier session, so nothing was done; open the page again and repeat it."
            )
        return fields

    def session_id(self, request: Request) -> str | None:
        return request.cookies.get(self._cookie)

    def let_in(self, response: Response, session_id: str) -> None:
        """Gives the browser the session. It lasts as long as the browser is open, or as the server says."""
        response.set_cookie(self._cookie, session_id, path="/", secure=self._secure, httponly=True, samesite="lax")

    def let_out(self, response: Response) -> None:
        response.delete_cookie(self._cookie, path="/", secure=self._secure, httponly=True, samesite="lax")

    def remember_device(self, response: Response, fingerprint: str) -> None:
        """The activation pages ask for it: no soft token on a device that prescriptions are sent from."""
        response.set_cookie(
            "tokens_device",
            fingerprint,
            max_age=400 * 24 * 3600,  # as long as browsers keep any
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )

    def has_demo(self, request: Request) -> bool:
        """Whether "sign in as" is offered: in the embedded stack, to a browser on the same machine."""
        return bool(self._gateway.settings.demo_ehr_key.get_secret_value()) and on_this_machine(request)

    async def signed_off(self, request: Request, _reason: Exception) -> Response:
        """What a visitor sees who is not signed on. A page's own questions get the status alone."""
        if "x-live" in request.headers:
            return Response(status_code=401, headers={"Cache-Control": "no-store"})
        to = str(request.url.path) + (f"?{request.url.query}" if request.url.query else "")
        return page("signed_off.html", 401, demo=self.has_demo(request), to=to if request.method == "GET" else "")


async def not_our_form(_request: Request, reason: Exception) -> Response:
    return page("no_access.html", 403, why="form", sentence=str(reason))


async def fields_of(request: Request) -> dict[str, str]:
    """A form's fields as typed; of several with one name, the last. Raises NotOurForm for anything but a small form."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise NotOurForm("This is not a form of ours, so nothing was done; open the page again and repeat it.")
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _LARGEST_FORM:
            raise NotOurForm("The form is too large, so nothing was done; write less into its fields.")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError:
        raise NotOurForm("The form can't be read, so nothing was done; open the page again and repeat it.") from None
    return dict(pairs)


def checked(fields: Mapping[str, str], name: str) -> bool:
    """Whether a box was ticked."""
    return fields.get(name) == "yes"
