"""What the Temporal UI shows of a journey, in markdown: what it is, where it stands, what is promised, what went wrong, what to
do next.

No name, email or address stands in it: the UI has its own server turn it into HTML, and sends it there in an address, which
logs may keep (docs/decisions/0003-encryption.md). That address also is why the lists are short.
"""

import json
from collections.abc import Collection
from datetime import datetime
from typing import Any

from domain.chronicle import Chronicle, Promise
from domain.incident import Incident, IncidentStatus
from domain.journey import Journey
from domain.peers import incident_id, return_id
from domain.reasons import LOSS
from domain.returning import Return, ReturnStatus
from domain.status import Kind, Status, offered
from workflows.messages import (
    DESCRIPTIONS,
    INCIDENT_BODIES,
    RETURN_BODIES,
    Body,
    Edit,
    Received,
    Replacement,
    ReturnRequest,
    TokenRequest,
    example,
    return_example,
)

Offers = list[tuple[str, str, dict[str, Any]]]
"""Name of a message or workflow type, what it does, the JSON to paste."""

_SHOWN = 5
"""Lines of what has happened."""

_WAITING_FOR = {
    Status.REQUESTED: "In the processing queue. Waiting for the team to process it.",
    Status.SHIPPED: "On its way to the prescriber. Waiting for the carrier's delivery, or for the enrolment that proves it.",
    Status.DELIVERED: "In the prescriber's hands. Waiting for the enrolment: serial number, then a passcode.",
    Status.SYNCING: "Enrolled. Waiting for Surescripts, which may take up to 60 minutes.",
    Status.ACTIVE: "Active: it signs prescriptions.",
    Status.DEACTIVATED: "Deactivated: it signs nothing any more.",
    Status.CANCELLED: "Cancelled.",
}
_PROCESSED = {
    Kind.HARD: "Processed. Registering it with the vendor and handing it to the carrier.",
    Kind.SOFT: "Processed and the download email sent. Waiting for the enrolment: a name, then a PIN.",
}

_ADVICE = {
    "stock": "Take new tokens into stock (start `ImportTokens`), then send `process`.",
    "queue": "Send `process`, or `cancel` if nobody wants it any more.",
    "parcel": "Ask the carrier and the prescriber. It has come: send `carrier_event` with `delivered`. It is lost: send `cancel`, "
    "then start a new `TokenJourney`. Nothing done, a late one is cancelled by itself.",
    "activation email": "The address is right: send `resend_activation`. It is wrong: send `cancel`, then start a new "
    "`TokenJourney` with the right `email`.",
    "sync": "Surescripts is asked again every quarter of an hour, and the token becomes active by itself; ask them what holds it up.",
    "report": "Report the loss to the practice and the DEA, then send `close`.",
}
"""What to do about a matter that needs a person, by what it is about."""
_RETURN_PARCEL = "Look for it in the mail room; here, send `received`. Otherwise ask the carrier."
_ELSE = "It is tried again each hour; whoever runs the system mends what stands in its way."


def not_started(name: str, sentence: str, body: type[Body]) -> str:
    """A workflow of the type `name` whose start was refused with `sentence`."""
    again = f"**Start it again** (Start Workflow, type `{name}`, replace what stands between the quotes)"
    return f"### {name}: not started\n\n{sentence}\n\nNothing was done.\n\n{again}\n\n{_json(body.example)}"


def summary(kind: Kind, prescriber_id: str) -> str:
    """One line for lists; no personal data."""
    return f"{kind.capitalize()} token for prescriber {prescriber_id}"


def details(journey: Journey) -> str:
    """A token's journey, as markdown. Times are UTC."""
    where = _PROCESSED[journey.kind] if journey.status is Status.PROCESSED else _WAITING_FOR[journey.status]
    parts = [f"### {summary(journey.kind, journey.prescriber_id)}: {journey.status}", where]
    if journey.status is Status.CANCELLED and journey.why_ended:
        parts.append(f"Why: {journey.why_ended}")
    facts = {
        "Serial number": journey.serial_number,
        "Tracking number": journey.tracking_number,
        "Replaces": journey.replaces,
        "Replaced by": journey.replaced_by,
        "Asked back by mail": return_id(journey.journey_id) if journey.asked_back else None,
        "Awaited from the carrier": return_id(journey.journey_id) if journey.comes_back and journey.sent_back else None,
        "Security incident": incident_id(journey.journey_id) if journey.reason in LOSS else None,
    }
    offers: Offers = []
    for name in may_be_sent(journey):
        offers.append((name, DESCRIPTIONS[name], example(name, journey)))
        if name == "edit" and journey.kind is Kind.HARD:
            offers.append((name, "The same for the address, which is sent whole", Edit.address_example))
    return _page(journey, parts, facts, offers, _starts(journey))


def may_be_sent(journey: Journey) -> list[str]:
    """The messages that people may send now."""
    return [*offered(journey.kind, journey.status), *(["acknowledge"] if journey.needs_attention else [])]


def offered_of(state: Return | Incident, bodies: Collection[str]) -> list[str]:
    """The same of a return or an incident."""
    return [] if state.ended else [name for name in bodies if name != "acknowledge" or state.needs_attention]


