"""What may leave the audit trail, and when: texts about people, journeys older than two years; and by whom."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, select, text
from sqlalchemy.exc import DatabaseError, ProgrammingError

from database import anchors, audit, migrate
from database.audit_hash import OWN
from database.audit_verification import examine
from database.engine import Sessions, engine_of, sessions_of
from database.erasure import NotErased, erase_prescriber
from database.permissions import APPLICATION
from database.retention import TooYoung, kept_since, purge
from database.tables import (
    AuditPurge,
    AuditRow,
    Base,
    EmailRow,
    IncidentRow,
    JourneyRow,
    Practice,
    Prescriber,
    PrescribingDevice,
    ReplacementRow,
    ReturnRow,
)
from domain.chronicle import Entry
from tests import postgresql
from tests.database.test_audit import KEY, write_as_0_1_0

OWNER = "tokens_owner"
NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(days=3 * 366)
LATELY = NOW - timedelta(days=300)
PERSONAL = ("Dr. Ann Quill", "quill@lakeside.example", "1234567893", "AQ1234563", "12 Elm Street", "because Ann moved")


@dataclass
class House:
    """`owner` migrates, `app` runs; on SQLite there is one for both."""

    owner: Sessions
    app: Sessions
    folder: Path

    def faults(self) -> list[object]:
        points = anchors.read(self.folder, [KEY.public]).points
        with self.owner() as session:
            return [*examine(session, points).faults]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A PostgreSQL server with the two roles, of which none is a superuser."""
    if postgresql.programs() is None:
        pytest.skip("no PostgreSQL server is installed")
    with postgresql.server() as url:
        superuser = engine_of(url)
        with superuser.begin() as connection:
            for role in (OWNER, APPLICATION):
                connection.execute(text(f"create role {role} login"))
        superuser.dispose()
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'audit.db'}"
        yield from built(url, url, tmp_path)
        return
    cluster = make_url(request.getfixturevalue("cluster"))
    name = f"house_{tmp_path.name.lower()}"[:40]
    superuser = create_engine(cluster, isolation_level="AUTOCOMMIT")
    with superuser.connect() as connection:
        connection.execute(text(f'create database "{name}" owner {OWNER}'))
    superuser.dispose()
    owner, app = (
        cluster.set(username=role, database=name).render_as_string(hide_password=False) for role in (OWNER, APPLICATION)
    )
    yield from built(owner, app, tmp_path)


def built(owner_url: str, app_url: str, folder: Path) -> Iterator[House]:
    migrate.upgrade(owner_url)
    migrate.upgrade(owner_url)
    engines = engine_of(owner_url), engine_of(app_url)
    house = House(sessions_of(engines[0]), sessions_of(engines[1]), folder / "anchors")
    with house.app.begin() as session:
        session.add(Practice(practice_id="PR-1", name="Lakeside", time_zone="America/New_York"))
        session.flush()
        for person in ("P-1", "P-2"):
            session.add(prescriber(person))
        session.flush()
        session.add(PrescribingDevice(fingerprint="f", prescriber_id="P-1", name="Ann's laptop"))
        for journey_id, person, at in (("old", "P-1", LONG_AGO), ("older", "P-1", LONG_AGO), ("young", "P-2", LATELY)):
            session.add(journey(journey_id, person, at))
        session.add(email("old"))
        write_as_0_1_0(session, "older", 2, LONG_AGO)
        for journey_id, at in (("old", LONG_AGO), ("older", LONG_AGO), ("young", LATELY)):
            audit.append(session, journey_id, f"run-{journey_id}", [*happened(at)])
    with house.app() as session:
        anchors.write(session, house.folder, KEY)
    yield house
    for engine in engines:
        engine.dispose()


def prescriber(person: str) -> Prescriber:
    return Prescriber(
        prescriber_id=person,
        practice_id="PR-1",
        name=PERSONAL[0],
        email=PERSONAL[1],
        npi=PERSONAL[2],
        dea_number=PERSONAL[3],
        address={"street1": PERSONAL[4]},
        id_proofed=True,
    )


