"""Whatever is typed in whatever order, `judge` and `resynchronise` answer as a few lines of the rules do."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.passcodes import Counters, Device, Verdict, current, judge, resynchronise, step
from domain.policy import Policy
from tests.domain.test_passcodes import BUTTON, CLOCK, NOON, POLICY

TIGHT = Policy(
    hotp_look_ahead=2,
    hotp_resynchronisation=6,
    totp_resynchronisation=5,
    totp_steps_either_side=2,
    throttle_from_failure=2,
    lock_after_failures=3,
    most_failures_in_a_row=7,
)
shown = cache(current)


@dataclass
class Model:
    """The rules, said once more and as plainly as can be: sets of passcodes instead of counters and constant time."""

    device: Device
    policy: Policy
    at: datetime = NOON
    next: int = 0
    drift: int = 0
    half: int | None = None
    since_unlocked: int = 0
    in_a_row: int = 0
    failed_at: datetime | None = None
    accepted: list[int] = field(default_factory=list[int])

    @property
    def totp(self) -> bool:
        return self.device.algorithm == "TOTP"

    def refused(self) -> str | None:
        if self.in_a_row >= self.policy.most_failures_in_a_row:
            return "spent"
        if self.since_unlocked >= self.policy.lock_after_failures:
            return "locked"
        if self.failed_at and self.in_a_row >= self.policy.throttle_from_failure:
            pause = self.policy.throttle_seconds_per_failure * self.in_a_row
            if self.at - self.failed_at < timedelta(seconds=pause):
                return "wait"
        return None

    def window(self) -> list[int]:
        if self.totp:
            now = step(self.device, self.at) + self.drift
            around = range(now - self.policy.totp_steps_either_side, now + self.policy.totp_steps_either_side + 1)
            return [factor for factor in around if factor >= self.next]
        # The second half of a pair goes before what lies in the look-ahead, should both be right.
        second_half = [] if self.half is None else [self.half + 1]
        return second_half + list(range(self.next, self.next + self.policy.hotp_look_ahead + 1))

    def attempt(self, passcode: str) -> str:
        refused = self.refused()
        if refused:
            return refused
        for factor in self.window():
            if shown(self.device, factor) == passcode:
                self.succeed(factor)
                return "accepted"
        beyond = range(self.next + self.policy.hotp_look_ahead + 1, self.next + self.policy.hotp_resynchronisation + 1)
        near = [factor for factor in beyond if not self.totp and shown(self.device, factor) == passcode]
        return self.fail(near[0] if near else None)

    def resynchronise(self, first: str, second: str) -> str:
        refused = self.refused()
        if refused:
            return refused
        far, now = self.policy.totp_resynchronisation, step(self.device, self.at)
        seconds = range(self.next + 1, self.next + self.policy.hotp_resynchronisation + 2)
        for factor in range(max(self.next + 1, now - far + 1), now + far + 1) if self.totp else seconds:
            if (shown(self.device, factor - 1), shown(self.device, factor)) == (first, second):
                self.drift = factor - now if self.totp else 0
                self.accepted.append(factor - 1)
                self.succeed(factor)
                return "accepted"
        return self.fail(None)

    def succeed(self, factor: int) -> None:
        self.accepted.append(factor)
        self.next, self.half, self.since_unlocked, self.in_a_row, self.failed_at = factor + 1, None, 0, 0, None

    def fail(self, near: int | None) -> str:
        self.half, self.failed_at = near, self.at
        self.since_unlocked += 1
        self.in_a_row += 1
        return "wrong"


@dataclass
class Person:
    """A device in somebody's hand: how often it was pressed, or how its clock runs."""

    device: Device
    pressed: int = 0
    fast: int = 0

    def press(self, model: Model, skipped: int) -> int:
        """The moving factor of what it shows after so many presses that nobody typed, or by its own clock."""
        if model.totp:
            return max(0, step(self.device, model.at) + self.fast)
        self.pressed += skipped + 1
        return self.pressed - 1


