"""Repairing what `Reconcile` suspects: each looked at again first, then done where that is safe, else told to a person."""

import asyncio
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import select, update
from sqlalchemy.orm import Session
from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities import resumptions
from activities.carrier import Carrier
from activities.directory import Directory
from activities.stock import Stock
from activities.vendor import Vendor, VendorOrder
from database import audit
from database.engine import Sessions
from database.tables import FindingRow, IncidentRow, JourneyRow, ReplacementRow, ReturnRow, TokenRow
from domain.chronicle import Entry
from domain.incident import IncidentStatus
from domain.policy import Policy
from domain.reconciling import Finding, Suspect
from domain.resumption import How, how_to_go_on
from domain.status import ENDED, Kind, Status
from domain.token_state import IN_THE_JOURNEYS_HANDS, TokenState

_ORDER = list(Status)
_WHY = {
    "TERMINATED": "its workflow was terminated in Temporal",
    "CANCELED": "its workflow was cancelled in Temporal",
    "FAILED": "its workflow has failed",
    "TIMED_OUT": "its workflow ran out of time",
    "COMPLETED": "its workflow had ended, which the records do not say",
    None: "Temporal knows no workflow of that id any more",
}
_DONE = {
    How.CARRY_ON: "carried on from where the records have it",
    How.CANCEL: "cancelled: nothing had been sent, so what was taken for it is given back",
    How.END: "ended in the records, too",
    How.RETIRE: "taken up once more to undo what is left",
}


class Repair(BaseModel):
    """One suspect; `may_touch` False: only say what would be done."""

    suspect: Suspect
    may_touch: bool


class Findings(BaseModel):
    """What one run has found; `at` (UTC) is its own time."""

    run_id: str
    at: datetime
    findings: list[Finding]


class Repairs:
    """Given the database, Temporal, and the activities by which parties and stock are told."""

    def __init__(
        self,
        sessions: Sessions,
        client: Client,
        parties: tuple[Vendor, Carrier, Directory],
        stock: Stock,
        policy: Policy,
    ) -> None:
        self._sessions = sessions
        self._client = client
        self._vendor, self._carrier, self._directory = parties
        self._stock = stock
        self._policy = policy

    @activity.defn(name="reconcile.limit")
    def limit(self, _nothing: None) -> int:
        """How many repairs a run makes that was given no limit."""
        return self._policy.reconcile_limit

    @activity.defn(name="reconcile.repair")
    async def repair(self, repair: Repair) -> Finding | None:
        """What was wrong and what became of it; None where nothing is wrong (any more). Done twice it is done once."""
        return await _Looking(self, repair).look()

    @activity.defn(name="reconcile.keep")
    def keep(self, found: Findings) -> None:
        """Writes what was found into the database, one row for each matter."""
        with self._sessions.begin() as session:
            for each in found.findings:
                row = session.get(FindingRow, (each.about, each.matter))
                if row is None:
                    row = FindingRow(about=each.about, matter=each.matter, first_found_at=found.at)
                    session.add(row)
                row.what, row.then, row.repaired = each.what, each.then, each.repaired
                row.found_at, row.run_id = found.at, found.run_id

    @activity.defn(name="reconcile.finish")
    def finish(self, run_id: str) -> None:
        """What earlier runs left to a person, or for the next run, and this one has not found any more has come right."""
        with self._sessions.begin() as session:
            session.execute(
                update(FindingRow)
                .where(FindingRow.run_id != run_id, FindingRow.repaired.is_(False))
                .values(repaired=True, then="it has come right")
            )


