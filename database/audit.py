"""The audit trail: appending to a journey's chain, and verifying all chains."""

import hashlib
import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from database.tables import AuditHead, AuditRow
from domain.chronicle import Entry

_START = "0" * 64


@dataclass(frozen=True)
class Fault:
    """One broken place of the trail: the journey, the row's number in its chain, what is wrong."""

    journey_id: str
    number: int
    what: str


def append(session: Session, journey_id: str, run_id: str, entries: Iterable[Entry]) -> None:
    """Adds what is not there yet. Entries are known by run and number, so that a retry adds nothing. A journey that was reset
    in Temporal counts anew under the same run; what is another entry than the one of that number is added, too."""
    head = session.get(AuditHead, journey_id, with_for_update=True)
    if head is None:
        head = AuditHead(journey_id=journey_id, number=0, hash=_START)
        session.add(head)
    keyed = {f"{run_id}:{entry.number}": entry for entry in entries}
    known = {row.entry: row for row in session.scalars(select(AuditRow).where(AuditRow.entry.in_(keyed)))}
    for key, entry in keyed.items():
        if key in known:
            if _same(known[key], entry):
                continue
            key = f"{key}:{_digest(entry)}"
            if session.scalars(select(AuditRow.number).where(AuditRow.entry == key)).first() is not None:
                continue
        row = AuditRow(
            journey_id=journey_id,
            number=head.number + 1,
            entry=key,
            at=entry.at,
            what=entry.what,
            by=entry.by,
            status=entry.status,
            message=entry.message,
            refused=entry.refused,
            previous=head.hash,
        )
        row.hash = _hash(row)
        session.add(row)
        head.number, head.hash = row.number, row.hash
    session.flush()


def _same(row: AuditRow, entry: Entry) -> bool:
    return (row.what, row.by, row.status, row.message, row.refused) == (
        entry.what,
        entry.by,
        entry.status,
        entry.message,
        entry.refused,
    )


def _digest(entry: Entry) -> str:
    content = [entry.at.isoformat(), entry.what, entry.by, entry.status, entry.message, entry.refused]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()[:16]


def append_beside(session: Session, journey_id: str, entry: Entry) -> None:
    """Adds what the journey itself had no part in, such as the repair of its token, to the journey's chain. To be called in
    the transaction that does it, so that neither is there without the other; `entry.number` does not matter."""
    append(session, journey_id, f"beside-{uuid.uuid4().hex}", [entry])


def verify(session: Session) -> tuple[int, list[Fault]]:
    """Walks every chain. Returns the number of rows read and each fault found: changed, missing, cut off, added."""
    heads = {head.journey_id: head for head in session.scalars(select(AuditHead))}
    faults: list[Fault] = []
    rows = 0
    ends: dict[str, tuple[int, str]] = {}
    query = select(AuditRow).order_by(AuditRow.journey_id, AuditRow.number).execution_options(yield_per=1000)
    for row in session.scalars(query):
        rows += 1
        number, previous = ends.get(row.journey_id, (0, _START))
        if row.number != number + 1:
            faults.append(Fault(row.journey_id, number + 1, f"missing: rows {number + 1} to {row.number - 1}"))
        elif row.previous != previous:
            faults.append(Fault(row.journey_id, row.number, "does not follow from the row before it"))
        if _hash(row) != row.hash:
            faults.append(Fault(row.journey_id, row.number, "changed after it was written"))
        ends[row.journey_id] = (row.number, row.hash)
    for journey_id in heads.keys() | ends.keys():
        head, (number, hash_) = heads.get(journey_id), ends.get(journey_id, (0, _START))
        if head is None:
            faults.append(Fault(journey_id, number, "the chain has no anchored head"))
        elif head.number > number:
            faults.append(Fault(journey_id, number + 1, f"cut off: rows {number + 1} to {head.number} are missing"))
        elif (head.number, head.hash) != (number, hash_):
            faults.append(Fault(journey_id, head.number, "the anchored head does not fit the chain"))
    return rows, faults


def _hash(row: AuditRow) -> str:
    content = [
        row.journey_id,
        row.number,
        row.entry,
        row.at.isoformat(timespec="microseconds"),
        row.what,
        row.by,
        row.status,
        row.message,
        row.refused,
        row.previous,
    ]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()
