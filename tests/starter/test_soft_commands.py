"""Soft tokens and sealing keys by nothing but commands, with the embedded stack ended and started again in between."""

import base64
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyotp import parse_uri
from pyotp.totp import TOTP

from activities.enrollment import Enrollment, SoftAttempt
from database.engine import engine_of, sessions_of
from database.sealing import Seal
from domain.samples import PRESCRIBERS, seed_of
from starter import keys
from tests.journeys.test_soft_token import written
from tests.starter.test_commands import TOKENS, Terminal

pytestmark = pytest.mark.slow  # the whole stack, and a process for each command


def environment_of(state: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TOKENS_", "TEMPORAL_"))}
    binary = {name: os.environ[name] for name in ("TOKENS_TEMPORAL_BINARY",) if name in os.environ}
    ports = {f"TOKENS_{name}_PORT": "0" for name in ("TEMPORAL", "UI", "GATEWAY", "SMTP")}
    return {**kept, **ports, **binary, "TOKENS_STATE": str(state)}


@contextmanager
def stack(state: Path) -> Iterator[Terminal]:
    environment = environment_of(state)
    with subprocess.Popen([*TOKENS, "up", "--json"], env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            assert json.loads(process.stdout.readline())["temporal"]
            yield Terminal(environment)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0


def processed(terminal: Terminal, prescriber: str) -> str:
    journey = f"token-soft-{prescriber}"
    terminal.tokens("request", prescriber, "--kind", "soft", "--request-id", prescriber)
    terminal.tokens("process", journey, "--operator", "Dana")
    return journey


def test_soft_tokens_are_set_up_used_and_outlive_a_change_of_the_key(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with stack(state) as terminal:
        simulated = processed(terminal, "P-1002")
        by_simulator(terminal, simulated)
        real = processed(terminal, "P-1003")
        app = by_an_authenticator_app(terminal, real)
        lost_with_temporal(terminal, processed(terminal, "P-1004"), state, "enroll", "--name", "Blue phone")
        lost_with_temporal(terminal, processed(terminal, "P-1005"), state, "simulate", "app", "--enroll")
        for journey in (simulated, real):
            terminal.tokens("fast-forward", journey, "15m")
        sign_in(terminal, simulated, app, real)
        while_the_stack_runs(terminal, state)

    down = Terminal(environment_of(state))
    rotated = down.json("keys", "rotate")
    sealed_before = rotated["before"].pop("k1")
    assert (rotated["first"], rotated["before"], rotated["after"]) == ("k2", {}, {"k2": sealed_before})
    assert (rotated["removable"], rotated["unopened"]) == (["k1"], [])
    made = keys.load_or_create(state)
    made["seal_keys"].pop("k1")
    (state / "keys.json").write_text(json.dumps(made))

    with stack(state) as terminal:  # the old key is gone for good
        found = terminal.json("keys", "seals")
        assert found["keys"] == ["k2"]
        assert {(row["key_id"], row["set"]) for row in found["sealed"]} == {("k2", True)}
        later = datetime.now(UTC) + timedelta(seconds=30)  # accepted: the next step; the one before has been used
        passcode = terminal.tokens("simulate", "passcode", simulated, "--at", later.strftime("%Y-%m-%dT%H:%M:%S"))
        assert terminal.tokens("verify", simulated, "--passcode", passcode, "--pin", "2580") == "Verified."

    nowhere_in_the_clear(state, base64.b32decode(app.secret))


def by_simulator(terminal: Terminal, journey: str) -> None:
    fingerprint = next(person for person in PRESCRIBERS if person.prescriber_id == "P-1002").devices[0].fingerprint
    app = ("simulate", "app", journey)
    assert "don't follow each other" in terminal.refused(*app, "--pin", "1234")
    assert "used to send prescriptions" in terminal.refused(*app, "--pin", "2580", "--device", fingerprint)
    assert "scanned no code yet" in terminal.refused("simulate", "passcode", journey)
    given = json.loads(terminal.tokens(*app, "--pin", "7093"))
    assert given.keys() == {"token_name", "enrollment_ref"}
    before = terminal.tokens("simulate", "passcode", journey, "--at", "2037-03-03T12:00:00")
    assert re.fullmatch(r"\d{6}", before)
    assert terminal.tokens(*app, "--pin", "2580", "--enroll") == f"Enrolled. {journey} is Syncing."
    assert terminal.tokens("simulate", "passcode", journey, "--at", "2037-03-03T12:00:00") != before
    assert "it is enrolled and syncing" in terminal.refused(*app, "--pin", "2580")


def by_an_authenticator_app(terminal: Terminal, journey: str) -> TOTP:
    """Reads what `tokens enroll` shows, as an app on a phone would."""
    shown = terminal.tokens("enroll", journey, "--name", "Blue phone", "--pin", "8024").splitlines()
    assert shown[0] == "Scan this with an authenticator app; it is shown once."
    assert shown[-1] == f"Enrolled. {journey} is Syncing."
    assert len([line for line in shown if line and set(line) <= set("█▀▄ ")]) > 20
    [uri] = [line for line in shown if line.startswith("otpauth://")]
    app = parse_uri(uri)
    assert isinstance(app, TOTP)
    assert app.issuer == "RXNT EPCS"
    again = terminal.refused("enroll", journey, "--name", "Blue phone", "--pin", "8024")
    assert "enrolled and syncing" in again
    return app


def lost_with_temporal(terminal: Terminal, journey: str, state: Path, *enrolling: str) -> None:
    """What the update has written stays; the next try ends it."""
    given = json.loads(terminal.tokens("simulate", "app", journey, "--pin", "7093"))
    attempt = SoftAttempt(journey_id=journey, at=datetime.now(UTC), **given)
    engine = engine_of(f"sqlite:///{state / 'tokens.db'}")
    Enrollment(sessions_of(engine), Seal(keys.load_or_create(state)["seal_keys"])).link_soft(attempt)
    engine.dispose()
    assert json.loads(terminal.tokens("simulate", "app", journey, "--pin", "8024")) == given
    shown = terminal.tokens(*enrolling, journey, "--pin", "8024")
    assert "that setup stands" in shown
    assert shown.endswith(f"Enrolled. {journey} is Syncing.")


def sign_in(terminal: Terminal, simulated: str, app: TOTP, real: str) -> None:
    passcode = terminal.tokens("simulate", "passcode", simulated)
    assert "could not be verified" in terminal.refused("verify", simulated, "--passcode", passcode, "--pin", "2581")
    assert terminal.tokens("verify", simulated, "--passcode", passcode, "--pin", "2580") == "Verified."
    assert terminal.tokens("verify", real, "--passcode", app.now(), "--pin", "8024") == "Verified."


def while_the_stack_runs(terminal: Terminal, state: Path) -> None:
    found = terminal.json("keys", "seals")
    assert (found["first"], found["keys"]) == ("k1", ["k1"])
    assert {row["key_id"] for row in found["sealed"]} == {"k1"}
    assert "its worker could not open" in terminal.refused("keys", "rotate", "--new")
    assert keys.add_seal_key(state)["seal_keys"].keys() == {"k2", "k1"}  # as one might edit keys.json
    assert "restart the stack" in terminal.refused("keys", "rotate")


def nowhere_in_the_clear(state: Path, seed: bytes) -> None:
    """What Temporal, the database, the mail sink and all processes have written; the simulated phone is not ours."""
    files = [path for path in state.rglob("*") if path.is_file() and path.parent.name != "devices"]
    assert {"temporal.db", "tokens.db", "worker.log"} <= {path.name for path in files}
    content = b"".join(path.read_bytes() for path in files)
    for one in (seed, seed_of("HT-0GFY1R3HGT")):
        assert not [form for form in written(one) if form in content]


def test_a_new_key_for_a_stack_that_is_down(tmp_path: Path) -> None:
    down = Terminal(environment_of(tmp_path))
    assert "no stack has run" in down.refused("keys", "rotate", "--new")
    down.tokens("sample-data")
    said = down.tokens("keys", "rotate", "--new")
    assert re.search(r"k2 +0 +48", said)
    assert re.search(r"k1 +48 +0", said)
    assert "Nothing lies under k1 any more" in said
    secrets = keys.load_or_create(tmp_path)["seal_keys"]
    assert list(secrets) == ["k2", "k1"]
    assert not [secret for secret in secrets.values() if secret in said]
    by_hand = Terminal({**down.environment, "TOKENS_SEAL_KEYS": json.dumps({"k9": "99" * 32})})
    assert "come from TOKENS_SEAL_KEYS" in by_hand.refused("keys", "rotate", "--new")
    code, said = by_hand.run("keys", "rotate")
    assert code == 1
    assert "48 could not be opened and were left as they are" in said
    assert "this key is not set" in by_hand.tokens("keys", "seals")
    assert "9999" not in said