def journey(journey_id: str, person: str, at: datetime) -> JourneyRow:
    return JourneyRow(
        journey_id=journey_id,
        first_run_id="run",
        prescriber_id=person,
        kind="hard",
        status="Deactivated",
        live=False,
        email=PERSONAL[1],
        shipping_address={"street1": PERSONAL[4]},
        requested_by=PERSONAL[0],
        needs_attention=None,
        requested_at=at,
        ended_at=at,
        promises=[],
    )


def email(journey_id: str) -> EmailRow:
    return EmailRow(
        message_id="<1@x>",
        journey_id=journey_id,
        letter="active",
        recipient=PERSONAL[1],
        state="refused",
        composed_at=LONG_AGO,
        refusal=f"no {PERSONAL[1]} here",
    )


def happened(at: datetime) -> Iterator[Entry]:
    yield Entry(number=11, at=at, what="requested", by=PERSONAL[0], status="Requested")
    yield Entry(number=12, at=at, what=f"deactivated: {PERSONAL[5]}", by=PERSONAL[0], status="Deactivated")
    yield Entry(number=13, at=at, what="refused: edit", by=PERSONAL[0], status="Deactivated", refused=PERSONAL[5])


def everything(sessions: Sessions) -> str:
    """All that stands in the database about everybody but P-2, as text."""
    with sessions() as session:
        rows = [row for table in Base.metadata.sorted_tables for row in session.execute(select(table))]
    return "\n".join(str(tuple(row)) for row in rows if "P-2" not in map(str, row) and "young" not in map(str, row))


def test_a_person_is_erased_and_the_chains_still_hold(house: House) -> None:
    # What is open, or younger than two years, is kept.
    with house.owner.begin() as session:
        with pytest.raises(TooYoung, match="2 years"):
            erase_prescriber(session, "P-2", NOW, 2, "Ruth")
        with pytest.raises(NotErased, match="not known"):
            erase_prescriber(session, "P-9", NOW, 2, "Ruth")
        session.add(open_return("older"))
        session.flush()
        with pytest.raises(NotErased, match="return-older"):
            erase_prescriber(session, "P-1", NOW, 2, "Ruth")
        session.rollback()

    with house.owner.begin() as session:
        session.add(
            ReplacementRow(
                journey_id="older",
                workflow_id="replace-older",
                run_id="r",
                successor_id="newer",
                prescriber_id="P-1",
                kind="hard",
                requested_by="Dana",
                email=PERSONAL[1],
                shipping_address={"name": PERSONAL[0]},
                claimed_at=NOW,
            )
        )
    before = everything(house.owner)
    assert all(word in before for word in PERSONAL)
    with house.owner.begin() as session:
        assert erase_prescriber(session, "P-1", NOW, 2, "Ruth") == {"journeys": 2, "rows": 8}
    after = everything(house.owner)
    assert [word for word in PERSONAL if word in after] == []
    assert "Dana" not in after  # who had typed in a row of 0.1.0
    assert house.faults() == []

    # What happened still stands, and that it was erased, by whom; and what is left is still guarded.
    with house.owner() as session:
        rows = session.scalars(select(AuditRow).where(AuditRow.journey_id == "older").order_by(AuditRow.number)).all()
    assert [(row.what, row.by) for row in rows] == [
        ("edited: (erased)", None),
        ("edited: (erased)", None),
        ("requested", None),
        ("deactivated: (erased)", None),
        ("refused: (erased)", None),
        ("personal data erased", "Ruth"),
    ]
    with house.app() as session:
        anchors.write(session, house.folder, KEY)
    assert house.faults() == []
    # Even of rows that release 0.1.0 wrote.
    for number in (2, 4):
        with pytest.raises(DatabaseError, match="append-only"), house.owner.begin() as session:
            session.execute(
                text("update audit set status = 'Active' where journey_id = 'older' and number = :n").bindparams(
                    n=number
                )
            )
    with house.owner.begin() as session:
        audit.append(session, "older", "later", [*happened(NOW)])
    assert house.faults() == []


