"""The sample data in a database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from database import migrate
from database.engine import Sessions, engine_of, sessions_of
from database.sealing import Seal
from database.tables import Practice, Prescriber, PrescribingDevice, TokenRow
from domain import samples
from starter import sample_data

SEAL = Seal({"k1": "11" * 32})


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    url = f"sqlite:///{tmp_path / 'samples.db'}"
    migrate.upgrade(url)
    engine = engine_of(url)
    yield sessions_of(engine)
    engine.dispose()


def counts(sessions: Sessions) -> list[int]:
    with sessions() as session:
        return [
            session.scalar(select(func.count()).select_from(table)) or 0
            for table in (Practice, Prescriber, PrescribingDevice, TokenRow)
        ]


def test_loaded_once_however_often(sessions: Sessions) -> None:
    added = sample_data.load(sessions, SEAL)
    assert added == len(samples.PRACTICES) + len(samples.PRESCRIBERS) + len(samples.HARD_TOKENS)
    before = counts(sessions)
    assert all(before)
    assert sample_data.load(sessions, SEAL) == 0
    assert counts(sessions) == before


def test_what_is_there_stays_as_it_is(sessions: Sessions) -> None:
    sample_data.load(sessions, SEAL)
    with sessions.begin() as session:
        session.execute(text("update tokens set state = 'destroyed'"))
        session.execute(text("update prescribers set email = 'changed@clinic.example'"))
    gone = samples.HARD_TOKENS[0].serial_number
    with sessions.begin() as session:
        session.execute(text("delete from tokens where serial_number = :gone"), {"gone": gone})
    assert sample_data.load(sessions, SEAL) == 1
    with sessions() as session:
        states = session.execute(text("select state, count(*) from tokens group by state")).all()
        assert {tuple(row) for row in states} == {("destroyed", len(samples.HARD_TOKENS) - 1), ("in_stock", 1)}
        emails = session.execute(text("select distinct email from prescribers")).scalars().all()
    assert emails == ["changed@clinic.example"]


def test_seeds_are_sealed_to_their_serial(sessions: Sessions) -> None:
    sample_data.load(sessions, SEAL)
    with sessions() as session:
        for token in session.scalars(select(TokenRow)):
            seed = samples.seed_of(token.serial_number)
            assert seed not in token.seed
            assert SEAL.open(token.seed, token.serial_number) == seed
