"""A soft token: on a device apart, the app, a name, a PIN, the secret into the app, and then the enrolment."""

import asyncio
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import segno
from starlette.responses import Response

from database.tables import SoftEnrollment
from domain import pin as pins
from starter import soft_enrollment
from starter.gateway.activation.hard import SILENT
from starter.gateway.activation.visit import Moved, Silent, Visit
from starter.soft_enrollment import Linked, NotStored, Stored
from starter.target import seal_of

_LONGEST_NAME = 60
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,99}")
_BEFORE = (
    "This token had been set up before, and that setup stands: use the PIN that you chose then, and the entry that you added to "
    "your app then. If you no longer have them, ask our team to cancel this request."
)
_ELSEWHERE = (
    "This token was enrolled in another window or on another device. If you have scanned a code from this page, remove that "
    "entry from the app: only the one that was enrolled works."
)


def show(visit: Visit, step: str) -> Response:
    """The step that was asked for, or the first one that is still missing before it."""
    if prescribing_device(visit):
        return same_device(visit)
    reached = [
        ("device", visit.typed("device") == "other"),
        ("download", bool(visit.typed("installed"))),
        ("name", bool(visit.typed("token_name"))),
        ("pin", False),
    ]
    for name, passed in reached:
        if name == (step or "device") or not passed:
            return visit.show(
                f"activate/soft_{name}.html", device=visit.typed("device"), name=visit.typed("token_name")
            )
    return visit.go()


def prescribing_device(visit: Visit) -> str | None:
    """The fingerprint that sign-on has left in a browser from which prescriptions are sent."""
    return visit.request.cookies.get("tokens_device")


def same_device(visit: Visit, *, said: bool = False) -> Response:
    """Refused: what prescribes may not hold the token. `said`: it is the person's own word, which can be changed."""
    return visit.show("activate/soft_same_device.html", 403, said=said, demo=visit.in_demo)


async def device(visit: Visit, fields: Mapping[str, str]) -> Response:
    match fields.get("device"):
        case "other":
            visit.keep(device="other")
            return visit.go("download")
        case "prescribing":
            visit.keep(device="")
            return same_device(visit, said=True)
        case _:
            wrong = "Say whether you prescribe with this device; a soft token may only be on another one."
            return visit.show("activate/soft_device.html", 422, device="", errors={"device": wrong})


async def download(visit: Visit, _fields: Mapping[str, str]) -> Response:
    visit.keep(installed="yes")
    return visit.go("name")


async def name(visit: Visit, fields: Mapping[str, str]) -> Response:
    typed = fields.get("token_name", "")
    name = " ".join(typed.split())
    wrong = None
    if not name:
        wrong = "Give the token a name, such as My phone, so that you can tell it from others."
    elif len(name) > _LONGEST_NAME:
        wrong = f"The name has {len(name)} characters, and there is room for {_LONGEST_NAME}; choose a shorter one."
    elif any(unicodedata.category(character)[0] == "C" for character in name):
        wrong = "The name has characters that can't be seen; type it anew."
    if wrong:
        return visit.show("activate/soft_name.html", 422, name=typed, errors={"token_name": wrong})
    visit.keep(token_name=name)
    return visit.go("pin")


async def pin(visit: Visit, fields: Mapping[str, str]) -> Response:
    """Stores PIN hash and seed, and shows the seed, once. Nothing is enrolled yet: if the page gets lost, a PIN is chosen anew."""
    if visit.typed("device") != "other" or not visit.typed("token_name"):
        return visit.go("pin")  # leads to what is missing
    pin, again = fields.get("pin", "").strip(), fields.get("pin_again", "").strip()
    errors = {}
    refusal = pins.refusal(pin)
    if refusal:
        errors["pin"] = refusal
    elif pin != again:
        errors["pin_again"] = "The two PINs are not the same; enter the PIN twice, the same each time."
    if errors:
        return _pin(visit, errors)
    visit.refuse_too_often(visit.pace.store(visit.link.journey_id))
    try:
        stored = await asyncio.to_thread(_store, visit, pin)
    except Linked as before:
        return await _finish(visit, before)
    except NotStored as refusal:
        return _pin(visit, {"pin": str(refusal)})
    return _app(visit, stored)


async def _finish(visit: Visit, before: Linked) -> Response:
    """The setup before this one was taken, and Temporal has lost word of it: it is told once more."""
    try:
        said = await visit.tell(
            "enroll_soft", {"token_name": before.token_name, "enrollment_ref": before.enrollment_ref}
        )
    except Moved:
        return visit.stands(_ELSEWHERE) or visit.go()
    except Silent:
        return _pin(visit, {"pin": SILENT}, 503)
    if said is not None:
        return _pin(visit, {"pin": said})
    visit.keep(token_name="")
    await visit.look()
    return visit.stands(_BEFORE) or visit.go()


def _pin(visit: Visit, errors: dict[str, str], status: int = 422) -> Response:
    return visit.show("activate/soft_pin.html", status, name=visit.typed("token_name"), errors=errors)


def _store(visit: Visit, pin: str) -> Stored:
    settings = visit.gateway.settings
    return soft_enrollment.store(
        visit.gateway.sessions,
        seal_of(settings),
        settings.pin_pepper.get_secret_value(),
        journey_id=visit.link.journey_id,
        pin=pin,
        device=prescribing_device(visit),
        at=datetime.now(UTC),
    )


def _app(visit: Visit, stored: Stored) -> Response:
    """The seed as a picture, as a link and as text."""
    uri = stored.provisioning_uri
    secret = parse_qs(urlsplit(uri).query)["secret"][0].rstrip("=")
    return visit.show(
        "activate/soft_app.html",
        name=visit.typed("token_name"),
        reference=stored.enrollment_ref,
        uri=uri,
        picture=segno.make(uri, error="m").svg_data_uri(scale=6, border=4, dark="#000", light="#fff"),
        secret=" ".join(secret[place : place + 4] for place in range(0, len(secret), 4)),
    )


def _is_enrolled(visit: Visit, reference: str) -> bool:
    """Whether it is this page's secret that was enrolled: pressed twice, say."""
    with visit.gateway.sessions() as session:
        stored = session.get(SoftEnrollment, reference)
        return stored is not None and stored.journey_id == visit.link.journey_id and stored.used_at is not None


async def enroll(visit: Visit, fields: Mapping[str, str]) -> Response:
    """By the reference only: PIN and seed lie where they were stored."""
    reference, name = fields.get("enrollment_ref", ""), visit.typed("token_name")
    if not _REFERENCE.fullmatch(reference) or (not name and visit.standing == "open"):
        return visit.go("pin")
    status = 422
    try:
        if visit.standing != "open":
            raise Moved
        said = await visit.tell("enroll_soft", {"token_name": name, "enrollment_ref": reference})
    except Moved:
        ours = await asyncio.to_thread(_is_enrolled, visit, reference)
        return visit.stands("" if ours else _ELSEWHERE) or visit.go()
    except Silent:
        said, status = SILENT, 503
    if said is None:
        return visit.done()
    return visit.show(
        "activate/soft_not_enrolled.html", status, sentence=said, reference=reference, again=status == 503
    )
