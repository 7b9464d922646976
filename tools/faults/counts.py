"""The counts, each of which must be zero: pure, from what a run has left behind. Each is a list of sentences, one for each breach."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from tools.faults.evidence import Evidence
from tools.faults.plans import WHEN_IN_TROUBLE

_STILL_OPEN = frozenset({"Requested", "Processed", "Shipped", "Delivered", "Syncing", "Active"})
_AT_WORK = frozenset({"Processed", "Shipped", "Delivered", "Syncing", "Active"})


def breaches(evidence: Evidence) -> dict[str, list[str]]:
    """By what is counted."""
    return {name: sorted(count(evidence)) for name, count in _COUNTS.items()}


def _unended(evidence: Evidence) -> Iterator[str]:
    yield from evidence.unfinished
    rows = _by_id(evidence)
    for journey_id, expected in evidence.expected.items():
        status = rows[journey_id]["status"] if journey_id in rows else "nowhere"
        if status != expected["end"]:
            yield f"{journey_id} is {status}, and should be {expected['end']}"
    for row in evidence.returns:
        if row["open"]:
            yield f"{row['return_id']} is still open"
    for row in evidence.incidents:
        if row["closed_at"] is None:
            yield f"{row['incident_id']} is still open"
    alive = {row["journey_id"] for row in evidence.journeys if row["status"] in _STILL_OPEN}
    for one in evidence.workflows:
        if one["workflow_id"] not in alive:
            yield f"{one['type']} {one['workflow_id']} still runs"


def _missing(evidence: Evidence) -> Iterator[str]:
    arrived = {each["message_id"] for each in evidence.mailbox}
    for row in evidence.email_rows:
        if row["message_id"] not in arrived:
            yield f"{row['letter']} of {row['journey_id']}, recorded as {row['state']}, never arrived"
    letters = _letters(evidence)
    for journey_id, expected in evidence.expected.items():
        for letter in sorted(set(expected["letters"])):
            if letters[journey_id, letter] < 1:
                yield f"{letter} of {journey_id} was owed and never came"


def _twice(evidence: Evidence) -> Iterator[str]:
    for message_id, times in Counter(each["message_id"] for each in evidence.mailbox).items():
        if times > 1:
            yield f"{message_id} arrived {times} times"
    for (journey_id, letter), times in _letters(evidence).items():
        owed = evidence.expected.get(journey_id, {"letters": []})["letters"].count(letter)
        if times > owed and letter not in WHEN_IN_TROUBLE:
            yield f"{letter} of {journey_id} came under {times} Message-IDs, and was owed {owed} times"


def _unrecorded_mail(evidence: Evidence) -> Iterator[str]:
    known = {row["message_id"] for row in evidence.email_rows}
    for each in evidence.mailbox:
        if each["message_id"] not in known:
            yield f"{each['letter']} of {each['journey_id']} arrived and stands in no record"
    for row in evidence.email_rows:
        if row["state"] != "sent":
            yield f"{row['letter']} of {row['journey_id']} is recorded as {row['state']}"


def _serials(evidence: Evidence) -> Iterator[str]:
    holders: dict[str, set[str]] = {}
    for row in evidence.journeys:
        if row["serial_number"] and row["kind"] == "hard":
            holders.setdefault(row["serial_number"], set()).add(row["journey_id"])
    for token in evidence.tokens:
        holders.setdefault(token["serial_number"], set()).add(token["journey_id"])
    for each in evidence.vendor:
        if each.get("serial_number"):
            holders.setdefault(each["serial_number"], set()).add(each["reference"])
    for serial, journeys in holders.items():
        if len(journeys) > 1:
            yield f"{serial} is with {', '.join(sorted(journeys))}"


def _labels(evidence: Evidence) -> Iterator[str]:
    rows, returns = _by_id(evidence), {row["return_id"] for row in evidence.returns}
    valid: Counter[str] = Counter()
    for label in evidence.labels:
        reference = label["reference"]
        valid[reference] += label["state"] == "bought"
        if reference not in rows and reference not in returns:
            yield f"the label {label['tracking_number']} is for {reference}, which there is not"
        elif label["state"] == "bought" and reference in rows and rows[reference]["shipped_at"] is None:
            yield f"the label {label['tracking_number']} of {reference} is valid, and nothing was shipped"
    for reference, times in valid.items():
        if times > 1:
            yield f"{reference} has {times} valid labels"
    for journey_id, row in rows.items():
        if row["shipped_at"] is not None and not valid[journey_id]:
            yield f"{journey_id} was shipped without a valid label"


def _registered(evidence: Evidence) -> Iterator[str]:
    rows = _by_id(evidence)
    provisioned = {each["reference"] for each in evidence.vendor if each["state"] == "provisioned"}
    for where, references in (("the vendor", provisioned), ("the directory", set(evidence.enrolled))):
        for reference in references:
            if reference not in rows:
                yield f"{where} knows {reference}, which there is not"
            elif not rows[reference]["live"]:
                yield f"at {where} {reference} is still valid, and it has ended"
    for journey_id, row in rows.items():
        if row["live"] and row["status"] in _AT_WORK and journey_id not in provisioned:
            yield f"{journey_id} is {row['status']}, and the vendor does not know it"
        if row["status"] == "Active" and journey_id not in evidence.enrolled:
            yield f"{journey_id} is Active, and the directory does not know it"


def _lost_requests(evidence: Evidence) -> Iterator[str]:
    rows = _by_id(evidence)
    for said in evidence.acknowledged:
        journey_id = said["journey_id"] if said["what"] == "request" else said.get("successor")
        if journey_id is not None and (journey_id not in rows or journey_id not in evidence.audited):
            yield f"{said['what']} of {journey_id} was acknowledged and is nowhere"


def _lost_updates(evidence: Evidence) -> Iterator[str]:
    rows = _by_id(evidence)
    received = {row["journey_id"] for row in evidence.returns if row["received_at"] is not None}
    closed = {row["journey_id"] for row in evidence.incidents if row["closed_at"] is not None}
    for said in evidence.acknowledged:
        journey_id, row = said["journey_id"], rows.get(said["journey_id"])
        if row is None:
            yield f"{said['what']} of {journey_id} was acknowledged, and there is no such journey"
            continue
        stands = {
            "edit": row["email"] == said.get("email"),
            "process": row["processed_at"] is not None,
            "deliver": row["delivered_at"] is not None,
            "enroll": row["enrolled_at"] is not None,
            "cancel": row["status"] == "Cancelled",
            "deactivate": row["status"] == "Deactivated",
            "replace": row["replaced_by"] == said.get("successor") and row["status"] == "Deactivated",
            "receive": journey_id in received,
            "close incident": journey_id in closed,
        }.get(said["what"], True)
        if not stands:
            yield f"{said['what']} of {journey_id} was acknowledged and is not in the record"


def _audit(evidence: Evidence) -> Iterator[str]:
    yield from evidence.audit_faults
    for row in evidence.journeys:
        if row["journey_id"] not in evidence.audited:
            yield f"{row['journey_id']} has no audit trail"


def _disagreeing(evidence: Evidence) -> Iterator[str]:
    for row in evidence.journeys:
        state = evidence.states.get(row["journey_id"])
        if state is None:
            yield f"{row['journey_id']} does not say where it stands"
            continue
        for name in ("status", "serial_number", "tracking_number", "replaces", "replaced_by", "needs_attention"):
            if row[name] != state.get(name):
                yield f"{row['journey_id']}: {name} is {row[name]} in the record, {state.get(name)} in the workflow"
    known = _by_id(evidence)
    for one in evidence.workflows:
        if one["type"] == "TokenJourney" and one["workflow_id"] not in known:
            yield f"{one['workflow_id']} runs, and there is no record of it"
    rows = _by_id(evidence)
    for token in evidence.tokens:
        row = rows.get(token["journey_id"])
        if row is None or (row["serial_number"] != token["serial_number"]):
            yield f"{token['serial_number']} is with {token['journey_id']}, which does not know of it"


def _failing(evidence: Evidence) -> Iterator[str]:
    for one in evidence.workflows:
        if one["task_attempts"] > 1:
            yield f"{one['workflow_id']}: its task has failed {one['task_attempts']} times"
        for activity in one["stuck"]:
            yield f"{one['workflow_id']}: {activity} does not come to an end"


def _by_id(evidence: Evidence) -> dict[str, dict[str, Any]]:
    return {row["journey_id"]: row for row in evidence.journeys}


def _letters(evidence: Evidence) -> Counter[tuple[str, str]]:
    """How often a letter came, each under a Message-ID of its own."""
    distinct = {(each["journey_id"], each["letter"], each["message_id"]) for each in evidence.mailbox}
    return Counter((journey_id, letter) for journey_id, letter, _ in distinct)


_COUNTS: dict[str, Callable[[Evidence], Iterator[str]]] = {
    "journeys that have not reached their end": _unended,
    "emails missing": _missing,
    "emails twice": _twice,
    "emails and their records that disagree": _unrecorded_mail,
    "serial numbers in two places": _serials,
    "labels without a journey, twice or not at all": _labels,
    "at vendor or directory without a journey, or the other way": _registered,
    "requests acknowledged and lost": _lost_requests,
    "updates acknowledged and not in the record": _lost_updates,
    "audit trail not whole": _audit,
    "records that disagree with the workflow": _disagreeing,
    "workflow tasks and activities failing for ever": _failing,
}
