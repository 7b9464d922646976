"""Comparing database, Temporal, vendor and carrier: what may not be as it should. Nothing is changed here."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session
from temporalio import activity
from temporalio.client import Client
from temporalio.common import SearchAttributeKey

from activities.party import Party
from database.engine import Sessions
from database.tables import IncidentRow, JourneyRow, ReplacementRow, ReturnRow, TokenRow
from domain.incident import IncidentStatus
from domain.reconciling import Look, Suspect
from domain.status import ENDED, Kind, Status
from domain.token_state import IN_THE_JOURNEYS_HANDS, TokenState

MOST_SUSPECTS = 1000
"""Of one look in one run; the others are counted, and are the next run's."""

_PAGE = 1000
_PAUSE = 0.12
"""Seconds between two pages of Temporal's visibility, which takes about ten questions a second."""
_BEAT = 2.0
"""Seconds between heartbeats, each with how many were looked at."""
_TOKEN_STATUS = SearchAttributeKey.for_keyword("TokenStatus")
_AT_WORK = (Status.SHIPPED, Status.DELIVERED, Status.SYNCING, Status.ACTIVE)


class Survey(BaseModel):
    """`checked`: how many there were to look at; `more`: suspects beyond those that are named."""

    checked: int = 0
    suspects: list[Suspect] = []
    more: int = 0

    def suspect(self, look: Look, about: str, matter: str) -> None:
        if len(self.suspects) < MOST_SUSPECTS:
            self.suspects.append(Suspect(look=look, about=about, matter=matter))
        else:
            self.more += 1