far = st.one_of(st.integers(0, 3), st.integers(0, 12), st.integers(0, 130))
WHAT = st.one_of(
    st.tuples(st.just("press"), far),
    st.tuples(st.just("wrong"), st.integers(0, 999_999)),
    st.tuples(st.just("again"), st.integers(1, 3)),
    st.tuples(st.just("resync"), far),
    st.tuples(st.just("resync with a gap"), far),
    st.tuples(st.just("clock"), st.one_of(st.integers(-2, 2), st.integers(-110, 110))),
    st.tuples(st.just("unlock"), st.just(0)),
)
PAUSE = st.sampled_from([0, 1, 5, 10, 14, 15, 20, 30, 31, 60, 600, 3600])
"""Seconds before it."""


@pytest.mark.parametrize("device", [BUTTON, CLOCK])
@pytest.mark.parametrize("policy", [POLICY, TIGHT])
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.large_base_example])
@given(actions=st.lists(st.tuples(WHAT, PAUSE), min_size=20, max_size=60))
def test_as_the_rules_say(device: Device, policy: Policy, actions: list[tuple[tuple[str, int], int]]) -> None:
    model, person, counters = Model(device, policy), Person(device), Counters()
    typed: list[str] = []

    def tried(expected: str, verdict: Verdict) -> Counters:
        assert verdict.outcome == expected
        assert (verdict.outcome in ("wrong", "accepted")) or verdict.counters == counters
        assert verdict.counters.counter == model.next
        assert verdict.counters.drift == model.drift
        assert verdict.counters.locked == (model.since_unlocked >= policy.lock_after_failures)
        assert verdict.step == (model.accepted[-1] if expected == "accepted" else None)
        return verdict.counters

    def one(passcode: str) -> Counters:
        typed.append(passcode)
        return tried(model.attempt(passcode), judge(device, counters, passcode, model.at, policy))

    def two(first: str, second: str) -> Counters:
        typed.extend((first, second))
        return tried(
            model.resynchronise(first, second), resynchronise(device, counters, (first, second), model.at, policy)
        )

    def pressed(skipped: int, then: int) -> Counters:
        first = person.press(model, skipped)
        person.pressed = first + then + 1
        return two(shown(device, first), shown(device, first + then))

    for (action, number), pause in actions:
        model.at += timedelta(seconds=pause)
        match action:
            case "press":
                counters = one(shown(device, person.press(model, number)))
            case "wrong":
                counters = one(f"{number:06d}")
            case "again" if len(typed) >= number:
                counters = one(typed[-number])
            case "resync":
                counters = pressed(number, 1)
            case "resync with a gap":
                counters = pressed(number, 2)
            case "clock":
                person.fast = number
            case "unlock":
                model.since_unlocked = 0
                counters = replace(counters, failures=0, locked=False)
            case _:
                pass
    # No moving factor twice, none after a later one, and never more wrong ones in a row than the policy says.
    assert model.accepted == sorted(set(model.accepted))
    assert model.in_a_row <= policy.most_failures_in_a_row
    assert counters.failures_in_a_row == model.in_a_row


@given(
    st.sampled_from([BUTTON, CLOCK]),
    st.lists(st.tuples(st.integers(0, 10), st.integers(-1, 1), st.integers(60, 10_000)), max_size=30),
)
def test_whoever_types_what_the_device_shows_always_gets_in(device: Device, tries: list[tuple[int, int, int]]) -> None:
    """Up to ten presses in the pocket, a clock up to a step off: no such token is ever refused."""
    counters, at, pressed = Counters(), NOON, 0
    for skipped, off, seconds in tries:
        # Three steps on, so that a clock that is set back a little still shows a newer one.
        at += timedelta(seconds=seconds + 90)
        pressed += skipped
        factor = step(device, at) + off if device.algorithm == "TOTP" else pressed
        verdict = judge(device, counters, current(device, factor), at, POLICY)
        assert verdict.outcome == "accepted"
        counters = verdict.counters
        pressed += 1
