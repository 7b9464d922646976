"""The end: revoked everywhere, retried until everyone has it. A return by mail will be a journey of its own."""

import asyncio
from typing import TYPE_CHECKING

from activities.carrier import Carrier
from activities.directory import Directory
from activities.stock import Stock
from activities.vendor import Vendor, VendorOrder
from domain.status import Kind
from workflows import calls

if TYPE_CHECKING:
    from workflows.token_journey import TokenJourney


async def retire(journey: "TokenJourney") -> None:
    """Undoes at each party what this journey has done there. Our own records refuse the token already."""
    state = journey.state
    work = []
    if state.processed_at:
        order = VendorOrder(journey_id=state.journey_id, kind=state.kind, serial_number=state.serial_number)
        work.append(journey.insist(Vendor.revoke, order, summary="Revoke the token at the vendor"))
    if state.enrolled_at:
        work.append(
            journey.insist(
                Directory.revoke, state.journey_id, summary="Take the token out of the Surescripts directory"
            )
        )
    if state.kind is Kind.HARD and state.processed_at and not state.shipped:
        # Also where no label is known: the carrier may have made one whose answer was lost.
        work.append(journey.insist(Carrier.void, state.journey_id, summary="Void the shipping label"))
    if work:
        await asyncio.gather(*work)
        state.note(journey.now(), "revoked everywhere")
    if state.kind is Kind.HARD and not state.shipped:
        # Under the lock: a token may just be being allocated to a request that was cancelled meanwhile.
        async with journey.one_at_a_time:
            await calls.local(Stock.release, state.journey_id, summary="Put the token back into stock")
