"""Taking a file into stock, without the workflow around it: what is taken, what is refused, and what an interruption leaves."""

import multiprocessing
import os
import resource
import secrets
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities import imports
from activities.import_folder import ImportFolder
from activities.import_orders import ImportEnding, ImportOrder, ImportReport
from activities.imports import Imports, Overtaken
from database import audit, migrate
from database.engine import Sessions, engine_of, sessions_of
from database.sealing import Seal
from database.tables import ImportedToken, ImportRefusal, ImportRow, TokenRow
from domain.token_files import Token
from simulators import batch
from tests.token_makers import KEY, PASSWORD, encrypted_pskc, seed, tokens

SEAL_KEY = secrets.token_hex(32)
SEAL = Seal({"test": SEAL_KEY})


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "tokens.db"
    migrate.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def sessions(template: Path, tmp_path: Path) -> Iterator[Sessions]:
    shutil.copy(template, tmp_path / "tokens.db")
    engine = engine_of(f"sqlite:///{tmp_path / 'tokens.db'}")
    yield sessions_of(engine)
    engine.dispose()


class Desk:
    """Where files are put down and taken in."""

    def __init__(self, sessions: Sessions, folder: Path) -> None:
        self.sessions = sessions
        self.folder = ImportFolder(folder, SEAL)
        folder.mkdir()
        self.imports = Imports(sessions, SEAL, self.folder)

    def order(
        self, content: str | None = None, name: str = "lot.csv", import_id: str = "run-1", **more: Any
    ) -> ImportOrder:
        if content is not None:
            (self.folder.folder / name).write_text(content)
        return ImportOrder(import_id=import_id, workflow_id="import", file=name, imported_by="Ann", **more)

    def take(self, order: ImportOrder) -> ImportReport:
        return ActivityEnvironment().run(self.imports.take_in, order)

    def refused(self, order: ImportOrder) -> str:
        with pytest.raises(ApplicationError) as fault:
            self.take(order)
        assert (fault.value.type, fault.value.non_retryable) == ("Refused", True)
        return fault.value.message

    def clear(self, order: ImportOrder, refused: str | None = None) -> None:
        ActivityEnvironment().run(self.imports.clear, ImportEnding(order=order, refused=refused))

    def stock(self) -> dict[str, TokenRow]:
        with self.sessions() as session:
            return {row.serial_number: row for row in session.scalars(select(TokenRow))}

    def left(self, *tables: Any) -> int:
        with self.sessions() as session:
            return sum(len(session.scalars(select(table.import_id)).all()) for table in tables or (ImportedToken,))

    def use(self, serial: str, state: str) -> None:
        with self.sessions.begin() as session:
            session.execute(update(TokenRow).where(TokenRow.serial_number == serial).values(state=state))


@pytest.fixture
def desk(sessions: Sessions, tmp_path: Path) -> Desk:
    return Desk(sessions, tmp_path / "import")


def reasons(report: ImportReport) -> dict[int, tuple[str | None, str]]:
    return {row.line: (row.serial, row.reason) for row in report.refused}


@pytest.mark.parametrize("format_", list(batch.FORMATS))
def test_a_file_becomes_stock(desk: Desk, format_: str) -> None:
    made = tokens(3)
    report = desk.take(desk.order(batch.FORMATS[format_](made), partial=False))
    assert (report.format, report.taken, report.refused, report.refused_in_all) == (format_, 3, [], 0)
    stock = desk.stock()
    for token in made:
        row = stock[token.serial]
        assert (row.kind, row.state, row.batch, row.counter, row.journey_id) == ("hard", "in_stock", "lot", 0, None)
        assert (row.algorithm, row.digits, row.digest, row.period) == ("HOTP", 6, "SHA1", 0)
        assert SEAL.open(row.seed, token.serial) == token.device.seed
        assert token.device.seed not in row.seed
    assert desk.left() == 0


def test_all_or_nothing(desk: Desk) -> None:
    content = batch.oath_csv(tokens(2)) + "X1,zz\n"
    report = desk.take(desk.order(content))
    assert (report.taken, report.refused_in_all) == (0, 1)
    assert reasons(report) == {3: ("X1", "a seed has at least 14 bytes")}
    assert desk.stock() == {}
    assert desk.left() == 0


