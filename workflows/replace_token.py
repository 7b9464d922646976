"""`ReplaceToken`: an active token is deactivated, and a new one of the same kind requested, as one durable journey.

Everything that could refuse the new request is asked before the old token is touched, and from then on the prescriber's
place is kept for the new one: whatever crashes, the retry ends with the new request, never with neither.
"""

import asyncio
from typing import Any

from temporalio import workflow
from temporalio.common import Priority
from temporalio.exceptions import ApplicationError

from activities.errors import NEEDS_PERSON
from activities.peers import EndOrder, Peers, SuccessorOrder
from activities.replacements import BEING_REPLACED, Claim, Claimed, Replacements
from domain.priority import URGENT
from workflows import calls
from workflows import search_attributes as attributes
from workflows.answers import Replaced
from workflows.details import not_started
from workflows.messages import Replacement
from workflows.reading import Refused, read
from workflows.recorded import ASK_AGAIN
from workflows.runs import outlive
from workflows.unknown import LONGEST_ID, Shown


@workflow.defn(name="ReplaceToken")
class ReplaceToken(Shown):
    """Replaces one token. Input: `Replacement` as one JSON object. Fails with type `Refused` and one sentence when nothing
    was touched; otherwise ends with the new journey `Requested`."""

    priority = Priority(priority_key=URGENT)

    @workflow.init
    def __init__(self, *bodies: Any) -> None:
        super().__init__()
        self.problem: Refused | None = None
        self.order = Replacement(journey_id="unknown")
        try:
            self.order = read(Replacement, bodies, "ReplaceToken")
        except Refused as fault:
            self.problem = fault
        self.shown = "Checking all that could refuse."
        self.order_id = workflow.info().workflow_id
        if len(self.order_id) > LONGEST_ID:
            self.problem = Refused(
                f"The replacement's id has more than {LONGEST_ID} characters, which records can't hold; start it under a shorter one."
            )

    @workflow.run
    async def run(self, *bodies: Any) -> Replaced:
        order = self.order
        return await self.audited(self.carry_out(), "replace", order.requested_by, journey_id=order.journey_id)

    async def carry_out(self) -> Replaced:
        """The whole of it. Raises Refused where nothing was touched."""
        order = self.order
        if self.problem:
            raise self.refused(self.problem)
        if not order.confirmed:
            raise self.refused(
                Refused(
                    "The token was not replaced: its deactivation must be confirmed, since it can't be undone; send "
                    '"confirmed": true.'
                )
            )
        # From here on Temporal's own cancellation request would leave neither token nor request.
        replacing = asyncio.create_task(self.replace())
        await outlive(replacing.done, self.cant_be_cancelled)
        return replacing.result()

    def cant_be_cancelled(self) -> None:
        self.show(f"{self.shown}\n\nIt can't be cancelled: the old token would be gone, and no new one requested.")

    async def replace(self) -> Replaced:
        """Claim, deactivate, request, in this order."""
        order = self.order
        self.show(self.shown)
        claimed = await self.claim()
        self.show(
            f"Replacing token `{order.journey_id}` by `{claimed.successor_id}`. The old one is being deactivated."
        )
        workflow.upsert_search_attributes(
            [
                attributes.PRESCRIBER_ID.value_set(claimed.prescriber_id),
                attributes.TOKEN_KIND.value_set(claimed.kind.value),
                attributes.NEEDS_ATTENTION.value_set(False),
            ]
        )
        await self.deactivate(claimed)
        self.show(f"Token `{order.journey_id}` is deactivated. Requesting `{claimed.successor_id}`.")
        await self.request(claimed)
        self.show(f"Token `{order.journey_id}` is replaced: `{claimed.successor_id}` is requested.")
        return Replaced(journey_id=claimed.successor_id, replaces=order.journey_id)

    async def claim(self) -> Claimed:
        """All checks, and the prescriber's place. A replacement that was broken off is taken up."""
        claim = Claim(
            workflow_id=self.order_id,
            run_id=workflow.info().first_execution_run_id,
            at=workflow.now(),
            **self.order.model_dump(exclude={"confirmed", "in_possession"}, exclude_none=True),
        )
        while True:
            try:
                return await calls.local(
                    Replacements.claim, claim, summary="Check all that could refuse, and keep the place"
                )
            except ApplicationError as failure:
                if failure.type != BEING_REPLACED:
                    raise self.refused(Refused(failure.message)) from None
                workflow_id, run_id = failure.details
                # One of our own id can't be running: this one is. It was terminated, and is taken up.
                if workflow_id != self.order_id and await calls.remote(
                    Peers.is_running,
                    workflow_id,
                    summary="Is the other replacement running?",
                    attempt=calls.PEER_ATTEMPT,
                ):
                    raise self.refused(Refused(failure.message)) from None
                claim = claim.model_copy(update={"instead_of": run_id})

    async def deactivate(self, claimed: Claimed) -> None:
        """The old one, in favour of the new. Refused: the place is given back, and nothing was touched."""
        order = self.order
        end = EndOrder(
            journey_id=order.journey_id,
            update_id=f"replaced-by-{claimed.successor_id}",
            reason=order.reason,
            in_possession=order.in_possession,
            by=order.requested_by,
            replaced_by=claimed.successor_id,
        )
        try:
            await calls.remote(Peers.deactivate, end, summary="Deactivate the old token", attempt=calls.PEER_ATTEMPT)
        except ApplicationError as refusal:
            # An answer may have been lost; the records say whether it was this replacement that ended the token.
            if not await calls.local(
                Replacements.deactivated, order.journey_id, summary="Was it deactivated for this?"
            ):
                await calls.local(Replacements.release, order.journey_id, summary="Give the place back")
                raise self.refused(Refused(refusal.message)) from None

    async def request(self, claimed: Claimed) -> None:
        """The new one. It was checked before; what stands in its way now is for a person to mend."""
        successor = SuccessorOrder(
            journey_id=claimed.successor_id,
            replaces=self.order.journey_id,
            requested_by=self.order.requested_by,
            **claimed.model_dump(exclude={"successor_id"}),
        )
        while True:
            try:
                await calls.remote(
                    Peers.request_successor, successor, summary="Request the new token", attempt=calls.PEER_ATTEMPT
                )
            except ApplicationError as failure:
                if failure.type != NEEDS_PERSON:
                    raise
                self.show(
                    f"**Needs attention:** {failure.message}. It is tried again each hour; whoever runs the system mends it."
                )
                workflow.upsert_search_attributes([attributes.NEEDS_ATTENTION.value_set(True)])
                await workflow.sleep(ASK_AGAIN, summary="Request the new token: try again in an hour")
            else:
                workflow.upsert_search_attributes([attributes.NEEDS_ATTENTION.value_set(False)])
                return

    def refused(self, refusal: Refused) -> Refused:
        """Shows the refusal, and gives it back."""
        self.display(not_started("ReplaceToken", refusal.message, Replacement))
        return refusal

    def show(self, text: str) -> None:
        """What the UI says of it."""
        self.shown = text
        order = self.order
        head = f"### Replacement of `{order.journey_id}`"
        by = f"\n\nAsked for by {order.requested_by}." if order.requested_by else ""
        self.display(f"{head}\n\n{text}{by}\n\nThere is nothing to do here: it goes on by itself.")
