"""Two consecutive passcodes, asked for by name (RFC 4226, 7.4; RFC 6238, 6)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from domain.passcodes import Counters, Verdict, current, judge, resynchronise, step
from domain.policy import Policy
from tests.domain.test_passcodes import BUTTON, CLOCK, NOON, POLICY, wrong_for

NOW = step(CLOCK, NOON)


def pair(device: object, factor: int) -> tuple[str, str]:
    shows = BUTTON if device is BUTTON else CLOCK
    return current(shows, factor), current(shows, factor + 1)


@pytest.mark.parametrize(
    ("factor", "outcome"),
    [(0, "wrong"), (4, "wrong"), (5, "accepted"), (16, "accepted"), (105, "accepted"), (106, "wrong")],
)
def test_presses_within_a_hundred(factor: int, outcome: str) -> None:
    verdict = resynchronise(BUTTON, Counters(counter=5), pair(BUTTON, factor), NOON, POLICY)
    assert verdict.outcome == outcome
    if outcome == "accepted":
        assert verdict == Verdict("accepted", Counters(counter=factor + 2), step=factor + 1)


@pytest.mark.parametrize(
    ("off", "outcome"),
    [(-101, "wrong"), (-100, "accepted"), (-2, "accepted"), (0, "accepted"), (99, "accepted"), (100, "wrong")],
)
def test_steps_within_a_hundred_either_side(off: int, outcome: str) -> None:
    verdict = resynchronise(CLOCK, Counters(), pair(CLOCK, NOW + off), NOON, POLICY)
    assert verdict.outcome == outcome
    if outcome == "accepted":
        kept = Counters(counter=NOW + off + 2, drift=off + 1)
        assert verdict == Verdict("accepted", kept, step=NOW + off + 1)


def test_the_figures_are_the_policy_s() -> None:
    near = Policy(hotp_resynchronisation=3, totp_resynchronisation=2)
    for device, factor, outcome in ((BUTTON, 3, "accepted"), (BUTTON, 4, "wrong")):
        assert resynchronise(device, Counters(), pair(device, factor), NOON, near).outcome == outcome
    for off, outcome in ((-3, "wrong"), (-2, "accepted"), (1, "accepted"), (2, "wrong")):
        assert resynchronise(CLOCK, Counters(), pair(CLOCK, NOW + off), NOON, near).outcome == outcome


@pytest.mark.parametrize("device", [BUTTON, CLOCK])
@pytest.mark.parametrize("gap", [-1, 0, 2])
def test_only_in_their_order_and_without_a_gap(device: object, gap: int) -> None:
    base = 40 if device is BUTTON else NOW + 40
    shows = BUTTON if device is BUTTON else CLOCK
    given = current(shows, base), current(shows, base + gap)
    assert resynchronise(shows, Counters(), given, NOON, POLICY).outcome == "wrong"


@pytest.mark.parametrize("device", [BUTTON, CLOCK])
def test_one_right_passcode_is_not_enough(device: object) -> None:
    shows, base = (BUTTON, 0) if device is BUTTON else (CLOCK, NOW)
    wrong = wrong_for(shows, max(0, base - 100))
    first, second = pair(device, base)
    for given in ((first, wrong), (wrong, second), ("", ""), (first, ""), (first + second, ""), ("", first + second)):
        verdict = resynchronise(shows, Counters(), given, NOON, POLICY)
        assert (verdict.outcome, verdict.counters.resync_at) == ("wrong", None)
        assert (verdict.counters.failures, verdict.counters.failures_in_a_row) == (1, 1)


@pytest.mark.parametrize("device", [BUTTON, CLOCK])
def test_both_are_used_up(device: object) -> None:
    shows, base = (BUTTON, 40) if device is BUTTON else (CLOCK, NOW + 40)
    given = pair(device, base)
    after = resynchronise(shows, Counters(), given, NOON, POLICY).counters
    assert resynchronise(shows, after, given, NOON, POLICY).outcome == "wrong"
    for passcode in given:
        assert judge(shows, after, passcode, NOON, POLICY).outcome == "wrong"
    assert resynchronise(shows, after, (given[1], current(shows, base + 2)), NOON, POLICY).outcome == "wrong"


@pytest.mark.parametrize("off", [-60, -2, 3, 77])
def test_a_drifting_clock_signs_from_then_on(off: int) -> None:
    """`off`: by how many steps it is ahead. RFC 6238, section 6: judged by the time that the device believes in."""
    counters = resynchronise(CLOCK, Counters(), pair(CLOCK, NOW + off - 1), NOON, POLICY).counters
    assert counters.drift == off
    at = NOON
    for _ in range(3):
        at += timedelta(hours=1)
        shown = step(CLOCK, at) + off
        for beside in (-2, 2):
            assert judge(CLOCK, counters, current(CLOCK, shown + beside), at, POLICY).outcome == "wrong"
        verdict = judge(CLOCK, counters, current(CLOCK, shown), at, POLICY)
        assert verdict == Verdict("accepted", Counters(counter=shown + 1, drift=off), step=shown)
        counters = verdict.counters


def test_doing_it_again_and_again_leads_no_further_away() -> None:
    """The window lies about our own clock, not about the last drift."""
    counters = Counters(drift=90)
    assert resynchronise(CLOCK, counters, pair(CLOCK, NOW + 110), NOON, POLICY).outcome == "wrong"
    back = resynchronise(CLOCK, counters, pair(CLOCK, NOW - 1), NOON, POLICY)
    assert (back.outcome, back.counters.drift) == ("accepted", 0)


def test_it_waits_and_is_locked_like_any_attempt() -> None:
    given = pair(BUTTON, 40)
    failed = Counters(failures=3, failures_in_a_row=3, last_failure_at=NOON)
    soon = resynchronise(BUTTON, failed, given, NOON + timedelta(seconds=14), POLICY)
    assert soon == Verdict("wait", failed, wait_seconds=1)
    assert resynchronise(BUTTON, failed, given, NOON + timedelta(seconds=15), POLICY).counters == Counters(counter=42)
    locked = replace(failed, failures=10, failures_in_a_row=10, locked=True)
    assert resynchronise(BUTTON, locked, given, NOON + timedelta(days=1), POLICY) == Verdict("locked", locked)
    spent = replace(failed, failures_in_a_row=100)
    assert resynchronise(BUTTON, spent, given, NOON + timedelta(days=1), POLICY) == Verdict("spent", spent)
    ninth = replace(failed, failures=9, failures_in_a_row=9)
    tenth = resynchronise(BUTTON, ninth, ("", ""), NOON + timedelta(days=1), POLICY)
    assert (tenth.outcome, tenth.counters.locked) == ("wrong", True)


def test_times_without_an_offset_are_refused() -> None:
    with pytest.raises(ValueError, match="offset"):
        resynchronise(CLOCK, Counters(), pair(CLOCK, NOW), NOON.replace(tzinfo=None), POLICY)
