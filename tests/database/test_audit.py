"""The audit trail finds what was changed, is missing, was cut off or added."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from database import audit, migrate
from database.engine import Sessions, engine_of, sessions_of
from domain.chronicle import Entry
from domain.status import Status

AT = datetime(2026, 3, 3, 15, 0, tzinfo=UTC)


def entries(*numbers: int) -> list[Entry]:
    return [
        Entry(number=number, at=AT, what=f"step {number}", by="Dana", status=Status.REQUESTED) for number in numbers
    ]


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    url = f"sqlite:///{tmp_path / 'audit.db'}"
    migrate.upgrade(url)
    engine = engine_of(url)
    sessions = sessions_of(engine)
    with sessions.begin() as session:
        for journey in ("a", "b"):
            audit.append(session, journey, f"run-{journey}", entries(1, 2, 3))
    yield sessions
    engine.dispose()


def faults(sessions: Sessions) -> list[tuple[str, int]]:
    with sessions() as session:
        return [(fault.journey_id, fault.number) for fault in audit.verify(session)[1]]


def test_a_whole_trail_has_no_faults(sessions: Sessions) -> None:
    assert faults(sessions) == []


def test_writing_again_adds_nothing(sessions: Sessions) -> None:
    with sessions.begin() as session:
        audit.append(session, "a", "run-a", entries(2, 3, 4))
    with sessions() as session:
        assert audit.verify(session) == (7, [])


@pytest.mark.parametrize(
    ("tampering", "found"),
    [
        ("update audit set what = 'other' where journey_id = 'a' and number = 2", ("a", 2)),
        ("update audit set at = '2020-01-01 00:00:00' where journey_id = 'b' and number = 1", ("b", 1)),
        ("delete from audit where journey_id = 'a' and number = 2", ("a", 2)),
        ("delete from audit where journey_id = 'a' and number = 3", ("a", 3)),
        ("delete from audit where journey_id = 'b'", ("b", 1)),
        ("update audit set number = 9 where journey_id = 'a' and number = 3", ("a", 3)),
        (
            (
                "insert into audit select journey_id, 4, 'x', at, what, by, status, message, refused, hash, hash from audit "
                "where journey_id = 'a' and number = 3"
            ),
            ("a", 4),
        ),
    ],
)
def test_tampering_is_found_and_named(sessions: Sessions, tampering: str, found: tuple[str, int]) -> None:
    with sessions.begin() as session:
        session.execute(text(tampering))
    assert found in faults(sessions)
