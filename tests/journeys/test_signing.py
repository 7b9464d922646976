"""Passcodes over a token's whole life: what enrolment has seen counts for signing in, and the other way round."""

import re
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from activities.verification import NotVerified
from database import audit
from database.tables import AuditRow, TokenRow
from domain.samples import HARD_TOKENS
from tests.stage import Play, Stage


def sign(journey: Play, passcode: str, at: datetime) -> None:
    journey.stage.verification().verify(journey.id, passcode, None, at)


async def test_the_passcode_that_enrolled_signs_nothing(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.reach("Delivered")
    serial = (await journey.status())["serial_number"]
    passcode = journey.device(serial).press(at=await journey.now())
    await journey.update("enroll_hard", {"serial_number": serial, "passcode": passcode})
    await journey.wait(minutes=10)
    with pytest.raises(NotVerified, match="could not be verified"):
        sign(journey, passcode, await journey.now())
    assert await journey.signs()


async def test_a_token_that_has_run_away_is_brought_back_and_the_journey_s_records_stay_whole(stage: Stage) -> None:
    """The resynchronisation writes into the journey's chain from beside it, and the journey goes on in it."""
    journey = await stage.request("hard")
    await journey.reach("Active")
    device = journey.device((await journey.status())["serial_number"])
    device.press(70)
    assert not await journey.signs()
    at = await journey.now()
    pair = (device.press(), device.press())
    done = stage.verification().resynchronise(journey.id, *pair, None, "Dana", at)
    assert str(done) == "71 presses ahead"
    assert await journey.signs()
    await journey.update("deactivate", {"confirmed": True, "reason": "faulty", "by": "Ann"})
    pair = (device.press(), device.press())
    with pytest.raises(NotVerified, match="it is Deactivated"):
        stage.verification().resynchronise(journey.id, *pair, None, "Dana", await journey.now())
    await journey.result()
    with stage.sessions() as session:
        assert audit.verify(session)[1] == []
        rows = session.scalars(select(AuditRow).where(AuditRow.journey_id == journey.id).order_by(AuditRow.number))
        told = [(row.what, row.by) for row in rows]
    before = told.index(("resynchronised: the token was 71 presses ahead", "Dana"))
    ended, after = told.index(("deactivated: faulty", "Ann")), told.index(("refused: resync", "Dana"))
    assert before < ended < after


async def test_a_clock_that_is_off_after_enrolment(stage: Stage) -> None:
    serial = next(token.serial_number for token in HARD_TOKENS if token.algorithm == "TOTP")
    journey = await stage.request("hard")
    await journey.process(serial_number=serial)
    await journey.wait(days=3)
    await journey.enroll()
    await journey.wait(minutes=10)
    device, now = journey.device(serial), await journey.now()
    off = timedelta(minutes=20)
    with pytest.raises(NotVerified, match="could not be verified"):
        sign(journey, device.press(at=now - off), now)
    older, newer = device.press(at=now + off - timedelta(seconds=30)), device.press(at=now + off)
    done = stage.verification().resynchronise(journey.id, older, newer, None, "Dana", now)
    assert str(done) == "40 steps ahead"
    for hours in (1, 100):
        later = now + timedelta(hours=hours)
        sign(journey, device.press(at=later + off), later)


async def test_failures_at_enrolment_are_waited_for_over_links_and_reminders(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.reach("Delivered")
    serial = (await journey.status())["serial_number"]
    wrong = {"serial_number": serial, "passcode": "000000"}
    for failures in range(1, 10):
        await journey.refused("enroll_hard", wrong)
        await journey.wait(seconds=5 * failures + 1)
    assert "could not be confirmed" in await journey.refused("enroll_hard", wrong)
    right = {"serial_number": serial, "passcode": journey.device(serial).press(at=await journey.now())}
    assert "locked after 10" in await journey.refused("enroll_hard", right)
    # The reminder's link works, but it is not the team's new one.
    await journey.wait(days=3, hours=1)
    assert journey.letters()[-1] == "reminder"
    assert "locked after 10" in await journey.refused("enroll_hard", right)
    with stage.sessions.begin() as session:
        token = session.scalars(select(TokenRow).where(TokenRow.journey_id == journey.id)).one()
        token.last_failure_at = await journey.now()
    # Nor is one that the holder asked for.
    await journey.update("resend_activation", {"by": "P-1001", "unlock": False})
    await journey.wait(seconds=2)
    assert "locked after 10" in await journey.refused("enroll_hard", right)
    # The team's link lifts the lock at once, but not the wait: guessing goes on no faster for it.
    await journey.update("resend_activation", {"by": "Dana"})
    await journey.wait(seconds=2)
    assert re.search(r"wait (4\d|3\d) seconds", await journey.refused("enroll_hard", right))
    await journey.wait(seconds=49)
    await journey.update("enroll_hard", right)
    token = journey.token()
    assert token is not None
    assert (token.failures, token.failures_in_a_row, token.locked) == (0, 0, False)
