"""Has the carrier simulator report on a parcel, for the command and for the embedded stack's desk alike."""

from datetime import datetime

import httpx
from temporalio.client import Client

from settings import Settings
from starter.clock import Clock


class NotReported(Exception):
    """The report did not get through; one sentence says why and what to do."""


async def report(
    settings: Settings, client: Client, journey_id: str, status: str, sender: str = "plain"
) -> tuple[str, datetime]:
    """The carrier tells the gateway of a journey's parcel, or of a return's, at that journey's present. The tracking number
    and the time, UTC, that it told of. `sender`: whose words are used. Raises NotReported, RPCError."""
    handle = client.get_workflow_handle(journey_id)
    number = (await handle.query("status"))["tracking_number"]
    if number is None:
        raise NotReported(f"{journey_id} has no parcel yet; wait until it has been processed and its label bought.")
    at = await Clock(client, handle).now()
    event = {"tracking_number": number, "status": status, "occurred_at": at.isoformat(), "sender": sender}
    try:
        async with httpx.AsyncClient(timeout=10) as http:
            answer = await http.post(f"{settings.carrier_url}/simulate/events", json=event)
    except httpx.TransportError:
        raise NotReported(
            f"The carrier simulator does not answer at {settings.carrier_url}; start the embedded stack with `tokens up`."
        ) from None
    if answer.is_error:
        raise NotReported(f"The event did not get through: {answer.json().get('detail', answer.text)}")
    return number, at
