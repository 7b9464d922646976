"""`tokens audit` and `tokens erase` as a person types them: all they need is the database and the folder of anchors."""

import json
import os
import shutil
import sqlite3
import sys
from pathlib import Path

import pytest

from database import audit, migrate
from database.anchors import AnchorKey
from database.engine import engine_of, sessions_of
from database.tables import Practice
from starter.cli import app
from tests.database.test_audit_keeping import LATELY, LONG_AGO, PERSONAL, happened, journey, prescriber


class Terminal:
    """Commands in this process, which takes a tenth of the time of a process for each."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        url = f"sqlite:///{folder / 'tokens.db'}"
        migrate.upgrade(url)
        self.engine = engine_of(url)
        self.sessions = sessions_of(self.engine)
        self._capsys = capsys
        for name in [name for name in os.environ if name.startswith(("TOKENS_", "TEMPORAL_"))]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("TOKENS_STATE", str(folder))
        monkeypatch.setenv("TOKENS_DATABASE_URL", url)
        monkeypatch.setattr(os, "_exit", sys.exit)

    def run(self, *words: str) -> tuple[int, str]:
        """Exit code, and what stands on the screen."""
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            app(list(words))
        said = self._capsys.readouterr()
        return int(ended.value.code or 0), (said.out + said.err).strip()


def tampered(folder: Path, *statements: str) -> None:
    """By somebody who owns the file."""
    with sqlite3.connect(folder / "tokens.db") as connection:
        for (trigger,) in connection.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            connection.execute(f"drop trigger {trigger}")
        for statement in statements:
            connection.execute(statement)


def test_from_the_first_anchor_to_a_restore_that_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal(tmp_path, monkeypatch, capsys)
    with terminal.sessions.begin() as session:
        session.add(Practice(practice_id="PR-1", name="Lakeside", time_zone="America/New_York"))
        session.flush()
        session.add(prescriber("P-1"))
        session.flush()
        for journey_id, at in (("old", LONG_AGO), ("young", LATELY)):
            session.add(journey(journey_id, "P-1", at))
            audit.append(session, journey_id, f"run-{journey_id}", [*happened(at)])

    code, said = terminal.run("audit", "anchor")
    assert (code, said) == (1, said)
    assert "TOKENS_AUDIT_KEY" in said
    monkeypatch.setenv("TOKENS_AUDIT_KEY", "11" * 32)
    code, said = terminal.run("audit", "verify")
    assert (code, "Nothing is anchored outside the database yet" in said) == (0, True)
    assert terminal.run("audit", "anchor", "--json")[0] == 0
    backup = shutil.copy(
        tmp_path / "tokens.db", tmp_path / "backup.db"
    )  # after WAL was written back by the last to close
    wal = tmp_path / "tokens.db-wal"
    if wal.exists():
        shutil.copy(wal, tmp_path / "backup.db-wal")

    # What happens later is anchored; then the backup is put back.
    with terminal.sessions.begin() as session:
        audit.append(session, "young", "later", [*happened(LATELY)])
    code, said = terminal.run("audit", "anchor")
    assert (code, "2 chains, 1 changed" in said) == (0, True), said
    terminal.engine.dispose()
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"tokens.db{suffix}").unlink(missing_ok=True)
    shutil.copy(backup, tmp_path / "tokens.db")
    if (tmp_path / "backup.db-wal").exists():
        shutil.copy(tmp_path / "backup.db-wal", wal)

    code, said = terminal.run("audit", "verify")
    assert code == 1
    assert "young, row 4: cut off: anchor 2 of" in said
    assert "the database went back in time" in said
    assert "accept-restore" in terminal.run("audit", "anchor")[1]
    code, said = terminal.run("audit", "accept-restore", "--reason", "the disk broke", "--by", "Ruth")
    assert (code, said) == (0, "Accepted by anchor 3: 1 journeys went back.")
    code, said = terminal.run("audit", "verify")
    assert (code, "Ruth accepted a restore that took back 1 journeys: the disk broke." in said) == (0, True), said
    assert terminal.run("audit", "accept-restore", "--reason", "again")[0] == 1

    # For an inspector: a page to read, and lines for machines.
    page, lines = tmp_path / "young.html", tmp_path / "all.jsonl"
    code, said = terminal.run("audit", "export", str(page), "--token", "young")
    assert (code, "nothing was changed, inserted, moved, removed or cut off." in said) == (0, True), said
    assert "deactivated: because Ann moved" in page.read_text()
    assert terminal.run("audit", "export", str(lines), "--since", f"{LATELY:%Y-%m-%d}")[0] == 0
    first, *rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert first["rows"] == len(rows) == 4
    assert {row["journey_id"] for row in rows} == {"young", "audit-trail"}
    assert terminal.run("audit", "export", str(lines), "--token", "unknown")[0] == 1

    # What is older than two years may go; nothing else may.
    code, said = terminal.run("erase", "P-1", "--confirmed")
    assert (code, "2 years" in said) == (1, True), said
    code, said = terminal.run("audit", "purge", "--before", f"{LATELY:%Y-%m-%d}", "--reason", "cleaning")
    assert (code, "is kept 2 years" in said) == (1, True), said
    before = f"{LONG_AGO.replace(day=28) if LONG_AGO.day < 28 else LONG_AGO:%Y-%m}-28"
    code, said = terminal.run("audit", "purge", "--before", before, "--reason", "cleaning", "--json")
    assert code == 0, said
    assert terminal.run("audit", "verify")[0] == 0

    # Somebody who owns the file, head and all; the public key is enough to find it.
    terminal.engine.dispose()
    tampered(tmp_path, "delete from audit where journey_id = 'young' and number > 1")
    hash_ = (
        sqlite3.connect(tmp_path / "tokens.db")
        .execute("select hash from audit where journey_id = 'young'")
        .fetchone()[0]
    )
    tampered(tmp_path, f"update audit_heads set number = 1, hash = '{hash_}' where journey_id = 'young'")
    monkeypatch.delenv("TOKENS_AUDIT_KEY")
    monkeypatch.setenv("TOKENS_AUDIT_PUBLIC_KEYS", json.dumps([AnchorKey("11" * 32).public]))
    code, said = terminal.run("audit", "verify", "--json")
    assert code == 1
    found = json.loads(said.splitlines()[0])
    assert [(fault["journey_id"], fault["number"]) for fault in found["faults"]] == [("young", 2)]
    assert PERSONAL[0] not in said
    code, said = terminal.run("audit", "export", str(page), "--token", "young")
    assert (code, "NOT WHOLE" in page.read_text()) == (0, True)
