"""The end: revoked everywhere, retried until everyone has it; the device asked back; a loss reported."""

import asyncio
from typing import TYPE_CHECKING

from activities.carrier import Carrier
from activities.directory import Directory
from activities.peers import LossOrder, Peers, ReturnOrder
from activities.stock import Stock
from activities.vendor import Vendor, VendorOrder
from domain.reasons import LOSS
from domain.status import Kind
from workflows import calls

if TYPE_CHECKING:
    from workflows.token_journey import TokenJourney


async def retire(journey: "TokenJourney") -> None:
    """Undoes at each party what this journey has done there, and starts what goes on after it. Our own records refuse the
    token already; a party that is down holds up neither the return nor the incident."""
    await journey.recorded()
    await asyncio.gather(_revoke(journey), _hand_over(journey))
    if journey.state.kind is Kind.HARD and not journey.state.shipped:
        # Under the lock: a token may just be being allocated to a request that was cancelled meanwhile.
        async with journey.one_at_a_time:
            await calls.local(Stock.release, journey.state.journey_id, summary="Put the token back into stock")


async def _revoke(journey: "TokenJourney") -> None:
    # Each by itself from the start, none within the workflow task: that would hold up the others.
    state = journey.state
    work = []
    if state.processed_at:
        order = VendorOrder(journey_id=state.journey_id, kind=state.kind, serial_number=state.serial_number)
        work.append(journey.insist(Vendor.revoke, order, summary="Revoke the token at the vendor", here_first=False))
    if state.enrolled_at:
        work.append(
            journey.insist(
                Directory.revoke,
                state.journey_id,
                summary="Take the token out of the Surescripts directory",
                here_first=False,
            )
        )
    if state.kind is Kind.HARD and state.processed_at and not state.shipped:
        # Also where no label is known: the carrier may have made one whose answer was lost.
        work.append(journey.insist(Carrier.void, state.journey_id, summary="Void the shipping label", here_first=False))
    if work:
        await asyncio.gather(*work)
        state.note(journey.now(), "revoked everywhere")


async def _hand_over(journey: "TokenJourney") -> None:
    """A return and an incident are journeys of their own: each has its clock, and neither keeps this one open."""
    state = journey.state
    if state.reason in LOSS:
        assert state.reason
        loss = LossOrder(journey_id=state.journey_id, reason=state.reason, reported_at=state.ended_at)
        await journey.insist(
            Peers.open_incident,
            loss,
            summary="Open the security incident",
            attempt=calls.PEER_ATTEMPT,
            here_first=False,
        )
        state.note(journey.now(), "security incident opened")
    if state.comes_back:
        assert state.serial_number
        order = ReturnOrder(journey_id=state.journey_id, serial_number=state.serial_number, sent_back=state.sent_back)
        await journey.insist(
            Peers.start_return,
            order,
            summary="Ask the token back by mail",
            attempt=calls.PEER_ATTEMPT,
            here_first=False,
        )
        state.note(journey.now(), "awaited from the carrier" if state.sent_back else "asked back by mail")
