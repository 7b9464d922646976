"""The EHR's part in the embedded stack: "sign in as" one of the sample prescribers. It makes a real launch token and posts it
to `/launch`. Only there, and only for a browser on the same machine; everywhere else these pages do not exist."""

import hashlib
import secrets
import time

import jwt
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from domain import samples
from settings import Settings
from starter.gateway.pages import HEADERS, page
from starter.gateway.parts import Gateway
from starter.gateway.signon.door import Door
from starter.gateway.signon.forms import NotTaken, checked, fields_of
from starter.gateway.signon.origin import from_our_pages

DEMO_KEY = "demo"
"""The key id under which the stack gives the gateway the demo EHR's public key."""
_SECONDS = 120


def router(gateway: Gateway, door: Door) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    practices = {practice.practice_id: practice.name for practice in samples.PRACTICES}
    groups = [
        (name, [person for person in samples.PRESCRIBERS if person.practice_id == practice_id])
        for practice_id, name in practices.items()
    ]

    @routes.get("/")
    async def home(request: Request) -> Response:
        return RedirectResponse("/demo" if door.has_demo(request) else "/manage-tokens", 303, HEADERS)

    @routes.get("/demo")
    async def choose(request: Request) -> Response:
        if not door.has_demo(request):
            return not_here()
        return page("demo.html", groups=groups, to=request.query_params.get("to", ""), wrong="")

    @routes.post("/demo")
    async def hand_over(request: Request) -> Response:
        if not door.has_demo(request):
            return not_here()
        if not from_our_pages(request, gateway.settings):
            raise NotTaken(403, "This form did not come from our own pages, so nothing was done; open this page again.")
        fields = await fields_of(request)
        person = next((one for one in samples.PRESCRIBERS if one.prescriber_id == fields.get("prescriber_id")), None)
        if person is None:
            return page("demo.html", 422, groups=groups, to=fields.get("to", ""), wrong="Choose a prescriber.")
        token = launch_token(
            gateway.settings,
            person.prescriber_id,
            id_proofed=person.id_proofed,
            pin_validated=checked(fields, "pin_validated"),
            prescribes=checked(fields, "prescribes"),
        )
        return page("demo_launch.html", token=token, to=fields.get("to", ""), name=person.name)

    return routes


def not_here() -> Response:
    return page("not_found.html", 404)


def launch_token(
    settings: Settings, prescriber_id: str, *, id_proofed: bool, pin_validated: bool, prescribes: bool
) -> str:
    """What the EHR would sign for this prescriber at a computer of the practice."""
    now = int(time.time())
    claims = {
        "iss": settings.ehr_issuer,
        "aud": settings.audience_of_launches,
        "sub": prescriber_id,
        "iat": now,
        "exp": now + _SECONDS,
        "jti": secrets.token_urlsafe(16),
        "id_proofed": id_proofed,
        "pin_validated": pin_validated,
        "device": {
            "fingerprint": hashlib.sha256(f"demo computer of {prescriber_id}".encode()).hexdigest(),
            "name": "Computer with the demo EHR",
            "prescribes": prescribes,
        },
    }
    key = settings.demo_ehr_key.get_secret_value()
    return jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": DEMO_KEY})
