"""What every look at a suspect leans on: the workflow, the records, and what is said of it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session
from temporalio import activity
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities import resumptions
from activities.carrier import Carrier
from activities.directory import Directory
from activities.records import Records
from activities.stock import Stock
from activities.vendor import Vendor
from database import audit
from database.engine import Sessions
from database.tables import JourneyRow
from domain.chronicle import Entry
from domain.reconciling import Finding, Suspect
from domain.resumption import How

WHY = {
    "TERMINATED": "its workflow was terminated in Temporal",
    "CANCELED": "its workflow was cancelled in Temporal",
    "FAILED": "its workflow has failed",
    "TIMED_OUT": "its workflow ran out of time",
    "COMPLETED": "its workflow had ended, which the records do not say",
    None: "Temporal knows no workflow of that id any more",
}
"""By Temporal's name for how a workflow has closed."""

_DONE = {
    How.CARRY_ON: "carried on from where the records have it",
    How.CANCEL: "cancelled: nothing had been sent, so what was taken for it is given back",
    How.RETIRE: "taken up once more to undo what is left",
    How.RECEIVED: "received in the records, too",
    How.WRITTEN_OFF: "written off in the records, too",
}


@dataclass(frozen=True)
class Tools:
    """The database, Temporal, and the activities by which parties and stock are told."""

    sessions: Sessions
    client: Client
    vendor: Vendor
    carrier: Carrier
    directory: Directory
    stock: Stock
    records: Records


class Looking:
    """One suspect, looked at again. `may_touch` False: only said what would be done."""

    def __init__(self, tools: Tools, suspect: Suspect, *, may_touch: bool) -> None:
        self.tools = tools
        self.may_touch = may_touch
        self.suspect = suspect
        self.about = suspect.about
        self.at = activity.info().started_time

    async def look(self) -> Finding | None:
        """What was wrong and what became of it; None where nothing is wrong (any more)."""
        raise NotImplementedError

    def handle(self, workflow_id: str | None = None) -> Any:
        return self.tools.client.get_workflow_handle(workflow_id or self.about)

    async def closed(self, workflow_id: str | None = None) -> str | None:
        """Temporal's name for how the latest run stands; None: there is no such workflow."""
        latest = await self._described(workflow_id)
        return latest and _name_of(latest)

    async def closed_here(self, workflow_id: str | None = None) -> str | None:
        """The same, of a workflow on this task queue: others' have no worker here who could answer for them."""
        latest = await self._described(workflow_id)
        return _name_of(latest) if latest and latest.task_queue == activity.info().task_queue else None

    async def first_run_id(self, workflow_id: str) -> str:
        """Under which records and letters know it."""
        latest = await self.handle(workflow_id).describe()
        return latest.raw_description.workflow_execution_info.first_run_id

    async def _described(self, workflow_id: str | None = None) -> WorkflowExecutionDescription | None:
        try:
            return await self.handle(workflow_id).describe()
        except RPCError as fault:
            if fault.status is RPCStatusCode.NOT_FOUND:
                return None
            raise

    async def snapshot(self) -> dict[str, Any] | None:
        """What the workflow says of itself; None where it does not run any more."""
        return await self.said() if await self.closed() == "RUNNING" else None

    async def said(self, workflow_id: str | None = None) -> dict[str, Any]:
        """The same of the latest run, whether it runs or has ended."""
        return await asyncio.wait_for(self.handle(workflow_id).query("status"), 10)

    async def read(self, question: Callable[[Session], Any]) -> Any:
        def ask() -> Any:
            with self.tools.sessions() as session:
                return question(session)

        return await asyncio.to_thread(ask)

    async def write(self, work: Callable[[Session], Any]) -> Any:
        def write() -> Any:
            with self.tools.sessions.begin() as session:
                return work(session)

        return await asyncio.to_thread(write)

    async def act(self, activity_: Callable[[Any], None], body: Any) -> None:
        """One of the other activities, as a part of this one."""
        await asyncio.to_thread(activity_, body)

    async def row(self, journey_id: str | None = None) -> JourneyRow | None:
        return await self.read(lambda session: session.get(JourneyRow, journey_id or self.about))

    async def note(self, row: JourneyRow, what: str) -> None:
        await self.append(row.journey_id, what, row.status)

    async def append(self, journey_id: str, what: str, status: str) -> None:
        entry = Entry(number=0, at=self.at, what=f"Reconcile: {what}", by="Reconcile", status=status)
        await self.write(lambda session: audit.append_beside(session, journey_id, entry))

    async def resumed(self, name: str, body: dict[str, Any], how: How, why: str, what: str) -> Finding | None:
        if not self.may_touch:
            return self.left(what, f"it would be {_DONE[how]}")
        ticket = await self.write(lambda session: resumptions.offer(session, self.about, how, why, self.at))
        if not await self.start(name, {**body, "resume": ticket}, self.about):
            return None
        return self.repaired(what, _DONE[how])

    async def start(self, name: str, body: dict[str, Any], workflow_id: str) -> bool:
        """False: somebody has been quicker."""
        try:
            await self.tools.client.start_workflow(
                name,
                body,
                id=workflow_id,
                task_queue=activity.info().task_queue,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                static_summary=f"{name}, taken up by Reconcile",
            )
        except WorkflowAlreadyStartedError:
            return False
        return True

    async def write_again(self, what: str) -> Finding | None:
        if not self.may_touch:
            return self.left(what, "it would be written again")
        await self.handle().signal("record_again")
        return self.repaired(what, "written again from what the workflow knows")

    def repaired(self, what: str, then: str) -> Finding:
        return Finding(about=self.about, matter=self._matter, what=what, then=then, repaired=True)

    def person(self, what: str, then: str) -> Finding:
        return Finding(about=self.about, matter=self._matter, what=what, then=then, repaired=False)

    def left(self, what: str, then: str) -> Finding:
        return Finding(about=self.about, matter=self._matter, what=what, then=then, repaired=False, left=True)

    @property
    def _matter(self) -> str:
        return f"{self.suspect.look}: {self.suspect.matter}"


def _name_of(latest: WorkflowExecutionDescription) -> str | None:
    if latest.status is WorkflowExecutionStatus.CONTINUED_AS_NEW:
        return "RUNNING"  # the next run is just being made
    return latest.status and latest.status.name
