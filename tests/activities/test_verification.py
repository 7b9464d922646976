"""Signing in, resynchronising and unlocking over the records: who may, what counts, what is kept of it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from activities import pins
from activities.verification import NOT_CONSECUTIVE, WRONG, NotVerified, Resynchronised, Verification
from database import audit, migrate
from database.engine import Sessions, engine_of, sessions_of
from database.sealing import Seal
from database.tables import AuditRow, JourneyRow, TokenRow
from domain.passcodes import Device, current, step
from domain.policy import Policy
from domain.status import Status
from domain.token_state import TokenState
from tests.holding import BUTTON, CLOCK, NOON, hold, pin_hash

PEPPER = "pepper"
PIN_HASH = pin_hash("2580", PEPPER)


class Desk:
    """Where tokens are shown."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        self.seal = Seal({"test": "00" * 32})
        self.verification = Verification(sessions, self.seal, PEPPER, Policy())

    def hold(self, device: Device = BUTTON, **facts: object) -> str:
        return hold(self.sessions, self.seal, device, **facts)[0]  # type: ignore[arg-type]

    def verify(
        self, journey_id: str, passcode: str, at: datetime = NOON, pin: str | None = None, attempt: str | None = None
    ) -> str | None:
        """The refusal's sentence."""
        try:
            return self.verification.verify(journey_id, passcode, pin, at, attempt=attempt)
        except NotVerified as refusal:
            return str(refusal)

    def resync(
        self, journey_id: str, first: str, second: str, at: datetime = NOON, pin: str | None = None
    ) -> Resynchronised | str:
        try:
            return self.verification.resynchronise(journey_id, first, second, pin, "Dana", at)
        except NotVerified as refusal:
            return str(refusal)

    def unlock(self, journey_id: str, at: datetime = NOON, by: str | None = "Dana") -> str | None:
        try:
            return self.verification.unlock(journey_id, by, at)
        except NotVerified as refusal:
            return str(refusal)

    def token(self, journey_id: str) -> TokenRow:
        with self.sessions() as session:
            return session.scalars(select(TokenRow).where(TokenRow.journey_id == journey_id)).one()

    def trail(self, journey_id: str) -> list[AuditRow]:
        with self.sessions() as session:
            assert audit.verify(session)[1] == []
            rows = select(AuditRow).where(AuditRow.journey_id == journey_id).order_by(AuditRow.number)
            return list(session.scalars(rows))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder: Path = tmp_path_factory.mktemp("verification")
    url = f"sqlite:///{folder / 'tokens.db'}"
    migrate.upgrade(url)
    engine = engine_of(url)
    yield Desk(sessions_of(engine))
    engine.dispose()


# Who may


def test_nothing_is_known_of_a_journey_that_is_not_there(desk: Desk) -> None:
    for journey_id in ("", "nowhere", "token-hard-1 ", "%"):
        for refusal in (
            desk.verify(journey_id, "123456"),
            desk.resync(journey_id, "123456", "654321"),
            desk.unlock(journey_id),
        ):
            assert refusal == f"There is no journey {journey_id}; look its id up with `tokens list`."


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.ACTIVE])
def test_only_an_active_token_and_what_is_refused_is_kept(desk: Desk, status: Status) -> None:
    journey_id = desk.hold(status=status, failures=10, failures_in_a_row=10, locked=True)
    said = f"Token {journey_id} can't be used: only an active token can, and it is {status}."
    assert desk.verify(journey_id, current(BUTTON, 0)) == said
    assert desk.resync(journey_id, current(BUTTON, 0), current(BUTTON, 1)) == said
    assert desk.unlock(journey_id) == said
    kept = desk.token(journey_id)
    assert (kept.counter, kept.failures, kept.locked) == (0, 10, True)
    rows = [(row.what, row.message, row.refused, row.by, row.status) for row in desk.trail(journey_id)]
    assert rows == [
        ("refused: resync", "resync", said, "Dana", status),
        ("refused: unlock", "unlock", said, "Dana", status),
    ]


