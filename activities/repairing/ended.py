"""A journey that has ended and that the records have lost, or have as it was before: it can't write itself any more, so they are
brought to what its closed workflow says."""

from datetime import datetime
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from activities.records import Writing
from activities.repairing.looking import Looking
from database.tables import JourneyRow, Prescriber, TokenRow
from domain.address import Address
from domain.chronicle import Promise
from domain.journey import HANDED_OVER, Journey
from domain.peers import return_id
from domain.returning import ReturnStatus
from domain.status import Kind, Status
from domain.token_state import IN_THE_JOURNEYS_HANDS, TokenState

_MOMENTS = {
    "processed": "processed_at",
    HANDED_OVER: "shipped_at",
    "delivered": "delivered_at",
    "enrolled": "enrolled_at",
    "synced": "active_at",
}
_ENDINGS = ("deactivated", "cancelled", "lost", "never")


async def recalled(look: Looking, journey_id: str) -> str | None:
    """Brings the row of a journey that has ended, and its serial, to what it says. What a person has to do about it, and then
    nothing is done; else None."""
    if await look.closed_here(journey_id) != "COMPLETED":
        return "look the journey up in the Temporal UI, find out where its device is, and tell engineering"
    said = await look.said(journey_id)
    holder = await look.read(lambda session: _other_holder(session, said))
    if holder is not None:
        return (
            f"the device {said['serial_number']} has left with {journey_id}: cancel {holder}, and start Reconcile again"
        )
    back = await look.closed_here(return_id(journey_id))
    was_received = back == "COMPLETED" and (await look.said(return_id(journey_id)))["status"] == ReturnStatus.RECEIVED
    journey = await look.read(lambda session: _as_it_ended(session, said))
    journey.in_possession = back is not None
    journey.lost_in_transit = back is None
    run_id = await look.first_run_id(journey_id)
    await look.act(look.tools.records.write, Writing(run_id=run_id, journey=journey, again=True))
    if journey.kind is Kind.HARD and not journey.shipped:
        await look.act(look.tools.stock.release, journey_id)
    elif back == "COMPLETED":
        state = TokenState.RETURNED if was_received else TokenState.WRITTEN_OFF
        await look.write(lambda session: _come_back(session, journey_id, state))
    await look.append(journey_id, "the records have it again, as its workflow has ended it", journey.status)
    return None


def _other_holder(session: Session, said: dict[str, Any]) -> str | None:
    """Who has been given the serial of a device that had left."""
    token = session.get(TokenRow, said["serial_number"]) if said["serial_number"] else None
    left = any(each["what"] == HANDED_OVER for each in said["timeline"])
    if token is None or not left or token.state not in IN_THE_JOURNEYS_HANDS:
        return None
    return token.journey_id if token.journey_id != said["journey_id"] else None


def _as_it_ended(session: Session, said: dict[str, Any]) -> Journey:
    row = session.get(JourneyRow, said["journey_id"])
    prescriber = session.get_one(Prescriber, said["prescriber_id"])
    address = row.shipping_address if row else prescriber.address if said["kind"] == Kind.HARD else None
    journey = Journey(
        journey_id=said["journey_id"],
        prescriber_id=said["prescriber_id"],
        kind=Kind(said["kind"]),
        status=Status(said["status"]),
        email=row.email if row else prescriber.email,
        shipping_address=Address.model_validate(address) if address else None,
        requested_by=row.requested_by if row else None,
        promises=[Promise.model_validate(each) for each in said["promises"]],
        **{name: said[name] for name in ("serial_number", "tracking_number", "replaces", "replaced_by")},
    )
    for name in _MOMENTS.values():
        setattr(journey, name, getattr(row, name, None))
    at = datetime.fromisoformat(said["timeline"][0]["at"])
    journey.requested_at = row.requested_at if row else at
    for each in said["timeline"]:
        at = datetime.fromisoformat(each["at"])
        for begins, name in _MOMENTS.items():
            if each["what"].startswith(begins) and getattr(journey, name) is None:
                setattr(journey, name, at)
        if journey.ended_at is None and each["what"].startswith(_ENDINGS):
            journey.ended_at = at
    journey.ended_at = journey.ended_at or at
    return journey


def _come_back(session: Session, journey_id: str, state: TokenState) -> None:
    session.execute(
        update(TokenRow)
        .where(TokenRow.journey_id == journey_id, TokenRow.state == TokenState.COMING_BACK)
        .values(state=state)
    )
