"""A soft token from the app's point of view: set up, used with its PIN, set up again; and what of it stays nowhere."""

import base64
import json
import logging
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from temporalio.api.common.v1 import Payload

from activities.verification import NotVerified, Verification
from database.engine import engine_of, sessions_of
from domain.samples import HARD_TOKENS, seed_of
from simulators.soft_app import SoftApp
from starter import soft_enrollment
from starter.soft_enrollment import Stored
from tests.on_stack import on_sqlite
from tests.stage import Play, Stage

PIN = "7093"


def set_up(journey: Play, at: datetime, pin: str = PIN) -> Stored:
    """Chooses a PIN, and scans the code with the app."""
    stage = journey.stage
    stored = soft_enrollment.store(
        stage.sessions,
        stage.seal,
        stage.settings.pin_pepper.get_secret_value(),
        journey_id=journey.id,
        pin=pin,
        device=None,
        at=at,
    )
    app_of(journey).scan(stored.provisioning_uri)
    return stored


def app_of(journey: Play) -> SoftApp:
    return SoftApp(journey.id, journey.stage.folder)


def given(stored: Stored) -> dict[str, str]:
    return {"token_name": "My phone", "enrollment_ref": stored.enrollment_ref}


def unfinished(journey: Play) -> int:
    [(count,)] = journey.stage.rows(
        f"select count(*) from soft_enrollments where journey_id = '{journey.id}' and used_at is null"
    )
    return count


async def processed(stage: Stage) -> Play:
    journey = await stage.request("soft")
    await journey.reach("Processed")
    return journey


async def active(stage: Stage) -> Play:
    journey = await processed(stage)
    await journey.update("enroll_soft", given(set_up(journey, await journey.now())))
    await journey.wait(minutes=10)
    assert (await journey.status())["status"] == "Active"
    return journey


async def test_the_app_s_passcode_signs_with_its_pin(stage: Stage) -> None:
    journey = await active(stage)
    at = await journey.now()
    verification = stage.verification()
    for pin in (None, "", "7094", "7093 "):
        with pytest.raises(NotVerified, match="could not be verified"):
            verification.verify(journey.id, app_of(journey).passcode(at), pin, at)
        at += timedelta(minutes=2)
    verification.verify(journey.id, app_of(journey).passcode(at), PIN, at)
    with pytest.raises(NotVerified):  # each is taken once
        verification.verify(journey.id, app_of(journey).passcode(at), PIN, at)
    at += timedelta(seconds=30)
    verification.verify(journey.id, app_of(journey).passcode(at), PIN, at)
    await journey.update("deactivate", {"confirmed": True})
    at += timedelta(seconds=30)
    with pytest.raises(NotVerified, match="only an active token can"):
        verification.verify(journey.id, app_of(journey).passcode(at), PIN, at)


async def test_wrong_pins_are_throttled_like_passcodes_whatever_process_they_reach(stage: Stage) -> None:
    journey = await active(stage)
    at = await journey.now()
    assert stage.database_url
    engines = [engine_of(stage.database_url) for _ in range(2)]
    pepper = stage.settings.pin_pepper.get_secret_value()
    processes = [Verification(sessions_of(engine), stage.seal, pepper, stage.settings.policy) for engine in engines]
    answers = set()
    for number in range(3):
        with pytest.raises(NotVerified) as wrong:
            processes[number % 2].verify(journey.id, app_of(journey).passcode(at), f"709{number + 4}", at)
        answers.add(str(wrong.value))
    with pytest.raises(NotVerified, match="wait 15 seconds"):
        processes[1].verify(journey.id, app_of(journey).passcode(at), PIN, at)
    # A wrong passcode with the right PIN is the next failure of the same count, with the same answer.
    at += timedelta(seconds=16)
    with pytest.raises(NotVerified) as wrong:
        processes[0].verify(journey.id, "000000", PIN, at)
    answers.add(str(wrong.value))
    assert len(answers) == 1
    with pytest.raises(NotVerified, match="wait 20 seconds"):
        processes[1].verify(journey.id, app_of(journey).passcode(at), PIN, at)
    at += timedelta(seconds=21)
    processes[1].verify(journey.id, app_of(journey).passcode(at), PIN, at)
    for engine in engines:
        engine.dispose()


