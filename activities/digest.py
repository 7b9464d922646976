"""What the team should know of once a day, from the database. Ids, kinds and times; no name, email or address."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session
from temporalio import activity

from database.engine import Sessions
from database.tables import FindingRow, IncidentRow, JourneyRow, ReturnRow, TokenRow
from domain.incident import IncidentStatus
from domain.policy import Policy
from domain.status import Kind, Status
from domain.token_state import TokenState
from domain.wording import by_when, day

_NAMED = 10
"""Of each section; the others are counted."""


class Section(BaseModel):
    """One heading of the digest: how many there are, and the first of them."""

    title: str
    number: int
    lines: list[str]
    more: int = 0


class Digested(BaseModel):
    """`day`: the team's, ISO 8601."""

    day: str
    sections: list[Section]


class Digest:
    """Given the database, and the policy with the team's zone and figures."""

    def __init__(self, sessions: Sessions, policy: Policy) -> None:
        self._sessions = sessions
        self._policy = policy

    @activity.defn(name="digest.gather")
    def gather(self, at: datetime) -> Digested:
        """What waits at that moment (UTC), the most urgent section first; empty ones are left out."""
        zone = ZoneInfo(self._policy.carrier_time_zone)

        def since(when: datetime) -> str:
            days = max((at.astimezone(zone).date() - when.astimezone(zone).date()).days, 0)
            return "since today" if days == 0 else "since yesterday" if days == 1 else f"for {days} days"

        with self._sessions() as session:
            of_journeys = select(JourneyRow).where(JourneyRow.live)
            sections = [
                _section(
                    session,
                    "Losses to report",
                    select(IncidentRow).where(IncidentRow.status != IncidentStatus.CLOSED).order_by(IncidentRow.due_at),
                    lambda row: (
                        f"{row.incident_id}: {row.reason}, {'overdue, was due' if row.due_at < at else 'due'} on "
                        f"{day(date.fromisoformat(row.due_day), zone)}"
                    ),
                ),
                _section(
                    session,
                    "Needs attention",
                    of_journeys.where(JourneyRow.needs_attention.is_not(None)).order_by(JourneyRow.requested_at),
                    lambda row: f"{row.journey_id}: {row.needs_attention}",
                ),
                _section(
                    session,
                    "Overdue",
                    of_journeys.where(JourneyRow.action_due_by < at).order_by(JourneyRow.action_due_by),
                    lambda row: f"{row.journey_id}: {row.status}, was due by {by_when(row.action_due_by, zone)}",
                ),
                _section(
                    session,
                    "Waiting to be processed",
                    of_journeys.where(JourneyRow.status == Status.REQUESTED).order_by(JourneyRow.requested_at),
                    lambda row: f"{row.journey_id}: {row.kind} token, {since(row.requested_at)}",
                ),
                _section(
                    session,
                    "Coming back by mail",
                    select(ReturnRow).where(ReturnRow.open).order_by(ReturnRow.return_by),
                    lambda row: (
                        f"{row.serial_number}: {row.status.lower()}, to be here by {row.return_by.astimezone(zone):%d %B}"
                    ),
                ),
                self._stock(session),
                _section(
                    session,
                    "Reconcile left for a person",
                    select(FindingRow).where(FindingRow.repaired.is_(False)).order_by(FindingRow.first_found_at),
                    lambda row: f"{row.about}: {row.what}. {row.then[:1].upper()}{row.then[1:]}",
                ),
            ]
        return Digested(
            day=at.astimezone(zone).date().isoformat(), sections=[section for section in sections if section.number]
        )

    def _stock(self, session: Session) -> Section:
        left = (
            session.scalar(
                select(func.count()).where(TokenRow.kind == Kind.HARD, TokenRow.state == TokenState.IN_STOCK)
            )
            or 0
        )
        low = left <= self._policy.low_stock_tokens
        return Section(title="Low stock", number=1 if low else 0, lines=[f"{left} hard tokens left"] if low else [])


def _section(session: Session, title: str, query: Select[Any], line: Callable[[Any], str]) -> Section:
    number = session.scalar(select(func.count()).select_from(query.order_by(None).subquery())) or 0
    lines = [line(row) for row in session.scalars(query.limit(_NAMED))]
    return Section(title=title, number=number, lines=lines, more=number - len(lines))
