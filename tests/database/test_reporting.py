"""The report's figures against a week that was counted by hand, on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from database import migrate
from database.engine import engine_of, sessions_of
from database.reporting import report
from domain.policy import Policy
from domain.report import Report, in_words
from tests import postgresql
from tests.reported import NOW, WEEK, the_week, utc


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'tokens.db'}"
        return
    with postgresql.server() as url:
        yield url


@pytest.fixture
def found(url: str) -> Iterator[Report]:
    migrate.upgrade(url)
    engine = engine_of(url)
    with sessions_of(engine)() as session:
        the_week(session)
        session.flush()
        yield report(session, WEEK, Policy(), NOW)
    engine.dispose()


def test_a_week(found: Report) -> None:
    # Days of New York; the last request of Sunday is Monday's in UTC, the first of the next week is left out.
    assert [(day.day.day, day.hard, day.soft, day.activated) for day in found.days] == [
        (2, 2, 0, 0),
        (3, 1, 0, 0),
        (4, 2, 0, 2),  # one at a quarter to midnight
        (5, 0, 2, 1),
        (6, 1, 1, 3),
        (7, 0, 0, 0),
        (8, 0, 1, 0),
    ]
    paces = {(pace.kind.value, pace.stage): (pace.tokens, pace.median, pace.p90) for pace in found.paces}
    hours = {key: (tokens, round(m / 3600, 3), round(p / 3600, 3)) for key, (tokens, m, p) in paces.items()}
    assert hours == {
        # 1, 2, 3, 10: half took no longer than the second, nine of ten no longer than the fourth
        ("hard", "request to processed"): (4, 2, 10),
        ("hard", "processed to shipped"): (4, 1, 3),
        ("hard", "shipped to delivered"): (3, 30, 48),
        ("hard", "delivered to enrolled"): (3, 3, 20),
        ("hard", "enrolled to active"): (4, 0.25, 1),
        ("hard", "request to active"): (4, 48.25, 64),  # 44.1, 48.25, 54.5, 64
        ("soft", "request to processed"): (2, 1, 2),
        ("soft", "processed to enrolled"): (2, 4, 30),
        ("soft", "enrolled to active"): (2, 0.2, 0.4),
        ("soft", "request to active"): (2, 5.2, 32.4),
    }
    assert [(each.what, each.kept, each.broken, each.open, each.dropped, each.share) for each in found.promises] == [
        ("processed in time", 2, 2, 1, 1, 0.5),
        ("activation email sent", 1, 3, 0, 0, 0.25),
    ]
    assert [(batch.batch, batch.states, batch.low) for batch in found.stock] == [
        ("A", {"in_stock": 3, "active": 4, "coming_back": 1}, True),
        ("B", {"in_stock": 20, "assigned": 2}, False),
        ("C", {"written_off": 1}, False),
    ]
    assert [
        (row.status.value, row.kind.value, row.journeys, row.need_attention, row.overdue, row.oldest)
        for row in found.standing
    ] == [
        ("Requested", "hard", 2, 1, 1, utc(6)),
        ("Requested", "soft", 1, 0, 0, utc(9, 3, 30)),
        ("Shipped", "hard", 1, 0, 0, utc(4)),
        ("Active", "hard", 4, 0, 0, utc(2)),
        ("Active", "soft", 3, 0, 0, found.standing[-1].oldest),
    ]
    assert (found.returns, found.incidents, found.incidents_overdue) == (2, 2, 1)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (29, "29 s"), (45, "1 min"), (3599, "1 h"), (7800, "2 h 10 min"), (86400, "1 d"), (273600, "3 d 4 h")],
)
def test_spans_in_words(seconds: float, said: str) -> None:
    assert in_words(seconds) == said
