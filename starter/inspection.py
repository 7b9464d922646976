"""What an inspector gets of the audit trail: the rows of a token or of a period, with what verifying them has shown."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from database.anchors import Anchored
from database.audit_verification import Findings, examine
from database.tables import AuditRow, JourneyRow, TokenRow

_TEMPLATES = Path(__file__).resolve().parent.parent / "templates"


class NothingFound(Exception):
    """There is nothing to export; one sentence says why."""


@dataclass(frozen=True)
class Report:
    """Rows in the order of their journeys and numbers; `about` says which they are, `statement` what verifying has shown."""

    about: str
    statement: str
    made_at: datetime
    rows: Sequence[AuditRow]


def verify(session: Session, anchored: Anchored) -> Findings:
    """All chains against their heads and against what was anchored of them."""
    return examine(session, anchored.points)


def collect(
    session: Session,
    found: Findings,
    anchored: Anchored,
    token: str | None,
    since: datetime | None,
    until: datetime | None,
) -> Report:
    """The rows about `token` (journey id or serial number; None: all) from day `since` to day `until`, both included, in UTC.
    Raises NothingFound."""
    query = select(AuditRow).order_by(AuditRow.journey_id, AuditRow.number)
    journeys = None
    if token is not None:
        journeys = _journeys_of(session, token)
        query = query.where(AuditRow.journey_id.in_(journeys))
    if since is not None:
        query = query.where(AuditRow.at >= since.replace(tzinfo=UTC))
    if until is not None:
        query = query.where(AuditRow.at < until.replace(tzinfo=UTC) + timedelta(days=1))
    rows = session.scalars(query).all()
    about = f"token {token}" if token else "all tokens"
    about += f" from {since:%Y-%m-%d}" if since else ""
    about += f" to {until:%Y-%m-%d}" if until else ""
    if not rows:
        raise NothingFound(
            f"Nothing was written: the audit trail holds no rows about {about}; check the id, serial or days."
        )
    concerned = {row.journey_id for row in rows}
    return Report(about, _statement(found, anchored, concerned), datetime.now(UTC), rows)


def _journeys_of(session: Session, token: str) -> list[str]:
    """A serial's journeys: the one that holds it, and those that have held it."""
    held = select(JourneyRow.journey_id).where(JourneyRow.serial_number == token)
    holds = select(TokenRow.journey_id).where(TokenRow.serial_number == token, TokenRow.journey_id.is_not(None))
    named = select(AuditRow.journey_id).where(
        or_(AuditRow.journey_id == token, AuditRow.what == f"processed, token {token}")
    )
    return [journey for query in (held, holds, named) for journey in session.scalars(query) if journey]


def _statement(found: Findings, anchored: Anchored, journeys: set[str]) -> str:
    faults = [fault for fault in found.faults if fault.journey_id in journeys]
    by_anchors = (
        f"and by {anchored.count} signed anchors, the latest of {anchored.latest_at:%Y-%m-%d %H:%M} UTC"
        if anchored.latest_at
        else "but by no anchor, as none has been made"
    )
    if not faults and not anchored.problems:
        return (
            f"Verified by the chains of hashes {by_anchors}: nothing was changed, inserted, moved, removed or cut off."
        )
    said = [f"{fault.journey_id}, row {fault.number}: {fault.what}" for fault in faults] + anchored.problems
    return f"NOT WHOLE, as verified by the chains of hashes {by_anchors}: {'; '.join(said)}"


def write(report: Report, to: Path) -> None:
    """Writes `to`: a page to read where it ends with .html, JSON Lines otherwise: first what it is, then a row a line."""
    if to.suffix.lower() in (".html", ".htm"):
        environment = Environment(
            loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        to.write_text(environment.get_template("inspection.html").render(report=report))
        return
    first = {
        "about": report.about,
        "statement": report.statement,
        "made_at": report.made_at.isoformat(),
        "rows": len(report.rows),
    }
    with to.open("w") as file:
        for line in (first, *map(_as_json, report.rows)):
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _as_json(row: AuditRow) -> dict[str, Any]:
    """All that the hash is worked out from, so that whoever reads it can do so, too."""
    values = {column.name: getattr(row, column.name) for column in AuditRow.__table__.columns}
    return {**values, "at": row.at.isoformat(timespec="microseconds")}
