"""`DeactivateAll`: a prescriber leaves the practice, and all of the person's tokens end, each with its own outcome."""

import asyncio
from datetime import timedelta
from typing import Any, Literal

from temporalio import workflow
from temporalio.common import Priority
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from activities.departures import Departures, Holding
from activities.errors import REFUSED
from activities.peers import EndOrder, Peers
from domain.priority import URGENT
from domain.reasons import HARD_REASONS, LOSS
from domain.status import Kind
from workflows import calls
from workflows import search_attributes as attributes
from workflows.answers import Departure, Ended
from workflows.details import not_started
from workflows.messages import Leaving
from workflows.reading import Refused, read
from workflows.unknown import Shown

_WAYS: tuple[tuple[Literal["deactivated", "cancelled"], Any], ...] = (
    ("deactivated", Peers.deactivate),
    ("cancelled", Peers.cancel),
)
_ROUNDS = 12
_BETWEEN_ROUNDS = timedelta(seconds=5)
_TRIES = 3
_ASK_AGAIN = timedelta(minutes=1)


@workflow.defn(name="DeactivateAll")
class DeactivateAll(Shown):
    """Ends all tokens of one prescriber. Input: `Leaving` as one JSON object. Fails with type `Refused` and one sentence when
    nothing was touched; otherwise ends with the outcome of each token.

    What is active is deactivated, what is not yet active is cancelled. A hard token is asked back, unless it is lost."""

    priority = Priority(priority_key=URGENT)

    @workflow.init
    def __init__(self, *bodies: Any) -> None:
        super().__init__()
        self.problem: Refused | None = None
        self.order = Leaving(prescriber_id="unknown", by="unknown")
        try:
            self.order = read(Leaving, bodies, "DeactivateAll")
        except Refused as fault:
            self.problem = fault
        self.outcomes: dict[str, Ended] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.unanswered: dict[str, None] = {}
        """The journeys that do not answer, in the order in which that was found."""

    @workflow.run
    async def run(self, *bodies: Any) -> Departure:
        return await self.audited(self.carry_out(), "deactivate all", self.order.by)

    async def carry_out(self) -> Departure:
        """The whole of it. Raises Refused where nothing was touched."""
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
        await self.end_all()
        self.show(ended=True)
        return Departure(prescriber_id=order.prescriber_id, outcomes=list(self.outcomes.values()))

    async def end_all(self) -> None:
        """Side by side, so that a journey that does not answer keeps no other token signing. Looks again until there is
        nothing more to end."""
        looks = 0
        while True:
            looks += 1
            held = await self.holdings()
            if looks == 1:
                await self.record(
                    f"all tokens of prescriber {self.order.prescriber_id} are to end: {self.order.reason.replace('_', ' ')}",
                    self.order.by,
                    "deactivate all",
                )
            new = [holding for holding in held if holding.journey_id not in {*self.tasks, *self.outcomes}]
            live = [holding for holding in new if holding.live]
            for holding in live:
                task = self.tasks[holding.journey_id] = asyncio.create_task(self.end_one(holding))
                if not self.since_0_2:
                    await task
            if live:
                continue
            if new and looks <= _ROUNDS:
                # One is being replaced right now, and comes back under its successor's id.
                await workflow.sleep(_BETWEEN_ROUNDS, summary="What comes out of the replacement?")
                continue
            for holding in new:
                stuck = "it is being replaced, and its replacement does not go on; look at that one"
                self.outcomes[holding.journey_id] = Ended(
                    journey_id=holding.journey_id, kind=holding.kind, outcome="refused", detail=stuck
                )
            underway = [task for task in self.tasks.values() if not task.done()]
            if not underway:
                return
            await workflow.wait(underway)
            for task in underway:
                task.result()

    async def end_one(self, holding: Holding) -> None:
        """Until there is an outcome. A journey that does not answer is shown, and asked again and again."""
        while True:
            try:
                ended = await self.end(holding)
            except (ActivityError, ApplicationError) as failure:
                if is_cancelled_exception(failure):
                    raise
                self.unanswered[holding.journey_id] = None
                self.show()
                await workflow.sleep(_ASK_AGAIN, summary=f"{holding.journey_id} does not answer: ask it again")
            else:
                break
        self.unanswered.pop(holding.journey_id, None)
        if ended.outcome == "refused":
            await self.record(
                "refused: deactivate all",
                self.order.by,
                "deactivate all",
                refused=ended.detail,
                journey_id=holding.journey_id,
            )
        self.outcomes[holding.journey_id] = ended
        self.show()

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
                    await calls.remote(
                        method,
                        end,
                        summary=f"End {holding.journey_id}",
                        attempt=calls.PEER_ATTEMPT,
                        retry_policy=calls.A_FEW_TIMES,
                    )
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
        self.display(not_started("DeactivateAll", refusal.message, Leaving))
        return refusal

    def show(self, *, ended: bool = False) -> None:
        """What the UI says of it: each token's outcome, and what is left to a person."""
        attention = bool(self.unanswered)
        if self.since_0_2 and attention != bool(
            workflow.info().typed_search_attributes.get(attributes.NEEDS_ATTENTION)
        ):
            workflow.upsert_search_attributes([attributes.NEEDS_ATTENTION.value_set(attention)])
        order = self.order
        lines = [
            f"- `{each.journey_id}` ({each.kind}): {each.outcome}{f'. {each.detail}' if each.detail else ''}"
            for each in self.outcomes.values()
        ]
        lines += [
            f"- `{journey_id}`: **does not answer**; it is asked again, look at it" for journey_id in self.unanswered
        ]
        parts = [
            f"### All tokens of prescriber {order.prescriber_id}: {'done' if ended else 'being ended'}",
            f"By {order.by}, reason {order.reason.replace('_', ' ')}.",
            "\n".join(lines),
        ]
        if ended and not lines:
            parts.append("There were no tokens.")
        if any(each.outcome == "refused" for each in self.outcomes.values()):
            parts.append("**Needs attention:** open those that were refused, see what they say, and start this again.")
        self.display("\n\n".join(part for part in parts if part))
