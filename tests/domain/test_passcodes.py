import hmac
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import passcodes
from domain.passcodes import Counters, Device, Verdict, current, judge, step
from domain.policy import Policy

POLICY = Policy()
NOON = datetime(2026, 1, 6, 12, 0, tzinfo=UTC)
BUTTON = Device("HOTP", b"12345678901234567890")
CLOCK = Device("TOTP", b"12345678901234567890")
PATIENT = Policy(lock_after_failures=100, throttle_from_failure=1000)
"""Never makes anybody wait: for tests of matching alone."""


def wrong_for(device: Device, near: int = 0) -> str:
    """A passcode that matches none of the 150 moving factors from `near` on."""
    taken = {current(device, factor) for factor in range(near, near + 150)}
    return next(code for code in (f"{number:06d}" for number in range(1_000_000)) if code not in taken)


def attempts(device: Device, counters: Counters, *passcodes: str, at: datetime = NOON) -> list[Verdict]:
    """One verdict each, with no waiting."""
    verdicts: list[Verdict] = []
    for passcode in passcodes:
        verdicts.append(judge(device, counters, passcode, at, PATIENT))
        counters = verdicts[-1].counters
    return verdicts


def test_rfc_4226_appendix_d() -> None:
    published = ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"]
    assert [current(BUTTON, counter) for counter in range(10)] == published


@pytest.mark.parametrize(
    ("digest", "seed_length", "published"),
    [
        ("SHA1", 20, "94287082 07081804 14050471 89005924 69279037 65353130"),
        ("SHA256", 32, "46119246 68084774 67062674 91819424 90698825 77737706"),
        ("SHA512", 64, "90693936 25091201 99943326 93441116 38618901 47863826"),
    ],
)
def test_rfc_6238_appendix_b(digest: Literal["SHA1", "SHA256", "SHA512"], seed_length: int, published: str) -> None:
    device = Device("TOTP", (b"1234567890" * 7)[:seed_length], digits=8, digest=digest)
    seconds = [59, 1111111109, 1111111111, 1234567890, 2000000000, 20000000000]
    moments = [datetime.fromtimestamp(second, UTC) for second in seconds]
    assert [current(device, step(device, moment)) for moment in moments] == published.split()
    for moment, passcode in zip(moments, published.split(), strict=True):
        assert judge(device, Counters(), passcode, moment, POLICY).outcome == "accepted"


@pytest.mark.parametrize("digest", ["SHA1", "SHA256", "SHA512"])
@pytest.mark.parametrize("period", [30, 60])
@pytest.mark.parametrize("digits", [6, 7, 8])
@pytest.mark.parametrize("algorithm", ["HOTP", "TOTP"])
def test_every_device_against_the_rfcs_own_words(
    algorithm: Literal["HOTP", "TOTP"], digest: Literal["SHA1", "SHA256", "SHA512"], period: int, digits: int
) -> None:
    device = Device(algorithm, b"a seed of twenty byt", digits, digest, period)
    factor = int(NOON.timestamp()) // period if algorithm == "TOTP" else 9
    # RFC 4226, 5.3: four bytes from where the last half-byte points to, without the sign, the last digits of it.
    mac = hmac.digest(device.seed, factor.to_bytes(8, "big"), digest)
    start = mac[-1] & 0xF
    code = (int.from_bytes(mac[start : start + 4], "big") & 0x7FFFFFFF) % 10**digits
    assert judge(device, Counters(), f"{code:0{digits}d}", NOON, POLICY).step == factor
    assert judge(device, Counters(), f"{code:0{digits + 1}d}", NOON, POLICY).outcome == "wrong"


def test_a_seed_is_never_shown() -> None:
    assert "1234" not in repr(BUTTON)


@pytest.mark.parametrize(
    "changes",
    [
        {"algorithm": "OCRA"},
        {"digest": "MD5"},
        {"digits": 5},
        {"digits": 9},
        {"seed": b"short"},
        {"algorithm": "TOTP", "period": 0},
    ],
)
def test_devices_that_no_passcode_can_be_made_of(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"[a-z]"):
        replace(BUTTON, **changes)  # type: ignore[arg-type]


