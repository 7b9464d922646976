"""`tokens import` against the embedded stack, as a person types it."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from simulators import batch
from tests.starter.test_commands import TOKENS, Terminal
from tests.starter.test_commands import terminal as terminal
from tests.token_makers import KEY, PASSWORD, encrypted_pskc, tokens

pytestmark = pytest.mark.slow  # the whole stack, and a process for each command


def left(terminal: Terminal) -> list[str]:
    """What lies in the import folder."""
    folder = Path(terminal.environment["TOKENS_STATE"]) / "import"
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def test_made_taken_and_pressed(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "lot-7.csv"
    terminal.tokens("simulate", "batch", "--format", "yubico", "--count", "3", "-o", str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    said = terminal.tokens("import", str(file), "--by", "Ann")
    assert said.endswith("3 tokens taken into stock (yubico), 0 rows refused.")
    serial = file.read_text().split(",")[0]
    assert "batch lot-7) is in stock" in terminal.tokens("stock", serial)
    first = terminal.press(serial)
    assert first.isdigit()
    assert terminal.press(serial) != first
    assert (left(terminal), file.exists()) == ([], True)
    # The same again changes nothing.
    code, said = terminal.run("import", str(file))
    assert code == 1
    assert "it is in stock already" in said
    assert said.endswith("Nothing was taken: 3 rows can't be; correct them, or take the good ones with --partial.")
    assert left(terminal) == []


def test_the_good_rows(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "some.csv"
    file.write_text(batch.oath_csv(tokens(2, "G")) + "X1,zz\n")
    code, said = terminal.run("import", str(file), "--json")
    assert code == 1
    assert '"taken": 0' in said
    report = terminal.json("import", str(file), "--partial")
    assert (report["format"], report["taken"]) == ("oath-csv", 2)
    assert report["refused"] == [{"line": 3, "serial": "X1", "reason": "a seed has at least 14 bytes"}]


def test_encrypted_files(terminal: Terminal, tmp_path: Path) -> None:
    file = encrypted_pskc(tokens(2, "K"), tmp_path / "k.xml", key=KEY)
    assert "give that key in hex" in terminal.refused("import", str(file))
    assert "another one" in terminal.refused("import", str(file), "--key", "00" * 16)
    assert "2 tokens taken" in terminal.tokens("import", str(file), "--key", KEY.hex())
    file = encrypted_pskc(tokens(2, "P"), tmp_path / "p.xml", password=PASSWORD)
    (tmp_path / "password").write_text(PASSWORD + "\n")
    said = terminal.tokens("import", str(file), "--password-file", str(tmp_path / "password"), "--format", "pskc")
    assert "2 tokens taken" in said
    assert left(terminal) == []


def test_bad_usage(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "f.csv"
    file.write_text("x")
    for words in (
        ("import",),
        ("import", str(tmp_path / "nowhere")),
        ("import", str(tmp_path)),
        ("import", str(file), "--format", "csv"),
        ("import", str(file), "--key", "no hex"),
        ("import", str(file), "--password-file", str(tmp_path / "nowhere")),
        ("simulate", "batch", "--format", "csv"),
        ("simulate", "batch", "--count", "0"),
    ):
        assert terminal.run(*words)[0] == 2, words
    assert left(terminal) == []


def test_left_alone_it_goes_on(terminal: Terminal, tmp_path: Path) -> None:
    """Ctrl-C ends the command, not the import; the copy goes when it has ended."""
    file = tmp_path / "long.xml"
    file.write_text(batch.pskc(tokens(15_000, "L")))
    with subprocess.Popen(
        [*TOKENS, "import", str(file)], env=terminal.environment, stderr=subprocess.PIPE, text=True
    ) as typed:
        assert typed.stderr
        while not left(terminal):
            time.sleep(0.05)
        time.sleep(2)
        os.kill(typed.pid, signal.SIGINT)
        said = typed.stderr.read()
        assert typed.wait(30) == 1
    assert "goes on by itself" in said
    for _ in range(300):
        if not left(terminal):
            break
        time.sleep(0.2)
    counted = [row["tokens"] for row in terminal.json("stock") if row["batch"] == "long"]
    assert counted == [15_000]
