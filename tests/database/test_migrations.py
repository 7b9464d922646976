"""The migrations make what the tables say, on an empty database and on one that is there."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, inspect
from sqlalchemy.exc import IntegrityError

from database import migrate
from database.engine import engine_of
from database.tables import Base


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'folder' / 'of its own' / 'tokens.db'}"


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    migrate.upgrade(url)
    engine = engine_of(url)
    yield engine
    engine.dispose()


def test_they_make_what_the_tables_say(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    assert set(inspect(engine).get_table_names()) == {*Base.metadata.tables, "alembic_version"}


def test_the_state_before_and_after(url: str) -> None:
    Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True)
    before, newest = migrate.state(url)
    assert before is None
    assert newest is not None
    migrate.upgrade(url)
    assert migrate.state(url) == (newest, newest)


def test_again_changes_nothing(url: str, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("insert into practices values ('PR-1', 'Lakeside', 'America/New_York')")
    migrate.upgrade(url)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("select count(*) from practices").scalar_one() == 1


def test_sqlite_is_set_up_for_several_processes(engine: Engine) -> None:
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1


def test_the_database_itself_lets_one_live_token_in(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("insert into practices values ('PR-1', 'Lakeside', 'America/New_York')")
        connection.exec_driver_sql(
            "insert into prescribers (prescriber_id, practice_id, name, email, npi, dea_number, address, id_proofed) "
            "values ('P-1', 'PR-1', 'Dr. A', 'a@b.example', '1', '2', '{}', 1)"
        )

    def journey(journey_id: str, kind: str, live: int) -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql(
                "insert into journeys (journey_id, first_run_id, prescriber_id, kind, status, live, email, requested_at, "
                "promises) values (?, 'run', 'P-1', ?, 'Requested', ?, 'a@b.example', '2037-03-03 15:00:00', '[]')",
                (journey_id, kind, live),
            )

    for number in range(3):
        journey(f"ended-{number}", "hard", 0)
    journey("hard", "hard", 1)
    journey("soft", "soft", 1)
    with pytest.raises(IntegrityError):
        journey("second", "hard", 1)
