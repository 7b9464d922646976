"""Files of every format, damaged byte by byte: an answer each time, never a crash, and never a seed in it."""

import os
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from domain.token_files import BadRow, FileRefused, Format, Token, Unlock, recognised, rows
from simulators import batch
from tests.token_makers import KEY, PASSWORD, encrypted_pskc, entra_csv, tokens, yubico_traditional

MADE = tokens(1)
KINDS = ("oath-csv", "entra", "yubico", "traditional", "safenet-xml", "pskc", "pskc-key", "pskc-password")
UNLOCK = Unlock(key=KEY, password=PASSWORD)


def whole(kind: str, path: Path) -> bytes:
    match kind:
        case "entra":
            path.write_text(entra_csv(MADE))
        case "traditional":
            path.write_text(yubico_traditional(MADE))
        case "pskc-key":
            encrypted_pskc(MADE, path, key=KEY)
        case "pskc-password":
            encrypted_pskc(MADE, path, password=PASSWORD)
        case _:
            path.write_text(batch.FORMATS[kind](MADE))
    return path.read_bytes()


def damages(content: bytes, places: list[int]) -> Iterator[bytes]:
    for place in places:
        before, byte, after = content[:place], content[place], content[place + 1 :]
        for other in {byte ^ 1, byte ^ 0x80, ord("<")} - {byte}:
            yield before + bytes((other,)) + after
        yield before + after
        yield before  # cut off here
        yield before + bytes((byte, byte)) + after


def check(kind: str, path: Path, places: list[int]) -> None:
    content = whole(kind, path)
    format_ = recognised(path)
    whole_rows = list(rows(path, format_, UNLOCK))
    assert [row.serial for row in whole_rows] == [token.serial for token in MADE]
    seeds = {token.device.seed for token in MADE}
    for number, damaged in enumerate(damages(content, places)):
        path.write_bytes(damaged)
        try:
            read = list(rows(path, format_ if number % 2 else recognised(path), UNLOCK))
        except FileRefused as refusal:
            assert not any(seed.hex() in str(refusal) for seed in seeds)
            continue
        for row in read:
            assert isinstance(row, Token | BadRow)
            assert len(row.reason if isinstance(row, BadRow) else row.serial) < 200
            assert not any(seed.hex() in repr(row) or repr(seed) in repr(row) for seed in seeds)
            if kind in ("pskc-key", "pskc-password") and isinstance(row, Token):
                assert row.device.seed in seeds  # the MAC lets no other through


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_each_byte(kind: str, tmp_path: Path) -> None:
    """Every byte of the small formats. XML is large for what it says, and PBKDF2 is worked out for each damage: there every
    seventh byte, or all of them where `EVERY_BYTE` is set."""
    size = len(whole(kind, tmp_path / "tokens"))
    step = 7 if kind.startswith("pskc") and not os.environ.get("EVERY_BYTE") else 1
    check(kind, tmp_path / "tokens", list(range(0, size, step)))


@pytest.mark.parametrize("kind", KINDS)
def test_some_bytes(kind: str, tmp_path: Path) -> None:
    size = len(whole(kind, tmp_path / "tokens"))
    check(kind, tmp_path / "tokens", random.Random(7).sample(range(size), 25))


@pytest.mark.parametrize("format_", list(Format))
def test_noise(format_: Format, tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    noise = random.Random(11)
    for size in (1, 2, 50, 5000):
        path.write_bytes(noise.randbytes(size))
        with suppress(FileRefused):
            assert not any(isinstance(row, Token) for row in rows(path, format_, UNLOCK))
