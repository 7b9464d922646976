"""`ProcessQueue`: processes what waits in the queue, one request after the other, and reports what became of each."""

from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from activities.errors import REFUSED
from activities.peers import Peers, ProcessOrder
from activities.queue import Queue, QueuePage, QueueQuestion
from activities.stock import NONE_LEFT
from domain.queue import Reached, Waiting
from domain.status import Kind
from workflows import calls
from workflows.answers import Handled, QueueReport
from workflows.details import not_started
from workflows.messages import MOST_AT_ONCE, QueueOrder, Underway
from workflows.reading import Refused
from workflows.runs import Unmended, begin
from workflows.unknown import Shown

_PAGE = 50
_SHOWN = 25
_NO_ANSWER = (
    "The journey does not answer: it stays queued, or is processed as soon as its worker answers again; look at it in the "
    "Temporal UI."
)


@workflow.defn(name="ProcessQueue")
class ProcessQueue(Shown):
    """Takes the urgent and the oldest requests first. Input: `QueueOrder` as one JSON object. Fails with type `Refused` and
    one sentence when nothing was touched; otherwise ends with the outcome of each request.

    One at a time: where tokens are short, whoever has waited longest gets them. A journey is processed by its own `process`
    update, so that a second run at the same time, or an operator who is quicker, does no harm."""

    @workflow.init
    def __init__(self, *bodies: Any) -> None:
        super().__init__()
        self.problem: Refused | None = None
        self.order = QueueOrder(operator="unknown")
        self.unmended: Unmended | None = None
        try:
            self.order, self.problem = begin(QueueOrder, bodies, "ProcessQueue")
        except Refused as fault:
            self.problem = fault
        except Unmended as fault:
            self.unmended = fault  # raised by `run`, as in `TokenJourney`
        self.report = QueueReport(operator=self.order.operator, kind=self.order.kind)
        self.reached = Reached()
        self.none_left = False
        if self.order.carried:
            self.report, self.reached = self.order.carried.report, self.order.carried.reached

    @workflow.run
    async def run(self, *bodies: Any) -> QueueReport:
        return await self.audited(self.carry_out(), "process queue", self.order.operator)

    async def carry_out(self) -> QueueReport:
        """The whole of it. Raises Refused where nothing was touched."""
        if self.unmended:
            raise self.unmended
        if self.problem:
            self.display(not_started("ProcessQueue", self.problem.message, QueueOrder))
            raise self.problem
        self.show()
        while True:
            page = await self.next_page()
            for waiting in page.requests:
                if workflow.info().is_continue_as_new_suggested():
                    carried = Underway(report=self.report, reached=self.reached)
                    workflow.continue_as_new(self.order.model_copy(update={"carried": carried}))
                self.add(await self.handle(waiting))
                self.reached = waiting.reached(self.reached)
                self.show()
            if not page.requests or len(self.report.outcomes) >= self.report.to_do:
                self.show(ended=True)
                if self.report.outcomes:
                    counts = f"{self.report.processed} processed, {self.report.refused} refused"
                    said = f"processed the queue: {counts}, {self.report.unanswered} without an answer"
                    await self.record(said, self.order.operator, "process queue")
                return self.report

    async def next_page(self) -> QueuePage:
        """The next requests. The first look says how many there are to do: what comes in later is for the next run."""
        limit = self.order.limit or MOST_AT_ONCE
        most = (self.report.to_do or limit) - len(self.report.outcomes)
        question = QueueQuestion(kind=self.order.kind, after=self.reached, most=min(most, _PAGE))
        page = await calls.local(Queue.next, question, summary="Who is next?")
        if not self.report.to_do:
            self.report.to_do = min(page.waiting, limit)
            self.report.left = page.waiting - self.report.to_do
        self.none_left = self.none_left and not page.in_stock
        return page

    async def handle(self, waiting: Waiting) -> Handled:
        """Processes one request and says what became of it."""
        handled = Handled(
            journey_id=waiting.journey_id, kind=waiting.kind, urgent=waiting.urgent, outcome="refused", reason=NONE_LEFT
        )
        if waiting.kind is Kind.HARD and self.none_left:
            return handled  # one journey has asked and told the team; a letter for each would bury it
        order = ProcessOrder(
            journey_id=waiting.journey_id,
            kind=waiting.kind,
            update_id=f"{workflow.info().first_execution_run_id}-{waiting.journey_id}",
            operator=self.order.operator,
        )
        try:
            serial: Any = await calls.remote(
                Peers.process,
                order,
                summary=f"Process {waiting.journey_id}",
                attempt=calls.PEER_ATTEMPT,
                retry_policy=calls.A_FEW_TIMES,
            )
        except ApplicationError as failure:
            if failure.type == REFUSED:
                handled.reason = failure.message
                self.none_left = self.none_left or failure.message == NONE_LEFT
            else:
                handled.outcome, handled.reason = "unanswered", _NO_ANSWER
        except ActivityError as failure:
            if is_cancelled_exception(failure):
                raise
            handled.outcome, handled.reason = "unanswered", _NO_ANSWER
        else:
            handled.outcome, handled.reason, handled.serial_number = "processed", None, serial
        return handled

    def add(self, handled: Handled) -> None:
        """Counts it in."""
        self.report.outcomes.append(handled)
        setattr(self.report, handled.outcome, getattr(self.report, handled.outcome) + 1)

    def show(self, *, ended: bool = False) -> None:
        """What the UI says of it: how far it is, what was not processed and why, and the latest."""
        report = self.report
        what = f"the queue of {report.kind} tokens" if report.kind else "the queue"
        heading = f"### Processing {what}: {len(report.outcomes)} of {report.to_do}"
        if ended:
            heading = f"### Processed {what}" if report.outcomes else "### Nothing was waiting"
        counts = f"{report.processed} processed, {report.refused} refused, {report.unanswered} without an answer"
        beyond = f"; {report.left} more wait for the next run" if report.left else ""
        parts = [heading, f"By {report.operator}: {counts}{beyond}."]
        for title, chosen in (
            ("Not processed", [each for each in report.outcomes if each.outcome != "processed"]),
            ("Processed", [each for each in report.outcomes if each.outcome == "processed"]),
        ):
            if chosen:
                shown = f", the latest {_SHOWN}" if len(chosen) > _SHOWN else ""
                parts.append("\n".join([f"**{title}{shown}**", "", *map(_line, chosen[-_SHOWN:])]))
        self.display("\n\n".join(parts))

    @workflow.query(name="status", description="How far it is, and what became of each request")
    def status(self) -> QueueReport:
        return self.report


def _line(handled: Handled) -> str:
    urgent = " (urgent)" if handled.urgent else ""
    said = handled.reason or (f"token `{handled.serial_number}`" if handled.serial_number else "soft token")
    return f"- `{handled.journey_id}`{urgent}: {said}"