class Comparison:
    """Given the database, Temporal, and the parties that list what they have."""

    def __init__(self, sessions: Sessions, client: Client, vendor: Party, carrier: Party) -> None:
        self._sessions = sessions
        self._client = client
        self._vendor = vendor
        self._carrier = carrier

    @activity.defn(name="reconcile.compare")
    async def compare(self, look: Look) -> Survey:
        """One look at all there is, in pages, with heartbeats. A suspect may come right a moment later: whoever repairs it
        looks again."""
        survey = Survey()
        beating = asyncio.create_task(_beat(survey))
        try:
            await self._look(survey, look)
        finally:
            beating.cancel()
        return survey

    async def _look(self, survey: Survey, look: Look) -> None:
        match look:
            case "journeys":
                opened = await self._workflows("TokenJourney", 'ExecutionStatus = "Running"')
                stopped = await self._workflows(
                    "TokenJourney", '(ExecutionStatus = "Terminated" OR ExecutionStatus = "TimedOut")'
                )
                await asyncio.to_thread(self._journeys, survey, opened, stopped.keys() - opened.keys())
            case "returns":
                opened = await self._workflows("ReturnByMail", 'ExecutionStatus = "Running"')
                rows = select(ReturnRow.return_id).where(ReturnRow.open).order_by(ReturnRow.return_id)
                await asyncio.to_thread(self._recorded, survey, look, ReturnRow.return_id, rows, opened.keys())
            case "incidents":
                opened = await self._workflows("SecurityIncident", 'ExecutionStatus = "Running"')
                rows = select(IncidentRow.incident_id).where(IncidentRow.status != IncidentStatus.CLOSED)
                await asyncio.to_thread(self._recorded, survey, look, IncidentRow.incident_id, rows, opened.keys())
            case "replacements":
                opened = await self._workflows("ReplaceToken", 'ExecutionStatus = "Running"')
                await asyncio.to_thread(self._replacements, survey, opened.keys())
            case "stock":
                await asyncio.to_thread(self._stock, survey)
            case "vendor":
                await self._at_vendor(survey)
            case "carrier":
                await self._at_carrier(survey)

    # What Temporal has

    async def _workflows(self, name: str, which: str) -> dict[str, str | None]:
        """Id to `TokenStatus`, of this system's workflows of a type; only those on this task queue."""
        query = f'WorkflowType = "{name}" AND TaskQueue = "{activity.info().task_queue}" AND {which}'
        found: dict[str, str | None] = {}
        listing = self._client.list_workflows(query, page_size=_PAGE)
        while True:
            await listing.fetch_next_page()
            for each in listing.current_page or ():
                found[each.id] = each.typed_search_attributes.get(_TOKEN_STATUS)
            if not listing.next_page_token:
                return found
            await asyncio.sleep(_PAUSE)

    # What the database has

    def _journeys(self, survey: Survey, opened: dict[str, str | None], stopped: Iterable[str]) -> None:
        live = set()
        columns = select(JourneyRow.journey_id, JourneyRow.status).where(JourneyRow.live)
        for journey_id, status in self._pages(columns, JourneyRow.journey_id):
            survey.checked += 1
            live.add(journey_id)
            if journey_id not in opened:
                survey.suspect("journeys", journey_id, "gone")
            elif opened[journey_id] != status:
                survey.suspect("journeys", journey_id, "differs")
        others = [journey_id for journey_id in opened if journey_id not in live]
        rows = self._of(others)
        for journey_id in others:
            if journey_id not in rows:
                survey.suspect("journeys", journey_id, "unrecorded")
            elif opened[journey_id] not in ENDED:
                survey.suspect("journeys", journey_id, "differs")
        stopped = [journey_id for journey_id in stopped if journey_id not in live]
        rows = self._of(stopped)
        for journey_id in stopped:
            if journey_id in rows:
                survey.suspect("journeys", journey_id, "unfinished")

    def _recorded(self, survey: Survey, look: Look, key: Any, open_rows: Select[Any], opened: Iterable[str]) -> None:
        """Rows that are open and workflows that run, of one kind, have to be the same."""
        with self._sessions() as session:
            known = set(session.scalars(open_rows))
        survey.checked = len(known)
        for workflow_id in sorted(known - set(opened)):
            survey.suspect(look, workflow_id, "gone")
        with self._sessions() as session:
            for some in _batches(sorted(set(opened) - known)):
                recorded = set(session.scalars(select(key).where(key.in_(some))))
                for workflow_id in some:
                    if workflow_id not in recorded:
                        survey.suspect(look, workflow_id, "unrecorded")

    def _replacements(self, survey: Survey, opened: Iterable[str]) -> None:
        running = set(opened)
        with self._sessions() as session:
            rows = session.execute(
                select(ReplacementRow.journey_id, ReplacementRow.workflow_id).where(
                    ReplacementRow.finished_at.is_(None)
                )
            ).all()
        survey.checked = len(rows)
        for journey_id, workflow_id in rows:
            if workflow_id not in running:
                survey.suspect("replacements", journey_id, "gone")

    def _stock(self, survey: Survey) -> None:
        """Each serial that a journey holds, and each journey that holds one."""
        held = (
            select(TokenRow.serial_number, JourneyRow.live)
            .outerjoin(JourneyRow, JourneyRow.journey_id == TokenRow.journey_id)
            .where(TokenRow.kind == Kind.HARD, TokenRow.state.in_(IN_THE_JOURNEYS_HANDS))
        )
        for serial, live in self._pages(held, TokenRow.serial_number):
            survey.checked += 1
            if not live:
                survey.suspect("stock", serial, "held by nobody")
        claimed = (
            select(JourneyRow.serial_number)
            .join(TokenRow, TokenRow.serial_number == JourneyRow.serial_number)
            .where(JourneyRow.live, or_(TokenRow.journey_id != JourneyRow.journey_id, TokenRow.journey_id.is_(None)))
        )
        # From the stock's side, which an index knows: a device that has left is not there.
        has_left = (
            select(TokenRow.serial_number)
            .join(JourneyRow, JourneyRow.serial_number == TokenRow.serial_number)
            .where(
                TokenRow.kind == Kind.HARD, TokenRow.state == TokenState.IN_STOCK, JourneyRow.shipped_at.is_not(None)
            )
        )
        with self._sessions() as session:
            found = {
                str(serial) for query in (claimed, has_left) for serial in session.scalars(query.limit(MOST_SUSPECTS))
            }
        for serial in sorted(found):
            survey.suspect("stock", serial, "held by another")

    def _pages(self, query: Any, key: Any) -> Iterator[tuple[Any, ...]]:
        """The rows by their key, a page in a transaction, so that nobody waits for it."""
        after = ""
        while True:
            with self._sessions() as session:
                rows = session.execute(query.where(key > after).order_by(key).limit(_PAGE)).all()
            for row in rows:
                yield tuple(row)
            if len(rows) < _PAGE:
                return
            after = rows[-1][0]

    def _of(self, journey_ids: Iterable[str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for some in _batches(list(journey_ids)):
            with self._sessions() as session:
                found |= _rows(session, some)
        return found

    # What the parties have

    async def _at_vendor(self, survey: Survey) -> None:
        registered = set()
        async for page in _listed(self._vendor, "/v1/tokens", "tokens"):
            survey.checked += len(page)
            rows = await asyncio.to_thread(self._of, [each["reference"] for each in page])
            for each in page:
                reference, row = each["reference"], rows.get(each["reference"])
                registered.add(reference)
                if each["state"] == "provisioned" and row is None:
                    survey.suspect("vendor", reference, "unknown")
                elif each["state"] == "provisioned" and row is not None and not row.live:
                    survey.suspect("vendor", reference, "still valid")
                elif each["state"] == "revoked" and row is not None and row.live:
                    survey.suspect("vendor", reference, "revoked")
        await asyncio.to_thread(self._missing, survey, registered)

    def _missing(self, survey: Survey, registered: set[str]) -> None:
        at_work = select(JourneyRow.journey_id).where(JourneyRow.live, JourneyRow.status.in_(_AT_WORK))
        for (journey_id,) in self._pages(at_work, JourneyRow.journey_id):
            if journey_id not in registered:
                survey.suspect("vendor", journey_id, "missing")

    async def _at_carrier(self, survey: Survey) -> None:
        async for page in _listed(self._carrier, "/v1/labels", "labels"):
            survey.checked += len(page)
            outward = [each["reference"] for each in page if each.get("service") != "return"]
            back = [each["reference"] for each in page if each.get("service") == "return"]
            rows, returns = await asyncio.to_thread(lambda o=outward, b=back: (self._of(o), self._returns(b)))
            for each in page:
                reference = each["reference"]
                row = rows.get(reference)
                if row is None and each["state"] == "bought" and reference not in returns:
                    survey.suspect("carrier", reference, "unknown")
                elif row is not None and each["state"] == "bought" and not row.live and row.shipped_at is None:
                    survey.suspect("carrier", reference, "unused")
                elif row is not None and each["state"] == "voided" and row.live:
                    survey.suspect("carrier", reference, "voided")

    def _returns(self, return_ids: list[str]) -> set[str]:
        with self._sessions() as session:
            return {
                each
                for some in _batches(return_ids)
                for each in session.scalars(select(ReturnRow.return_id).where(ReturnRow.return_id.in_(some)))
            }


async def _listed(party: Party, path: str, named: str) -> AsyncIterator[list[dict[str, Any]]]:
    cursor = "0"
    while cursor is not None:
        answer = await asyncio.to_thread(party.ask, "GET", f"{path}?after={cursor}&limit={_PAGE}")
        yield answer[named]
        cursor = answer["next"]


async def _beat(survey: Survey) -> None:
    while True:
        activity.heartbeat(survey.checked)
        await asyncio.sleep(_BEAT)


def _rows(session: Session, journey_ids: list[str]) -> dict[str, Any]:
    columns = (JourneyRow.journey_id, JourneyRow.live, JourneyRow.shipped_at)
    rows = session.execute(select(*columns).where(JourneyRow.journey_id.in_(journey_ids)))
    return {str(row.journey_id): row for row in rows.all()}


def _batches(ids: list[str], size: int = 500) -> Iterator[list[str]]:
    for place in range(0, len(ids), size):
        yield ids[place : place + size]
