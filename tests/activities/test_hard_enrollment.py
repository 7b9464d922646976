"""Enrolment of hard tokens where it is judged: which serials match, and what an answer gives away."""

import dataclasses
import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from temporalio.testing import ActivityEnvironment

from activities.enrollment import WRONG, Enrollment, HardAttempt, Verdict
from database import migrate
from database.engine import Sessions, engine_of, sessions_of
from database.sealing import Seal
from database.tables import TokenRow
from domain.passcodes import Device, current
from domain.policy import Policy
from tests.holding import BUTTON, NOON, hold

_attempt = itertools.count()
PATIENT = Policy(throttle_from_failure=1000, lock_after_failures=100)


class Desk:
    """One shipped token, and attempts at enrolling it."""

    def __init__(self, sessions: Sessions, device: Device = BUTTON) -> None:
        self.sessions = sessions
        self.seal = Seal({"test": "00" * 32})
        self.enrollment = Enrollment(sessions, self.seal)
        self.journey_id, self.serial = hold(sessions, self.seal, device, status="Delivered", state="shipped")

    def attempt(
        self, serial: str, passcode: str, at: datetime = NOON, policy: Policy = PATIENT, asked_as: str | None = None
    ) -> Verdict:
        environment = ActivityEnvironment()
        environment.info = dataclasses.replace(environment.info, activity_id=str(next(_attempt)))
        order = HardAttempt(
            journey_id=self.journey_id,
            serial_number=serial,
            passcode=passcode,
            at=at,
            policy=policy,
            asked_as=asked_as,
        )
        return environment.run(self.enrollment.verify_hard, order)

    def token(self) -> TokenRow:
        with self.sessions() as session:
            return session.get_one(TokenRow, self.serial)


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sessions]:
    folder: Path = tmp_path_factory.mktemp("enrolment")
    url = f"sqlite:///{folder / 'tokens.db'}"
    migrate.upgrade(url)
    engine = engine_of(url)
    yield sessions_of(engine)
    engine.dispose()


def test_a_verdict_is_repeated_for_the_same_asking_and_for_no_other(sessions: Sessions) -> None:
    """As when the worker dies before the journey has heard of it: its activity comes again, under whatever number."""
    desk = Desk(sessions)
    passcode = current(BUTTON, 0)
    assert desk.attempt(desk.serial, passcode, asked_as="first").refusal is None
    assert desk.attempt(desk.serial, passcode, asked_as="first").refusal is None
    assert desk.attempt(desk.serial, "000000", asked_as="second").refusal == WRONG
    assert desk.attempt(desk.serial, passcode, asked_as="third").refusal == WRONG  # it has been used


@pytest.mark.parametrize(
    "dress",
    [
        "",
        " ",
        " {}",
        "{} ",
        "{}  ",
        "{}\n",
        "\t{}",
        "0{}",
        "{}0",
        "{}\x00",
        "'{}'",
        "{},{}",
        "%",
        "H%",
        "HT-______",
        "\ufeff{}",
    ],
)
def test_an_empty_padded_or_dressed_up_serial_never_matches(sessions: Sessions, dress: str) -> None:
    desk = Desk(sessions)
    verdict = desk.attempt(dress.format(desk.serial, desk.serial), current(BUTTON, 0))
    assert verdict.refusal == WRONG
    assert (desk.token().counter, desk.token().failures) == (0, 1)
    assert desk.attempt(desk.serial, current(BUTTON, 0)) == Verdict(serial_number=desk.serial)


def test_other_letters_that_look_the_same_do_not_match(sessions: Sessions) -> None:
    desk = Desk(sessions)
    wide = "".join(chr(ord(letter) + 0xFEE0) for letter in desk.serial)
    without_zeros = desk.serial.replace("-0", "-", 1)
    for serial in (desk.serial.lower(), wide, desk.serial.replace("H", "\u041d"), without_zeros, desk.serial[:-1]):
        assert desk.attempt(serial, current(BUTTON, 0)).refusal == WRONG
    assert desk.token().failures == 5


def test_the_serial_must_be_the_one_that_was_shipped_for_this_request(sessions: Sessions) -> None:
    """Another token, in stock or in another hand, does not enrol, though its passcode is right for it."""
    foreign = Device("HOTP", b"somebody else's secret")
    desk, other = Desk(sessions), Desk(sessions, foreign)
    for serial, passcode in (
        (other.serial, current(foreign, 0)),
        (other.serial, current(BUTTON, 0)),
        (desk.serial, current(foreign, 0)),
    ):
        assert desk.attempt(serial, passcode).refusal == WRONG
    assert (desk.token().failures, other.token().failures) == (3, 0)
    assert (desk.token().counter, other.token().counter) == (0, 0)


def test_a_wrong_serial_and_a_wrong_passcode_are_the_same_to_whoever_tries(sessions: Sessions) -> None:
    """Answer, count, wait and lock; what was guessed right is never told."""
    right = current(BUTTON, 0)
    told = []
    for serial, passcode in (("{}", "000000"), ("HT-WRONG", right), ("HT-WRONG", "000000"), ("{}", "")):
        desk, at = Desk(sessions), NOON
        said = []
        for failures in range(1, 12):
            said.append(desk.attempt(serial.format(desk.serial), passcode, at, Policy()).refusal)
            said.append(desk.attempt(desk.serial, right, at, Policy()).refusal if failures > 2 else None)
            at += timedelta(seconds=5 * failures)
        told.append(said)
        assert (desk.token().failures, desk.token().locked) == (10, True)
    assert told[0] == told[1] == told[2] == told[3]
    assert told[0][:7] == [WRONG, None, WRONG, None, WRONG, told[0][5], WRONG]
    assert "wait 15 seconds" in str(told[0][5])


def test_a_token_that_belongs_to_nobody_is_never_matched(sessions: Sessions) -> None:
    desk = Desk(sessions)
    with sessions.begin() as session:
        session.get_one(TokenRow, desk.serial).journey_id = None
    assert desk.attempt(desk.serial, current(BUTTON, 0)).refusal == WRONG


def test_a_verdict_and_its_counters_are_written_together_or_not_at_all(sessions: Sessions) -> None:
    """The database fails at the end of the transaction: the passcode is not used up, and nobody was enrolled by it."""
    desk = Desk(sessions)
    with sessions.begin() as session:
        session.execute(
            text(
                "create trigger full before update on tokens when new.counter > 0 begin select raise(abort, 'disk full'); end"
            )
        )
    with pytest.raises(Exception, match="disk full"):
        desk.attempt(desk.serial, current(BUTTON, 0))
    with sessions.begin() as session:
        session.execute(text("drop trigger full"))
    assert (desk.token().counter, desk.token().last_verdict) == (0, None)
    assert desk.attempt(desk.serial, current(BUTTON, 0)).refusal is None
