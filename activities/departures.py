"""A prescriber who leaves: which tokens there are to end."""

from pydantic import BaseModel
from sqlalchemy import select
from temporalio import activity

from activities.eligibility import known_prescriber
from database.engine import Sessions
from database.tables import JourneyRow, ReplacementRow
from domain.status import Kind


class Holding(BaseModel):
    """A token that a prescriber holds or has requested; not `live`: it is about to be requested by a replacement."""

    journey_id: str
    kind: Kind
    live: bool


class Departures:
    """Given the database."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    @activity.defn(name="departures.holdings")
    def holdings(self, prescriber_id: str) -> list[Holding]:
        """Everything that is live or about to be. Raises `refused` for an unknown prescriber."""
        with self._sessions() as session:
            known_prescriber(session, prescriber_id)
            live = session.scalars(
                select(JourneyRow).where(JourneyRow.prescriber_id == prescriber_id, JourneyRow.live)
            ).all()
            coming = session.scalars(
                select(ReplacementRow).where(
                    ReplacementRow.prescriber_id == prescriber_id, ReplacementRow.finished_at.is_(None)
                )
            ).all()
            return [
                *(Holding(journey_id=row.journey_id, kind=Kind(row.kind), live=True) for row in live),
                *(Holding(journey_id=row.successor_id, kind=Kind(row.kind), live=False) for row in coming),
            ]

    @activity.defn(name="departures.is_live")
    def is_live(self, journey_id: str) -> bool:
        """Whether the journey still goes on."""
        with self._sessions() as session:
            return session.get_one(JourneyRow, journey_id).live