def test_the_good_rows(desk: Desk) -> None:
    report = desk.take(desk.order(batch.oath_csv(tokens(2)) + "X1,zz\n", partial=True))
    assert (report.taken, report.refused_in_all) == (2, 1)
    assert set(desk.stock()) == {"T000001", "T000002"}


@pytest.mark.parametrize("size", [1, 2, 2000])
def test_serials_that_are_there_already(desk: Desk, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """In the file, in the same or another batch; in stock; in use."""
    monkeypatch.setattr(imports, "_BATCH", size)
    desk.take(desk.order(batch.oath_csv(tokens(2))))
    desk.use("T000002", "coming_back")
    before = {serial: vars(row).copy() for serial, row in desk.stock().items()}
    new = "".join(
        f"{serial},{seed('other').hex()}\n" for serial in ("T000001", "T000002", "T000003", "T000003", "T000003")
    )
    for partial in (False, True):
        report = desk.take(desk.order(new, name="second.csv", import_id=f"run-{partial}", partial=partial))
        assert reasons(report) == {
            1: ("T000001", "it is in stock already"),
            2: ("T000002", "it is in the inventory already, as coming back"),
            4: ("T000003", "its serial number stands in line 3 already"),
            5: ("T000003", "its serial number stands in line 3 already"),
        }
        assert report.taken == int(partial)
    after = desk.stock()
    assert set(after) == {"T000001", "T000002", "T000003"}
    for serial, row in before.items():
        assert {**vars(after[serial]), "_sa_instance_state": None} == {**row, "_sa_instance_state": None}


def test_a_long_list_is_cut_in_the_report_only(desk: Desk) -> None:
    report = desk.take(desk.order("".join(f"X{number},zz\n" for number in range(2500)), partial=True))
    assert (report.taken, len(report.refused), report.refused_in_all) == (0, 100, 2500)
    assert [row.line for row in report.refused] == list(range(1, 101))
    assert desk.left(ImportRefusal) == 2500


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing.csv", "There is no file nothing.csv"),
        ("../outside.csv", "without folders"),
        ("sub/inside.csv", "without folders"),
        (".hidden", "without folders"),
        ("", "without folders"),
        ("link.csv", "no ordinary file"),
        ("sub", "no ordinary file"),
        ("pipe", "no ordinary file"),
        ("x" * 300, "There is no file"),
        ("\ud800", "There is no file"),
    ],
)
def test_nothing_outside_the_folder(desk: Desk, tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "outside.csv").write_text(batch.oath_csv(tokens(1)))
    (desk.folder.folder / "sub").mkdir()
    (desk.folder.folder / "sub" / "inside.csv").write_text(batch.oath_csv(tokens(1)))
    (desk.folder.folder / "link.csv").symlink_to(tmp_path / "outside.csv")
    os.mkfifo(desk.folder.folder / "pipe")
    order = desk.order().model_copy(update={"file": name})
    assert said in desk.refused(order)
    desk.clear(order)
    assert desk.stock() == {}
    assert (tmp_path / "outside.csv").exists()


@pytest.mark.parametrize("content", ["", "# only a comment\n", "serial,secret\n", '<KeyContainer Version="1.0"/>'])
def test_a_file_without_tokens(desk: Desk, content: str) -> None:
    assert "at least one" in desk.refused(desk.order(content))


def test_a_file_that_breaks_in_the_middle(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "_BATCH", 2)
    order = desk.order(batch.safenet_xml(tokens(7))[:-200], partial=True)
    said = desk.refused(order)
    assert "breaks at line" in said
    assert desk.left() > 0
    for _ in range(2):  # the answer may get lost
        desk.clear(order, said)
    assert (desk.left(), desk.stock()) == (0, {})
    with desk.sessions() as session:
        assert audit.verify(session) == (1, [])