@pytest.mark.parametrize("state", [state for state in TokenState if state is not TokenState.ACTIVE])
def test_not_a_token_that_has_ended_whatever_its_journey_s_row_still_says(desk: Desk, state: TokenState) -> None:
    journey_id = desk.hold(state=state)
    assert "can't be used" in str(desk.verify(journey_id, current(BUTTON, 0)))
    assert "can't be used" in str(desk.resync(journey_id, current(BUTTON, 0), current(BUTTON, 1)))


def test_a_request_without_a_token_yet(desk: Desk) -> None:
    journey_id = desk.hold(status="Requested")
    with desk.sessions.begin() as session:
        session.delete(session.scalars(select(TokenRow).where(TokenRow.journey_id == journey_id)).one())
    assert "it is Requested" in str(desk.verify(journey_id, "123456"))
    assert "it is Requested" in str(desk.resync(journey_id, "123456", "123456"))
    assert [row.what for row in desk.trail(journey_id)] == ["refused: resync"]


def test_somebody_else_s_passcode_is_a_wrong_one(desk: Desk) -> None:
    foreign = Device("HOTP", b"somebody else's secret")
    journey_id, other = desk.hold(), desk.hold(foreign)
    assert desk.verify(journey_id, current(foreign, 0)) == WRONG
    assert desk.verify(other, current(foreign, 0)) is None


@pytest.mark.parametrize("digest", ["SHA1", "SHA256", "SHA512"])
@pytest.mark.parametrize(("digits", "period"), [(6, 30), (8, 60)])
def test_every_device_signs_and_resynchronises(desk: Desk, digest: str, digits: int, period: int) -> None:
    for shape in (BUTTON, CLOCK):
        device = replace(shape, digest=digest, digits=digits, period=period)  # type: ignore[arg-type]
        journey_id = desk.hold(device)
        now = step(device, NOON) if device.algorithm == "TOTP" else 0
        assert desk.verify(journey_id, current(device, now)) is None
        assert desk.verify(journey_id, current(device, now)) == WRONG
        far = now + 70
        done = desk.resync(journey_id, current(device, far), current(device, far + 1))
        assert str(done) == ("71 steps ahead" if device.algorithm == "TOTP" else "69 presses ahead")


# Resynchronisation


def test_a_button_pressed_too_often_signs_again(desk: Desk) -> None:
    journey_id = desk.hold(counter=20)
    assert desk.verify(journey_id, current(BUTTON, 70)) == WRONG
    assert desk.resync(journey_id, current(BUTTON, 71), current(BUTTON, 72)) == Resynchronised(51)
    for factor in (70, 71, 72):
        assert desk.verify(journey_id, current(BUTTON, factor)) == WRONG
    later = NOON + timedelta(minutes=1)
    assert desk.verify(journey_id, current(BUTTON, 73), later) is None
    row = desk.trail(journey_id)[-1]
    assert (row.what, row.by, row.message, row.refused, row.status, row.at) == (
        "resynchronised: the token was 51 presses ahead",
        "Dana",
        "resync",
        None,
        "Active",
        NOON,
    )


@pytest.mark.parametrize(("off", "said"), [(-40, "40 steps behind"), (25, "25 steps ahead")])
def test_a_clock_that_is_off_signs_again_and_ever_after(desk: Desk, off: int, said: str) -> None:
    journey_id, now = desk.hold(CLOCK), step(CLOCK, NOON)
    assert desk.verify(journey_id, current(CLOCK, now + off)) == WRONG
    assert str(desk.resync(journey_id, current(CLOCK, now + off - 1), current(CLOCK, now + off))) == said
    for days in (1, 30, 400):
        at = NOON + timedelta(days=days)
        assert desk.verify(journey_id, current(CLOCK, step(CLOCK, at) + off), at) is None
    assert desk.token(journey_id).drift == off


