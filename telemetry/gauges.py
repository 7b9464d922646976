"""What stands in the database, counted whenever Prometheus asks: how long requests wait, what is open, what needs a person.

Every process that is asked counts the same rows, so that a figure is still there when the workers are not: take the maximum
over the processes, not the sum.
"""

import time
from collections.abc import Iterable
from datetime import UTC, datetime

import structlog
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import func, select, true
from sqlalchemy.exc import SQLAlchemyError

from database.engine import Sessions
from database.tables import JourneyRow, TokenRow
from domain.status import Kind, Status
from domain.token_state import TokenState

_FRESH = 5.0
"""Seconds for which a count is shown again: several Prometheus servers cost no more than one."""
log = structlog.get_logger(__name__)


class Gauges(Collector):
    """Given the database. Registered with `REGISTRY.register`; unregister it before the engine is disposed of."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._counted: list[GaugeMetricFamily] = []
        self._counted_at = float("-inf")

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return _families().values()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        if time.monotonic() - self._counted_at > _FRESH:
            try:
                self._counted = self._count()
            except SQLAlchemyError as fault:
                log.warning("the database can't be counted", exc_info=fault)
                return []  # no figure is better than an old one
            self._counted_at = time.monotonic()
        return self._counted

    def _count(self) -> list[GaugeMetricFamily]:
        families, now = _families(), datetime.now(UTC)
        live = select(JourneyRow.kind, JourneyRow.status, func.count(), func.min(JourneyRow.requested_at)).where(
            JourneyRow.live == true()
        )
        stocked = (
            select(TokenRow.kind, func.count()).where(TokenRow.state == TokenState.IN_STOCK).group_by(TokenRow.kind)
        )
        attention = (
            select(JourneyRow.kind, func.count())
            .where(JourneyRow.live == true(), JourneyRow.needs_attention.is_not(None))
            .group_by(JourneyRow.kind)
        )
        with self._sessions() as session:
            journeys = session.execute(live.group_by(JourneyRow.kind, JourneyRow.status)).all()
            stock = {kind: count for kind, count in session.execute(stocked)}  # noqa: C416  # rows are no pairs to dict
            troubled = {kind: count for kind, count in session.execute(attention)}  # noqa: C416
        oldest = {kind: since for kind, status, _, since in journeys if status == Status.REQUESTED}
        for kind, status, count, _ in journeys:
            families["journeys"].add_metric([kind, status], count)
        for kind in map(str, Kind):
            waited = (now - oldest[kind]).total_seconds() if kind in oldest else 0
            families["age"].add_metric([kind], max(waited, 0))
            families["attention"].add_metric([kind], troubled.get(kind, 0))
        families["stock"].add_metric([Kind.HARD], stock.get(Kind.HARD, 0))
        return list(families.values())


def _families() -> dict[str, GaugeMetricFamily]:
    return {
        "age": GaugeMetricFamily(
            "tokens_queue_age_seconds", "Age of the oldest request not processed", labels=["kind"]
        ),
        "journeys": GaugeMetricFamily("tokens_journeys", "Journeys that have not ended", labels=["kind", "status"]),
        "attention": GaugeMetricFamily("tokens_needing_attention", "Journeys that need a person", labels=["kind"]),
        "stock": GaugeMetricFamily("tokens_in_stock", "Hard tokens that can be given out", labels=["kind"]),
    }