def test_what_opens_a_file(desk: Desk) -> None:
    """By a person who put it there, and by `tokens import`, which seals it; erased either way."""
    folder = desk.folder.folder
    encrypted_pskc(tokens(1), folder / "a.xml", key=KEY)
    order = desk.order(name="a.xml")
    assert "give that key in hex" in desk.refused(order)
    (folder / "a.xml.key").write_text("no hex")
    assert "a key in hex digits" in desk.refused(order)
    (folder / "a.xml.key").write_bytes(b"sealed:AAAA")
    assert "can't be read" in desk.refused(order)
    (folder / "a.xml.key").write_text(bytes(16).hex())
    assert "another one" in desk.refused(order)
    (folder / "a.xml.key").write_text(KEY.hex().upper() + "\n")
    assert desk.take(order).taken == 1
    desk.clear(order)
    assert [path.name for path in folder.iterdir()] == ["a.xml"]

    source = encrypted_pskc(tokens(2, "P"), folder.parent / "b é.xml", password=PASSWORD)
    name, _ = desk.folder.submit(source, password=PASSWORD)
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in folder.glob("submitted-*"))
    assert PASSWORD.encode() not in (folder / f"{name}.password").read_bytes()
    order = desk.order(name=name, import_id="run-2")
    assert desk.take(order).taken == 2
    assert desk.stock()["P000001"].batch == "b_"
    desk.clear(order)
    assert [path.name for path in folder.iterdir()] == ["a.xml"]
    assert source.exists()


class Cut(Exception):
    """Stands for whatever ends a worker in the middle."""


