"""Changing the key over what is sealed, on SQLite and on PostgreSQL."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import LargeBinary, insert, select, text, update

from database import migrate
from database.engine import Sessions, engine_of, sessions_of
from database.rotation import SEALED, counts, reseal
from database.sealing import Seal
from database.tables import Base, EmailRow, ImportedToken, SoftEnrollment, TokenRow
from tests import postgresql

NOON = datetime(2037, 3, 3, 12, 0, tzinfo=UTC)
OLD = Seal({"k1": "11" * 32})
KEYS = {"k2": "22" * 32, "k1": "11" * 32}
BOTH = Seal(KEYS)
NEW = Seal({"k2": "22" * 32})
_TOKENS = 1201
"""More than two batches."""


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if postgresql.programs() is None:
        pytest.skip("no PostgreSQL server is installed")
    with postgresql.server() as url:
        migrate.upgrade(url)
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def sessions(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sessions]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'tokens.db'}"
        migrate.upgrade(url)
    else:
        url = request.getfixturevalue("postgres")
    engine = engine_of(url)
    sessions = sessions_of(engine)
    with sessions.begin() as session:
        for sealed in SEALED:
            session.execute(text(f"delete from {sealed.table.__tablename__}"))
    yield sessions
    engine.dispose()


def token(serial: str, seal: Seal = OLD) -> dict[str, object]:
    return {
        "serial_number": serial,
        "kind": "hard",
        "batch": "b",
        "state": "in_stock",
        "algorithm": "HOTP",
        "digits": 6,
        "digest": "SHA1",
        "period": 0,
        "seed": seal.close(f"seed of {serial}".encode(), serial),
        "taken_in_at": NOON,
        "counter": 0,
        "failures": 0,
        "failures_in_a_row": 0,
        "locked": False,
    }


def imported(import_id: str, serial: str) -> dict[str, object]:
    row = {name: value for name, value in token(serial).items() if name in ImportedToken.__table__.c}
    return {**row, "import_id": import_id, "line": 1}


def fill(sessions: Sessions) -> None:
    """Something in each sealed column, and rows with nothing sealed."""
    with sessions.begin() as session:
        session.execute(insert(TokenRow), [token(f"HT-{number:05}") for number in range(_TOKENS)])
        session.execute(insert(TokenRow), [token("HT-new", BOTH)])
        for import_id in ("run-1", "run-2"):  # the same serial in two files
            session.execute(insert(ImportedToken), [imported(import_id, "HT-9")])
        session.add(
            SoftEnrollment(
                enrollment_ref="ref-1",
                journey_id="token-soft-1",
                pin_hash="x",
                seed=OLD.close(b"seed of ref-1", "ref-1"),
                stored_at=NOON,
            )
        )
        for message_id, sealed in (("<1@x>", OLD.close(b"mail", "<1@x>")), ("<2@x>", None)):
            session.add(
                EmailRow(
                    message_id=message_id,
                    journey_id="token-soft-1",
                    letter="reminder",
                    recipient="a@b.example",
                    state="sending" if sealed else "sent",
                    composed_at=NOON,
                    sealed_message=sealed,
                )
            )


def seeds(sessions: Sessions, seal: Seal) -> dict[str, bytes]:
    with sessions.begin() as session:
        return {row.serial_number: seal.open(row.seed, row.serial_number) for row in session.scalars(select(TokenRow))}


def test_every_binary_column_is_in_the_registry() -> None:
    binary = {
        f"{table.name}.{column.name}"
        for table in Base.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, LargeBinary)
    }
    assert {sealed.name for sealed in SEALED} == binary


def test_everything_comes_under_the_first_key_and_the_old_one_may_go(sessions: Sessions) -> None:
    fill(sessions)
    assert counts(sessions) == {
        "tokens.seed": {"k1": _TOKENS, "k2": 1},
        "imported_tokens.seed": {"k1": 2},
        "soft_enrollments.seed": {"k1": 1},
        "emails.sealed_message": {"k1": 1},
    }
    before = seeds(sessions, BOTH)
    done = reseal(sessions, BOTH)
    assert done.before == {"k1": _TOKENS + 4, "k2": 1}
    assert done.after == {"k2": _TOKENS + 5}
    assert done.unopened == []
    assert seeds(sessions, NEW) == before
    with sessions.begin() as session:
        assert NEW.open(session.get_one(SoftEnrollment, "ref-1").seed or b"", "ref-1") == b"seed of ref-1"
        assert NEW.open(session.get_one(EmailRow, "<1@x>").sealed_message or b"", "<1@x>") == b"mail"
        assert session.get_one(EmailRow, "<2@x>").sealed_message is None
        for row in session.scalars(select(ImportedToken)):
            assert NEW.open(row.seed, row.serial_number) == b"seed of HT-9"


def test_again_changes_nothing(sessions: Sessions) -> None:
    fill(sessions)
    reseal(sessions, BOTH)
    with sessions.begin() as session:
        before = {row.serial_number: row.seed for row in session.scalars(select(TokenRow))}
    done = reseal(sessions, BOTH)
    assert done.before == done.after
    with sessions.begin() as session:
        assert {row.serial_number: row.seed for row in session.scalars(select(TokenRow))} == before


class Interrupted(Seal):
    """Does something else in between: after a batch was read, before anything of it is written."""

    def __init__(self, keys: dict[str, str], after: int, what: Callable[[], None]) -> None:
        super().__init__(keys)
        self._left, self._what = after, what

    def close(self, plain: bytes, about: str) -> bytes:
        if self._left == 0:
            self._what()
        self._left -= 1
        return super().close(plain, about)


class Killed(Exception):
    pass


def test_broken_off_anywhere_it_goes_on(sessions: Sessions) -> None:
    fill(sessions)
    before = seeds(sessions, BOTH)

    def killed() -> None:
        raise Killed

    with pytest.raises(Killed):
        reseal(sessions, Interrupted(KEYS, 700, killed))
    between = counts(sessions)["tokens.seed"]
    assert between["k1"]
    assert between["k2"] > 1
    assert seeds(sessions, BOTH) == before
    assert reseal(sessions, BOTH).after == {"k2": _TOKENS + 5}
    assert seeds(sessions, NEW) == before


def test_what_changes_between_reading_and_writing_stays_as_it_was_changed(sessions: Sessions) -> None:
    fill(sessions)

    def workers() -> None:
        """On the older key still: a seed is written anew, an email sent, an import's row comes in behind the walk."""
        with sessions.begin() as session:
            session.execute(
                update(TokenRow)
                .where(TokenRow.serial_number == "HT-00000")
                .values(seed=OLD.close(b"another seed", "HT-00000"), counter=7)
            )
            session.execute(update(EmailRow).values(sealed_message=None, state="sent"))
            session.execute(insert(ImportedToken), [imported("run-0", "HT-8")])

    before_tokens = 3  # two imported ones and an enrolment
    reseal(sessions, Interrupted(KEYS, before_tokens, workers))
    with sessions.begin() as session:
        kept = session.get_one(TokenRow, "HT-00000")
        assert NEW.open(kept.seed, "HT-00000") == b"another seed"
        assert kept.counter == 7
        assert session.get_one(EmailRow, "<1@x>").sealed_message is None
        assert NEW.open(session.get_one(ImportedToken, ("run-0", "HT-8")).seed, "HT-8") == b"seed of HT-8"
        session.execute(update(EmailRow).values(sealed_message=OLD.close(b"mail", "<1@x>")))
        session.execute(text("delete from imported_tokens"))
        session.execute(text("delete from soft_enrollments"))
        session.execute(text("delete from tokens"))
        session.execute(insert(TokenRow), [token(f"HT-{number:05}") for number in range(_TOKENS)])

    def sent() -> None:
        with sessions.begin() as session:
            session.execute(update(EmailRow).values(sealed_message=None, state="sent"))

    reseal(sessions, Interrupted(KEYS, _TOKENS, sent))
    with sessions.begin() as session:
        assert session.get_one(EmailRow, "<2@x>").sealed_message is None