def test_the_period_means_nothing_to_hotp() -> None:
    assert judge(replace(BUTTON, period=0), Counters(), current(BUTTON, 0), NOON, POLICY).outcome == "accepted"


# HOTP


@pytest.mark.parametrize(("factor", "outcome"), [(4, "wrong"), (5, "accepted"), (15, "accepted"), (16, "wrong")])
def test_the_button_may_have_been_pressed_ten_times_in_the_post(factor: int, outcome: str) -> None:
    verdict = judge(BUTTON, Counters(counter=5), current(BUTTON, factor), NOON, POLICY)
    assert verdict.outcome == outcome
    if outcome == "accepted":
        assert verdict == Verdict("accepted", Counters(counter=factor + 1), step=factor)


def test_no_passcode_twice_and_none_before_it() -> None:
    (first,) = attempts(BUTTON, Counters(), current(BUTTON, 7))
    again = attempts(BUTTON, first.counters, *(current(BUTTON, factor) for factor in range(8)))
    assert {verdict.outcome for verdict in again} == {"wrong"}
    assert judge(BUTTON, first.counters, current(BUTTON, 8), NOON, POLICY).outcome == "accepted"


@pytest.mark.parametrize("factor", [11, 50, 99, 100])
def test_two_consecutive_passcodes_resynchronise(factor: int) -> None:
    first, second = attempts(BUTTON, Counters(), current(BUTTON, factor), current(BUTTON, factor + 1))
    assert (first.outcome, first.counters.resync_at, first.counters.failures) == ("wrong", factor, 1)
    assert second == Verdict("accepted", Counters(counter=factor + 2), step=factor + 1)


def test_resynchronisation_ends_at_a_hundred() -> None:
    first, second = attempts(BUTTON, Counters(), current(BUTTON, 101), current(BUTTON, 102))
    assert (first.counters.resync_at, second.outcome) == (None, "wrong")


@pytest.mark.parametrize("second", [40, 39, 42])
def test_only_the_following_passcode_completes_the_pair(second: int) -> None:
    verdicts = attempts(BUTTON, Counters(), current(BUTTON, 40), current(BUTTON, second))
    assert verdicts[-1].outcome == "wrong"
    assert verdicts[-1].counters.resync_at == second


def test_only_the_next_attempt_completes_the_pair() -> None:
    verdicts = attempts(BUTTON, Counters(), current(BUTTON, 40), wrong_for(BUTTON), current(BUTTON, 41))
    assert [verdict.outcome for verdict in verdicts] == ["wrong"] * 3
    assert [verdict.counters.resync_at for verdict in verdicts] == [40, None, 41]


def test_half_a_pair_looks_like_any_wrong_passcode() -> None:
    (half,) = attempts(BUTTON, Counters(), current(BUTTON, 40))
    (wrong,) = attempts(BUTTON, Counters(), wrong_for(BUTTON))
    assert replace(half, counters=replace(half.counters, resync_at=None)) == wrong


def test_an_attempt_during_the_wait_leaves_half_a_pair_as_it_was() -> None:
    counters = Counters(resync_at=40, failures=3, failures_in_a_row=3, last_failure_at=NOON)
    assert judge(BUTTON, counters, current(BUTTON, 41), NOON + timedelta(seconds=14), POLICY).counters == counters
    after = judge(BUTTON, counters, current(BUTTON, 41), NOON + timedelta(seconds=15), POLICY)
    assert (after.outcome, after.step) == ("accepted", 41)


# TOTP


@pytest.mark.parametrize(
    ("off", "outcome"), [(-2, "wrong"), (-1, "accepted"), (0, "accepted"), (1, "accepted"), (2, "wrong")]
)
def test_clocks_may_be_one_step_off(off: int, outcome: str) -> None:
    now = step(CLOCK, NOON)
    verdict = judge(CLOCK, Counters(), current(CLOCK, now + off), NOON, POLICY)
    assert verdict.outcome == outcome
    assert verdict.counters.resync_at is None
    if outcome == "accepted":
        assert verdict == Verdict("accepted", Counters(counter=now + off + 1), step=now + off)


