"""`DeactivateAll`: a prescriber leaves the practice, and all of the person's tokens end, each with its own outcome."""

from datetime import timedelta
from typing import Any, Literal

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from activities.departures import Departures, Holding
from activities.errors import REFUSED
from activities.peers import EndOrder, Peers
from domain.reasons import HARD_REASONS, LOSS
from domain.status import Kind
from workflows import calls
from workflows import search_attributes as attributes
from workflows.details import not_started
from workflows.messages import Departure, Ended, Leaving, Refused, read

_WAYS: tuple[tuple[Literal["deactivated", "cancelled"], Any], ...] = (
    ("deactivated", Peers.deactivate),
    ("cancelled", Peers.cancel),
)
_ROUNDS = 12
_BETWEEN_ROUNDS = timedelta(seconds=5)
_TRIES = 3


@workflow.defn(name="DeactivateAll")
class DeactivateAll:
    """Ends all tokens of one prescriber. Input: `Leaving` as one JSON object. Fails with type `Refused` and one sentence when
    nothing was touched; otherwise ends with the outcome of each token.

    What is active is deactivated, what is not yet active is cancelled. A hard token is asked back, unless it is lost."""

    @workflow.init
    def __init__(self, *bodies: Any) -> None:
        self.problem: Refused | None = None
        self.order = Leaving(prescriber_id="unknown", by="unknown")
        try:
            self.order = read(Leaving, bodies, "DeactivateAll")
        except Refused as fault:
            self.problem = fault
        self.outcomes: dict[str, Ended] = {}

    @workflow.run
    async def run(self, *bodies: Any) -> Departure:
        order = self.order
        if self.problem:
            raise self.refused(self.problem)
        if not order.confirmed:
            raise self.refused(
                Refused(
                    'Nothing was deactivated: it must be confirmed, since it can\'t be undone; send "confirmed": true.'
                )
            )
        if order.reason not in HARD_REASONS:
            raise self.refused(
                Refused(
                    f"Nothing was deactivated: {order.reason} is not a reason for a hard token; send one of "
                    f"{', '.join(sorted(HARD_REASONS))}."
                )
            )
        self.show()
        workflow.upsert_search_attributes([attributes.PRESCRIBER_ID.value_set(order.prescriber_id)])
        for _ in range(_ROUNDS):
            new = [holding for holding in await self.holdings() if holding.journey_id not in self.outcomes]
            if not new:
                break
            for holding in new:
                if holding.live:
                    self.outcomes[holding.journey_id] = await self.end(holding)
                    self.show()
            if not any(holding.live for holding in new):
                # One is being replaced right now, and comes back under its successor's id.
                await workflow.sleep(_BETWEEN_ROUNDS, summary="What comes out of the replacement?")
        else:
            for holding in await self.holdings():
                stuck = "it is being replaced, and its replacement does not go on; look at that one"
                self.outcomes.setdefault(
                    holding.journey_id,
                    Ended(journey_id=holding.journey_id, kind=holding.kind, outcome="refused", detail=stuck),
                )
        self.show(ended=True)
        return Departure(prescriber_id=order.prescriber_id, outcomes=list(self.outcomes.values()))

    async def holdings(self) -> list[Holding]:
        """What the prescriber holds now, or is about to. Raises Refused for a prescriber nobody knows."""
        try:
            return await calls.local(Departures.holdings, self.order.prescriber_id, summary="Which tokens are there?")
        except ApplicationError as failure:
            raise self.refused(Refused(failure.message)) from None

    async def end(self, holding: Holding) -> Ended:
        """Deactivated or cancelled, whichever its journey accepts: it may become active between the two."""
        refusal = ""
        for number in range(_TRIES):
            for what, method in _WAYS:
                end = EndOrder(
                    journey_id=holding.journey_id,
                    update_id=f"{workflow.info().workflow_id}-{workflow.info().run_id}-{what}-{number}",
                    reason=self.order.reason,
                    in_possession=holding.kind is Kind.HARD and self.order.reason not in LOSS,
                    by=self.order.by,
                )
                try:
                    await calls.remote(method, end, summary=f"End {holding.journey_id}", attempt=calls.PEER_ATTEMPT)
                except ApplicationError as failure:
                    if failure.type != REFUSED:
                        raise
                    refusal = failure.message
                else:
                    return Ended(journey_id=holding.journey_id, kind=holding.kind, outcome=what)
        if not await calls.local(Departures.is_live, holding.journey_id, summary="Has it ended by itself?"):
            return Ended(journey_id=holding.journey_id, kind=holding.kind, outcome="ended already")
        return Ended(journey_id=holding.journey_id, kind=holding.kind, outcome="refused", detail=refusal)

    def refused(self, refusal: Refused) -> Refused:
        """Shows the refusal, and gives it back."""
        workflow.set_current_details(not_started("DeactivateAll", refusal.message, Leaving))
        return refusal

    def show(self, *, ended: bool = False) -> None:
        """What the UI says of it: each token's outcome, and what is left to a person."""
        order = self.order
        parts = [
            f"### All tokens of prescriber {order.prescriber_id}: {'done' if ended else 'being ended'}",
            f"By {order.by}, reason {order.reason.replace('_', ' ')}.",
            "\n".join(
                f"- `{each.journey_id}` ({each.kind}): {each.outcome}{f'. {each.detail}' if each.detail else ''}"
                for each in self.outcomes.values()
            ),
        ]
        if ended and not self.outcomes:
            parts.append("There were no tokens.")
        if any(each.outcome == "refused" for each in self.outcomes.values()):
            parts.append("**Needs attention:** open those that were refused, see what they say, and start this again.")
        workflow.set_current_details("\n\n".join(part for part in parts if part))
