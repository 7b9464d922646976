"""`AnchorAudit`: anchors the ends of the audit trail's chains outside the database; run by a schedule."""

from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from activities.anchors import AnchorOrder, AnchorReport, AuditAnchors
from workflows import calls
from workflows.messages import Body
from workflows.reading import Refused, read
from workflows.unknown import Displayed


class AnchorStart(Body):
    """Starts `AnchorAudit`: there is nothing to say."""


@workflow.defn(name="AnchorAudit")
class AnchorAudit(Displayed):
    """Input: nothing, or `{}`. Fails with type `Refused` and one sentence where the trail is not what was anchored before: then a
    person has to look, with `tokens audit verify`."""

    @workflow.run
    async def run(self, *bodies: Any) -> AnchorReport:
        read(AnchorStart, bodies, "AnchorAudit")
        try:
            report = await calls.remote(AuditAnchors.anchor, AnchorOrder(), summary="Anchor the audit trail")
        except ApplicationError as failure:
            self.display(f"### Not anchored\n\n{failure.message}")
            raise Refused(failure.message) from None
        self.display(
            f"### Anchor {report.number}\n\n{report.journeys} chains, {report.changed} changed since the last one: `{report.file}`."
        )
        return report
