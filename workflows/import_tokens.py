"""`ImportTokens`: a token maker's file becomes stock, all of it or nothing."""

import asyncio
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import Priority
from temporalio.exceptions import ApplicationError

from activities.errors import REFUSED
from activities.import_orders import ImportEnding, ImportOrder, ImportReport
from activities.imports import Imports
from domain.priority import BULK
from workflows import calls
from workflows.details import not_started
from workflows.messages import ImportRequest
from workflows.reading import Refused, read
from workflows.unknown import Shown

_ATTEMPT = timedelta(hours=6)
_SILENCE = timedelta(seconds=15)
"""A killed worker's attempt is given up after it."""
_FIRST_LOOK = timedelta(seconds=2)
_LAST_LOOK = timedelta(seconds=60)
_SHOWN = 20


@workflow.defn(name="ImportTokens")
class ImportTokens(Shown):
    """Takes the tokens of one file into stock. Input: `ImportRequest` as one JSON object. Fails with type `Refused` and one
    sentence where the file as a whole can't be read; otherwise ends with a report. Cancelled, it takes nothing."""

    priority = Priority(priority_key=BULK)

    @workflow.init
    def __init__(self, *bodies: Any) -> None:
        super().__init__()
        self.problem: Refused | None = None
        self.request = ImportRequest(file="unknown", imported_by="unknown")
        try:
            self.request = read(ImportRequest, bodies, "ImportTokens")
        except Refused as fault:
            self.problem = fault

    @workflow.run
    async def run(self, *bodies: Any) -> ImportReport:
        if self.problem:
            self.display(not_started("ImportTokens", self.problem.message, ImportRequest))
            raise self.problem
        info = workflow.info()
        order = ImportOrder(
            import_id=info.run_id, workflow_id=info.workflow_id, **self.request.model_dump(exclude_none=True)
        )
        ending = ImportEnding(order=order)
        try:
            report = await self.taken_in(order)
        except ApplicationError as failure:
            if failure.type != REFUSED:
                raise
            ending.refused = failure.message
            self.show(f"Refused, nothing was taken: {failure.message}")
            raise Refused(failure.message) from None
        finally:
            await calls.remote(Imports.clear, ending, summary="Remove what is not needed any more")
        self.show(_said(report))
        return report

    async def taken_in(self, order: ImportOrder) -> ImportReport:
        """Has the file read, and shows meanwhile how far it is."""
        self.show("Reading the file.")
        reading = asyncio.ensure_future(
            calls.remote(Imports.take_in, order, summary=f"Read {order.file}", attempt=_ATTEMPT, beats_within=_SILENCE)
        )
        pause = _FIRST_LOOK
        while True:
            try:
                await workflow.wait_condition(reading.done, timeout=pause, timeout_summary="How far is it?")
                return await reading
            except TimeoutError:
                progress = await calls.local(Imports.progress, order.import_id, summary="How far is it?")
                bad = f", {progress.refused:,} of them can't be taken" if progress.refused else ""
                self.show(f"Reading the file: {progress.rows_read:,} rows so far{bad}.")
                pause = min(2 * pause, _LAST_LOOK)
            except asyncio.CancelledError:
                reading.cancel()
                await workflow.wait([reading])
                if not reading.cancelled() and reading.exception() is None:
                    return reading.result()  # it came too late: the tokens are in stock
                self.show("Cancelled. Nothing was taken.")
                raise

    def show(self, text: str) -> None:
        """What the UI says of it."""
        request = self.request
        how = "the good rows" if request.partial else "all rows or none"
        head = f"### Import of `{request.file}` by {request.imported_by}"
        self.display(f"{head}\n\n{text}\n\nTaken in: {how}.")


def _said(report: ImportReport) -> str:
    """The report in markdown."""
    lines = [f"**{report.taken:,} tokens taken, {report.refused_in_all:,} rows refused** ({report.format})."]
    if report.refused_in_all and not report.taken:
        lines.append('Nothing was taken. Correct the rows, or take the good ones with `"partial": true`.')
    lines += [f"- line {row.line}, `{row.serial or 'no serial'}`: {row.reason}" for row in report.refused[:_SHOWN]]
    if report.refused_in_all > _SHOWN:
        lines.append(f"- and {report.refused_in_all - _SHOWN:,} more; the table `import_refusals` has all")
    return "\n\n".join(lines[:2]) + "\n" + "\n".join(lines[2:])
