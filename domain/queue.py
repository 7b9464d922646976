"""The order in which requests are processed: urgent ones ahead, and in each of the two lines the oldest first."""

from datetime import datetime

from pydantic import BaseModel

from domain.status import Kind


class Place(BaseModel):
    """Where a request stands in its line; `requested_at` is UTC."""

    requested_at: datetime
    journey_id: str


class Reached(BaseModel):
    """How far the two lines have been taken. Kept for each, so that an urgent request that comes meanwhile is the next."""

    urgent: Place | None = None
    others: Place | None = None


class Waiting(BaseModel):
    """A request in the queue. Urgent: it replaces a token that was lost or stolen, so its prescriber can't sign."""

    journey_id: str
    kind: Kind
    urgent: bool
    requested_at: datetime

    def reached(self, so_far: Reached) -> Reached:
        """How far the lines are taken when this one is."""
        place = Place(requested_at=self.requested_at, journey_id=self.journey_id)
        return so_far.model_copy(update={"urgent" if self.urgent else "others": place})