def test_what_is_wrong_is_kept_and_counts_like_any_attempt(desk: Desk) -> None:
    journey_id = desk.hold()
    for failures in (1, 2, 3):
        assert desk.resync(journey_id, current(BUTTON, 70), current(BUTTON, 70)) == NOT_CONSECUTIVE
        assert desk.token(journey_id).failures_in_a_row == failures
    right = current(BUTTON, 70), current(BUTTON, 71)
    assert "wait 15 seconds" in str(desk.resync(journey_id, *right))
    assert "wait 15 seconds" in str(desk.verify(journey_id, current(BUTTON, 0)))
    assert isinstance(desk.resync(journey_id, *right, at=NOON + timedelta(seconds=15)), Resynchronised)
    rows = desk.trail(journey_id)
    assert [row.what for row in rows] == ["refused: resync"] * 4 + ["resynchronised: the token was 70 presses ahead"]
    # What is kept holds no passcode.
    kept = " ".join(f"{row.what} {row.refused}" for row in rows)
    assert not any(current(BUTTON, factor) in kept for factor in (70, 71))


# Soft tokens


@pytest.mark.parametrize("pin", [None, "", "2581", "0852", "25800", "2580 "])
def test_a_wrong_pin_is_judged_like_a_wrong_passcode(desk: Desk, pin: str | None) -> None:
    journey_id = desk.hold(CLOCK, kind="soft", pin_hash=PIN_HASH)
    right = current(CLOCK, step(CLOCK, NOON))
    assert desk.verify(journey_id, right, pin=pin) == WRONG
    assert desk.verify(journey_id, "000000", pin="2580") == WRONG
    assert desk.token(journey_id).failures_in_a_row == 2
    assert desk.verify(journey_id, right, pin="2580") is None
    assert desk.token(journey_id).failures_in_a_row == 0


def test_resynchronising_a_soft_token_needs_its_pin_and_forgets_no_guess_at_it(desk: Desk) -> None:
    """Else whoever has the phone could guess nine PINs, resynchronise, and guess again."""
    journey_id, now = desk.hold(CLOCK, kind="soft", pin_hash=PIN_HASH), step(CLOCK, NOON)
    pair = current(CLOCK, now - 1), current(CLOCK, now)
    assert desk.verify(journey_id, current(CLOCK, now), pin="1111") == WRONG
    assert desk.resync(journey_id, *pair) == NOT_CONSECUTIVE
    assert desk.token(journey_id).failures_in_a_row == 2
    assert str(desk.resync(journey_id, *pair, pin="2580")) == "0 steps ahead"


def test_an_enrolment_that_was_not_finished_has_no_pin(desk: Desk) -> None:
    journey_id = desk.hold(CLOCK, kind="soft")
    assert desk.verify(journey_id, current(CLOCK, step(CLOCK, NOON)), pin="2580") == WRONG


