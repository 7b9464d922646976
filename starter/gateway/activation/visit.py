"""One request of a person who has opened an emailed link."""

import asyncio
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parseaddr
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from activities.enrollment import EXPIRED
from domain.status import Status
from starter.gateway.activation import links, progress
from starter.gateway.activation.forms import Kept
from starter.gateway.activation.links import Link, Standing
from starter.gateway.activation.pace import Pace
from starter.gateway.pages import HEADERS, page
from starter.gateway.parts import Gateway
from starter.gateway.signon.forms import NotTaken, fields_of
from starter.gateway.signon.origin import from_our_pages, secure, trying_out
from starter.journeys import Journeys, NotDone, Refused, Unanswered

_GLANCE = timedelta(seconds=3)
"""How long a page waits for the journey's own word before it goes by the records."""


class Answered(Exception):
    """There is no going on with what was asked for; `response` is what the person sees instead."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


class Silent(Exception):
    """The system does not answer, and nothing was done."""


class Moved(Exception):
    """The journey has moved on meanwhile, or the link has ended: see `Visit.stands`."""


class Visit:
    """A known link, its journey, and what the browser has kept. `open` makes one."""

    def __init__(self, gateway: Gateway, pace: Pace, request: Request, link: Link) -> None:
        self.gateway, self.pace, self.request, self.link = gateway, pace, request, link
        self.kept = Kept.of(request)
        self.snapshot: dict[str, Any] | None = None

    @classmethod
    async def open(cls, gateway: Gateway, pace: Pace, request: Request, secret: str) -> "Visit":
        """Raises Answered: a link that does not exist, or too many of them."""
        address = request.client.host if request.client else ""
        wait = pace.blocked(address)
        if wait:
            raise Answered(too_often(wait, ""))
        link = await asyncio.to_thread(links.find, gateway.sessions, secret)
        if link is None:
            pace.unknown(address)
            raise Answered(page("activate/unknown.html", 404))
        visit = cls(gateway, pace, request, link)
        await visit.look()
        return visit

    async def look(self) -> None:
        """Asks the journey and the records where they stand now."""
        link = await asyncio.to_thread(links.find, self.gateway.sessions, self.link.secret)
        self.link = link or self.link
        try:
            self.snapshot = await Journeys(self.gateway.client, patience=_GLANCE).ask(self.link.journey_id)
        except (NotDone, RuntimeError):  # the SDK's own, where Temporal was never reached
            self.snapshot = None

    @property
    def status(self) -> Status:
        """The journey's own word where it answers, else the records'."""
        return Status(self.snapshot["status"]) if self.snapshot else self.link.status

    @property
    def standing(self) -> Standing:
        return links.standing(self.link, self.status, datetime.now(UTC))

    # What was filled in

    def typed(self, name: str) -> str:
        return self.kept.typed.get(name, "")

    def keep(self, **typed: str) -> None:
        self.kept.typed |= typed

    async def fields(self) -> dict[str, str]:
        """The form that was posted. Raises Answered."""
        try:
            fields = await fields_of(self.request)
            sent = fields.pop("form", "")
            if not from_our_pages(self.request, self.gateway.settings):
                raise NotTaken(
                    403, "This form did not come from our own pages, so nothing was done; open the page again."
                )
            if not hmac.compare_digest(sent.encode(), self.kept.form.encode()):
                raise NotTaken(
                    403,
                    "This page has been open too long, or your browser keeps no cookies for it, so nothing was done; allow "
                    "them, open the page again and repeat it.",
                )
        except NotTaken as refusal:
            raise Answered(self.show("activate/not_taken.html", refusal.status, sentence=str(refusal))) from None
        return fields

    # What the person sees

    def show(self, template: str, status: int = 200, **facts: Any) -> Response:
        """A page of this link's, with the form token in its cookie."""
        common = {"path": self.link.path, "form": self.kept.form, "kind": self.link.kind.value, "errors": {}}
        return self._with_cookie(page(template, status, **common | facts))

    def go(self, step: str = "") -> Response:
        """On to another page, by a GET: going back and reloading then repeat nothing."""
        where = f"{self.link.path}?step={step}" if step else self.link.path
        return self._with_cookie(RedirectResponse(where, 303, HEADERS))

    def done(self) -> Response:
        """On to what becomes of it; what was typed is forgotten."""
        self.kept.typed = {}
        return self.go()

    def closed(self, why: Standing, status: int = 200) -> Response:
        """The page of a link with which nothing can be enrolled (any more, or yet)."""
        contact = parseaddr(self.gateway.settings.mail_from)[1]
        deactivated = self.status is Status.DEACTIVATED
        return self.show(
            "activate/closed.html",
            status,
            why=why,
            contact=contact,
            deactivated=deactivated,
            may_resend=not self.link.locked,
            manage_url=f"{self.gateway.settings.public_base}/manage-tokens?request={self.link.kind.value}",
        )

    def stands(self, note: str = "") -> Response | None:
        """What there is to see instead of a form; None where the link is open."""
        standing = self.standing
        if standing == "open":
            return None
        if standing == "enrolled":
            return self.show("activate/progress.html", note=note, **progress.facts(self))
        return self.closed(standing)

    @property
    def in_demo(self) -> bool:
        return trying_out(self.request, self.gateway.settings)

    # What is done

    async def tell(self, message: str, body: Mapping[str, Any]) -> str | None:
        """Sends the enrolment; None when it is done, else the refusal's sentence. Raises Answered, Moved, Silent."""
        self.refuse_too_often(self.pace.try_(self.link.journey_id))
        try:
            await self.gateway.journeys.tell(self.link.journey_id, message, {**body, "link_hash": self.link.link_hash})
        except Refused as refusal:
            await self.look()
            if self.standing != "open":
                raise Moved from None
            if str(refusal) == EXPIRED:
                raise Answered(self.closed("expired")) from None
            return str(refusal)
        except Unanswered:
            raise Answered(self.show("activate/unanswered.html", 202)) from None
        except (NotDone, RuntimeError):
            raise Silent from None
        return None

    def refuse_too_often(self, wait: int) -> None:
        """Raises Answered where there is something to wait for."""
        if wait:
            raise Answered(self._with_cookie(too_often(wait, self.link.path)))

    def _with_cookie(self, response: Response) -> Response:
        self.kept.put(response, self.link.path, secure=secure(self.gateway.settings))
        return response


def too_often(wait: int, path: str) -> Response:
    """`wait` is in seconds."""
    response = page("activate/too_often.html", 429, minutes=-(-wait // 60), path=path)
    response.headers["Retry-After"] = str(wait)
    return response
