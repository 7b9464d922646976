"""Erasing a prescriber's personal data once it has not to be kept any more; the audit trail's chains still hold."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from database import audit
from database.audit_hash import ERASED, ERASURE, erase, remainder
from database.retention import TooYoung, kept_since
from database.tables import (
    ActivationLink,
    AuditHead,
    AuditRow,
    EmailRow,
    IncidentRow,
    JourneyRow,
    Prescriber,
    PrescribingDevice,
    ReplacementRow,
    ReturnRow,
    SessionRow,
    SoftEnrollment,
    TokenRow,
)


class NotErased(Exception):
    """Nothing was erased; one sentence says why."""


def erase_prescriber(session: Session, prescriber_id: str, now: datetime, years: int, by: str) -> dict[str, int]:
    """Takes names, numbers, emails, addresses and typed words of the prescriber out of all tables. The id stays: what happened to
    which token, and when, still stands in the trail. Returns `{"journeys", "rows"}`. Raises NotErased, TooYoung."""
    person = session.get(Prescriber, prescriber_id, with_for_update=True)
    if person is None:
        raise NotErased(
            f"Nothing was erased: prescriber {prescriber_id} is not known; look the id up with `tokens list`."
        )
    journeys = session.scalars(select(JourneyRow).where(JourneyRow.prescriber_id == prescriber_id)).all()
    _refuse_if_kept(session, prescriber_id, journeys, kept_since(now, years), years)
    ids = [journey.journey_id for journey in journeys]
    rows = sum(_erase_chain(session, journey_id, now, by) for journey_id in ids)
    _erase_elsewhere(session, person, ids)
    return {"journeys": len(ids), "rows": rows}


def _refuse_if_kept(
    session: Session, prescriber_id: str, journeys: Sequence[JourneyRow], limit: datetime, years: int
) -> None:
    """What is live, open or younger than the trail has to be kept stays."""
    ids = [journey.journey_id for journey in journeys]
    open_ = [journey.journey_id for journey in journeys if journey.live]
    open_ += session.scalars(select(ReturnRow.return_id).where(ReturnRow.journey_id.in_(ids), ReturnRow.open))
    unclosed = select(IncidentRow.incident_id).where(IncidentRow.journey_id.in_(ids), IncidentRow.closed_at.is_(None))
    open_ += session.scalars(unclosed)
    if open_:
        raise NotErased(
            f"Nothing was erased: {open_[0]} of prescriber {prescriber_id} is still open; deactivate, cancel or close it first."
        )
    latest = session.scalar(
        select(AuditRow.at).where(AuditRow.journey_id.in_(ids)).order_by(AuditRow.at.desc()).limit(1)
    )
    if latest is not None and latest >= limit:
        raise TooYoung(
            f"Nothing was erased: records of prescriber {prescriber_id} have to be kept {years} years, and the last one is of "
            f"{latest:%d %B %Y}; erase them when it is that old."
        )


def _erase_chain(session: Session, journey_id: str, now: datetime, by: str) -> int:
    """Erases what may name people in a journey's rows so far, and has the chain say so. Returns how many rows."""
    head = session.get(AuditHead, journey_id, with_for_update=True)
    rows = session.scalars(select(AuditRow).where(AuditRow.journey_id == journey_id)).all()
    if head is None or not rows:
        return 0
    for row in rows:
        erase(row)
    older = {str(row.number): remainder(row) for row in rows if row.version == 1}
    audit.append_own(
        session,
        journey_id=journey_id,
        at=now,
        what="personal data erased",
        by=by,
        message=ERASURE,
        status=max(rows, key=lambda row: row.number).status,
        facts={"to": head.number, "older": older},
    )
    return len(rows)


def _erase_elsewhere(session: Session, person: Prescriber, ids: list[str]) -> None:
    person.name = person.email = person.npi = person.dea_number = ERASED
    person.address = {}
    person.id_proofed = False  # nobody requests a token under a name that is not there any more
    gone: list[Any] = [
        delete(PrescribingDevice).where(PrescribingDevice.prescriber_id == person.prescriber_id),
        delete(SessionRow).where(SessionRow.prescriber_id == person.prescriber_id),
        delete(SoftEnrollment).where(SoftEnrollment.journey_id.in_(ids)),
        delete(ActivationLink).where(ActivationLink.journey_id.in_(ids)),
        update(JourneyRow)
        .where(JourneyRow.journey_id.in_(ids))
        .values(email=ERASED, shipping_address=None, requested_by=None, needs_attention=None),
        update(EmailRow)
        .where(EmailRow.journey_id.in_(ids))
        .values(recipient=ERASED, sealed_message=None, refusal=None),
        update(TokenRow).where(TokenRow.journey_id.in_(ids)).values(name=None),
        update(ReturnRow)
        .where(ReturnRow.journey_id.in_(ids))
        .values(received_by=None, condition=None, needs_attention=None),
        update(ReplacementRow)
        .where(ReplacementRow.prescriber_id == person.prescriber_id)
        .values(requested_by=None, email=None, shipping_address=None),
        update(IncidentRow).where(IncidentRow.journey_id.in_(ids)).values(closed_by=None),
    ]
    for statement in gone:
        session.execute(statement)
