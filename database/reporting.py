"""The report's figures, each counted by the database itself, so that it stays quick with many journeys."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, case, func, literal, or_, select, union_all
from sqlalchemy.orm import InstrumentedAttribute, Session

from database.tables import IncidentRow, JourneyRow, PromiseRow, ReturnRow, TokenRow
from database.times import hour_of, seconds_between
from domain.incident import IncidentStatus
from domain.policy import Policy
from domain.report import STAGES, Batch, Day, Kept, Pace, Period, Report, Standing
from domain.status import Kind, Status
from domain.token_state import TokenState

_ALL_STAGES = [(kind, *stage) for kind, stages in STAGES.items() for stage in stages]


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
    """Median and 90th percentile by nearest rank, of the tokens that became active in the period: so the stages are those of
    the same tokens, and only what really happened is shown."""
    spans = union_all(
        *(
            select(
                literal(number).label("stage"),
                seconds_between(getattr(JourneyRow, since), getattr(JourneyRow, until)).label("span"),
            ).where(
                JourneyRow.kind == kind,
                _within(JourneyRow.active_at, period),
                getattr(JourneyRow, since).is_not(None),
                getattr(JourneyRow, until).is_not(None),
            )
            for number, (kind, _, since, until) in enumerate(_ALL_STAGES)
        )
    ).subquery()
    ranked = select(
        spans.c.stage,
        spans.c.span,
        func.row_number().over(partition_by=spans.c.stage, order_by=spans.c.span).label("rank"),
        func.count().over(partition_by=spans.c.stage).label("tokens"),
    ).subquery()
    query = (
        select(
            ranked.c.stage,
            ranked.c.tokens,
            func.min(case((ranked.c.rank * 2 >= ranked.c.tokens, ranked.c.span))),
            func.min(case((ranked.c.rank * 10 >= ranked.c.tokens * 9, ranked.c.span))),
        )
        .group_by(ranked.c.stage, ranked.c.tokens)
        .order_by(ranked.c.stage)
    )
    return [
        Pace(kind=_ALL_STAGES[number][0], stage=_ALL_STAGES[number][1], tokens=tokens, median=median, p90=p90)
        for number, tokens, median, p90 in session.execute(query)
    ]


def _promises(session: Session, period: Period, at: datetime) -> list[Kept]:
    row = PromiseRow
    unmet = row.met_at.is_(None)
    broken = or_(
        row.broken.is_not(None),
        row.met_at > row.due,
        and_(unmet, row.ended_at > row.due),
        and_(unmet, row.ended_at.is_(None), row.due < at),
    )
    became = case((broken, "broken"), (~unmet, "kept"), (row.ended_at.is_not(None), "dropped"), else_="open")
    query = (
        select(row.what, became.label("became"), func.count(), func.max(row.number))
        .where(_within(row.due, period))
        .group_by(row.what, "became")
    )
    counts: dict[str, Counter[str]] = {}
    place: Counter[str] = Counter()
    for what, how, number, last in session.execute(query):
        counts.setdefault(what, Counter())[how] = number
        place[what] = max(place[what], last)
    return [
        Kept(what=what, **{how: counts[what][how] for how in ("kept", "broken", "open", "dropped")})
        for what in sorted(counts, key=lambda what: (place[what], what))
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
