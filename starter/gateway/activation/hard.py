"""A hard token: its serial number, then a passcode."""

import re
from collections.abc import Mapping

from starlette.responses import Response

from starter.gateway.activation.visit import Silent, Visit

_SERIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}")
_PASSCODE = re.compile(r"[0-9]{6}(?:[0-9]{2})?")
SILENT = "The system does not answer just now, and nothing was done; please try again in a minute."


def show(visit: Visit, step: str) -> Response:
    serial = visit.typed("serial_number")
    if step == "passcode" and serial:
        return visit.show("activate/hard_passcode.html", serial_number=serial)
    return visit.show("activate/hard_serial.html", serial_number=serial)


async def serial(visit: Visit, fields: Mapping[str, str]) -> Response:
    """Looks at its shape only: whether it is the right one is judged together with the passcode, in one answer."""
    typed = fields.get("serial_number", "")
    serial = "".join(typed.split())
    wrong = None
    if not serial:
        wrong = "Enter the serial number; it is on the back of the token, below the bar code."
    elif not _SERIAL.fullmatch(serial):
        wrong = "A serial number has only letters, digits and hyphens; enter it as it stands on the back, below the bar code."
    if wrong:
        return visit.show("activate/hard_serial.html", 422, serial_number=typed, errors={"serial_number": wrong})
    visit.keep(serial_number=serial)
    return visit.go("passcode")


async def passcode(visit: Visit, fields: Mapping[str, str]) -> Response:
    serial = visit.typed("serial_number")
    if not serial:
        return visit.go()
    passcode = re.sub(r"[\s-]", "", fields.get("passcode", ""))
    status = 422
    if not _PASSCODE.fullmatch(passcode):
        said = "A passcode has six digits, or on some tokens eight; press the button on the front and enter those that appear."
    else:
        right = visit.link.serial_number or ""
        # Nobody reads capitals off a token to the letter; which serial it is stays the journey's judgement.
        serial = right if serial.casefold() == right.casefold() else serial
        try:
            said = await visit.tell("enroll_hard", {"serial_number": serial, "passcode": passcode})
        except Silent:
            said, status = SILENT, 503
    if said is None:
        return visit.done()
    # The passcode does not go back into the page: each is good for one attempt.
    return visit.show(
        "activate/hard_passcode.html", status, serial_number=visit.typed("serial_number"), errors={"passcode": said}
    )
