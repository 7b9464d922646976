"""`ImportTokens` as the team starts it in the UI: what it says, what it keeps to itself, and what a killed worker leaves."""

import asyncio
import base64
import json
import random
import re
import time
import uuid
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import CancelledError

from activities import imports
from activities.imports import Imports
from connection import data_converter
from domain.token_files import Token
from simulators import batch
from tests.on_stack import on_sqlite
from tests.stage import Play, Stage
from tests.token_makers import KEY, PASSWORD, encrypted_pskc, tokens


def put(stage: Stage, content: str, name: str = "lot.csv") -> None:
    folder = stage.settings.folder_of_imports
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(content)


async def taken(stage: Stage, **body: Any) -> dict[str, Any]:
    order = {"file": "lot.csv", "imported_by": "Ann", **body}
    return await (await stage.open("ImportTokens", order)).result()


def stock(stage: Stage) -> int:
    return stage.rows("select count(*) from tokens")[0][0] - 48


async def details(play: Play) -> str:
    """What the UI shows of it."""
    return (await play.query("__temporal_workflow_metadata")).current_details


async def test_a_file_becomes_stock(stage: Stage) -> None:
    put(stage, batch.oath_csv(tokens(3)))
    play = await stage.open("ImportTokens", {"file": "lot.csv", "imported_by": "Ann"})
    report = await play.result()
    assert {name: report[name] for name in ("format", "taken", "refused")} == {
        "format": "oath-csv",
        "taken": 3,
        "refused": [],
    }
    assert stock(stage) == 3
    shown = await details(play)
    assert "Import of `lot.csv` by Ann" in shown
    assert "3 tokens taken, 0 rows refused" in shown
    # A person's own file stays; the trail says what was done.
    assert (stage.settings.folder_of_imports / "lot.csv").exists()
    assert stage.rows('select what, "by", status from audit') == [
        ("import of lot.csv: 3 tokens taken, 0 rows refused", "Ann", "Imported")
    ]


async def test_refused_rows_are_reported(stage: Stage) -> None:
    put(stage, batch.oath_csv(tokens(2)) + "X1,zz\n")
    play = await stage.open("ImportTokens", {"file": "lot.csv", "imported_by": "Ann"})
    assert (await play.result())["refused"] == [{"line": 3, "serial": "X1", "reason": "a seed has at least 14 bytes"}]
    shown = await details(play)
    assert "line 3, `X1`: a seed has at least 14 bytes" in shown
    assert '"partial": true' in shown
    assert stock(stage) == 0
    assert (await taken(stage, partial=True))["taken"] == 2
    assert stock(stage) == 2


@pytest.mark.parametrize(
    ("bodies", "said"),
    [
        ((), "`file` is missing"),
        (("lot.csv",), "a text came"),
        (([],), "a list came"),
        (({"file": "lot.csv"}, {}), "2 payloads came"),
        (({"file": "lot.csv"},), "`imported_by` is missing"),
        (({"file": "../lot.csv", "imported_by": "Ann"},), "`file`: must be the name of a file in the import folder"),
        (({"file": "/etc/passwd", "imported_by": "Ann"},), "`file`: must be the name of a file in the import folder"),
        (({"file": "a\\b", "imported_by": "Ann"},), "`file`: must be the name of a file in the import folder"),
        (({"file": "a\0", "imported_by": "Ann"},), "`file`: must be the name of a file in the import folder"),
        (({"file": ".", "imported_by": "Ann"},), "`file`: must be the name of a file in the import folder"),
        (({"file": "", "imported_by": "Ann"},), "`file`"),
        (({"file": 7, "imported_by": "Ann"},), "`file`"),
        (({"file": "x" * 201, "imported_by": "Ann"},), "`file`"),
        (({"file": "lot.csv", "imported_by": "Ann", "format": "csv"},), "`format` must be 'oath-csv', 'yubico'"),
        (({"file": "lot.csv", "imported_by": "Ann", "partial": "perhaps"},), "`partial`"),
        (({"file": "lot.csv", "imported_by": "Ann", "key": "00"},), "`key` is not known"),
        (({"file": "other.csv", "imported_by": "Ann"},), "There is no file other.csv in the import folder"),
        (({"file": "lot.csv", "imported_by": "Ann", "format": "pskc"},), "not whole"),
    ],
    ids=lambda value: str(value)[:50],
)
async def test_what_can_be_wrong(stage: Stage, bodies: tuple[Any, ...], said: str) -> None:
    put(stage, batch.oath_csv(tokens(1)))
    sentence = await (await stage.open("ImportTokens", *bodies)).failed()
    assert said in sentence
    assert sentence.endswith(".")
    assert stock(stage) == 0


