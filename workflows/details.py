"""What the Temporal UI shows of a journey, in markdown: what it is, where it stands, what is promised, what to do next."""

import json
from datetime import datetime

from domain.journey import Journey
from domain.status import Kind, Status, accepted
from workflows.messages import DESCRIPTIONS, example

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
    """Markdown. Times are UTC."""
    where = _PROCESSED[journey.kind] if journey.status is Status.PROCESSED else _WAITING_FOR[journey.status]
    parts = [f"### {summary(journey.kind, journey.prescriber_id)}: {journey.status}", where]
    if journey.needs_attention:
        parts.append(f"**Needs attention:** {journey.needs_attention}")
    if journey.status is Status.CANCELLED and journey.why_ended:
        parts.append(f"Why: {journey.why_ended}")
    parts.append(_facts(journey))
    if journey.promises:
        parts.append(
            "\n".join(["**Promised**", "", *(_promise_line(journey, index) for index in range(len(journey.promises)))])
        )
    if journey.refused:
        latest = journey.refused[-3:]
        parts.append(
            "\n".join(["**Refused lately**", "", *(f"- {_when(r.at)} `{r.message}`: {r.reason}" for r in latest)])
        )
    names = accepted(journey.kind, journey.status)
    if names:
        parts.append(
            "**What you can do** (More Actions, Send a Signal or Send an Update; replace what stands between the quotes)"
        )
        parts += [
            f"- `{name}`: {DESCRIPTIONS[name]}\n\n```json\n{json.dumps(example(name, journey))}\n```" for name in names
        ]
    return "\n\n".join(parts)


def _facts(journey: Journey) -> str:
    facts = {
        "Serial number": journey.serial_number,
        "Tracking number": journey.tracking_number,
        "Replaces": journey.replaces,
        "Replaced by": journey.replaced_by,
    }
    return "  \n".join(f"{name}: `{value}`" for name, value in facts.items() if value)


def _promise_line(journey: Journey, index: int) -> str:
    promise = journey.promises[index]
    line = f"- {promise.what}: by {_when(promise.due)}"
    if promise.met_at:
        line += f", met {_when(promise.met_at)}"
    if promise.broken:
        line += f" (not kept: {promise.broken})"
    return line


def _when(at: datetime) -> str:
    return at.strftime("%a %-d %b %Y %H:%M UTC")