def cut_after(desk: Desk, batches: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """The next attempt ends after so many batches; returns how to undo it."""
    stage, done = desk.imports._stage, [0]

    def staging(*arguments: Any) -> None:
        if done[0] == batches:
            raise Cut
        done[0] += 1
        stage(*arguments)

    monkeypatch.setattr(desk.imports, "_stage", staging)
    return lambda: monkeypatch.setattr(desk.imports, "_stage", stage)


@pytest.mark.parametrize("format_", list(batch.FORMATS))
@pytest.mark.parametrize("batches", [0, 1, 3])
def test_it_goes_on_where_it_was(desk: Desk, monkeypatch: pytest.MonkeyPatch, format_: str, batches: int) -> None:
    monkeypatch.setattr(imports, "_BATCH", 5)
    made = tokens(18)
    order = desk.order(batch.FORMATS[format_]([*made, *made[:2]]), partial=True)
    undo = cut_after(desk, batches, monkeypatch)
    with pytest.raises(Cut):
        desk.take(order)
    assert (desk.left(), desk.stock()) == (5 * batches, {})
    undo()
    sealed: list[str] = []
    close = SEAL.close
    monkeypatch.setattr(SEAL, "close", lambda plain, about: (sealed.append(about), close(plain, about))[1])
    report = desk.take(order)
    assert (report.taken, report.refused_in_all) == (18, 2)
    assert len(sealed) == 18 + 2 - 5 * batches  # nothing is done twice
    # Asked again once more, as when the answer got lost: the same.
    assert desk.take(order) == report
    assert len(desk.stock()) == 18
    with desk.sessions() as session:
        assert audit.verify(session) == (1, [])


def test_a_file_that_changes_meanwhile(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "_BATCH", 2)
    order = desk.order(batch.oath_csv(tokens(5)))
    undo = cut_after(desk, 1, monkeypatch)
    with pytest.raises(Cut):
        desk.take(order)
    undo()
    assert "was changed while" in desk.refused(desk.order(batch.oath_csv(tokens(5, "C"))))


def test_two_attempts_at_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """One was given up while it still worked: whatever it does then is not kept."""
    monkeypatch.setattr(imports, "_BATCH", 2)
    order = desk.order(batch.oath_csv(tokens(6)))
    stage, second = desk.imports._stage, Imports(desk.sessions, SEAL, desk.folder)
    reports: list[ImportReport] = []

    def slow(*arguments: Any) -> None:
        stage(*arguments)
        if not reports:
            reports.append(ActivityEnvironment().run(second.take_in, order))

    monkeypatch.setattr(desk.imports, "_stage", slow)
    with pytest.raises(Overtaken):
        desk.take(order)
    assert reports[0].taken == 6
    assert len(desk.stock()) == 6


def test_another_import_puts_the_same_serial_in_between(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    content = batch.oath_csv(tokens(2))
    stage = desk.imports._stage

    def staging(*arguments: Any) -> None:
        stage(*arguments)
        other = Desk.__new__(Desk)
        other.sessions, other.folder = desk.sessions, desk.folder
        other.imports = Imports(desk.sessions, SEAL, desk.folder)
        assert other.take(desk.order(batch.oath_csv(tokens(1)), name="other.csv", import_id="run-2")).taken == 1

    monkeypatch.setattr(desk.imports, "_stage", staging)
    report = desk.take(desk.order(content))
    assert (report.taken, reasons(report)) == (0, {1: ("T000001", "it is in stock already")})
    assert len(desk.stock()) == 1


def test_what_was_abandoned_goes(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "_BATCH", 2)
    undo = cut_after(desk, 2, monkeypatch)
    order = desk.order(batch.oath_csv(tokens(6)) + "X1,zz\n")
    with pytest.raises(Cut):
        desk.take(order)
    undo()
    with desk.sessions.begin() as session:
        session.execute(update(ImportRow).values(touched_at=datetime(2026, 1, 1, tzinfo=UTC)))
    desk.take(desk.order(batch.oath_csv(tokens(2, "N")), name="next.csv", import_id="run-2"))
    assert desk.left() == 0
    assert desk.left(ImportRow) == 1
    # Should it live after all, it begins anew.
    assert desk.take(order.model_copy(update={"partial": True})).taken == 6


def test_left_over_copies_go(desk: Desk, tmp_path: Path) -> None:
    source = tmp_path / "f.csv"
    source.write_text(batch.oath_csv(tokens(1)))
    old, _ = desk.folder.submit(source, key=KEY)
    for path in desk.folder.folder.iterdir():
        os.utime(path, (0, 0))
    new, digest = desk.folder.submit(source)
    assert [path.name for path in desk.folder.folder.iterdir()] == [new]
    assert len(digest) == 64
    assert old != new


# Large ones


def serials(number: int) -> Iterator[Token]:
    for part in range(0, number, 5000):
        yield from tokens(min(5000, number - part), f"{part:07d}-")


@pytest.mark.slow
def test_a_hundred_megabytes(desk: Desk) -> None:
    """With one bad row at its end: stock unchanged, in no more memory than an ordinary file takes."""
    path = desk.folder.folder / "large.csv"
    filler = "," * 900  # wide rows, so that the size is reached in a few seconds' worth of them
    with path.open("w") as file:
        number = 0
        while file.tell() < 100_000_000:
            chunk = range(number, number + 1000)
            file.write("".join(f"L{n:08d},{seed(str(n)).hex()},hotp,6,0{filler}\n" for n in chunk))
            number += 1000
        file.write("X1,zz\n")
    report, peak = in_a_process(desk, "large.csv")
    assert (report.taken, [row.line for row in report.refused]) == (0, [number + 1])
    assert (desk.left(), desk.stock()) == (0, {})
    assert peak < 60_000_000


@pytest.mark.slow
def test_a_hundred_thousand_tokens(desk: Desk) -> None:
    (desk.folder.folder / "many.csv").write_text(batch.oath_csv(list(serials(100_000))))
    report, peak = in_a_process(desk, "many.csv")
    assert (report.taken, report.refused_in_all) == (100_000, 0)
    assert peak < 60_000_000
    assert len({row.serial_number for row in desk.stock().values()}) == 100_000


def in_a_process(desk: Desk, name: str) -> tuple[ImportReport, int]:
    """The report, and how many bytes of memory the process has grown by."""
    queue: Any = multiprocessing.get_context("spawn").Queue()
    url = str(desk.sessions.kw["bind"].url)
    keys = {"test": SEAL_KEY}
    child = multiprocessing.get_context("spawn").Process(
        target=_take_in, args=(url, keys, str(desk.folder.folder), desk.order(name=name), queue)
    )
    child.start()
    report, peak = queue.get(timeout=300)
    child.join(30)
    return ImportReport.model_validate(report), peak


def _take_in(url: str, keys: dict[str, str], folder: str, order: ImportOrder, queue: Any) -> None:
    engine = engine_of(url)
    seal = Seal(keys)
    taking = Imports(sessions_of(engine), seal, ImportFolder(Path(folder), seal))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report = ActivityEnvironment().run(taking.take_in, order)
    queue.put((report.model_dump(), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024))
