"""Tokens' journeys: gone, unknown to the records, or other than the records have them."""

from typing import Any

from sqlalchemy import select
from temporalio.client import WorkflowQueryFailedError
from temporalio.service import RPCError

from activities.repairing.ended import brought_up, recalled
from activities.repairing.looking import WHY, Looking
from database.tables import JourneyRow
from domain.journey import SHIPPED
from domain.reconciling import Finding
from domain.resumption import How, how_to_go_on
from domain.status import ENDED, Kind, Status

_ORDER = list(Status)


class JourneyLook(Looking):
    """At one journey."""

    async def look(self) -> Finding | None:
        match self.suspect.matter:
            case "gone" | "unfinished":
                return await self._gone_journey()
            case "differs":
                return await self._differing()
            case _:
                return await self._unrecorded()

    async def _gone_journey(self) -> Finding | None:
        closed = await self.closed()
        row = await self.row()
        if closed == "RUNNING" or row is None:
            return None
        if not row.live and closed not in ("TERMINATED", "TIMED_OUT"):
            return None
        what = f"the journey is {row.status} in the records, and {WHY[closed]}"
        if closed == "COMPLETED":
            return await self._ended(what)
        status, shipped = Status(row.status), row.shipped_at is not None
        if last_words := await self._last_words(row):
            # Its device has left, which the records do not know: it goes on from there, and nothing is taken back.
            status, shipped = Status(last_words["status"]), True
            if self.may_touch and (then := await brought_up(self, self.about, last_words)):
                return self.person(what, then)
        how = how_to_go_on(status, Kind(row.kind), shipped, closed)
        return await self._resume_journey(row, how, WHY[closed], what)

    async def _last_words(self, row: JourneyRow) -> dict[str, Any] | None:
        """What the workflow said before it was stopped, where by that its device has left and the records do not know it: they were
        restored, or could not be written."""
        if row.kind == Kind.SOFT or row.shipped_at is not None or await self.closed_here() is None:
            return None
        try:
            said = await self.said()
        except (RPCError, WorkflowQueryFailedError, TimeoutError):
            return None
        return said if any(each["what"] == SHIPPED and each["met_at"] for each in said["promises"]) else None

    async def _ended(self, what: str) -> Finding:
        if not self.may_touch:
            return self.left(what, "it would be ended in the records, too")
        then = await recalled(self, self.about)
        return self.repaired(what, "ended in the records, too") if then is None else self.person(what, then)

    async def _resume_journey(self, row: JourneyRow, how: How, why: str, what: str) -> Finding | None:
        body = {"prescriber_id": row.prescriber_id, "kind": row.kind}
        return await self.resumed("TokenJourney", body, how, why, what)

    async def _differing(self) -> Finding | None:
        """Whoever is further on is right: the journey writes after it has moved, so that records which are ahead of it have
        seen what it has lost."""
        row, snapshot = await self.row(), await self.snapshot()
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
            return await self.write_again(what)
        if not self.may_touch:
            return self.left(what, "it would be taken up again from the records")
        how = How.RETIRE if here in ENDED else How.CARRY_ON
        why = f"its workflow was behind the records, which have it as {here}"
        await self.handle().terminate(f"Reconcile: {why}")
        return await self._resume_journey(row, how, why, what)

    async def _unrecorded(self) -> Finding | None:
        snapshot = await self.snapshot()
        if snapshot is None or not snapshot["timeline"] or await self.row() is not None:
            return None
        other = await self.read(
            lambda session: session.scalars(
                select(JourneyRow.journey_id).where(
                    JourneyRow.live,
                    JourneyRow.prescriber_id == snapshot["prescriber_id"],
                    JourneyRow.kind == snapshot["kind"],
                )
            ).first()
        )
        if other is not None and Status(snapshot["status"]) not in ENDED:
            return self.person(
                f"the journey is {snapshot['status']}, the records do not know it, and {other} is the same prescriber's live token "
                "of that kind",
                "decide which of the two stays, cancel or deactivate the other, and start Reconcile again",
            )
        return await self.write_again("the records do not know the journey")