def open_return(journey_id: str) -> ReturnRow:
    return ReturnRow(
        first_run_id="r",
        return_id=f"return-{journey_id}",
        journey_id=journey_id,
        serial_number="S-1",
        status="Awaited",
        open=True,
        started_at=NOW,
        return_by=NOW,
    )


def test_whole_journeys_are_purged_once_they_are_two_years_old(house: House) -> None:
    limit = kept_since(NOW, 2)
    with house.owner.begin() as session, pytest.raises(TooYoung, match="2 years"):
        purge(session, NOW, NOW, 2, "Ruth", "spring cleaning")
    with house.owner.begin() as session:
        session.add(
            IncidentRow(
                incident_id="incident-older",
                first_run_id="r",
                journey_id="older",
                prescriber_id="P-1",
                reason="lost",
                status="Open",
                opened_at=NOW,
                due_at=NOW,
                due_day="2026-03-03",
                calendar="federal",
            )
        )
        session.flush()
        # Whose incident is open stays whole, and so does what is younger.
        assert purge(session, limit, NOW, 2, "Ruth", "spring cleaning") == {"journeys": 1, "rows": 3}
    assert house.faults() == []
    with house.owner() as session:
        assert {row.journey_id for row in session.scalars(select(AuditRow))} == {"older", "young", OWN}
        [own] = session.scalars(select(AuditRow).where(AuditRow.journey_id == OWN))
        assert own.what == f"purged 3 rows of 1 journeys from before {limit:%Y-%m-%d}: spring cleaning"
    # The chain goes on where it ended: something comes late, and is anchored.
    with house.app.begin() as session:
        audit.append(session, "old", "later", [*happened(NOW)])
    with house.app() as session:
        anchors.write(session, house.folder, KEY)
        assert session.scalars(select(AuditRow.number).where(AuditRow.journey_id == "old")).all() == [4, 5, 6]
    assert house.faults() == []

    # A tombstone alone opens no door to what is younger.
    with house.owner.begin() as session:
        forged = AuditPurge(
            journey_id="young", number=3, hash="0", first_at=LATELY, last_at=LATELY, purge_id="x", purged_at=NOW
        )
        session.add(forged)
        session.flush()
        with pytest.raises(DatabaseError, match="append-only"):
            session.execute(text("delete from audit where journey_id = 'young'"))
        session.rollback()


@pytest.mark.slow
def test_who_runs_may_add_to_the_trail_and_nothing_else(house: House) -> None:
    with house.app() as session:
        if session.get_bind().dialect.name != "postgresql":
            pytest.skip("SQLite knows no roles")
    with house.app.begin() as session:
        audit.append(session, "young", "later", [*happened(NOW)])
    for statement in (
        "update audit set status = 'Active'",
        "delete from audit where at < '2000-01-01'",
        "truncate audit",
        "delete from audit_heads",
        "truncate audit_heads",
        "insert into audit_purges select journey_id, number, hash, at, at, 'x', at from audit",
        "update audit_purges set number = 1",
        "update alembic_version set version_num = '0001'",
        "drop table audit",
        "drop trigger audit_append_only on audit",
        "alter table audit disable trigger all",
        "create table mine (x int)",
        "set session_replication_role = replica",
    ):
        with pytest.raises(ProgrammingError) as refused, house.app.begin() as session:
            session.execute(text(statement))
        assert refused.value.orig.sqlstate == "42501", statement  # type: ignore[union-attr]
    # The owner may, but for the second line.
    for statement in ("update audit set status = 'Active'", "delete from audit", "truncate audit"):
        with pytest.raises(DatabaseError, match="append-only"), house.owner.begin() as session:
            session.execute(text(statement))
    with house.app.begin() as session, pytest.raises(DatabaseError):
        erase_prescriber(session, "P-1", NOW, 2, "Eve")
    assert house.faults() == []