def _starts(journey: Journey) -> Offers:
    """What may be started now on account of this token."""
    if journey.status is Status.ACTIVE:
        order = {**Replacement.example, "journey_id": journey.journey_id}
        if journey.kind is Kind.SOFT:
            order = {name: value for name, value in order.items() if name != "in_possession"}
        return [("ReplaceToken", "End this token, and request a new one in its place", order)]
    if journey.ended and not journey.replaced_by:
        request = {**TokenRequest.example, "prescriber_id": journey.prescriber_id, "kind": journey.kind}
        return [("TokenJourney", "Request a new one", {**request, "requested_by": "your name"})]
    return []


def return_details(state: Return) -> str:
    """A return by mail, as markdown. Times are UTC."""
    where = {
        ReturnStatus.AWAITED: "Awaited by mail. Waiting for the mail room to receive it.",
        ReturnStatus.ON_ITS_WAY: "On its way back, says the carrier. Waiting for the mail room to receive it.",
        ReturnStatus.RECEIVED: "The mail room has it. Nothing is left to do.",
        ReturnStatus.WRITTEN_OFF: "It did not come, and is written off. Should it turn up: start `ReturnByMail` again for it.",
    }[state.status]
    parts = [f"### Return of token {state.serial_number}: {state.status}", where]
    facts = {
        "Token's journey": state.journey_id,
        "Return parcel": state.tracking_number,
        "Received by": state.received_by,
        "Condition": state.condition,
    }
    offers = [(name, DESCRIPTIONS[name], return_example(name, state)) for name in offered_of(state, RETURN_BODIES)]
    starts: Offers = []
    if state.status is ReturnStatus.WRITTEN_OFF:
        came = {**ReturnRequest.example, "journey_id": state.journey_id, "serial_number": state.serial_number}
        came |= {name: Received.example[name] for name in ("received_by", "condition")}
        starts = [("ReturnByMail", "It turned up after all", came)]
    return _page(state, parts, facts, offers, starts)


def incident_details(state: Incident) -> str:
    """A security incident, as markdown. Times are UTC; the day is the practice's."""
    where = {
        IncidentStatus.OPEN: "A lost or stolen token has to be reported within one business day (21 CFR 1311.102(d), 1311.150).",
        IncidentStatus.OVERDUE: "**The report is overdue.** Report the loss at once, then close the incident.",
        IncidentStatus.CLOSED: f"Closed by {state.closed_by}.",
    }[state.status]
    parts = [f"### Security incident, token {state.reason}: {state.status}", where]
    facts = {
        "Token's journey": state.journey_id,
        "Serial number": state.serial_number,
        "Report due": f"{state.due_day} ({state.calendar})" if state.due_day else None,
    }
    names = offered_of(state, INCIDENT_BODIES)
    offers = [(name, DESCRIPTIONS[name], dict(INCIDENT_BODIES[name].example)) for name in names]
    return _page(state, parts, facts, offers, [])


def _page(state: Chronicle, parts: list[str], facts: dict[str, str | None], offers: Offers, starts: Offers) -> str:
    if state.needs_attention:
        parts.append(_lines("Needs attention", _matters(state)))
    parts.append("  \n".join(f"{name}: `{value}`" for name, value in facts.items() if value))
    parts.append(_lines("Promised", [_promise_line(promise) for promise in state.promises]))
    latest = [f"{_when(each.at)}: {each.what}{f', by {each.by}' if each.by else ''}" for each in state.timeline]
    parts.append(_lines("What has happened" if len(latest) <= _SHOWN else "What has happened lately", latest[-_SHOWN:]))
    refused = [f"{_when(each.at)} `{each.message}`: {each.reason}" for each in state.refused[-3:]]
    parts.append(_lines("Refused lately, and changed nothing", refused))
    parts += _paste("What you can do", "More Actions, Send a Signal or Send an Update", offers)
    parts += _paste("What you can start", "Start Workflow", starts)
    if not offers and not starts:
        parts.append("There is nothing left to do here.")
    return "\n\n".join(part for part in parts if part)


def _matters(state: Chronicle) -> list[str]:
    """Each matter that needs a person, with what to do about it."""
    if state.ended:
        return [state.needs_attention or ""]
    advice = {**_ADVICE, "parcel": _RETURN_PARCEL} if isinstance(state, Return) else _ADVICE
    matters = state.matters or {"": state.needs_attention or ""}
    return [f"{reason[:1].upper()}{reason[1:]}. {advice.get(about, _ELSE)}" for about, reason in matters.items()]


def _lines(title: str, lines: list[str]) -> str:
    return "\n".join([f"**{title}**", "", *(f"- {line}" for line in lines)]) if lines else ""


def _paste(title: str, where: str, offers: Offers) -> list[str]:
    if not offers:
        return []
    head = f"**{title}** ({where}; replace what stands between the quotes)"
    return [head, *(f"- `{name}`: {what}\n\n{_json(body)}" for name, what, body in offers)]


def _json(body: dict[str, Any]) -> str:
    # A line for each field: the UI gives details half a page, and cuts off what is wider.
    return f"```json\n{json.dumps(body, indent=2)}\n```"


def _promise_line(promise: Promise) -> str:
    line = f"{promise.what}: by {_when(promise.due)}"
    if promise.met_at:
        line += f", met {_when(promise.met_at)}"
    if promise.broken:
        line += f" (not kept: {promise.broken})"
    return line


def _when(at: datetime) -> str:
    return at.strftime("%a %-d %b %Y %H:%M UTC")
