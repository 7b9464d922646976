"""The audit trail: appending to a journey's chain. How all chains are verified is in `database.audit_verification`."""

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from database.audit_hash import OWN, START, commit, digest, erased, hash_of
from database.audit_verification import Fault, examine
from database.tables import AuditHead, AuditRow
from domain.chronicle import Entry


class Gap(Exception):
    """A run goes on behind entries that are not there: the database was restored to an earlier moment."""


def append(
    session: Session,
    journey_id: str,
    run_id: str,
    entries: Iterable[Entry],
    facts: dict[str, Any] | None = None,
    *,
    after: int = 0,
) -> None:
    """Adds what is not there yet. Entries are known by run and number, so that a retry adds nothing. `facts` go with each.
    `after`: the run's entry of that number has to be there already; raises Gap where it is not. 0: none has.
    A journey that was reset in Temporal counts anew under the same run; what is another entry than the one of that number is
    added, too. Only writers of the same journey wait for one another: each chain has its own head."""
    head = session.get(AuditHead, journey_id, with_for_update=True)
    if head is None:
        head = AuditHead(journey_id=journey_id, number=0, hash=START)
        session.add(head)
    keyed = {f"{run_id}:{entry.number}": entry for entry in entries}
    before = {f"{run_id}:{after}"} if after else set[str]()
    known = {row.entry: row for row in session.scalars(select(AuditRow).where(AuditRow.entry.in_({*keyed, *before})))}
    if not before <= known.keys():
        raise Gap(journey_id)
    for key, entry in keyed.items():
        if key in known:
            if erased(known[key]) or _same(known[key], entry):
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
            facts=facts,
        )
        commit(row)
        row.hash = hash_of(row)
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
    """Tells two entries of one number apart; made of nothing that may have to be erased."""
    return digest([entry.at.isoformat(), entry.what.partition(": ")[0], entry.status, entry.message])[:16]


def append_beside(session: Session, journey_id: str, entry: Entry) -> None:
    """Adds what the journey itself had no part in, such as the repair of its token, to the journey's chain. To be called in
    the transaction that does it, so that neither is there without the other; `entry.number` does not matter."""
    append(session, journey_id, f"beside-{uuid.uuid4().hex}", [entry])


def append_own(
    session: Session,
    *,
    at: datetime,
    what: str,
    by: str,
    message: str,
    facts: dict[str, Any],
    journey_id: str = OWN,
    status: str = "Recorded",
) -> None:
    """Adds what was done to the trail, with its machine-readable facts; the same holds as for `append_beside`."""
    entry = Entry(number=1, at=at, what=what, by=by, status=status, message=message)
    append(session, journey_id, f"beside-{uuid.uuid4().hex}", [entry], facts)


def verify(session: Session) -> tuple[int, list[Fault]]:
    """Walks every chain, without its anchors. Returns the number of rows read and each fault found: changed, missing, inserted,
    reordered, cut off."""
    found = examine(session)
    return found.rows, found.faults