async def test_a_token_from_a_file_signs(stage: Stage) -> None:
    """The whole way: made, taken into stock, scanned, sent, enrolled by its button."""
    put(stage, batch.make("pskc", 2, stage.folder), "lot.xml")
    assert (await taken(stage, file="lot.xml"))["taken"] == 2
    [(serial,)] = stage.rows("select serial_number from tokens where batch = 'lot' order by serial_number limit 1")
    journey = await stage.request("hard", "P-1004")
    await journey.process(serial_number=serial)
    await journey.deliver()
    await journey.enroll()
    await journey.wait(minutes=10)
    assert (await journey.status())["status"] == "Active"
    assert await journey.signs()
    # In use, it is as safe from the next file as in stock.
    report = await taken(stage, file="lot.xml")
    assert [row["reason"] for row in report["refused"]] == [
        "it is in the inventory already, as active",
        "it is in stock already",
    ]


# What must not get out


def secrets_of(made: list[Token]) -> list[bytes]:
    """The seeds, the key and the password, in every form in which they might stand somewhere."""
    plain = [token.device.seed for token in made] + [KEY, PASSWORD.encode()]
    return [
        form
        for secret in plain
        for form in (secret, secret.hex().encode(), secret.hex().upper().encode(), *_base(secret))
    ]


def _base(secret: bytes) -> tuple[bytes, bytes]:
    return base64.b64encode(secret).rstrip(b"="), base64.b32encode(secret).rstrip(b"=")


async def everything_kept(stage: Stage, *plays: Play) -> bytes:
    """Every byte that Temporal holds of them, decrypted, and every byte of the database."""
    kept = b""
    codec = data_converter(stage.settings).payload_codec
    assert codec is not None
    for play in plays:
        history = await play.handle.fetch_history()
        kept += json.dumps(history.to_json_dict()).encode()
        for event in history.events:
            for payload in _payloads(event):
                [plain] = await codec.decode([payload])
                kept += plain.data
        kept += (await details(play)).encode()
    with stage.sessions() as session:
        session.connection().exec_driver_sql("COMMIT")
        session.connection().exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    return kept + b"".join(path.read_bytes() for path in stage.folder.glob("tokens.db*"))


def _payloads(message: Any) -> Any:
    if type(message).__name__ == "Payload":
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        for part in value if not hasattr(value, "ListFields") else [value]:
            yield from _payloads(part)


