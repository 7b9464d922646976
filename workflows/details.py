"""What the Temporal UI shows of a journey, in markdown: what it is, where it stands, what is promised, what to do next."""

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
from workflows.messages import DESCRIPTIONS, INCIDENT_BODIES, RETURN_BODIES, example, return_example

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
    return _page(journey, parts, facts, {name: example(name, journey) for name in may_be_sent(journey)})


def may_be_sent(journey: Journey) -> list[str]:
    """The messages that people may send now."""
    return [*offered(journey.kind, journey.status), *(["acknowledge"] if journey.needs_attention else [])]


def offered_of(state: Return | Incident, bodies: Collection[str]) -> list[str]:
    """The same of a return or an incident."""
    return [] if state.ended else [name for name in bodies if name != "acknowledge" or state.needs_attention]


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
    names = offered_of(state, RETURN_BODIES)
    return _page(state, parts, facts, {name: return_example(name, state) for name in names})


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
    return _page(state, parts, facts, {name: dict(INCIDENT_BODIES[name].example) for name in names})


def _page(state: Chronicle, parts: list[str], facts: dict[str, str | None], offers: dict[str, Any]) -> str:
    if state.needs_attention:
        parts.insert(2, f"**Needs attention:** {state.needs_attention}")
    parts.append("  \n".join(f"{name}: `{value}`" for name, value in facts.items() if value))
    if state.promises:
        parts.append("\n".join(["**Promised**", "", *(_promise_line(promise) for promise in state.promises)]))
    if state.refused:
        latest = state.refused[-3:]
        parts.append(
            "\n".join(["**Refused lately**", "", *(f"- {_when(r.at)} `{r.message}`: {r.reason}" for r in latest)])
        )
    if offers:
        parts.append(
            "**What you can do** (More Actions, Send a Signal or Send an Update; replace what stands between the quotes)"
        )
        parts += [
            f"- `{name}`: {DESCRIPTIONS[name]}\n\n```json\n{json.dumps(body)}\n```" for name, body in offers.items()
        ]
    return "\n\n".join(part for part in parts if part)


def _promise_line(promise: Promise) -> str:
    line = f"- {promise.what}: by {_when(promise.due)}"
    if promise.met_at:
        line += f", met {_when(promise.met_at)}"
    if promise.broken:
        line += f" (not kept: {promise.broken})"
    return line


def _when(at: datetime) -> str:
    return at.strftime("%a %-d %b %Y %H:%M UTC")
