"""One passcode against one token's row. Enrolment and signing in judge by the same rules and share the same counters."""

from datetime import datetime

from database.sealing import Seal
from database.tables import TokenRow
from domain.passcodes import Counters, Device, Verdict, judge
from domain.policy import Policy


def judged(seal: Seal, token: TokenRow, passcode: str, at: datetime, policy: Policy) -> Verdict:
    """The verdict, with the row's counters brought up to it. `at` is UTC; the row has to be locked by the caller, and what
    comes of it committed. An empty passcode never matches, and counts as a wrong one."""
    device = Device(
        algorithm="TOTP" if token.algorithm == "TOTP" else "HOTP",
        seed=seal.open(token.seed, token.serial_number),
        digits=token.digits,
        digest=token.digest,  # type: ignore[arg-type]  # checked at import
        period=token.period,
    )
    before = Counters(
        counter=token.counter,
        resync_at=token.resync_at,
        failures=token.failures,
        last_failure_at=token.last_failure_at,
        locked=token.locked,
    )
    verdict = judge(device, before, passcode, at, policy)
    after = verdict.counters
    token.counter, token.resync_at, token.locked = after.counter, after.resync_at, after.locked
    token.failures, token.last_failure_at = after.failures, after.last_failure_at
    if verdict.outcome == "accepted":
        token.failures_in_a_row = 0
    elif verdict.outcome == "wrong":
        token.failures_in_a_row += 1
    return verdict