class _Looking:
    """One suspect, looked at."""

    def __init__(self, repairs: Repairs, repair: Repair) -> None:
        self._of = repairs
        self._may_touch = repair.may_touch
        self._suspect = repair.suspect
        self._about = repair.suspect.about
        self._at = activity.info().started_time

    async def look(self) -> Finding | None:
        match self._suspect.look, self._suspect.matter:
            case "journeys", "gone" | "unfinished":
                return await self._gone_journey()
            case "journeys", "differs":
                return await self._differing()
            case "journeys", _:
                return await self._unrecorded()
            case "returns", "gone":
                return await self._gone_return()
            case "incidents", "gone":
                return await self._gone_incident()
            case "returns" | "incidents", _:
                return await self._write_again("its records are missing")
            case "replacements", _:
                return await self._gone_replacement()
            case "stock", _:
                return await self._serial()
            case "vendor", _:
                return await self._at_vendor()
            case _:
                return await self._at_carrier()

    # Journeys

    async def _gone_journey(self) -> Finding | None:
        closed = await self._closed()
        row = await self._row()
        if closed == "RUNNING" or row is None:
            return None
        if not row.live and closed not in ("TERMINATED", "TIMED_OUT"):
            return None
        how = how_to_go_on(Status(row.status), Kind(row.kind), row.shipped_at is not None, closed)
        return await self._resume_journey(row, how, _WHY[closed])

    async def _resume_journey(self, row: JourneyRow, how: How, why: str) -> Finding | None:
        body = {"prescriber_id": row.prescriber_id, "kind": row.kind}
        what = f"the journey is {row.status} in the records, and {why}"
        return await self._resumed("TokenJourney", body, how, why, what)

    async def _differing(self) -> Finding | None:
        """Whoever is further on is right: the journey writes after it has moved, so that records which are ahead of it have
        seen what it has lost."""
        row, snapshot = await self._row(), await self._snapshot()
        if (
            row is None
            or snapshot is None
            or (row.status, row.serial_number)
            == (
                snapshot["status"],
                snapshot.get("serial_number"),
            )
        ):
            return None
        here, there = Status(row.status), Status(snapshot["status"])
        what = f"the journey is {there}, and the records have it as {here}"
        if _ORDER.index(there) >= _ORDER.index(here) or there in ENDED:
            return await self._write_again(what)
        if not self._may_touch:
            return self._left(what, "it would be taken up again from the records")
        why = f"its workflow was behind the records, which have it as {here}"
        await self._handle().terminate(f"Reconcile: {why}")
        return await self._resume_journey(row, How.RETIRE if here in ENDED else How.CARRY_ON, why)

    async def _unrecorded(self) -> Finding | None:
        snapshot = await self._snapshot()
        if snapshot is None or not snapshot["timeline"] or await self._row() is not None:
            return None
        other = await self._read(
            lambda session: session.scalars(
                select(JourneyRow.journey_id).where(
                    JourneyRow.live,
                    JourneyRow.prescriber_id == snapshot["prescriber_id"],
                    JourneyRow.kind == snapshot["kind"],
                )
            ).first()
        )
        if other is not None and Status(snapshot["status"]) not in ENDED:
            return self._person(
                f"the journey is {snapshot['status']}, the records do not know it, and {other} is the same prescriber's live token "
                "of that kind",
                "decide which of the two stays, cancel or deactivate the other, and start Reconcile again",
            )
        return await self._write_again("the records do not know the journey")

    async def _write_again(self, what: str) -> Finding | None:
        if not self._may_touch:
            return self._left(what, "it would be written again")
        await self._handle().signal("record_again")
        return self._repaired(what, "written again from what the workflow knows")

    # Endings

    async def _gone_return(self) -> Finding | None:
        closed = await self._closed()
        row = await self._read(
            lambda session: session.scalars(
                select(ReturnRow).where(ReturnRow.return_id == self._about, ReturnRow.open)
            ).first()
        )
        if closed == "RUNNING" or row is None:
            return None
        what = f"token {row.serial_number} is awaited in the records, and {_WHY[closed]}"
        body = {"journey_id": row.journey_id, "serial_number": row.serial_number}
        if closed == "COMPLETED":
            received = json.dumps({**body, "received_by": "your name"})
            return self._person(
                what,
                f"ask the mail room; once it has the token, close the return by hand and tell engineering: {received}",
            )
        return await self._resumed("ReturnByMail", body, How.CARRY_ON, _WHY[closed], what)

    async def _gone_incident(self) -> Finding | None:
        closed = await self._closed()
        row = await self._read(lambda session: session.get(IncidentRow, self._about))
        if closed == "RUNNING" or row is None or row.status == IncidentStatus.CLOSED:
            return None
        what = f"the loss is not reported in the records, and {_WHY[closed]}"
        body = {"journey_id": row.journey_id, "reason": row.reason}
        return await self._resumed("SecurityIncident", body, How.CARRY_ON, _WHY[closed], what)

    async def _gone_replacement(self) -> Finding | None:
        row = await self._read(lambda session: session.get(ReplacementRow, self._about))
        if row is None or row.finished_at is not None:
            return None
        closed, old = await self._closed(row.workflow_id), await self._row()
        if closed == "RUNNING" or old is None:
            return None
        what = f"the replacement of the token stands half-way, and {_WHY[closed]}"
        if old.live:
            if not self._may_touch:
                return self._left(what, "the prescriber's place would be given back")
            await self._write(lambda session: _give_back(session, self._about))
            return self._repaired(what, "the old token was not touched yet, so the prescriber's place is given back")
        if not self._may_touch:
            return self._left(what, "the new token would be requested")
        order = {
            "journey_id": row.journey_id,
            "reason": row.reason,
            "confirmed": True,
            "requested_by": row.requested_by,
        }
        order = {name: value for name, value in order.items() if value is not None}
        if not await self._start("ReplaceToken", order, row.workflow_id):
            return None
        return self._repaired(what, "the old token is deactivated, so the new one is requested")

    # Stock and parties

    async def _serial(self) -> Finding | None:
        token = await self._read(lambda session: session.get(TokenRow, self._about))
        if token is None or token.state not in IN_THE_JOURNEYS_HANDS:
            return None
        if self._suspect.matter == "held by another":
            claimed = await self._read(
                lambda session: session.scalars(
                    select(JourneyRow.journey_id).where(JourneyRow.live, JourneyRow.serial_number == self._about)
                ).all()
            )
            if list(claimed) == [token.journey_id]:
                return None
            return self._person(
                f"the serial stands in the records of {', '.join(claimed)}, and the stock says that {token.journey_id or 'nobody'} "
                "holds it",
                "find out who has the device, and cancel or deactivate the other",
            )
        holder = token.journey_id
        row = await self._row(holder) if holder else None
        if row is not None and (row.live or await self._closed(holder) == "RUNNING"):
            return None
        what = f"the serial is {token.state}, and no live journey holds it"
        if token.state != TokenState.ASSIGNED or row is None or row.shipped_at is not None:
            return self._person(
                what, "find out where the device is; if it is here, start ReturnByMail with it, else report it lost"
            )
        if not self._may_touch:
            return self._left(what, "it would be put back into stock")
        await asyncio.to_thread(self._of._stock.release, row.journey_id)  # pyright: ignore[reportPrivateUsage]
        await self._note(row, f"token {self._about} put back into stock")
        return self._repaired(what, "put back into stock: it was never shipped")

    async def _at_vendor(self) -> Finding | None:
        row, matter = await self._row(), self._suspect.matter
        if row is None:
            return self._person(
                "the vendor has a token registered under this reference, and no journey has it",
                "ask the vendor whose it is, and have it revoked if nobody's",
            )
        closed = await self._closed()
        if matter == "still valid" and not row.live and closed != "RUNNING":
            what = f"the token is {row.status} here, and still valid at the vendor"
            return await self._at_parties(row, what, "revoked at the vendor and in the directory", self._revoke)
        if matter == "missing" and row.live and row.status not in (Status.REQUESTED, Status.PROCESSED):
            what = f"the token is {row.status} here, and the vendor does not know it"
            return await self._at_parties(row, what, "registered with the vendor again", self._register)
        if matter == "revoked" and row.live:
            return self._person(
                f"the vendor has revoked the token, which is {row.status} here",
                "ask the vendor why; if it stays revoked, replace the token (or cancel the request)",
            )
        return None

    async def _at_carrier(self) -> Finding | None:
        row, matter = await self._row(), self._suspect.matter
        if matter == "unknown":
            known = row is not None or await self._read(
                lambda session: session.scalars(select(ReturnRow).where(ReturnRow.return_id == self._about)).first()
            )
            if known:
                return None
            return self._person(
                "the carrier has sold a label for this reference, and neither a journey nor a return has it",
                "ask the carrier what it is for, and have it voided if for nothing",
            )
        if row is None:
            return None
        if matter == "unused" and not row.live and row.shipped_at is None and await self._closed() != "RUNNING":
            what = f"the request is {row.status} and nothing was shipped, and its label is still paid for"
            return await self._at_parties(
                row, what, "the label is voided", lambda: self._of._carrier.void(row.journey_id)
            )  # pyright: ignore[reportPrivateUsage]
        if matter == "voided" and row.live:
            return self._person(
                f"the carrier has the label as voided, and the token is {row.status} here",
                "ask the carrier where the parcel is; cancel the request if it never left",
            )
        return None

    def _register(self) -> None:
        self._of._vendor.provision(self._order)  # pyright: ignore[reportPrivateUsage]

    def _revoke(self) -> None:
        self._of._vendor.revoke(self._order)  # pyright: ignore[reportPrivateUsage]
        if self._enrolled:
            self._of._directory.revoke(self._about)  # pyright: ignore[reportPrivateUsage]

    async def _at_parties(self, row: JourneyRow, what: str, then: str, work: Callable[[], None]) -> Finding | None:
        if not self._may_touch:
            return self._left(what, f"it would be {then}")
        self._order = VendorOrder(
            journey_id=row.journey_id,
            kind=Kind(row.kind),
            serial_number=row.serial_number if row.kind == Kind.HARD else None,
        )
        self._enrolled = row.enrolled_at is not None
        await asyncio.to_thread(work)
        await self._note(row, then)
        return self._repaired(what, then)

    # What all lean on

    def _handle(self, workflow_id: str | None = None) -> Any:
        return self._of._client.get_workflow_handle(workflow_id or self._about)  # pyright: ignore[reportPrivateUsage]

    async def _closed(self, workflow_id: str | None = None) -> str | None:
        """Temporal's name for how the latest run stands; None: there is no such workflow."""
        try:
            status = (await self._handle(workflow_id).describe()).status
        except RPCError as fault:
            if fault.status is RPCStatusCode.NOT_FOUND:
                return None
            raise
        if status is WorkflowExecutionStatus.CONTINUED_AS_NEW:
            return "RUNNING"  # the next run is just being made
        return status.name

    async def _snapshot(self) -> dict[str, Any] | None:
        """What the workflow says of itself; None where it does not run any more."""
        if await self._closed() != "RUNNING":
            return None
        return await asyncio.wait_for(self._handle().query("status"), 10)

    async def _read(self, question: Callable[[Session], Any]) -> Any:
        def ask() -> Any:
            with self._of._sessions() as session:  # pyright: ignore[reportPrivateUsage]
                return question(session)

        return await asyncio.to_thread(ask)

    async def _write(self, work: Callable[[Session], Any]) -> Any:
        def write() -> Any:
            with self._of._sessions.begin() as session:  # pyright: ignore[reportPrivateUsage]
                return work(session)

        return await asyncio.to_thread(write)

    async def _row(self, journey_id: str | None = None) -> JourneyRow | None:
        return await self._read(lambda session: session.get(JourneyRow, journey_id or self._about))

    async def _note(self, row: JourneyRow, what: str) -> None:
        entry = Entry(number=0, at=self._at, what=f"Reconcile: {what}", by="Reconcile", status=row.status)
        await self._write(lambda session: audit.append_beside(session, row.journey_id, entry))

    async def _resumed(self, name: str, body: dict[str, Any], how: How, why: str, what: str) -> Finding | None:
        if not self._may_touch:
            return self._left(what, f"it would be {_DONE[how]}")
        ticket = await self._write(lambda session: resumptions.offer(session, self._about, how, why, self._at))
        if not await self._start(name, {**body, "resume": ticket}, self._about):
            return None
        return self._repaired(what, _DONE[how])

    async def _start(self, name: str, body: dict[str, Any], workflow_id: str) -> bool:
        """False: somebody has been quicker."""
        try:
            await self._of._client.start_workflow(  # pyright: ignore[reportPrivateUsage]
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

    def _repaired(self, what: str, then: str) -> Finding:
        return Finding(about=self._about, matter=self._matter, what=what, then=then, repaired=True)

    def _person(self, what: str, then: str) -> Finding:
        return Finding(about=self._about, matter=self._matter, what=what, then=then, repaired=False)

    def _left(self, what: str, then: str) -> Finding:
        return Finding(about=self._about, matter=self._matter, what=what, then=then, repaired=False, left=True)

    @property
    def _matter(self) -> str:
        return f"{self._suspect.look}: {self._suspect.matter}"


def _give_back(session: Session, journey_id: str) -> None:
    held = session.get(ReplacementRow, journey_id)
    if held is not None and held.finished_at is None:
        session.delete(held)
