"""How long the audit trail is kept, and removing whole journeys that are older: their chain's end stays as a tombstone."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from database import audit
from database.audit_hash import OWN, PURGE, digest_of_purge
from database.tables import AuditHead, AuditPurge, AuditRow, IncidentRow, JourneyRow, ReturnRow

LEAST_YEARS = 2
"""21 CFR 1311.305 (b), and 1304.04 for records in general: two years."""


class TooYoung(Exception):
    """What was asked to go has to be kept still; one sentence says until when."""


def kept_since(now: datetime, years: int) -> datetime:
    """The moment before which the trail may go: so many calendar years before `now`. 29 February counts as the 28th."""
    if now.month == 2 and now.day == 29:
        now = now.replace(day=28)
    return now.replace(year=now.year - max(years, LEAST_YEARS))


def purge(session: Session, before: datetime, now: datetime, years: int, by: str, reason: str) -> dict[str, Any]:
    """Removes the chains of journeys that ended, with all that belongs to them, before `before`. Returns `{"journeys", "rows"}`.
    Raises TooYoung. The database itself refuses younger rows, and rows without a tombstone, too."""
    limit = kept_since(now, years)
    if before > limit:
        raise TooYoung(
            f"Nothing was removed: the audit trail is kept {max(years, LEAST_YEARS)} years, so only what is older than "
            f"{limit:%d %B %Y} may go; name that day or an earlier one."
        )
    purge_id = uuid.uuid4().hex
    removed = []
    for journey_id, last, first_at, last_at in session.execute(_removable(before)).all():
        end = session.get_one(AuditRow, (journey_id, last))
        removed.append(
            AuditPurge(
                journey_id=journey_id,
                number=last,
                hash=end.hash,
                first_at=first_at,
                last_at=last_at,
                purge_id=purge_id,
                purged_at=now,
            )
        )
    if not removed:
        return {"journeys": 0, "rows": 0}
    session.add_all(removed)
    session.flush()  # without its tombstone no row may go
    rows = 0
    for tombstone in removed:
        gone = session.execute(delete(AuditRow).where(AuditRow.journey_id == tombstone.journey_id))
        rows += gone.rowcount  # type: ignore[attr-defined]  # a CursorResult, as always for DELETE
    audit.append_own(
        session,
        at=now,
        what=f"purged {rows} rows of {len(removed)} journeys from before {before:%Y-%m-%d}: {reason}",
        by=by,
        message=PURGE,
        facts={"purge_id": purge_id, "journeys": len(removed), "digest": digest_of_purge(removed)},
    )
    return {"journeys": len(removed), "rows": rows}


def _removable(before: datetime) -> Select[str, int, datetime, datetime]:
    """Chains whose last row is older, and to which nothing will come any more; heads and rows agree on their ends."""
    alive = (
        select(JourneyRow.journey_id).where(JourneyRow.live),
        select(ReturnRow.journey_id).where(ReturnRow.open),
        select(IncidentRow.journey_id).where(IncidentRow.closed_at.is_(None)),
    )
    return (
        select(AuditRow.journey_id, func.max(AuditRow.number), func.min(AuditRow.at), func.max(AuditRow.at))
        .join(AuditHead, AuditHead.journey_id == AuditRow.journey_id)
        .where(AuditRow.journey_id != OWN, *(AuditRow.journey_id.not_in(query) for query in alive))
        .group_by(AuditRow.journey_id, AuditHead.number)
        .having(func.max(AuditRow.at) < before, func.max(AuditRow.number) == AuditHead.number)
        .order_by(AuditRow.journey_id)
    )
