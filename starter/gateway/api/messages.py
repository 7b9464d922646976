"""Sends a journey a message, and puts what comes of it into HTTP's terms."""

from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from database.tables import JourneyRow
from domain.status import Kind, Status, refusal
from starter.gateway.api import records
from starter.gateway.api.bodies import Done
from starter.gateway.parts import Gateway
from starter.journeys import Journeys, Refused, Unknown


def journeys(gateway: Gateway) -> Journeys:
    """With the patience of a caller over HTTP."""
    patience = timedelta(seconds=gateway.settings.api_patience_seconds)
    return Journeys(gateway.client, gateway.task_queue, patience)


def order(body: BaseModel, **more: Any) -> dict[str, Any]:
    """The JSON of a message: what was sent, and `more` where nothing was sent for it."""
    return {**more, **body.model_dump(mode="json", exclude_none=True)}


async def find(gateway: Gateway, journey_id: str, holder: str | None) -> JourneyRow:
    """The journey's row. Raises HTTPException 404: none, or not the holder's."""
    row = await records.journey(gateway.sessions, journey_id, holder)
    if row is None:
        raise records.unknown(journey_id)
    return row


async def tell(gateway: Gateway, request: Request, journey_id: str, message: str, body: dict[str, Any]) -> Response:
    """Raises NotDone. A journey that has ended can't answer for itself; the table of what is legal does so in its words."""
    update_id = getattr(request.state, "request_id", None)
    try:
        outcome = await journeys(gateway).tell(journey_id, message, body, update_id)
    except Unknown as fault:
        row = await find(gateway, journey_id, None)
        said = refusal(message, Kind(row.kind), Status(row.status))
        raise Refused(said) if said else fault from None
    return JSONResponse(Done.model_validate(outcome).model_dump(mode="json"))
