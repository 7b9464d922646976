"""Stock under many hands at once, on both databases: the numbers add up, and no serial has two holders."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, event, select, update
from temporalio.exceptions import ApplicationError

from activities.stock import Allocation, Stock, Taken
from database import migrate
from database.engine import Sessions, engine_of, sessions_of
from database.tables import JourneyRow, StockAlert, TokenRow
from domain.policy import Policy
from starter import sample_data
from tests import postgresql
from tests.stage import Theatre, seal_of

SERIALS = 8
HANDS = 4
AT = datetime(2037, 3, 3, 15, 0, tzinfo=UTC)
POLICY = Policy(low_stock_tokens=3, low_stock_tokens_of_batch=1)

needs_postgresql = [
    pytest.mark.slow,
    pytest.mark.skipif(postgresql.programs() is None, reason="no PostgreSQL server is installed"),
]


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=needs_postgresql)])
def sessions(
    request: pytest.FixtureRequest, theatre: Theatre, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sessions]:
    def opened(url: str) -> Iterator[Sessions]:
        migrate.upgrade(url)
        engine = engine_of(url)
        sample_data.load(sessions_of(engine), seal_of(theatre.settings))
        yield sessions_of(engine)
        engine.dispose()

    folder: Path = tmp_path_factory.mktemp("stock")
    if request.param == "sqlite":
        yield from opened(f"sqlite:///{folder / 'tokens.db'}")
    else:
        with postgresql.server() as url:
            yield from opened(url)


@pytest.fixture
def stock(sessions: Sessions) -> Stock:
    return fresh(sessions)


def fresh(sessions: Sessions) -> Stock:
    """Two batches of four, all in stock, and nobody told."""
    with sessions.begin() as session:
        serials = session.scalars(select(TokenRow.serial_number).order_by(TokenRow.serial_number)).all()
        session.execute(delete(TokenRow).where(TokenRow.serial_number.in_(serials[SERIALS:])))
        for number, serial in enumerate(serials[:SERIALS]):
            session.execute(
                update(TokenRow)
                .where(TokenRow.serial_number == serial)
                .values(
                    state="in_stock",
                    journey_id=None,
                    batch="older" if number < SERIALS // 2 else "newer",
                    taken_in_at=AT - timedelta(days=SERIALS - number),
                )
            )
        session.execute(delete(StockAlert))
        session.execute(delete(JourneyRow))
    return Stock(sessions, POLICY)


def states(sessions: Sessions) -> Counter[str]:
    with sessions() as session:
        return Counter(session.scalars(select(TokenRow.state)))


def told(stock: Stock, journey_id: str) -> list[str]:
    return [str(low) for low in stock.watch(Taken(journey_id=journey_id, at=AT))]


Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(st.sampled_from(["take", "take", "scan", "release"]), st.integers(0, SERIALS - 1)), max_size=8
)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(plans=st.lists(STEPS, min_size=HANDS, max_size=HANDS))
def test_whatever_happens_the_numbers_add_up(sessions: Sessions, plans: list[list[Step]]) -> None:
    """Each hand takes for journeys of its own, and for some that it shares with the others (a retry meets the first try)."""
    stock = fresh(sessions)
    with sessions() as session:
        serials = session.scalars(select(TokenRow.serial_number).order_by(TokenRow.serial_number)).all()
    start = threading.Barrier(HANDS)
    alerts: list[str] = []

    def work(hand: int, steps: list[Step]) -> None:
        start.wait()
        for what, number in steps:
            journey = f"shared-{number}" if number < 2 else f"{hand}-{number}"
            serial = serials[number] if what == "scan" else None
            if what == "release":
                stock.release(journey)
                continue
            try:
                taken = stock.allocate(Allocation(journey_id=journey, serial_number=serial))
            except ApplicationError as refusal:
                assert "can't be used: it is assigned" in refusal.message
                continue
            assert taken in (*serials, None)
            if taken:
                alerts.extend(told(stock, journey))

    with ThreadPoolExecutor(HANDS) as threads:
        for done in [threads.submit(work, hand, steps) for hand, steps in enumerate(plans)]:
            done.result(30)
    with sessions() as session:
        tokens = session.scalars(select(TokenRow)).all()
    assert len(tokens) == SERIALS
    assert sum(states(sessions).values()) == SERIALS
    assert {token.state for token in tokens} <= {"in_stock", "assigned"}
    assert all((token.journey_id is not None) == (token.state == "assigned") for token in tokens)
    holders = [token.journey_id for token in tokens if token.journey_id]
    assert len(holders) == len(set(holders))


def test_more_hands_than_tokens(sessions: Sessions, stock: Stock) -> None:
    orders = [Allocation(journey_id=f"race-{number}") for number in range(SERIALS + 6)]
    with ThreadPoolExecutor(len(orders)) as threads:
        serials = list(threads.map(stock.allocate, orders))
    assert serials.count(None) == 6
    assert len(set(serials)) == SERIALS + 1
    assert states(sessions) == {"assigned": SERIALS}
    # Asked again, each gets the same; given back, another gets it.
    assert [stock.allocate(order) for order in orders if serials[orders.index(order)]] == [s for s in serials if s]
    holder = next(order.journey_id for order, serial in zip(orders, serials, strict=True) if serial)
    stock.release(holder)
    assert states(sessions) == {"assigned": SERIALS - 1, "in_stock": 1}
    assert stock.allocate(Allocation(journey_id="next")) == serials[[o.journey_id for o in orders].index(holder)]


def test_the_same_journey_tried_by_two_attempts_holds_one(sessions: Sessions, stock: Stock) -> None:
    with ThreadPoolExecutor(6) as threads:
        serials = set(threads.map(stock.allocate, [Allocation(journey_id="one")] * 6))
    assert len(serials) == 1
    assert states(sessions) == {"assigned": 1, "in_stock": SERIALS - 1}


def test_what_came_first_goes_first(sessions: Sessions, stock: Stock) -> None:
    with sessions() as session:
        expected = session.scalars(select(TokenRow.serial_number).order_by(TokenRow.taken_in_at)).all()
    assert [stock.allocate(Allocation(journey_id=f"j-{number}")) for number in range(SERIALS)] == list(expected)


def test_another_serial_that_is_scanned_takes_the_place_of_one_taken_before(sessions: Sessions, stock: Stock) -> None:
    """Temporal lost the first `process` after it had taken a token; the operator scans the one in hand."""

    def states() -> dict[str, tuple[str, str | None]]:
        with sessions() as session:
            rows = session.execute(select(TokenRow.serial_number, TokenRow.state, TokenRow.journey_id)).all()
        return {row.serial_number: (row.state, row.journey_id) for row in rows}

    first = stock.allocate(Allocation(journey_id="j"))
    other = next(serial for serial in states() if serial != first)
    assert first is not None
    with pytest.raises(ApplicationError, match="not in the inventory"):
        stock.allocate(Allocation(journey_id="j", serial_number="HT-NONE"))
    assert states()[first] == ("assigned", "j"), "a refused one changes nothing"
    assert stock.allocate(Allocation(journey_id="j", serial_number=other)) == other
    assert (states()[first], states()[other]) == (("in_stock", None), ("assigned", "j"))
    with sessions.begin() as session:
        session.execute(update(TokenRow).where(TokenRow.serial_number == other).values(state="shipped"))
    assert stock.allocate(Allocation(journey_id="j", serial_number=first)) == other, "what is on its way stays"
    assert states()[first] == ("in_stock", None)


def test_operators_on_postgresql_pass_by_each_other(sessions: Sessions, stock: Stock) -> None:
    """While one holds the first token, another is given the next without waiting; the last one is waited for."""
    if sessions.kw["bind"].dialect.name != "postgresql":
        pytest.skip("on SQLite one writes at a time")
    first_in_line = select(TokenRow.serial_number).order_by(TokenRow.taken_in_at).limit(SERIALS - 1).with_for_update()
    with ThreadPoolExecutor(2) as threads:
        with sessions.begin() as slow:
            held = slow.scalars(first_in_line).all()
            last = threads.submit(stock.allocate, Allocation(journey_id="quick")).result(5)
            assert last not in held
            waiting = threads.submit(stock.allocate, Allocation(journey_id="waits"))
            with pytest.raises(TimeoutError):
                waiting.result(0.3)
        # The slow one took nothing after all: that is not "out of stock".
        assert waiting.result(5) == held[0]


def test_a_journey_that_has_ended_gets_none(sessions: Sessions, stock: Stock) -> None:
    with sessions.begin() as session:
        session.add(
            JourneyRow(
                journey_id="ended",
                first_run_id="run",
                prescriber_id="P-1001",
                kind="hard",
                status="Cancelled",
                live=False,
                email="a@b.example",
                requested_at=AT,
                promises=[],
            )
        )
    with pytest.raises(ApplicationError, match="its journey has ended"):
        stock.allocate(Allocation(journey_id="ended"))
    assert states(sessions) == {"in_stock": SERIALS}


def take(stock: Stock, *journeys: str) -> list[list[str]]:
    """What each tells the team after it has taken a token."""
    said = []
    for journey in journeys:
        assert stock.allocate(Allocation(journey_id=journey))
        said.append(told(stock, journey))
    return said


def test_low_stock_is_told_once_by_the_journey_that_took_the_token(sessions: Sessions, stock: Stock) -> None:
    older, both, none = "batch older: 1 left", "hard tokens in all: 3 left", []
    assert take(stock, "a", "b", "c", "d", "e", "f", "g") == [
        none,
        none,
        [older],
        none,
        [both],
        none,
        ["batch newer: 1 left"],
    ]
    # Its retry says the same, everybody else says nothing.
    assert told(stock, "e") == ["hard tokens in all: 1 left"]
    assert told(stock, "f") == none
    # Refilled: told again.
    for journey in ("a", "b", "c", "d", "e", "f", "g"):
        stock.release(journey)
    assert take(stock, "h", "i", "j", "k", "l") == [none, none, [older], none, [both]]


def test_several_at_the_same_instant_tell_it_once(sessions: Sessions, stock: Stock) -> None:
    journeys = [f"race-{number}" for number in range(6)]
    with ThreadPoolExecutor(6) as threads:
        said = [line for lines in threads.map(lambda each: take(stock, each)[0], journeys) for line in lines]
    assert sum(line.startswith("hard tokens in all") for line in said) == 1
    assert sum(line.startswith("batch older") for line in said) == 1


def test_a_full_stock_is_not_counted_to_its_end(sessions: Sessions, stock: Stock) -> None:
    statements: list[str] = []

    def keep(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    engine = sessions.kw["bind"]
    event.listen(engine, "before_cursor_execute", keep)
    try:
        take(stock, "a")
    finally:
        event.remove(engine, "before_cursor_execute", keep)
    counting = [statement for statement in statements if "count(" in statement]
    assert len(counting) == 2
    assert all("LIMIT" in statement for statement in counting)
