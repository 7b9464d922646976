"""Workers of an older release go on while the database has been migrated already: that comes before the new workers do."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Engine, Update, func, insert, select, update
from sqlalchemy.exc import DBAPIError

from database import migrate
from database.engine import engine_of
from tests import postgresql
from tests.database import frozen


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param(
            "postgresql",
            marks=[
                pytest.mark.slow,
                pytest.mark.skipif(postgresql.programs() is None, reason="no PostgreSQL server is installed"),
            ],
        ),
    ]
)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'tokens.db'}"
        return
    with postgresql.server() as url:
        yield url


_ONLY_ADDED_TO = ("audit", "audit_heads")
"""No release has changed a row of the trail, or moved a head but forwards; `test_audit.py` plays how 0.1.0 adds to it."""


def at_work(engine: Engine, release: Path, number: int) -> list[str]:
    """Everything that the release's code does to its tables: it adds a row to each, reads all columns, changes each. Returns what
    it could not."""
    known, refused = json.loads(release.read_text()), []
    for table in frozen.tables_of(known):
        row = frozen.row(known, table, number)
        keys = [column == row[column.name] for column in table.primary_key.columns]
        rest = {column.name: row[column.name] for column in table.columns if not column.primary_key}
        for statement in (
            insert(table).values(row),
            update(table).where(*keys).values(rest),
            select(table).where(*keys),
        ):
            if table.name in _ONLY_ADDED_TO and isinstance(statement, Update):
                continue
            try:
                with engine.begin() as connection:
                    connection.execute(statement)
            except DBAPIError as fault:
                refused.append(f"{table.name}: {type(statement).__name__}: {fault.orig}")
    return refused


@pytest.mark.parametrize("release", frozen.releases(), ids=lambda path: path.stem)
def test_its_workers_go_on(url: str, release: Path) -> None:
    known = json.loads(release.read_text())
    command.upgrade(migrate._config(url), known["revision"])  # pyright: ignore[reportPrivateUsage]
    engine = engine_of(url)
    try:
        assert at_work(engine, release, 1) == []
        migrate.upgrade(url)
        # What was there is there, and the old code still works beside the new one's tables.
        assert at_work(engine, release, 2) == []
        with engine.connect() as connection:
            for table in frozen.tables_of(known):
                assert connection.execute(select(func.count()).select_from(table)).scalar_one() == 2, table.name
        # This test can fail: a change of that sort is found.
        with engine.begin() as connection:
            connection.exec_driver_sql("alter table journeys rename column email to address")
        assert {fault.split(":")[0] for fault in at_work(engine, release, 3)} == {"journeys"}
    finally:
        engine.dispose()


def test_there_is_one() -> None:
    assert frozen.releases()[0].stem == "0.1.0"
