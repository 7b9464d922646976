"""`Reconcile`: compares database, Temporal, vendor and carrier, repairs what is safe, and lists the rest for a person.

What is right for each case, and why, stands in docs/decisions/0009-reconcile.md.
"""

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from activities.comparison import Comparison, Survey
from activities.repairs import Findings, Repair, Repairs
from domain.reconciling import LOOKS, Finding, Look, Suspect
from workflows import calls
from workflows.answers import ReconcileReport
from workflows.details import not_started
from workflows.messages import ReconcileOrder
from workflows.reading import Refused, read
from workflows.unknown import Displayed

_SHOWN = 100
_LISTED = 20
_LOOK_WITHIN = timedelta(minutes=30)
_BEATS = timedelta(seconds=30)
_A_FEW_TIMES = RetryPolicy(initial_interval=timedelta(seconds=1), backoff_coefficient=2, maximum_attempts=3)
"""Then it is left to the next run: one that hangs must not hold up the others."""


@workflow.defn(name="Reconcile")
class Reconcile(Displayed):
    """Looks at everything once. Input: `ReconcileOrder` as one JSON object. Fails with type `Refused` and one sentence when it
    can't be read; otherwise ends with `ReconcileReport`. Terminated or cancelled anywhere, it leaves nothing half done."""

    @workflow.init
    def __init__(self, *bodies: Any) -> None:
        self.problem: Refused | None = None
        self.order = ReconcileOrder()
        try:
            self.order = read(ReconcileOrder, bodies, "Reconcile")
        except Refused as fault:
            self.problem = fault
        self.report = ReconcileReport()

    @workflow.run
    async def run(self, *bodies: Any) -> ReconcileReport:
        if self.problem:
            self.display(not_started("Reconcile", self.problem.message, ReconcileOrder))
            raise self.problem
        limit = self.order.limit
        if limit is None:
            limit = await calls.local(Repairs.limit, None, summary="How much may it touch?")
        self.report.limit = limit
        for look in LOOKS:
            self.show(f"Looking at {look}.")
            survey = await self.look(look)
            if survey is None:
                continue
            self.report.checked[look] = survey.checked
            self.report.left += survey.more
            found = [finding for suspect in survey.suspects if (finding := await self.judge(suspect))]
            if found:
                kept = Findings(run_id=workflow.info().first_execution_run_id, at=workflow.now(), findings=found)
                await calls.remote(Repairs.keep, kept, summary="Keep what was found")
        if not self.report.not_checked:
            run_id = workflow.info().first_execution_run_id
            await calls.remote(Repairs.finish, run_id, summary="What was found before and is gone")
        self.show("Done.")
        return self.report

    async def look(self, look: Look) -> Survey | None:
        """What one look suspects; None where it could not be had."""
        try:
            survey: Any = await calls.remote(
                Comparison.compare,
                look,
                summary=f"Compare: {look}",
                attempt=_LOOK_WITHIN,
                beats_within=_BEATS,
                retry_policy=_A_FEW_TIMES,
            )
            return survey
        except (ActivityError, ApplicationError) as failure:
            if is_cancelled_exception(failure):
                raise
            said = failure.message if isinstance(failure, ApplicationError) else "no answer in time"
            self.report.not_checked.append(f"{look}: {said}")
            return None

    async def judge(self, suspect: Suspect) -> Finding | None:
        """Looked at again, and repaired where that is safe and the limit allows it."""
        try:
            finding: Any = await calls.remote(
                Repairs.repair,
                Repair(suspect=suspect, may_touch=self.report.repaired < self.report.limit),
                summary=f"{suspect.about}: {suspect.look}, {suspect.matter}",
                retry_policy=_A_FEW_TIMES,
            )
        except (ActivityError, ApplicationError) as failure:
            if is_cancelled_exception(failure):
                raise
            said = failure.message if isinstance(failure, ApplicationError) else "no answer in time"
            finding = Finding(
                about=suspect.about,
                matter=f"{suspect.look}: {suspect.matter}",
                what=f"it could not be repaired ({said})",
                then="the next run tries it again; look at it in the Temporal UI if it comes again",
                repaired=False,
            )
        if finding is None:
            return None
        report = self.report
        if finding.repaired:
            report.repaired += 1
            report.repairs = [*report.repairs[-_SHOWN + 1 :], finding]
        elif finding.left:
            report.left += 1
            report.left_alone = [*report.left_alone[-_SHOWN + 1 :], finding]
        else:
            report.for_a_person += 1
            report.findings = [*report.findings[-_SHOWN + 1 :], finding]
        return finding

    def show(self, now: str) -> None:
        """What the UI says of it."""
        report = self.report
        left = f"; {report.left} left for the next run, since this one may repair {report.limit}" if report.left else ""
        parts = [
            f"### Reconcile: {report.repaired} repaired, {report.for_a_person} for a person{left}",
            now,
            "\n".join(f"- {name}: {number} checked" for name, number in report.checked.items()),
        ]
        if report.not_checked:
            parts.append("\n".join(["**Not checked**", "", *(f"- {each}" for each in report.not_checked)]))
        for title, found in (
            ("For a person", report.findings),
            ("Repaired", report.repairs),
            ("Left for the next run", report.left_alone),
        ):
            if found:
                shown = f", the latest {_LISTED}" if len(found) > _LISTED else ""
                lines = [f"- `{each.about}`: {each.what}. {each.then[:1].upper()}{each.then[1:]}." for each in found]
                parts.append("\n".join([f"**{title}{shown}**", "", *lines[-_LISTED:]]))
        self.display("\n\n".join(part for part in parts if part))

    @workflow.query(name="status", description="How far it is, what it has repaired, what needs a person")
    def status(self) -> ReconcileReport:
        return self.report
