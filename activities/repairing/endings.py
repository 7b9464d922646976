"""Returns, incidents and replacements: gone, or unknown to the records."""

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from activities.repairing.ended import recalled
from activities.repairing.looking import WHY, Looking
from database import promises
from database.tables import IncidentRow, ReplacementRow, ReturnRow
from domain.chronicle import Promise
from domain.incident import IncidentStatus
from domain.reconciling import Finding
from domain.resumption import How
from domain.returning import ReturnStatus, receipt

_ENDED_AS = {ReturnStatus.RECEIVED: How.RECEIVED, ReturnStatus.WRITTEN_OFF: How.WRITTEN_OFF}


class EndingLook(Looking):
    """At one workflow that a journey's end has started."""

    async def look(self) -> Finding | None:
        match self.suspect.look, self.suspect.matter:
            case "returns", "gone":
                return await self._gone_return()
            case "incidents", "gone":
                return await self._gone_incident()
            case "replacements", _:
                return await self._gone_replacement()
            case _:
                return await self._unrecorded()

    async def _unrecorded(self) -> Finding | None:
        """With it the journey may be lost that has started it and ended."""
        snapshot = await self.snapshot()
        if snapshot is None:
            return None
        finding = await self.write_again("its records are missing")
        if self.may_touch and await self.row(snapshot["journey_id"]) is None:
            await recalled(self, snapshot["journey_id"])
        return finding

    async def _gone_return(self) -> Finding | None:
        closed = await self.closed()
        row = await self.read(
            lambda session: session.scalars(
                select(ReturnRow).where(ReturnRow.return_id == self.about, ReturnRow.open)
            ).first()
        )
        if closed == "RUNNING" or row is None:
            return None
        what = f"token {row.serial_number} is awaited in the records, and {WHY[closed]}"
        body = {"journey_id": row.journey_id, "serial_number": row.serial_number}
        if closed != "COMPLETED":
            return await self.resumed("ReturnByMail", body, How.CARRY_ON, WHY[closed], what)
        said = await self.said()
        if came := receipt(said["timeline"]):
            body |= {"received_by": came.by, "condition": came.condition}
        given = {name: value for name, value in body.items() if value is not None}
        return await self.resumed("ReturnByMail", given, _ENDED_AS[said["status"]], WHY[closed], what)

    async def _gone_incident(self) -> Finding | None:
        closed = await self.closed()
        row = await self.read(lambda session: session.get(IncidentRow, self.about))
        if closed == "RUNNING" or row is None or row.status == IncidentStatus.CLOSED:
            return None
        what = f"the loss is not reported in the records, and {WHY[closed]}"
        if closed == "COMPLETED":
            return await self._closed_incident(what)
        body = {"journey_id": row.journey_id, "reason": row.reason}
        return await self.resumed("SecurityIncident", body, How.CARRY_ON, WHY[closed], what)

    async def _closed_incident(self, what: str) -> Finding:
        if not self.may_touch:
            return self.left(what, "it would be closed in the records, too")
        said = await self.said()
        await self.write(lambda session: _close(session, self.about, said))
        await self.append(said["journey_id"], f"its incident was closed by {said['closed_by']} before", said["status"])
        return self.repaired(what, "closed in the records, too")

    async def _gone_replacement(self) -> Finding | None:
        row = await self.read(lambda session: session.get(ReplacementRow, self.about))
        if row is None or row.finished_at is not None:
            return None
        closed, old = await self.closed(row.workflow_id), await self.row()
        if closed == "RUNNING" or old is None:
            return None
        what = f"the replacement of the token stands half-way, and {WHY[closed]}"
        if await self.row(row.successor_id) is not None:
            if not self.may_touch:
                return self.left(what, "it would be finished in the records, too")
            await self.write(lambda session: _finish(session, self.about, self.at))
            return self.repaired(what, "finished in the records, too: the new token is requested")
        if old.live:
            if not self.may_touch:
                return self.left(what, "the prescriber's place would be given back")
            await self.write(lambda session: _give_back(session, self.about))
            return self.repaired(what, "the old token was not touched yet, so the prescriber's place is given back")
        if not self.may_touch:
            return self.left(what, "the new token would be requested")
        order = {
            "journey_id": row.journey_id,
            "reason": row.reason,
            "confirmed": True,
            "requested_by": row.requested_by,
        }
        order = {name: value for name, value in order.items() if value is not None}
        if not await self.start("ReplaceToken", order, row.workflow_id):
            return None
        return self.repaired(what, "the old token is deactivated, so the new one is requested")


def _close(session: Session, incident_id: str, said: dict[str, Any]) -> None:
    row = session.get_one(IncidentRow, incident_id)
    row.status, row.closed_by, row.closed_at = (
        IncidentStatus.CLOSED,
        said["closed_by"],
        datetime.fromisoformat(said["closed_at"]),
    )
    met = [Promise.model_validate(each) for each in said["promises"]]
    promises.store(session, row.first_run_id, row.journey_id, met, row.closed_at)


def _finish(session: Session, journey_id: str, at: datetime) -> None:
    row = session.get_one(ReplacementRow, journey_id)
    row.finished_at = at
    row.email = row.shipping_address = None


def _give_back(session: Session, journey_id: str) -> None:
    held = session.get(ReplacementRow, journey_id)
    if held is not None and held.finished_at is None:
        session.delete(held)
