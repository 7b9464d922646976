"""Several processes over one database, SQLite and PostgreSQL: one of them takes a passcode, and all count together."""

import json
import secrets
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from database import audit, migrate
from database.engine import engine_of, sessions_of
from database.sealing import Seal
from database.tables import AuditRow, JourneyRow, TokenRow
from domain.passcodes import current, step
from tests import postgresql
from tests.holding import BUTTON, CLOCK, NOON, hold

pytestmark = pytest.mark.slow

PROCESSES = 4
WRONG = "000000"
assert WRONG not in {current(BUTTON, factor) for factor in range(300)}


class Office:
    """Processes that judge, and what they share."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = engine_of(url)
        self.sessions = sessions_of(self.engine)
        self.keys = {"test": secrets.token_hex(32)}
        self.seal = Seal(self.keys)
        self.processes = [self.process() for _ in range(PROCESSES)]
        for process in self.processes:
            assert self.read(process) == "ready"

    def process(self) -> subprocess.Popen[str]:
        started = subprocess.Popen(
            [sys.executable, "-m", "tests.judging_process"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.say(started, {"url": self.url, "keys": self.keys, "pepper": "pepper"})
        return started

    @staticmethod
    def say(process: subprocess.Popen[str], what: dict[str, Any]) -> None:
        assert process.stdin
        process.stdin.write(json.dumps(what) + "\n")
        process.stdin.flush()

    @staticmethod
    def read(process: subprocess.Popen[str]) -> str:
        assert process.stdout
        return process.stdout.readline().strip()

    def restart(self, number: int) -> None:
        """Kills one, really, and starts it anew."""
        self.end(self.processes[number])
        self.processes[number] = self.process()
        assert self.read(self.processes[number]) == "ready"

    @staticmethod
    def end(process: subprocess.Popen[str]) -> None:
        process.kill()
        process.communicate()

    def close(self) -> None:
        for process in self.processes:
            self.end(process)
        self.engine.dispose()

    def ask(self, number: int, what: str, journey_id: str, at: datetime, **order: str) -> str:
        """One process's answer."""
        process = self.processes[number % PROCESSES]
        self.say(process, {"what": what, "begin": 0, "journey_id": journey_id, "at": at.isoformat(), **order})
        return self.read(process)

    def race(self, what: str, journey_id: str, at: datetime, times: int = 1, **order: str) -> Counter[str]:
        """What all of them answer, each asked so many times, all beginning at the same instant."""
        begin = time.time() + 0.05
        job = {"what": what, "begin": begin, "journey_id": journey_id, "at": at.isoformat(), **order}
        for number, process in enumerate(self.processes):
            for again in range(times):
                own = {"attempt": f"{number}-{again}"} if what == "enroll" else {}
                self.say(process, {**job, **own})
        return Counter(self.read(process) for process in self.processes for _ in range(times))

    def token(self, serial: str) -> TokenRow:
        with self.sessions() as session:
            return session.get_one(TokenRow, serial)

    def trail(self, journey_id: str) -> list[tuple[str, str | None, str | None]]:
        with self.sessions() as session:
            assert audit.verify(session)[1] == []
            rows = select(AuditRow).where(AuditRow.journey_id == journey_id).order_by(AuditRow.number)
            return [(row.what, row.by, row.refused) for row in session.scalars(rows)]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def office(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    folder = tmp_path_factory.mktemp("judging")
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = f"sqlite:///{folder / 'tokens.db'}"
        elif postgresql.programs() is None:
            pytest.skip("no PostgreSQL server is installed")
        else:
            url = stack.enter_context(postgresql.server())
        migrate.upgrade(url)
        office = Office(url)
        stack.callback(office.close)
        yield office


@pytest.mark.parametrize("device", [BUTTON, CLOCK])
def test_one_passcode_in_several_hands_signs_once(office: Office, device: Any) -> None:
    journey_id, serial = hold(office.sessions, office.seal, device)
    for round_ in range(8):
        at = NOON + timedelta(hours=round_)
        passcode = current(device, step(device, at) if device is CLOCK else round_)
        told = office.race("verify", journey_id, at, passcode=passcode)
        assert told.pop("accepted") == 1
        assert [sentence[:33] for sentence in told] == ["The token could not be verified; "]
        assert office.token(serial).failures_in_a_row == PROCESSES - 1


def test_one_passcode_in_several_hands_enrols_once(office: Office) -> None:
    journey_id, serial = hold(office.sessions, office.seal, status="Delivered", state="shipped")
    order: dict[str, Any] = {"serial": serial, "passcode": current(BUTTON, 3)}
    told = office.race("enroll", journey_id, NOON, **order)
    assert told.pop("accepted") == 1
    assert len(told) == 1
    assert office.token(serial).counter == 4


def test_a_retry_in_another_process_gets_the_first_one_s_verdict(office: Office) -> None:
    journey_id, serial = hold(office.sessions, office.seal, status="Delivered", state="shipped")
    order = {"serial": serial, "passcode": current(BUTTON, 0), "attempt": "one"}
    assert office.ask(0, "enroll", journey_id, NOON, **order) == "accepted"
    office.restart(0)
    for number in range(PROCESSES):
        assert office.ask(number, "enroll", journey_id, NOON, **order) == "accepted"
    assert office.token(serial).failures_in_a_row == 0
    assert "could not be confirmed" in office.ask(1, "enroll", journey_id, NOON, **{**order, "attempt": "two"})


@pytest.mark.parametrize("what", ["verify", "enroll"])
def test_all_processes_count_together(office: Office, what: str) -> None:
    """Twelve wrong ones at the same instant: three are judged, whichever process they come to."""
    state: dict[str, Any] = (
        {"status": "Active", "state": "active"} if what == "verify" else {"status": "Shipped", "state": "shipped"}
    )
    journey_id, serial = hold(office.sessions, office.seal, **state)
    order: dict[str, Any] = {"passcode": WRONG} if what == "verify" else {"passcode": WRONG, "serial": serial}
    told = office.race(what, journey_id, NOON, times=3, **order)
    assert sorted(told.values()) == [3, 9]
    assert max(told, key=lambda sentence: told[sentence]).startswith("Too many wrong passcodes: wait 15 seconds")
    kept = office.token(serial)
    assert (kept.failures, kept.failures_in_a_row, kept.last_failure_at) == (3, 3, NOON)


def test_the_limits_outlive_every_process(office: Office) -> None:
    journey_id, serial = hold(office.sessions, office.seal)
    at = NOON
    right = current(BUTTON, 0)
    for failures in range(1, 11):
        assert "could not be verified" in office.ask(failures, "verify", journey_id, at, passcode=WRONG)
        if failures in (3, 9):
            office.restart(failures % PROCESSES)
            soon = at + timedelta(seconds=5 * failures - 1)
            assert "wait 1 seconds" in office.ask(failures, "verify", journey_id, soon, passcode=right)
        at += timedelta(seconds=5 * failures)
    office.restart(1)
    for number in range(PROCESSES):
        refused = office.ask(number, "verify", journey_id, at + timedelta(days=1), passcode=right)
        assert "locked after 10" in refused
    # Four operators at once: one has unlocked it.
    told = office.race("unlock", journey_id, at)
    assert told.pop("accepted") == 1
    assert "is not locked" in next(iter(told))
    last_failure = at - timedelta(seconds=50)
    assert "wait 50 seconds" in office.ask(2, "verify", journey_id, last_failure, passcode=right)
    assert office.ask(3, "verify", journey_id, at, passcode=right) == "accepted"
    assert office.token(serial).failures_in_a_row == 0
    assert [line[:2] for line in office.trail(journey_id)] == [
        ("locked: 10 wrong passcodes in a row at signing in", None),
        ("unlocked", "Dana"),
        *[("refused: unlock", "Dana")] * (PROCESSES - 1),
    ]


@pytest.mark.parametrize("device", [BUTTON, CLOCK])
def test_one_pair_in_several_hands_resynchronises_once(office: Office, device: Any) -> None:
    journey_id, serial = hold(office.sessions, office.seal, device)
    first = 60 if device is BUTTON else step(device, NOON) + 60
    pair: dict[str, Any] = {"first": current(device, first), "second": current(device, first + 1)}
    told = office.race("resync", journey_id, NOON, **pair)
    assert told.pop("accepted") == 1
    assert len(told) == 1
    kept = office.token(serial)
    assert (kept.counter, kept.drift) == (first + 2, 0 if device is BUTTON else 61)
    trail = office.trail(journey_id)
    ahead = "60 presses ahead" if device is BUTTON else "61 steps ahead"
    assert trail[0] == (f"resynchronised: the token was {ahead}", "Dana", None)
    assert [line[0] for line in trail[1:]] == ["refused: resync"] * (PROCESSES - 1)


@pytest.mark.parametrize("what", ["verify", "resync"])
def test_whoever_comes_while_it_is_being_deactivated_is_refused(office: Office, what: str) -> None:
    """As `records.write` does it: row and token in one transaction."""
    journey_id, serial = hold(office.sessions, office.seal)
    order = {"passcode": current(BUTTON, 0)}
    if what == "resync":
        order = {"first": current(BUTTON, 0), "second": current(BUTTON, 1)}
    with office.sessions.begin() as session:
        session.get_one(JourneyRow, journey_id).status = "Deactivated"
        session.get_one(TokenRow, serial).state = "written_off"
        session.flush()
        job = {"what": what, "begin": 0, "journey_id": journey_id, "at": NOON.isoformat(), **order}
        office.say(office.processes[0], job)
        time.sleep(0.3)  # it has begun, and waits for the lock; were it late, it would be refused all the same
    assert "it is Deactivated" in office.read(office.processes[0])
    assert office.token(serial).counter == 0
