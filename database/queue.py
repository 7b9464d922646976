"""The processing queue as a statement: who waits, and who is next. `tokens queue` shows what `ProcessQueue` takes."""

from sqlalchemy import ColumnElement, Select, and_, or_, select, true

from database.tables import IncidentRow, JourneyRow, ReplacementRow
from domain.queue import Place, Reached
from domain.reasons import LOSS
from domain.status import Kind, Status


def _urgent() -> ColumnElement[bool]:
    """It takes the place of a lost or stolen token: by `ReplaceToken`, or by a request that names the token whose loss
    has opened an incident."""
    replaced = select(ReplacementRow.journey_id).where(
        ReplacementRow.successor_id == JourneyRow.journey_id, ReplacementRow.reason.in_(sorted(LOSS))
    )
    reported = select(IncidentRow.incident_id).where(IncidentRow.journey_id == JourneyRow.replaces)
    return or_(replaced.exists(), reported.exists())


def waiting(kind: Kind | None = None, after: Reached | None = None) -> Select[JourneyRow, bool]:
    """Requests that wait to be processed, each with whether it is urgent, in the order in which they are taken; of one kind,
    and beyond the places that have been reached."""
    urgent = _urgent()
    query = (
        select(JourneyRow, urgent.label("urgent"))
        .where(JourneyRow.status == Status.REQUESTED)
        .order_by(urgent.desc(), JourneyRow.requested_at, JourneyRow.journey_id)
    )
    if kind:
        query = query.where(JourneyRow.kind == kind)
    if after and (after.urgent or after.others):
        query = query.where(
            or_(and_(urgent, _beyond(after.urgent)), and_(~urgent, _beyond(after.others))),
        )
    return query


def _beyond(place: Place | None) -> ColumnElement[bool]:
    if place is None:
        return true()
    return or_(
        JourneyRow.requested_at > place.requested_at,
        and_(JourneyRow.requested_at == place.requested_at, JourneyRow.journey_id > place.journey_id),
    )
