"""A prescriber's tokens as the database has them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from database.engine import Sessions
from database.tables import AuditHead, AuditRow, JourneyRow, ReplacementRow, ReturnRow
from domain.address import Address
from domain.chronicle import Happening, Promise
from domain.status import Kind, Status


@dataclass(frozen=True)
class Token:
    """One token, from its request on. Times are UTC. `version` changes with every entry in its records."""

    row: JourneyRow
    kind: Kind
    status: Status
    promises: list[Promise]
    timeline: list[Happening]
    needs_attention: str | None
    returned: ReturnRow | None
    version: int

    @property
    def journey_id(self) -> str:
        return self.row.journey_id

    @property
    def address(self) -> Address | None:
        """Where it is mailed; a soft token has none."""
        return Address.model_validate(self.row.shipping_address) if self.row.shipping_address else None

    @property
    def live(self) -> bool:
        return self.status not in (Status.CANCELLED, Status.DEACTIVATED)

    @property
    def serial_number(self) -> str | None:
        """Not before it is enrolled, since enrolling asks for it; and again where it has to be mailed back."""
        shown = self.row.enrolled_at is not None or (not self.live and self.row.shipped_at is not None)
        return self.row.serial_number if shown else None

    def promise(self, what: str) -> Promise | None:
        return next((promise for promise in self.promises if promise.what == what), None)

    def updated(self, snapshot: dict[str, Any]) -> "Token":
        """The same token, as its journey says that it is now."""
        return Token(
            row=self.row,
            kind=self.kind,
            status=Status(snapshot["status"]),
            promises=[Promise.model_validate(promise) for promise in snapshot["promises"]],
            timeline=[Happening.model_validate(happening) for happening in snapshot["timeline"]],
            needs_attention=snapshot["needs_attention"],
            returned=self.returned,
            version=self.version,
        )


def all_of(sessions: Sessions, prescriber_id: str) -> list[Token]:
    """The newest first."""
    mine = select(JourneyRow).where(JourneyRow.prescriber_id == prescriber_id).order_by(JourneyRow.requested_at.desc())
    with sessions() as session:
        rows = list(session.scalars(mine.limit(100)))
        ids = [row.journey_id for row in rows]
        heads = {
            head.journey_id: head.number
            for head in session.scalars(select(AuditHead).where(AuditHead.journey_id.in_(ids)))
        }
        newest_last = select(ReturnRow).where(ReturnRow.journey_id.in_(ids)).order_by(ReturnRow.started_at)
        returns = {back.journey_id: back for back in session.scalars(newest_last)}
    return [_token(row, [], returns.get(row.journey_id), heads.get(row.journey_id, 0)) for row in rows]


def one_of(sessions: Sessions, prescriber_id: str, journey_id: str) -> Token | None:
    """That token, if it is this prescriber's."""
    with sessions() as session:
        row = session.get(JourneyRow, journey_id)
        if row is None or row.prescriber_id != prescriber_id:
            return None
        trail = list(
            session.scalars(select(AuditRow).where(AuditRow.journey_id == journey_id).order_by(AuditRow.number))
        )
        returned = session.scalars(
            select(ReturnRow).where(ReturnRow.journey_id == journey_id).order_by(ReturnRow.started_at.desc())
        ).first()
    timeline = [Happening(at=entry.at, what=entry.what, by=entry.by) for entry in trail if entry.refused is None]
    return _token(row, timeline, returned, trail[-1].number if trail else 0)


def being_replaced(sessions: Sessions, prescriber_id: str) -> set[str]:
    """Kinds whose new token is about to be requested by a replacement."""
    with sessions() as session:
        return set(
            session.scalars(
                select(ReplacementRow.kind).where(
                    ReplacementRow.prescriber_id == prescriber_id, ReplacementRow.finished_at.is_(None)
                )
            )
        )


def overdue(token: Token, now: datetime) -> bool:
    """Whether something that is owed has not come in time."""
    return token.live and any(promise.met_at is None and promise.due <= now for promise in token.promises)


def _token(row: JourneyRow, timeline: list[Happening], returned: ReturnRow | None, version: int) -> Token:
    return Token(
        row=row,
        kind=Kind(row.kind),
        status=Status(row.status),
        promises=[Promise.model_validate(promise) for promise in row.promises],
        timeline=timeline,
        needs_attention=row.needs_attention,
        returned=returned,
        version=version,
    )
