"""The report's figures, each counted by the database itself, so that it stays quick with many journeys."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from database.tables import IncidentRow, JourneyRow, PromiseRow, ReturnRow, TokenRow
from database.times import hour_of, seconds_of
from domain.incident import IncidentStatus
from domain.policy import Policy
from domain.report import STAGES, Batch, Day, Kept, Pace, Period, Report, Standing
from domain.status import Kind, Status
from domain.token_state import TokenState


def report(session: Session, period: Period, policy: Policy, at: datetime) -> Report:
    """All of it; `at` is now (UTC). Days are counted in the period's zone."""
    incidents = dict(
        session.execute(
            select(IncidentRow.status, func.count())
            .where(IncidentRow.status != IncidentStatus.CLOSED)
            .group_by(IncidentRow.status)
        ).all()
    )
    return Report(
        at=at,
        period=period,
        days=_days(session, period),
        paces=_paces(session, period),
        promises=_promises(session, period, at),
        stock=_stock(session, policy),
        standing=_standing(session, at),
        returns=session.scalar(select(func.count()).select_from(ReturnRow).where(ReturnRow.open)) or 0,
        incidents=sum(incidents.values()),
        incidents_overdue=incidents.get(IncidentStatus.OVERDUE, 0),
    )


def _days(session: Session, period: Period) -> list[Day]:
    requested = _per_day(session, period, JourneyRow.requested_at)
    activated = _per_day(session, period, JourneyRow.active_at)
    return [
        Day(
            day=day,
            hard=requested[day, Kind.HARD],
            soft=requested[day, Kind.SOFT],
            activated=activated[day, Kind.HARD] + activated[day, Kind.SOFT],
        )
        for day in period.days
    ]


def _per_day(session: Session, period: Period, column: InstrumentedAttribute[Any]) -> Counter[tuple[date, str]]:
    """Counted by the hour, and the hours gathered into days here: SQLite knows no time zones."""
    hour = hour_of(column).label("hour")
    zone = ZoneInfo(period.zone)
    counts: Counter[tuple[date, str]] = Counter()
    query = select(hour, JourneyRow.kind, func.count()).where(_within(column, period)).group_by("hour", JourneyRow.kind)
    for text, kind, number in session.execute(query):
        local = datetime.strptime(text, "%Y-%m-%dT%H").replace(tzinfo=UTC).astimezone(zone)
        counts[local.date(), kind] += number
    return counts


def _within(column: Any, period: Period) -> ColumnElement[bool]:
    return and_(column >= period.begins, column < period.ends)


def _paces(session: Session, period: Period) -> list[Pace]:
    """Of the tokens that became active in the period: so the stages are those of the same tokens, and only what really
    happened is shown."""
    moments = sorted({name for stages in STAGES.values() for _, *ends in stages for name in ends})
    query = select(JourneyRow.kind, *(seconds_of(getattr(JourneyRow, name)).label(name) for name in moments)).where(
        _within(JourneyRow.active_at, period)
    )
    ends = {
        kind: [(moments.index(since), moments.index(until)) for _, since, until in stages]
        for kind, stages in STAGES.items()
    }
    spans: dict[Kind, list[list[float]]] = {kind: [[] for _ in stages] for kind, stages in STAGES.items()}
    for name, *at in session.execute(query):
        kind = Kind(name)
        for (since, until), found in zip(ends[kind], spans[kind], strict=True):
            if at[since] is not None and at[until] is not None:
                found.append(at[until] - at[since])
    return [
        Pace(kind=kind, stage=stage, tokens=len(found), median=_rank(found, 50), p90=_rank(found, 90))
        for kind, stages in STAGES.items()
        for (stage, _, _), found in zip(stages, spans[kind], strict=True)
        if found
    ]


def _rank(spans: list[float], percent: int) -> float:
    """The percentile by nearest rank: a span that some token really took."""
    spans.sort()
    return spans[-(-len(spans) * percent // 100) - 1]


def _promises(session: Session, period: Period, at: datetime) -> list[Kept]:
    row = PromiseRow
    unmet = row.met_at.is_(None)
    # Never unknown, so that it can be turned round: a comparison with nothing would be.
    broken = or_(
        row.broken.is_not(None),
        and_(row.met_at.is_not(None), row.met_at > row.due),
        and_(unmet, row.ended_at.is_not(None), row.ended_at > row.due),
        and_(unmet, row.ended_at.is_(None), row.due < at),
    )
    kept, dropped = and_(~unmet, ~broken), and_(unmet, ~broken, row.ended_at.is_not(None))
    query = (
        select(
            row.what,
            func.max(row.number),
            func.count(),
            *(func.count(case((how, 1))) for how in (kept, broken, dropped)),
        )
        .where(_within(row.due, period))
        .group_by(row.what)
    )
    # In the order in which a journey promises them.
    rows: Sequence[Any] = session.execute(query).all()
    found = sorted(rows, key=lambda each: (each[1], each[0]))
    return [
        Kept(what=what, kept=kept, broken=broken, dropped=dropped, open=all_ - kept - broken - dropped)
        for what, _, all_, kept, broken, dropped in found
    ]


def _stock(session: Session, policy: Policy) -> list[Batch]:
    query = (
        select(TokenRow.batch, TokenRow.state, func.count())
        .where(TokenRow.kind == Kind.HARD)
        .group_by(TokenRow.batch, TokenRow.state)
        .order_by(TokenRow.batch)
    )
    states: dict[str, Counter[str]] = {}
    for batch, state, number in session.execute(query):
        states.setdefault(batch, Counter())[state] = number
    left = sum(batch[TokenState.IN_STOCK] for batch in states.values())
    return [
        Batch(batch=batch, states=counts, low=_low(counts[TokenState.IN_STOCK], left, policy))
        for batch, counts in states.items()
    ]


def _low(of_batch: int, of_all: int, policy: Policy) -> bool:
    """A batch that is used up is no news; one that is about to be is."""
    return 0 < of_batch <= policy.low_stock_tokens_of_batch or of_all <= policy.low_stock_tokens


def _standing(session: Session, at: datetime) -> list[Standing]:
    query: Any = (
        select(
            JourneyRow.status,
            JourneyRow.kind,
            func.count(),
            func.count(JourneyRow.needs_attention),
            func.count(case((JourneyRow.action_due_by < at, 1))),
            func.min(JourneyRow.requested_at),
        )
        .where(JourneyRow.live)
        .group_by(JourneyRow.status, JourneyRow.kind)
    )
    names = ("status", "kind", "journeys", "need_attention", "overdue", "oldest")
    rows: Sequence[Standing] = [Standing(**dict(zip(names, found, strict=True))) for found in session.execute(query)]
    order = list(Status)
    return sorted(rows, key=lambda row: (order.index(row.status), row.kind))