@on_sqlite
async def test_seeds_keys_and_passwords_stay_inside(
    stage: Stage, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    made = tokens(4)
    folder = stage.settings.folder_of_imports
    put(stage, batch.oath_csv(made[:2]) + f"{made[3].device.seed.hex()},X2\nX3,{made[3].device.seed.hex()[:-1]}\n")
    plays = [await stage.open("ImportTokens", {"file": "lot.csv", "imported_by": "Ann", "partial": True})]
    assert (await plays[0].result())["taken"] == 2
    encrypted_pskc(made[2:], folder / "k.xml", key=KEY)
    encrypted_pskc(made[2:], folder / "p.xml", password=PASSWORD)
    for name, suffix, secret in (("k.xml", ".key", KEY.hex()), ("p.xml", ".password", PASSWORD)):
        (folder / (name + suffix)).write_text(secret)
        plays.append(await stage.open("ImportTokens", {"file": name, "imported_by": "Ann"}))
        await plays[-1].result()
        # A wrong one, and a broken file: whatever is said of them.
        (folder / (name + suffix)).write_text("00" * 16)
        plays.append(await stage.open("ImportTokens", {"file": name, "imported_by": "Ann"}))
        await plays[-1].failed()
    assert stock(stage) == 4
    assert sorted(path.name for path in folder.iterdir()) == ["k.xml", "lot.csv", "p.xml"]
    kept = await everything_kept(stage, *plays)
    assert b"T000001" in kept
    said = capfd.readouterr()
    kept += caplog.text.encode() + said.out.encode() + said.err.encode()
    assert [secret for secret in secrets_of(made) if secret in kept] == []


# Interruptions


def many(number: int) -> list[Token]:
    return tokens(number, f"{uuid.uuid4().hex[:6]}-")


async def reading(stage: Stage, play: Play) -> int:
    """Waits until some rows have been read; how many."""
    for _ in range(1000):
        if found := stage.rows("select rows_read from imports where rows_read > 0 and ended_at is null"):
            return found[0][0]
        assert (await play.handle.describe()).status is WorkflowExecutionStatus.RUNNING, "too quick to be interrupted"
        await asyncio.sleep(0.01)
    raise AssertionError("nothing was read")


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each batch of two rows takes half a second: a small file is as long to read as a large one."""
    stage = Imports._stage

    def staging(*arguments: Any) -> None:
        stage(*arguments)
        time.sleep(0.5)

    monkeypatch.setattr(imports, "_BATCH", 2)
    monkeypatch.setattr(Imports, "_stage", staging)


@pytest.mark.slow
@pytest.mark.usefixtures("slowly")
async def test_cancelled_in_the_middle(stage: Stage) -> None:
    put(stage, batch.oath_csv(many(40)))
    play = await stage.open("ImportTokens", {"file": "lot.csv", "imported_by": "Ann"})
    await reading(stage, play)
    await play.handle.cancel()
    with pytest.raises(WorkflowFailureError) as fault:
        await play.handle.result()
    assert isinstance(fault.value.cause, CancelledError)
    assert "Nothing was taken" in await details(play)
    assert stage.rows("select count(*) from imported_tokens") == [(0,)]
    assert stock(stage) == 0
    # Nothing stands in the way of the same file again; a cancellation that comes too late says what was done.
    put(stage, batch.oath_csv(many(2)), "small.csv")
    play = await stage.open("ImportTokens", {"file": "small.csv", "imported_by": "Ann"})
    await reading(stage, play)
    await play.handle.cancel()
    assert (await play.result())["taken"] == stock(stage) == 2


@pytest.mark.slow
@pytest.mark.usefixtures("slowly")
async def test_its_progress_is_shown(stage: Stage) -> None:
    put(stage, batch.oath_csv(many(16)))
    play = await stage.open("ImportTokens", {"file": "lot.csv", "imported_by": "Ann"})
    seen = set()
    while (await play.handle.describe()).status is WorkflowExecutionStatus.RUNNING:
        seen.add(re.sub(r"[\d,]+", "#", await details(play)))
        await asyncio.sleep(0.2)
    assert any("Reading the file: # rows so far" in text for text in seen)
    assert (await play.result())["taken"] == 16


@pytest.mark.parametrize("kind", ["oath-csv", "yubico", "safenet-xml", "pskc"])
@pytest.mark.slow
async def test_damaged_files(stage: Stage, kind: str) -> None:
    """A sample of what tests/domain/test_token_files_damage.py does to every byte: one outcome, stock unchanged or complete."""
    chance = random.Random(5)
    for number in range(6):
        made = many(3)
        content = bytearray(batch.FORMATS[kind](made).encode())
        place = chance.randrange(len(content))
        content[place] ^= 1 << chance.randrange(8)
        if number % 2:
            del content[place:]
        put(stage, "", f"{number}.txt")
        (stage.settings.folder_of_imports / f"{number}.txt").write_bytes(content)
        before = stock(stage)
        play = await stage.open("ImportTokens", {"file": f"{number}.txt", "imported_by": "Ann", "format": kind})
        try:
            report = await play.result()
        except Exception:
            sentence = await play.failed()
            assert sentence.endswith(".")
            assert stock(stage) == before
        else:
            assert report["taken"] == 0 or not report["refused"]
            assert stock(stage) == before + report["taken"]
        assert stage.rows("select count(*) from imported_tokens") == [(0,)]
