"""Who comes in: the visitor of a page by the session's cookie, and what a form of that visitor's brings."""

import asyncio
import hmac
from collections.abc import Mapping
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from starter.gateway.pages import page
from starter.gateway.parts import Gateway
from starter.gateway.signon import sessions
from starter.gateway.signon.forms import NotTaken, fields_of
from starter.gateway.signon.origin import from_our_pages, on_this_machine, secure
from starter.gateway.signon.sessions import Visitor

_TYPED = {
    "email": "Email",
    "name": "Name",
    "street1": "Street and number",
    "street2": "Suite, floor or unit",
    "city": "City",
    "state": "State",
    "postal_code": "ZIP code",
}
"""What people type into forms, and how it is called there."""


class SignedOff(Exception):
    """Nobody is signed on, or not any more."""


class EarlierForm(Exception):
    """A form of our own pages, but of an earlier session: whoever is signed on now has to say that it is to be sent."""

    def __init__(self, visitor: Visitor, fields: dict[str, str]) -> None:
        super().__init__()
        self.visitor, self.fields = visitor, fields


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
        """The fields of a form of this visitor's. Raises NotTaken, EarlierForm."""
        if not from_our_pages(request, self._gateway.settings):
            raise NotTaken(
                403, "This form did not come from our own pages, so nothing was done; open Manage Tokens again."
            )
        fields = await fields_of(request)
        if not hmac.compare_digest(fields.pop("csrf", "").encode(), visitor.csrf.encode()):
            raise EarlierForm(visitor, fields)
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
        """What a visitor sees who is not signed on. A page's own questions get the status alone. What was sent meanwhile
        stays in the page: it can be sent once more by whoever has signed on in another window."""
        if "x-live" in request.headers:
            return Response(status_code=401, headers={"Cache-Control": "no-store"})
        to = str(request.url.path) + (f"?{request.url.query}" if request.url.query else "")
        kept = await self._kept(request)
        return page(
            "signed_off.html",
            401,
            demo=self.has_demo(request),
            to=to if request.method == "GET" else "",
            action=quote(request.url.path),
            fields=kept,
            typed=_typed(kept),
        )

    async def _kept(self, request: Request) -> dict[str, str]:
        """The form that came without a session, where it is one of ours with something in it."""
        if request.method != "POST" or not from_our_pages(request, self._gateway.settings):
            return {}
        try:
            fields = await fields_of(request)
        except NotTaken:
            return {}
        fields.pop("csrf", None)
        return fields


async def earlier_form(request: Request, reason: Exception) -> Response:
    """Nothing was done; shows what was typed, to be sent by whoever is signed on now."""
    assert isinstance(reason, EarlierForm)
    return page(
        "earlier_form.html",
        403,
        visitor=reason.visitor,
        action=quote(request.url.path),
        fields=reason.fields,
        typed=_typed(reason.fields),
    )


async def not_taken(_request: Request, reason: Exception) -> Response:
    assert isinstance(reason, NotTaken)
    return page("no_access.html", reason.status, why="form", sentence=str(reason))


def _typed(fields: Mapping[str, str]) -> list[tuple[str, str]]:
    """Label and text of what a person has typed into the form."""
    return [(label, fields[name]) for name, label in _TYPED.items() if fields.get(name, "").strip()]
