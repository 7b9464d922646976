"""Passcodes against one token's row. Enrolment and signing in judge by the same rules and share the same counters."""

from collections.abc import Callable
from datetime import datetime

from database.sealing import Seal
from database.tables import TokenRow
from domain.passcodes import Counters, Device, Verdict, judge, resynchronise, unjudged
from domain.policy import Policy


def judged(
    seal: Seal, token: TokenRow, passcode: str, at: datetime, policy: Policy, *, in_right_hands: Callable[[], bool]
) -> Verdict:
    """The verdict on one passcode, with the row's counters brought up to it. `at` is UTC; the row has to be locked by the
    caller, and what comes of it committed.

    `in_right_hands`: whether what was given beside the passcode (serial, PIN) is right. Where it is not, the passcode is
    judged as one that can't match: same answer, same time taken, same throttle. Not asked where nothing is judged.
    """

    def rule(device: Device, counters: Counters) -> Verdict:
        return judge(device, counters, passcode if in_right_hands() else "", at, policy)

    return _kept(seal, token, at, policy, rule)


def resynchronised(
    seal: Seal,
    token: TokenRow,
    passcodes: tuple[str, str],
    at: datetime,
    policy: Policy,
    *,
    in_right_hands: Callable[[], bool],
) -> Verdict:
    """The same for two consecutive passcodes, which bring a token back whose counter or clock has run away."""

    def rule(device: Device, counters: Counters) -> Verdict:
        return resynchronise(device, counters, passcodes if in_right_hands() else ("", ""), at, policy)

    return _kept(seal, token, at, policy, rule)


def _kept(
    seal: Seal, token: TokenRow, at: datetime, policy: Policy, rule: Callable[[Device, Counters], Verdict]
) -> Verdict:
    before = Counters(
        counter=token.counter,
        drift=token.drift,
        resync_at=token.resync_at,
        failures=token.failures,
        failures_in_a_row=token.failures_in_a_row,
        last_failure_at=token.last_failure_at,
        locked=token.locked,
    )
    verdict = unjudged(before, at, policy)
    if verdict is None:
        device = Device(
            algorithm="TOTP" if token.algorithm == "TOTP" else "HOTP",
            seed=seal.open(token.seed, token.serial_number),
            digits=token.digits,
            digest=token.digest,  # type: ignore[arg-type]  # checked at import
            period=token.period,
        )
        verdict = rule(device, before)
    after = verdict.counters
    token.counter, token.drift, token.resync_at = after.counter, after.drift, after.resync_at
    token.failures, token.failures_in_a_row = after.failures, after.failures_in_a_row
    token.last_failure_at, token.locked = after.last_failure_at, after.locked
    return verdict
