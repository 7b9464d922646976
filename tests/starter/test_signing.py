"""`tokens verify`, `resync` and `unlock` as a person types them: all they need is the database."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from database import migrate
from database.engine import engine_of, sessions_of
from database.sealing import Seal
from domain.passcodes import current, step
from tests import forked
from tests.holding import BUTTON, CLOCK, hold

pytestmark = pytest.mark.slow  # a process for each command


class Terminal:
    def __init__(self, folder: Path) -> None:
        url, keys = f"sqlite:///{folder / 'tokens.db'}", {"test": "00" * 32}
        migrate.upgrade(url)
        self.engine = engine_of(url)
        self.sessions, self.seal = sessions_of(self.engine), Seal(keys)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TOKENS_", "TEMPORAL_"))}
        self.environment = {
            **kept,
            "TOKENS_STATE": str(folder),
            "TOKENS_DATABASE_URL": url,
            "TOKENS_SEAL_KEYS": json.dumps(keys),
            "TOKENS_PIN_PEPPER": "pepper",
        }

    def run(self, *words: str, typed: str = "") -> tuple[int, str]:
        """Exit code, and what stands on the screen."""
        return forked.tokens(*words, environment=self.environment, typed=typed)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.engine.dispose()


def test_a_drifting_token_is_repaired_instead_of_replaced(terminal: Terminal) -> None:
    button, _ = hold(terminal.sessions, terminal.seal)
    code, said = terminal.run("verify", button, "--passcode", current(BUTTON, 60))
    assert (code, said.split(";")[0]) == (1, "The token could not be verified")
    code, said = terminal.run("resync", button, "--first", current(BUTTON, 61), "--second", current(BUTTON, 63))
    assert (code, said.split(":")[0]) == (1, "The token could not be resynchronised")
    pair = ("--first", current(BUTTON, 64), "--second", current(BUTTON, 65))
    code, said = terminal.run("resync", button, *pair, "--by", "Dana")
    assert (code, said) == (0, "Resynchronised. The token was 64 presses ahead; sign in with its next passcode.")
    assert terminal.run("verify", button, typed=f"{current(BUTTON, 66)}\n") == (0, "Passcode: Verified.")
    code, said = terminal.run("audit", "verify")
    assert code == 0, said


def test_a_clock_by_prompts_and_for_machines(terminal: Terminal) -> None:
    clock, _ = hold(terminal.sessions, terminal.seal, CLOCK)
    now = step(CLOCK, datetime.now(UTC)) + 50
    code, said = terminal.run("resync", clock, "--json", typed=f"{current(CLOCK, now)}\n{current(CLOCK, now + 1)}\n")
    assert code == 0, said
    answer = json.loads(said[said.index("{") :])
    assert (answer["journey_id"], answer["counted_in"]) == (clock, "steps")
    assert 49 <= answer["ahead"] <= 51


def test_a_locked_token_is_unlocked_by_the_team(terminal: Terminal) -> None:
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    token, _ = hold(
        terminal.sessions, terminal.seal, failures=10, failures_in_a_row=10, last_failure_at=long_ago, locked=True
    )
    code, said = terminal.run("verify", token, "--passcode", current(BUTTON, 0))
    assert code == 1
    assert said.endswith("ask the team to unlock it, or replace it.")
    assert terminal.run("unlock", token, "--by", "Dana")[0] == 0
    code, said = terminal.run("unlock", token)
    assert (code, said) == (1, f"Token {token} is not locked, so nothing was changed; sign in, or resynchronise it.")
    code, said = terminal.run("verify", token, "--passcode", current(BUTTON, 0), "--json")
    assert (code, json.loads(said)) == (0, {"journey_id": token, "verified": True})
    code, said = terminal.run("unlock", "nowhere")
    assert (code, said) == (1, "There is no journey nowhere; look its id up with `tokens list`.")
