"""The button of a hard token."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from domain.passcodes import Counters, Device, current, judge
from domain.policy import Policy
from domain.samples import HARD_TOKENS, HardToken, seed_of
from simulators.devices import HardDevice

BY_PRESSES = next(token for token in HARD_TOKENS if token.algorithm == "HOTP")
BY_TIME = next(token for token in HARD_TOKENS if token.algorithm == "TOTP")
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def known(token: HardToken) -> Device:
    """What the system knows of it."""
    return Device(token.algorithm, seed_of(token.serial_number), token.digits, token.digest, token.period)


def test_each_press_shows_the_next_passcode(tmp_path: Path) -> None:
    device = HardDevice(BY_PRESSES.serial_number, tmp_path)
    assert [device.press() for _ in range(3)] == [current(known(BY_PRESSES), factor) for factor in range(3)]
    assert device.press(4) == current(known(BY_PRESSES), 6)


def test_presses_are_remembered(tmp_path: Path) -> None:
    HardDevice(BY_PRESSES.serial_number, tmp_path).press(5)
    assert HardDevice(BY_PRESSES.serial_number, tmp_path).press() == current(known(BY_PRESSES), 5)
    assert [path.name for path in (tmp_path / "devices").iterdir()] == [BY_PRESSES.serial_number]
    assert HardDevice(BY_PRESSES.serial_number, tmp_path / "another").press() == current(known(BY_PRESSES), 0)


@pytest.mark.parametrize("token", [BY_PRESSES, BY_TIME], ids=["HOTP", "TOTP"])
def test_what_it_shows_is_accepted(tmp_path: Path, token: HardToken) -> None:
    passcode = HardDevice(token.serial_number, tmp_path).press(3, at=NOON)
    verdict = judge(known(token), Counters(), passcode, NOON, Policy())
    assert verdict.outcome == "accepted"


def test_a_token_that_goes_by_time(tmp_path: Path) -> None:
    device = HardDevice(BY_TIME.serial_number, tmp_path)
    assert device.press(at=NOON) == device.press(7, at=NOON + timedelta(seconds=29))
    assert device.press(at=NOON) != device.press(at=NOON + timedelta(seconds=30))
    with pytest.raises(ValueError, match="goes by time"):
        device.press()


def test_what_can_not_be(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no sample token"):
        HardDevice("../HT-1", tmp_path)
    with pytest.raises(ValueError, match="at least once"):
        HardDevice(BY_PRESSES.serial_number, tmp_path).press(0)
