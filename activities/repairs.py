"""Repairing what `Reconcile` suspects: each looked at again first, then done where that is safe, else told to a person."""

from datetime import datetime

from pydantic import BaseModel
from sqlalchemy import update
from temporalio import activity
from temporalio.client import Client

from activities.carrier import Carrier
from activities.directory import Directory
from activities.records import Records
from activities.repairing.endings import EndingLook
from activities.repairing.journeys import JourneyLook
from activities.repairing.looking import Looking, Tools
from activities.repairing.parties import PartyLook
from activities.stock import Stock
from activities.vendor import Vendor
from database.engine import Sessions
from database.tables import FindingRow
from domain.policy import Policy
from domain.reconciling import Finding, Look, Suspect

_LOOKS: dict[Look, type[Looking]] = {
    "journeys": JourneyLook,
    "returns": EndingLook,
    "incidents": EndingLook,
    "replacements": EndingLook,
    "stock": PartyLook,
    "vendor": PartyLook,
    "carrier": PartyLook,
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
        self._tools = Tools(sessions, client, *parties, stock, Records(sessions, policy))
        self._policy = policy

    @activity.defn(name="reconcile.limit")
    def limit(self, _nothing: None) -> int:
        """How many repairs a run makes that was given no limit."""
        return self._policy.reconcile_limit

    @activity.defn(name="reconcile.repair")
    async def repair(self, repair: Repair) -> Finding | None:
        """What was wrong and what became of it; None where nothing is wrong (any more). Done twice it is done once."""
        look = _LOOKS[repair.suspect.look]
        return await look(self._tools, repair.suspect, may_touch=repair.may_touch).look()

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