async def test_set_up_again_only_the_newest_can_be_used(stage: Stage) -> None:
    journey = await processed(stage)
    now = await journey.now()
    first, second = set_up(journey, now), set_up(journey, now, pin="8024")
    assert unfinished(journey) == 1
    assert "a later setup has taken its place" in await journey.refused("enroll_soft", given(first))
    await journey.update("enroll_soft", given(second))
    await journey.wait(minutes=10)
    at = await journey.now()
    stage.verification().verify(journey.id, app_of(journey).passcode(at), "8024", at)
    assert stage.rows(f"select name from tokens where journey_id = '{journey.id}'") == [("My phone",)]


async def test_what_was_begun_and_abandoned_ends_with_the_journey(stage: Stage) -> None:
    cancelled = await processed(stage)
    set_up(cancelled, await cancelled.now())
    assert unfinished(cancelled) == 1
    await cancelled.update("cancel", {})
    await cancelled.result()
    assert unfinished(cancelled) == 0
    with pytest.raises(soft_enrollment.NotStored, match="it has been cancelled"):
        set_up(cancelled, await cancelled.now())


@on_sqlite
async def test_seed_and_pin_are_found_nowhere(stage: Stage, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """Neither in the database's files, nor in emails and logs, nor in the history, not even in what is encrypted there."""
    caplog.set_level(logging.DEBUG)
    journey = await processed(stage)
    now = await journey.now()
    abandoned = set_up(journey, now, pin="8024")
    stored = set_up(journey, now)
    assert await journey.refused("enroll_soft", given(abandoned))
    await journey.update("enroll_soft", given(stored))
    await journey.wait(minutes=10)
    at = await journey.now()
    with pytest.raises(NotVerified):
        stage.verification().verify(journey.id, app_of(journey).passcode(at), "7094", at)
    stage.verification().verify(journey.id, app_of(journey).passcode(at), PIN, at)
    await journey.update("deactivate", {"confirmed": True})
    await journey.result()

    history = (await journey.handle.fetch_history()).to_json()
    encrypted, decoded = history.encode(), await decrypted(stage, json.loads(history))
    assert stored.enrollment_ref.encode() in decoded  # what is looked through is what was sent
    assert stored.enrollment_ref.encode() not in encrypted
    places = {
        "history": encrypted,
        "decoded history": decoded,
        "log": caplog.text.encode(),
        "emails": content_of(tmp_path, "mail/**/*"),
        "database": content_of(tmp_path, "tokens.db*"),
    }
    assert all(places.values())
    assert any(form in content_of(tmp_path, "devices/app-*") for form in forms(stored.provisioning_uri))  # only there
    for uri in (abandoned.provisioning_uri, stored.provisioning_uri):
        for place, content in places.items():
            for form in forms(uri):
                assert form not in content, f"{place} holds a seed"
    for token in HARD_TOKENS:
        assert not [form for form in written(seed_of(token.serial_number)) if form in places["database"]]
    for place, content in places.items():
        for pin in (PIN, "8024"):
            assert f'"{pin}"'.encode() not in content, f"{place} holds a PIN"


async def decrypted(stage: Stage, part: Any) -> bytes:
    """Every payload under `part` of a history's JSON, in plain text."""
    if isinstance(part, list):
        return b"\n".join([await decrypted(stage, one) for one in part])
    if not isinstance(part, dict):
        return b""
    if part.keys() == {"metadata", "data"}:
        codec = stage.client.data_converter.payload_codec
        assert codec
        [plain] = await codec.decode([json_format.ParseDict(part, Payload())])
        return plain.data
    return await decrypted(stage, list(part.values()))


def content_of(folder: Path, pattern: str) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob(pattern) if path.is_file())


def forms(uri: str) -> list[bytes]:
    return written(base64.b32decode(uri.split("secret=")[1].split("&")[0]))


def written(seed: bytes) -> list[bytes]:
    """A seed as it may be written: raw, hex, base32, base64."""
    base32 = base64.b32encode(seed).rstrip(b"=")
    return [
        seed,
        seed.hex().encode(),
        seed.hex().upper().encode(),
        base32,
        base32.lower(),
        base64.b64encode(seed).rstrip(b"="),
        base64.urlsafe_b64encode(seed).rstrip(b"="),
    ]
