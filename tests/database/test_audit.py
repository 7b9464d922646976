"""The audit trail on SQLite and PostgreSQL: it can only be added to, and every tampering is found and named even where somebody
has switched the database's own guards off."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from database import anchors, audit, migrate
from database.anchors import AnchorKey, NotAnchored
from database.audit_hash import commit, hash_of
from database.audit_verification import Findings, examine
from database.engine import Sessions, engine_of, sessions_of
from database.tables import AuditRow
from domain.chronicle import Entry
from domain.status import Status
from tests import postgresql

AT = datetime(2026, 3, 3, 15, 0, tzinfo=UTC)
KEY = AnchorKey("11" * 32)
ROWS = 6
ANCHORED = 4
"""Of the rows of each chain, so many when the first anchor was made; the second one names all."""


def entries(*numbers: int) -> list[Entry]:
    return [
        Entry(
            number=number,
            at=AT,
            what=f"cancelled: word {number}",
            by="Dana",
            status=Status.REQUESTED,
            message="cancel",
            refused="no",
        )
        for number in numbers
    ]


@dataclass
class Trail:
    """Two journeys, one of which begins with rows of release 0.1.0, and two anchors."""

    engine: Engine
    sessions: Sessions
    folder: Path

    def examine(self, session: Session) -> Findings:
        return examine(session, anchors.read(self.folder, [KEY.public]).points)


def url_of_sqlite(folder: Path) -> str:
    return f"sqlite:///{folder / 'audit.db'}"


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def trail(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trail]:
    folder = tmp_path_factory.mktemp("audit")
    if request.param == "sqlite":
        yield from filled(url_of_sqlite(folder), folder)
    elif postgresql.programs() is None:
        pytest.skip("no PostgreSQL server is installed")
    else:
        with postgresql.server() as url:
            yield from filled(url, folder)


def filled(url: str, folder: Path) -> Iterator[Trail]:
    migrate.upgrade(url)
    engine = engine_of(url)
    trail = Trail(engine, sessions_of(engine), folder / "anchors")
    with trail.sessions.begin() as session:
        write_as_0_1_0(session, "old", 2)
        audit.append(session, "old", "run-old", entries(*range(3, ANCHORED + 1)))
        audit.append(session, "new", "run-new", entries(*range(1, ANCHORED + 1)))
    with trail.sessions() as session:
        anchors.write(session, trail.folder, KEY, at=AT)
    with trail.sessions.begin() as session:
        for journey in ("old", "new"):
            audit.append(session, journey, f"run-{journey}", entries(*range(3, ROWS + 1)))
    with trail.sessions() as session:
        anchors.write(session, trail.folder, KEY, at=AT + timedelta(days=1))
    yield trail
    engine.dispose()


def write_as_0_1_0(session: Session, journey: str, count: int, when: datetime = AT) -> None:
    """So many more rows, as that release wrote them: it knows none of the columns that came later."""
    on_sqlite = session.get_bind().dialect.name == "sqlite"
    head = session.execute(text("select number, hash from audit_heads where journey_id = :j"), {"j": journey}).first()
    first, previous = (head.number + 1, head.hash) if head else (1, "0" * 64)
    for number in range(first, first + count):
        entry = f"0.1.0-{journey}:{number}"
        content: list[Any] = [journey, number, entry, when.isoformat(timespec="microseconds"), "edited: email", "Dana"]
        content += ["Requested", "edit", None, previous]
        hash_ = hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()
        session.execute(
            text(
                'insert into audit (journey_id, number, entry, at, what, "by", status, message, previous, hash) values '
                "(:journey, :number, :entry, :at, 'edited: email', 'Dana', 'Requested', 'edit', :previous, :hash)"
            ),
            {
                "journey": journey,
                "number": number,
                "entry": entry,
                # SQLAlchemy's own form on SQLite, the driver's on PostgreSQL.
                "at": when.strftime("%Y-%m-%d %H:%M:%S.%f") if on_sqlite else when,
                "previous": previous,
                "hash": hash_,
            },
        )
        previous = hash_
    session.execute(
        text(
            "insert into audit_heads values (:journey, :last, :hash) "
            "on conflict (journey_id) do update set number = :last, hash = :hash"
        ),
        {"journey": journey, "last": first + count - 1, "hash": previous},
    )


def test_nothing_is_added_behind_what_is_not_there(trail: Trail) -> None:
    with trail.sessions() as session:
        before = session.query(AuditRow).count()
        for after, added in ((ROWS, ()), (ROWS, (ROWS,)), (2, (3,))):
            audit.append(session, "new", "run-new", entries(*added), after=after)
        for after, added in ((ROWS + 1, ()), (ROWS + 1, (ROWS + 2,)), (ROWS + 7, (ROWS + 8, ROWS + 9))):
            with pytest.raises(audit.Gap):
                audit.append(session, "new", "run-new", entries(*added), after=after)
        with pytest.raises(audit.Gap):
            audit.append(session, "new", "run-of-another", entries(2), after=1)
        assert session.query(AuditRow).count() == before


def test_a_whole_trail_has_no_faults_and_writing_again_adds_nothing(trail: Trail) -> None:
    with trail.sessions.begin() as session:
        audit.append(session, "new", "run-new", entries(2, 3, 4))
    with trail.sessions() as session:
        assert audit.verify(session) == (2 * ROWS, [])
        assert trail.examine(session) == Findings(rows=2 * ROWS, journeys=2)
        assert [row.version for row in session.query(AuditRow).filter_by(journey_id="old")] == [1, 1, 2, 2, 2, 2]


@pytest.mark.parametrize(
    "statement",
    [
        "update audit set what = 'other' where number = 2",
        "update audit set hash = 'x', previous = 'x'",
        "update audit set \"by\" = null, refused = null, salts = null, what = 'cancelled: (erased)' where number = 5",
        "delete from audit where number = 6",
        "delete from audit_heads",
        "update audit_heads set number = 2",
        "update audit_heads set number = 6",
    ],
)
def test_the_database_itself_refuses_changes(trail: Trail, statement: str) -> None:
    with pytest.raises(DatabaseError, match="append-only"), trail.sessions.begin() as session:
        session.execute(text(statement))
    with trail.sessions() as session:
        assert trail.examine(session).faults == []


def test_what_only_one_of_the_databases_can_do_is_refused_too(trail: Trail) -> None:
    statement = (
        "truncate audit"
        if trail.engine.dialect.name == "postgresql"
        else "insert or replace into audit select * from audit where number = 2"
    )
    with pytest.raises(DatabaseError, match="append-only"), trail.sessions.begin() as session:
        session.execute(text(statement))


Tampering = Callable[[Session, str, int], None]
"""What somebody does to row `number` of a journey, who may do everything."""

COLUMNS = {
    "entry": "'forged'",
    "at": "'2020-01-01 00:00:00.000000'",
    "what": "'cancelled: another word'",
    "by": "'Eve'",
    "status": "'Active'",
    "message": "'process'",
    "refused": "'yes'",
    "previous": "'0'",
    "hash": "'0'",
    "version": "3 - version",
    "commitments": "'{}'",
    "salts": '\'{"by": "00"}\'',
    "facts": '\'{"to": 99, "older": {}}\'',
}


def run(session: Session, statement: str, journey: str, number: int) -> None:
    session.execute(text(f"{statement}").bindparams(journey=journey, number=number))


def changing(column: str) -> Tampering:
    def tamper(session: Session, journey: str, number: int) -> None:
        value = COLUMNS[column]
        run(
            session,
            f'update audit set "{column}" = {value} where journey_id = :journey and number = :number',
            journey,
            number,
        )

    return tamper


def remove(session: Session, journey: str, number: int) -> None:
    run(session, "delete from audit where journey_id = :journey and number = :number", journey, number)


def move(session: Session, journey: str, number: int, by: int) -> None:
    """Moves all rows from `number` on; over numbers that are free, as SQLite checks keys row by row."""
    for sign in (1000, by - 1000):
        run(
            session,
            f"update audit set number = number + {sign} where journey_id = :journey and number >= :number",
            journey,
            number + 1000 if sign < 0 else number,
        )


def remove_and_close_up(session: Session, journey: str, number: int) -> None:
    remove(session, journey, number)
    move(session, journey, number + 1, -1)


def insert_between(session: Session, journey: str, number: int) -> None:
    move(session, journey, number, +1)
    forge(session, journey, number)


def forge(session: Session, journey: str, number: int) -> None:
    """A row that is good in itself and follows from the one before it."""
    before = session.get(AuditRow, (journey, number - 1))
    row = AuditRow(
        journey_id=journey, number=number, entry="forged", at=AT, what="forged", by="Eve", status="Active", message=None
    )
    row.previous = before.hash if before else "0" * 64
    row.version, row.commitments, row.salts, row.facts = 2, None, None, None
    commit(row)
    row.hash = hash_of(row)
    session.add(row)
    session.flush()


def swap(session: Session, journey: str, number: int) -> None:
    """With the next one, or the last with the first."""
    other = number + 1 if number < ROWS else 1
    for old, new in ((number, 1000), (other, number), (1000, other)):
        run(
            session,
            f"update audit set number = {new} where journey_id = :journey and number = :number",
            journey,
            old,
        )


def write_anew(session: Session, journey: str, number: int) -> None:
    """Changes a row, and makes it, all that follows and the head fit: only what lies outside the database can tell."""
    rows = session.query(AuditRow).filter_by(journey_id=journey).order_by(AuditRow.number).all()
    rows[number - 1].status = "Active"
    previous = rows[number - 1].previous
    for row in rows[number - 1 :]:
        row.previous = previous
        row.hash = previous = hash_of(row)
    session.flush()
    fit_head(session, journey)


def cut_off(session: Session, journey: str, number: int) -> None:
    run(session, "delete from audit where journey_id = :journey and number >= :number", journey, number)


def cut_off_with_the_head(session: Session, journey: str, number: int) -> None:
    cut_off(session, journey, number)
    fit_head(session, journey)


def fit_head(session: Session, journey: str) -> None:
    session.expire_all()
    last = session.query(AuditRow).filter_by(journey_id=journey).order_by(AuditRow.number.desc()).first()
    if last is None:
        session.execute(text("delete from audit_heads where journey_id = :journey").bindparams(journey=journey))
    else:
        session.execute(
            text("update audit_heads set number = :number, hash = :hash where journey_id = :journey").bindparams(
                journey=journey, number=last.number, hash=last.hash
            )
        )


def forget_people(session: Session, journey: str, number: int) -> None:
    run(
        session,
        "update audit set \"by\" = null, refused = null, salts = null, what = 'cancelled: (erased)' "
        "where journey_id = :journey and number = :number",
        journey,
        number,
    )


def forge_tombstone(session: Session, journey: str, number: int) -> None:
    hash_ = session.get_one(AuditRow, (journey, number)).hash
    session.execute(
        text("insert into audit_purges values (:journey, :number, :hash, :at, :at, 'forged', :at)").bindparams(
            journey=journey,
            number=number,
            hash=hash_,
            at="2020-01-01 00:00:00" if session.get_bind().dialect.name == "sqlite" else AT,
        )
    )
    run(session, "delete from audit where journey_id = :journey and number <= :number", journey, number)


def first_unanchored(number: int) -> int:
    """Where the stretch between two anchors begins in which the row lies."""
    return 1 if number <= ANCHORED else ANCHORED + 1


KINDS: list[tuple[str, Tampering, Callable[[int], int], str]] = [
    *((f"{column} changed", changing(column), lambda number: number, "changed|erasure|written") for column in COLUMNS),
    ("removed", remove, lambda number: number, "missing|cut off"),
    ("removed and closed up", remove_and_close_up, lambda number: number, "missing|cut off"),
    ("inserted", insert_between, lambda number: number, "inserted"),
    ("swapped", swap, lambda number: number, "reordered"),
    ("cut off", cut_off, lambda number: number, "cut off"),
    ("cut off with the head", cut_off_with_the_head, lambda number: number, "cut off"),
    ("written anew", write_anew, first_unanchored, "written anew"),
    ("people forgotten", forget_people, lambda number: number, "erasure|changed"),
    ("tombstone forged", forge_tombstone, lambda number: number, "purge"),
]


@pytest.mark.parametrize(("name", "tamper", "named", "what"), KINDS, ids=[kind[0] for kind in KINDS])
def test_every_tampering_with_every_row_is_found_and_named(
    trail: Trail, name: str, tamper: Tampering, named: Callable[[int], int], what: str
) -> None:
    for journey in ("old", "new"):
        for number in range(1, ROWS + 1):
            if journey == "old" and number <= 2 and name in ("commitments changed", "salts changed", "facts changed"):
                continue  # no part of a row of 0.1.0
            with trail.sessions() as session:
                guards_off(session)
                tamper(session, journey, number)
                session.expire_all()
                found = trail.examine(session).faults
                session.rollback()
            assert {fault.journey_id for fault in found} == {journey}, (journey, number)
            at_place = [fault.what for fault in found if fault.number == named(number)]
            assert any(word in said for said in at_place for word in what.split("|")), (journey, number, found)


def guards_off(session: Session) -> None:
    """As a superuser does it, for this transaction."""
    if session.get_bind().dialect.name == "postgresql":
        for table in ("audit", "audit_heads", "audit_purges"):
            session.execute(text(f"alter table {table} disable trigger all"))
        return
    for (trigger,) in session.execute(text("select name from sqlite_master where type = 'trigger'")).all():
        session.execute(text(f"drop trigger {trigger}"))


def test_a_removed_or_inserted_journey_and_a_changed_head_are_found(trail: Trail) -> None:
    def after(*statements: str) -> list[tuple[str, int]]:
        with trail.sessions() as session:
            guards_off(session)
            for statement in statements:
                session.execute(text(statement))
            found = trail.examine(session).faults
            session.rollback()
        return [(fault.journey_id, fault.number) for fault in found]

    assert after("delete from audit where journey_id = 'new'", "delete from audit_heads where journey_id = 'new'") == [
        ("new", 1)
    ]
    assert after("delete from audit_heads where journey_id = 'new'") == [("new", ROWS)]
    assert after("update audit_heads set hash = 'x' where journey_id = 'new'") == [("new", ROWS)]
    assert ("new", 7) in after("update audit_heads set number = 9 where journey_id = 'new'")


def test_a_worker_of_0_1_0_may_go_on_while_the_database_is_ahead_of_it(trail: Trail) -> None:
    with trail.sessions() as session:
        write_as_0_1_0(session, "new", 2)
        audit.append(session, "new", "run-new", entries(9))
        rows = session.query(AuditRow).filter_by(journey_id="new").order_by(AuditRow.number).all()
        assert [row.version for row in rows[-4:]] == [2, 1, 1, 2]
        assert trail.examine(session).faults == []
        session.rollback()


def test_two_journeys_never_wait_for_one_another(trail: Trail) -> None:
    """On PostgreSQL; SQLite lets one transaction write at a time, whatever it writes."""
    if trail.engine.dialect.name != "postgresql":
        pytest.skip("SQLite has one writer")
    with trail.sessions() as first, trail.sessions() as second:
        audit.append(first, "new", "run-x", entries(1))
        second.execute(text("set local lock_timeout = '2s'"))
        audit.append(second, "old", "run-y", entries(1))
        audit.append(second, "a third", "run-z", entries(1))
        with pytest.raises(DatabaseError, match="lock timeout"):
            audit.append(second, "new", "run-w", entries(1))
        second.rollback()
        first.rollback()


def test_changed_anchors_are_found(trail: Trail, tmp_path: Path) -> None:
    def problems(change: Callable[[list[Path]], Any], keys: tuple[str, ...] = (KEY.public,)) -> list[str]:
        folder = tmp_path / f"copy-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        copies = []
        for path in sorted(trail.folder.iterdir()):
            (folder / path.name).write_text(path.read_text())
            copies.append(folder / path.name)
        change(copies)
        return anchors.read(folder, keys).problems

    assert problems(lambda copies: None) == []
    assert "signature" in problems(lambda c: c[1].write_text(c[1].read_text().replace(f"{ROWS},", "5,", 1)))[0]
    assert "Anchor 1 is missing" in problems(lambda c: c[0].unlink())[0]
    assert "trusted" in problems(lambda c: None, (AnchorKey("22" * 32).public,))[0]
    assert problems(lambda c: c[1].write_text(c[0].read_text())) != []
    assert problems(lambda c: c[0].write_text("nothing")) != []
    # One that is well signed, but by somebody who did not know the one before it.
    with trail.sessions() as session:
        anchors.write(session, tmp_path / "other", KEY, at=AT)
    forged = (tmp_path / "other" / "anchor-00000001.json").read_text().replace("T15", "T14")
    assert "signature" in problems(lambda c: c[0].write_text(forged))[0]


def test_nothing_is_anchored_over_a_trail_that_is_behind(trail: Trail) -> None:
    for tamper in (cut_off_with_the_head, write_anew):
        with trail.sessions() as session:
            guards_off(session)
            tamper(session, "new", 5)
            session.expire_all()
            with pytest.raises(NotAnchored, match="audit verify"):
                anchors.write(session, trail.folder, KEY)
            session.rollback()
    assert len(list(trail.folder.iterdir())) == 2