def test_a_step_has_to_be_later_than_the_one_accepted_last() -> None:
    now = step(CLOCK, NOON)
    verdicts = attempts(CLOCK, Counters(), *(current(CLOCK, now + off) for off in (0, 0, -1, 1, 1)))
    assert [verdict.outcome for verdict in verdicts] == ["accepted", "wrong", "wrong", "accepted", "wrong"]


def test_steps_change_on_the_period() -> None:
    device = replace(CLOCK, period=60)
    assert step(device, datetime(1970, 1, 1, 0, 0, 59, 999999, tzinfo=UTC)) == 0
    assert step(device, datetime(1970, 1, 1, 0, 1, tzinfo=UTC)) == 1
    beginning = datetime(1970, 1, 1, tzinfo=UTC)
    assert judge(CLOCK, Counters(), wrong_for(CLOCK), beginning, POLICY).outcome == "wrong"


# Malformed passcodes


@pytest.mark.parametrize("dress", [" {}", "{} ", "{}\n", "0{}", "+{}", "{}0", "\x00{}"])
def test_nothing_but_the_digits_matches(dress: str) -> None:
    assert judge(BUTTON, Counters(), dress.format(current(BUTTON, 0)), NOON, POLICY).outcome == "wrong"


def test_other_digits_and_short_ones_do_not_match() -> None:
    passcode = current(BUTTON, 0)
    arabic = passcode.translate({ord(str(digit)): 0x0660 + digit for digit in range(10)})
    wide = passcode.translate({ord(str(digit)): 0xFF10 + digit for digit in range(10)})
    for typed in ("", arabic, wide, passcode[:5], passcode[:5] + "²", passcode[:5] + "\udcff"):
        assert judge(BUTTON, Counters(), typed, NOON, POLICY).outcome == "wrong"


def test_leading_zeros_count() -> None:
    factor = next(factor for factor in range(1000) if current(BUTTON, factor).startswith("0"))
    passcode = current(BUTTON, factor)
    assert judge(BUTTON, Counters(counter=factor), passcode, NOON, POLICY).outcome == "accepted"
    assert judge(BUTTON, Counters(counter=factor), passcode.lstrip("0"), NOON, POLICY).outcome == "wrong"


# Wrong ones


def test_from_the_third_on_each_waits_and_the_tenth_locks() -> None:
    counters, at, waits = Counters(), NOON, []
    for _ in range(10):
        verdict = judge(BUTTON, counters, wrong_for(BUTTON), at, POLICY)
        assert verdict.outcome == "wrong"
        counters = verdict.counters
        waits.append(verdict.wait_seconds)
        at += timedelta(seconds=verdict.wait_seconds)
    assert waits == [0, 0, 15, 20, 25, 30, 35, 40, 45, 0]
    assert (counters.failures, counters.failures_in_a_row, counters.locked) == (10, 10, True)
    for later in (at, at + timedelta(days=365)):
        assert judge(BUTTON, counters, current(BUTTON, 0), later, POLICY) == Verdict("locked", counters)


@pytest.mark.parametrize(
    ("seconds", "outcome", "wait"), [(0, "wait", 15), (0.5, "wait", 15), (14.9, "wait", 1), (15, "accepted", 0)]
)
def test_an_attempt_during_the_wait_is_not_judged_and_does_not_count(seconds: float, outcome: str, wait: int) -> None:
    counters = Counters(failures=3, failures_in_a_row=3, last_failure_at=NOON)
    verdict = judge(BUTTON, counters, current(BUTTON, 0), NOON + timedelta(seconds=seconds), POLICY)
    assert (verdict.outcome, verdict.wait_seconds) == (outcome, wait)
    assert verdict.counters == (counters if outcome == "wait" else Counters(counter=1))


def test_success_forgets_failures() -> None:
    counters = Counters(counter=3, resync_at=40, failures=2, failures_in_a_row=12, last_failure_at=NOON)
    after = NOON + timedelta(minutes=1)
    assert judge(BUTTON, counters, current(BUTTON, 3), after, POLICY).counters == Counters(counter=4)


