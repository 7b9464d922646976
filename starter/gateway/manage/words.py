"""What a page says of a token: what happens now, what the prescriber has to do, what has happened."""

from datetime import datetime
from zoneinfo import ZoneInfo

from domain.status import Kind, Status
from domain.wording import by_when, day, last_instant
from starter.gateway.manage.tokens import Token, overdue
from starter.gateway.signon.sessions import Visitor
from workflows.stages import promises

_FLASHES = {
    "requested": "Your request is in our processing queue, and our team has been told. A confirmation is on its way to you by email.",
    "edited": "Your request is changed. A confirmation is on its way to you by email.",
    "cancelled": "Your request is cancelled.",
    "resent": "A new activation email is on its way to you. Links in older ones no longer work.",
    "deactivated": "The token is deactivated. From now on it can't be used to sign prescriptions.",
    "replaced": "The old token is deactivated, and your request for the new one is in our processing queue.",
}


def flash(done: str | None) -> str | None:
    """The sentence over a page after something was done; nothing where `done` is not one of ours."""
    return _FLASHES.get(done or "")


def now_what(token: Token, zone: ZoneInfo, now: datetime, carrier: str) -> str:
    """What is awaited, and from whom, in two or three sentences."""
    row, hard = token.row, token.kind is Kind.HARD
    late = " This takes longer than we promised; our team has been told." if overdue(token, now) else ""
    match token.status:
        case Status.REQUESTED:
            return f"It is in our processing queue{_by(token, promises.PROCESSED, zone, now)}.{late}"
        case Status.PROCESSED if hard:
            shipping = token.promise(promises.SHIPPED)
            if shipping and shipping.broken:
                return (
                    f"It is processed and ships on the next carrier business day, because of this: {shipping.broken}."
                )
            return (
                "It is processed and ships the same day. Keep the email from Thales, our token vendor, until you have your token."
                f"{late}"
            )
        case Status.PROCESSED:
            return (
                f"It is processed. Open the email from Thales, our token vendor, sent to {row.email}, on the phone or tablet that "
                "the token is to live on, and follow the link at its bottom. It can't be a device that you send prescriptions from."
            )
        case Status.SHIPPED:
            due = token.promise(promises.DELIVERED)
            by = f" and expected by {day(last_instant(due.due), zone)}" if due and due.due > now else ""
            return (
                f"It is on its way with {carrier}{by}. Keep the email from Thales, our token vendor, until you have your token; if "
                f"you have it already, open that email and click the link at its bottom.{late}"
            )
        case Status.DELIVERED:
            return (
                f"It has been delivered. Take the token, open the email sent to {row.email}, and click the link in it: you will be "
                "asked for the serial number on the back and for a passcode from the token."
            )
        case Status.SYNCING:
            return (
                "It is linked to your account and is syncing with the Surescripts network, which may take up to 60 minutes. It "
                f"becomes active by itself.{late}"
            )
        case Status.ACTIVE:
            return "It is ready for signing prescriptions of controlled substances."
        case Status.DEACTIVATED:
            return f"It is no longer active and can't be used to sign prescriptions.{_return(token, zone)}"
        case Status.CANCELLED:
            return f"The request is cancelled.{_return(token, zone)}"


def happened(token: Token, visitor: Visitor) -> list[tuple[datetime, str, str]]:
    """The timeline, newest first: moment (UTC), what, and who where that says something to the prescriber."""
    return [(line.at, _in_words(token, line.what), _who(line.by, visitor)) for line in reversed(token.timeline)]


def _by(token: Token, what: str, zone: ZoneInfo, now: datetime) -> str:
    promise = token.promise(what)
    return f" and will be processed by {by_when(promise.due, zone)}" if promise and promise.due > now else ""


def _return(token: Token, zone: ZoneInfo) -> str:
    back = token.returned
    if back is None:
        return ""
    if back.open:
        return f" If you have the token, you must mail it back by {day(back.return_by, zone)}."
    if back.received_at:
        return f" The token was mailed back and came in on {day(back.received_at, zone)}."
    return " It was not mailed back in time; if it turns up, please mail it back all the same."


def _in_words(token: Token, what: str) -> str:
    if what.startswith("needs attention: "):
        what = f"our team is looking into it: {what.removeprefix('needs attention: ')}"
    if token.serial_number is None and token.row.serial_number:
        # Enrolling asks for the serial number as a proof of having the token: it is not given away before.
        what = what.replace(f", token {token.row.serial_number}", "").replace(token.row.serial_number, "the token")
    return what[:1].upper() + what[1:]


def _who(by: str | None, visitor: Visitor) -> str:
    match by:
        case None:
            return ""
        case visitor.prescriber_id:
            return "you"
        case "carrier":
            return "the carrier"
        case _:
            return "on your behalf"