def test_workers_go_on_meanwhile(sessions: Sessions) -> None:
    """Passcodes are accepted, each under its row's lock, as everything is re-sealed: no count and no seed is lost."""
    fill(sessions)
    before = seeds(sessions, BOTH)
    serials = [f"HT-{number:05}" for number in range(0, _TOKENS, 25)]

    def accept(serial: str) -> None:
        with sessions.begin() as session:
            row = session.scalars(select(TokenRow).where(TokenRow.serial_number == serial).with_for_update()).one()
            assert BOTH.open(row.seed, serial) == before[serial]
            row.counter += 1

    with ThreadPoolExecutor(3) as threads:
        work = [threads.submit(accept, serial) for _ in range(3) for serial in serials]
        done = reseal(sessions, BOTH)
        for one in work:
            one.result()
    assert set(done.after) == {"k2"}
    assert seeds(sessions, NEW) == before
    with sessions.begin() as session:
        counted = session.scalars(select(TokenRow.counter).where(TokenRow.serial_number.in_(serials))).all()
    assert set(counted) == {3}


def test_what_can_not_be_opened_is_named_and_left(sessions: Sessions) -> None:
    lost = Seal({"k0": "00" * 32})
    damaged = token("HT-3")
    whole: bytes = damaged["seed"]  # type: ignore[assignment]
    damaged["seed"] = whole[:-1] + bytes([whole[-1] ^ 1])
    with sessions.begin() as session:
        session.execute(insert(TokenRow), [token("HT-1"), token("HT-2", lost), damaged])
        session.execute(insert(TokenRow), [{**token("HT-4"), "seed": b"\x00\xff"}, {**token("HT-5"), "seed": b""}])
        left = {row.serial_number: row.seed for row in session.scalars(select(TokenRow))}
    done = reseal(sessions, BOTH)
    assert done.after == {"k2": 1, "k0": 1, "k1": 1, "?": 2}
    assert [(one.what, one.row, one.key_id) for one in done.unopened] == [
        ("tokens.seed", "HT-2", "k0"),
        ("tokens.seed", "HT-3", "k1"),
        ("tokens.seed", "HT-4", "?"),
        ("tokens.seed", "HT-5", "?"),
    ]
    with sessions.begin() as session:
        for serial in ("HT-2", "HT-3", "HT-4", "HT-5"):
            assert session.get_one(TokenRow, serial).seed == left[serial]