def test_lifting_the_lock_does_not_shorten_the_wait() -> None:
    unlocked = Counters(failures=0, failures_in_a_row=10, last_failure_at=NOON)
    for seconds, outcome in ((0, "wait"), (49, "wait"), (50, "accepted")):
        verdict = judge(BUTTON, unlocked, current(BUTTON, 0), NOON + timedelta(seconds=seconds), POLICY)
        assert (verdict.outcome, verdict.wait_seconds) == (outcome, 50 - seconds)
    eleventh = judge(BUTTON, unlocked, wrong_for(BUTTON), NOON + timedelta(seconds=50), POLICY)
    assert (eleventh.wait_seconds, eleventh.counters.locked) == (55, False)


def test_never_more_than_a_hundred_in_a_row_however_often_it_is_unlocked() -> None:
    counters, at, judged = Counters(), NOON, 0
    for _ in range(150):
        verdict = judge(BUTTON, counters, wrong_for(BUTTON), at, POLICY)
        judged += verdict.outcome == "wrong"
        counters = replace(verdict.counters, locked=False, failures=0)
        at += timedelta(hours=1)
    assert judged == 100
    for later in (at, at + timedelta(days=365)):
        assert judge(BUTTON, counters, current(BUTTON, 0), later, POLICY) == Verdict("spent", counters)


# What the time taken tells


@pytest.mark.parametrize("device", [BUTTON, CLOCK])
def test_the_same_work_whatever_is_typed(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """A passcode beside a wrong serial or PIN is judged as an empty one; a stopwatch must not tell it from a wrong one."""
    worked_out: list[int] = []

    def counted(device: Device, factor: int) -> str:
        worked_out.append(factor)
        return current(device, factor)

    wrong, right = wrong_for(device, step(CLOCK, NOON) - 50), current(device, step(CLOCK, NOON))
    monkeypatch.setattr(passcodes, "current", counted)
    done = set()
    for typed in (wrong, right, "", "x", "0" * 40, "\udcff" * 6):
        worked_out.clear()
        judge(device, Counters(), typed, NOON, POLICY)
        done.add(tuple(worked_out))
    assert len(done) == 1
    assert len(worked_out) >= 3


def test_a_clock_that_went_back_does_not_shorten_the_wait() -> None:
    counters = Counters(failures=3, failures_in_a_row=3, last_failure_at=NOON)
    verdict = judge(BUTTON, counters, current(BUTTON, 0), NOON - timedelta(minutes=1), POLICY)
    assert (verdict.outcome, verdict.wait_seconds) == ("wait", 75)


def test_times_without_an_offset_are_refused() -> None:
    for device in (BUTTON, CLOCK):
        with pytest.raises(ValueError, match="offset"):
            judge(device, Counters(), "000000", NOON.replace(tzinfo=None), POLICY)


# Whatever is tried in whatever order

TRIES = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 130), st.none()),  # how far from the counter the passcode is; None: a wrong one
        st.integers(0, 60),  # seconds since the attempt before
    ),
    max_size=40,
)


@given(st.sampled_from([BUTTON, CLOCK]), TRIES)
def test_invariants_of_any_sequence(device: Device, tries: list[tuple[int | None, int]]) -> None:
    counters, at = Counters(), NOON
    accepted: list[int] = []
    for distance, seconds in tries:
        at += timedelta(seconds=seconds)
        base = step(device, at) - 2 if device.algorithm == "TOTP" else max(0, counters.counter - 5)
        passcode = wrong_for(device, base) if distance is None else current(device, base + distance % 130)
        before = counters
        verdict = judge(device, before, passcode, at, POLICY)
        counters = verdict.counters
        match verdict.outcome:
            case "accepted":
                assert verdict.step is not None
                assert before.counter <= verdict.step
                assert current(device, verdict.step) == passcode
                assert counters == Counters(counter=verdict.step + 1)
                accepted.append(verdict.step)
            case "wrong":
                assert counters.counter == before.counter
                assert counters.failures == before.failures + 1
                assert counters.failures_in_a_row == before.failures_in_a_row + 1
                assert counters.locked == (counters.failures >= 10)
                assert counters.last_failure_at == at
            case "wait":
                assert counters == before
                assert 0 < verdict.wait_seconds <= 5 * before.failures
            case "locked":
                assert before.locked
                assert counters == before
        assert counters.failures <= 10
    assert accepted == sorted(set(accepted))
