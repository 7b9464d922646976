"""A journey that has ended, or was stopped, and that the records have lost, or have as it was before: it can't write itself any
more, so they are brought to what its closed workflow says."""

from datetime import datetime
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from activities.records import Writing
from activities.repairing.looking import Looking
from activities.stock import put_back
from database.tables import JourneyRow, Prescriber, TokenRow
from domain.address import Address
from domain.chronicle import Promise
from domain.journey import HANDED_OVER, PROCESSED, SHIPPED, Journey
from domain.peers import return_id
from domain.returning import ReturnStatus, receipt
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
    nothing is done; else None. Done twice it is done once."""
    if await look.closed_here(journey_id) != "COMPLETED":
        return "look the journey up in the Temporal UI, find out where its device is, and tell engineering"
    return await brought_up(look, journey_id, await look.said(journey_id))


async def brought_up(look: Looking, journey_id: str, said: dict[str, Any]) -> str | None:
    """The same, of whatever stood in the journey's last words."""
    if await look.read(lambda session: session.get(Prescriber, said["prescriber_id"])) is None:
        return f"put prescriber {said['prescriber_id']} back into the database, and start Reconcile again"
    journey = await look.read(lambda session: _as_it_was(session, said))
    holder = await look.read(lambda session: _other_holder(session, journey))
    if holder is not None:
        return (
            f"the device {journey.serial_number} has left with {journey_id}: cancel {holder}, and start Reconcile again"
        )
    back = await look.closed_here(return_id(journey_id))
    journey.in_possession = back in ("RUNNING", "COMPLETED")
    journey.lost_in_transit = not journey.in_possession
    run_id = await look.first_run_id(journey_id)
    # What a second try would not do any more comes first: by then the records have it.
    await look.append(journey_id, "the records have it as its workflow had it at last", journey.status)
    if back == "COMPLETED" and journey.ended:
        state = _came_back(await look.said(return_id(journey_id)))
        await look.write(lambda session: _settle(session, journey, state))
    await look.act(look.tools.records.write, Writing(run_id=run_id, journey=journey, again=True))
    if journey.kind is Kind.HARD and journey.ended and not journey.shipped:
        await look.act(look.tools.stock.release, journey_id)
    return None


def _other_holder(session: Session, journey: Journey) -> str | None:
    """Who has been given the serial of a device that had left."""
    token = session.get(TokenRow, journey.serial_number) if journey.serial_number else None
    if token is None or not journey.shipped or token.state not in IN_THE_JOURNEYS_HANDS:
        return None
    return token.journey_id if token.journey_id != journey.journey_id else None


def _came_back(said: dict[str, Any]) -> TokenState:
    """What its return has made of the device."""
    if said["status"] != ReturnStatus.RECEIVED:
        return TokenState.WRITTEN_OFF
    came = receipt(said["timeline"])
    return TokenState.DESTROYED if came and came.destroyed else TokenState.RETURNED


def _settle(session: Session, journey: Journey, state: TokenState) -> None:
    put_back(session, journey.journey_id, unless=journey.serial_number)
    session.execute(
        update(TokenRow)
        .where(
            TokenRow.serial_number == journey.serial_number,
            TokenRow.state.in_((*IN_THE_JOURNEYS_HANDS, TokenState.IN_STOCK, TokenState.COMING_BACK)),
        )
        .values(state=state, journey_id=journey.journey_id)
    )


def _as_it_was(session: Session, said: dict[str, Any]) -> Journey:
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
    journey.ended_at = (journey.ended_at or at) if journey.ended else None
    # Of a long life the latest lines are left, but all promises.
    for promise in journey.promises:
        if promise.what == PROCESSED:
            journey.processed_at = journey.processed_at or promise.met_at
        elif promise.what == SHIPPED:
            journey.shipped_at = journey.shipped_at or promise.met_at
    return journey