def test_no_pin_is_looked_at_while_an_attempt_has_to_wait(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a thousand refused attempts would cost a thousand times argon2."""
    journey_id = desk.hold(CLOCK, kind="soft", pin_hash=PIN_HASH, failures_in_a_row=3, last_failure_at=NOON)
    monkeypatch.setattr(pins, "matches", None)
    assert "wait 15 seconds" in str(desk.verify(journey_id, "000000", pin="2580"))


# The lock


def locked(desk: Desk, failures_in_a_row: int = 10) -> str:
    return desk.hold(
        failures=10, failures_in_a_row=failures_in_a_row, last_failure_at=NOON - timedelta(hours=1), locked=True
    )


def test_the_tenth_locks_it_and_that_is_kept(desk: Desk) -> None:
    journey_id = desk.hold(failures=9, failures_in_a_row=19, last_failure_at=NOON - timedelta(hours=1))
    assert desk.verify(journey_id, "000000") == WRONG
    [row] = desk.trail(journey_id)
    assert row.what == "locked: 10 wrong passcodes in a row at signing in"
    later = NOON + timedelta(days=1)
    assert "locked after 10" in str(desk.verify(journey_id, current(BUTTON, 0), later))
    assert "locked after 10" in str(desk.resync(journey_id, current(BUTTON, 0), current(BUTTON, 1), later))
    assert len(desk.trail(journey_id)) == 2


def test_the_team_lifts_the_lock_and_the_wait_stands(desk: Desk) -> None:
    journey_id = locked(desk)
    with desk.sessions.begin() as session:
        session.scalars(select(TokenRow).where(TokenRow.journey_id == journey_id)).one().last_failure_at = NOON
    assert desk.unlock(journey_id) is None
    assert "wait 50 seconds" in str(desk.verify(journey_id, current(BUTTON, 0)))
    assert desk.verify(journey_id, "000000", NOON + timedelta(seconds=50)) == WRONG
    kept = desk.token(journey_id)
    assert (kept.locked, kept.failures, kept.failures_in_a_row) == (False, 1, 11)
    assert desk.verify(journey_id, current(BUTTON, 0), NOON + timedelta(seconds=105)) is None
    [row] = desk.trail(journey_id)
    assert (row.what, row.by, row.message) == ("unlocked", "Dana", "unlock")


def test_what_is_not_locked_is_not_unlocked(desk: Desk) -> None:
    journey_id = desk.hold(failures=9, failures_in_a_row=9)
    assert "is not locked" in str(desk.unlock(journey_id))
    assert desk.token(journey_id).failures == 9
    assert "is not locked" in str(desk.trail(journey_id)[0].refused)


def test_never_more_than_a_hundred_in_a_row(desk: Desk) -> None:
    journey_id = locked(desk, failures_in_a_row=100)
    for refusal in (
        desk.unlock(journey_id),
        desk.verify(journey_id, current(BUTTON, 0)),
        desk.resync(journey_id, current(BUTTON, 0), current(BUTTON, 1)),
    ):
        assert refusal == "This token has had 100 wrong passcodes in a row; replace it."
    assert desk.token(journey_id).counter == 0


def test_a_long_name_fits_the_trail(desk: Desk) -> None:
    journey_id = locked(desk)
    assert desk.unlock(journey_id, by="D" * 1000) is None
    assert desk.trail(journey_id)[0].by == "D" * 200


def test_the_journey_s_own_figures(desk: Desk) -> None:
    journey_id = desk.hold()
    with desk.sessions.begin() as session:
        session.get_one(JourneyRow, journey_id).policy = Policy(hotp_look_ahead=0).model_dump(mode="json")
    assert desk.verify(journey_id, current(BUTTON, 1)) == WRONG


def test_an_old_journey_has_no_figure_for_what_came_later(desk: Desk) -> None:
    figures = Policy().model_dump(mode="json")
    del figures["totp_resynchronisation"]
    journey_id, now = desk.hold(CLOCK), step(CLOCK, NOON)
    with desk.sessions.begin() as session:
        session.get_one(JourneyRow, journey_id).policy = figures
    assert isinstance(desk.resync(journey_id, current(CLOCK, now + 90), current(CLOCK, now + 91)), Resynchronised)


# The same attempt again


def test_whoever_lost_the_answer_gets_it_again_and_nobody_else_does(desk: Desk) -> None:
    button = desk.hold()
    first = current(BUTTON, 0)
    assert desk.verify(button, first, attempt="a") is None
    assert desk.verify(button, first, attempt="a") is None
    assert desk.token(button).counter == 1
    for other in ("b", None, ""):
        assert desk.verify(button, first, attempt=other) == WRONG  # a replay, and counted
    failures = desk.token(button).failures
    wait = desk.verify(button, "000000", attempt="c")
    assert desk.verify(button, "000000", attempt="c") == wait
    assert desk.token(button).failures == failures
    # Once another attempt has come after it, it is a replay like any other.
    assert desk.verify(button, first, at=NOON + timedelta(minutes=5), attempt="a") == WRONG


def test_the_same_attempt_is_refused_once_the_token_has_ended(desk: Desk) -> None:
    button = desk.hold()
    assert desk.verify(button, current(BUTTON, 0), attempt="a") is None
    with desk.sessions.begin() as session:
        session.get_one(JourneyRow, button).status = Status.DEACTIVATED
    assert "it is Deactivated" in str(desk.verify(button, current(BUTTON, 0), attempt="a"))
