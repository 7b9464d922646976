"""Links, their renewals and reminders, and the thirty days."""

import hashlib
import re
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from database.tables import ActivationLink, TokenRow
from tests.on_stack import on_sqlite
from tests.stage import Play, Stage


def secret_in(journey: Play, letter: str, which: int = -1) -> str:
    """What the link in the latest such email ends with."""
    message = [message for message in journey.emails() if message["X-Token-Letter"] == letter][which]
    body = message.get_body(("plain",))
    assert body is not None
    [secret] = set(re.findall(r"/activate/([A-Za-z0-9_-]+)", body.get_content()))
    assert len(secret) >= 22  # 128 bits and more
    return secret


def link_in(journey: Play, letter: str, which: int = -1) -> str:
    """Its hash."""
    return hashlib.sha256(secret_in(journey, letter, which).encode()).hexdigest()


def kept(journey: Play, link_hash: str) -> ActivationLink:
    with journey.stage.sessions() as session:
        return session.scalars(select(ActivationLink).where(ActivationLink.link_hash == link_hash)).one()


async def attempt(journey: Play, link_hash: str) -> dict[str, str]:
    serial = (await journey.status())["serial_number"]
    passcode = journey.device(serial).press(at=await journey.now())
    return {"serial_number": serial, "passcode": passcode, "link_hash": link_hash}


async def test_the_email_saved_since_processing_works_when_the_token_is_in_hand(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.reach("Shipped")
    saved = link_in(journey, "vendor_activation_hard")
    assert kept(journey, saved).valid_until is None
    await journey.wait(days=6)
    await journey.deliver()
    delivered = await journey.now()
    valid_until = kept(journey, saved).valid_until
    assert valid_until is not None
    assert abs(valid_until - delivered - timedelta(days=14)) < timedelta(minutes=1)
    await journey.wait(days=13)
    await journey.update("enroll_hard", await attempt(journey, saved))
    await journey.wait(seconds=5)
    assert kept(journey, saved).ended_because == "used"
    await journey.wait(minutes=10)
    assert "it is already active" in await journey.refused("enroll_hard", await attempt(journey, saved))


@pytest.mark.parametrize("kind", ["hard", "soft"])
async def test_reminders_each_with_a_working_link_and_the_end_after_thirty_days(stage: Stage, kind: str) -> None:
    journey = await stage.request(kind)
    await journey.reach("Delivered" if kind == "hard" else "Processed")
    since = await journey.now()
    for sent, day in enumerate((3, 7, 13)):
        await journey.to(since + timedelta(days=day, hours=-1))
        assert journey.letters().count("reminder") == sent, f"before day {day}"
        await journey.to(since + timedelta(days=day))
        assert journey.letters().count("reminder") == sent + 1, f"day {day}"
        assert kept(journey, link_in(journey, "reminder")).ended_at is None
    await journey.wait(days=16)
    assert (await journey.status())["status"] == ("Delivered" if kind == "hard" else "Processed")
    await journey.wait(days=1, minutes=1)
    assert (await journey.result())["detail"] == "never activated: not enrolled within 30 days"
    assert "never_activated" in journey.letters()[-2:], "a hard token's return label is sent beside it"
    assert len(stage.done("vendor", "revocations", journey.id)) == 1
    with stage.sessions() as session:
        links = session.scalars(select(ActivationLink).where(ActivationLink.journey_id == journey.id)).all()
    assert {link.ended_because for link in links} == {"withdrawn"}


async def test_a_link_expires_and_a_fresh_one_ends_the_older(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.reach("Delivered")
    old = link_in(journey, "delivered")
    await journey.wait(days=14, hours=1)
    assert "expired" in await journey.refused("enroll_hard", await attempt(journey, old))
    await journey.update("resend_activation", {"by": "Dana"})
    await journey.wait(seconds=5)
    fresh = link_in(journey, "vendor_activation_hard")
    assert kept(journey, old).ended_because == "superseded"
    assert "newer activation link" in await journey.refused("enroll_hard", await attempt(journey, old))
    await journey.update("enroll_hard", await attempt(journey, fresh))


async def test_a_soft_token_s_link_is_good_for_fourteen_days_after_it_was_sent(stage: Stage) -> None:
    journey = await stage.request("soft")
    sent = await journey.now()
    await journey.reach("Processed")
    link = link_in(journey, "vendor_download_soft")
    valid_until = kept(journey, link).valid_until
    assert valid_until is not None
    assert abs(valid_until - sent - timedelta(days=14)) < timedelta(minutes=1)
    enrolment = {"token_name": "My phone", "enrollment_ref": await journey.soft_ref(), "link_hash": link}
    await journey.wait(days=14, hours=1)
    assert "expired" in await journey.refused("enroll_soft", enrolment)
    await journey.update("resend_activation", {"by": "Dana"})
    await journey.wait(seconds=5)
    assert "newer activation link" in await journey.refused("enroll_soft", enrolment)
    await journey.update("enroll_soft", {**enrolment, "link_hash": link_in(journey, "vendor_download_soft")})


@on_sqlite
async def test_a_link_is_kept_as_a_hash_and_nothing_else(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.reach("Delivered")
    secrets = [secret_in(journey, letter) for letter in ("vendor_activation_hard", "delivered")]
    assert len(set(secrets)) == 2
    stored = b"".join(file.read_bytes() for file in stage.folder.glob("tokens.db*"))
    for secret in secrets:
        assert hashlib.sha256(secret.encode()).hexdigest().encode() in stored
        assert secret.encode() not in stored


async def test_another_journey_s_link_is_refused(stage: Stage) -> None:
    one, other = await stage.request("hard"), await stage.request("hard", "P-1012")
    await one.reach("Delivered")
    await other.reach("Delivered")
    stolen = link_in(other, "delivered")
    assert "not for this token" in await one.refused("enroll_hard", await attempt(one, stolen))


async def test_a_soft_enrolment_belongs_to_its_journey(stage: Stage) -> None:
    one, other = await stage.request("soft"), await stage.request("soft", "P-1012")
    await one.reach("Processed")
    await other.reach("Processed")
    foreign = {"token_name": "My phone", "enrollment_ref": await other.soft_ref()}
    assert "not known for this journey" in await one.refused("enroll_soft", foreign)
    assert "not known for this journey" in await one.refused(
        "enroll_soft", {"token_name": "My phone", "enrollment_ref": "made-up"}
    )
    await other.update("enroll_soft", foreign)


async def test_wrong_serial_and_wrong_passcode_get_the_same_answer(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.reach("Delivered")
    serial = (await journey.status())["serial_number"]
    passcode = journey.device(serial).press(at=await journey.now())
    wrong_serial = await journey.refused("enroll_hard", {"serial_number": "HT-NOTTHISONE", "passcode": passcode})
    wrong_passcode = await journey.refused("enroll_hard", {"serial_number": serial, "passcode": "000000"})
    assert wrong_serial == wrong_passcode
    snapshot = await journey.status()
    assert len(snapshot["refused"]) == 2
    assert passcode not in str(snapshot)


async def test_throttled_locked_and_unlocked_by_a_new_link(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.reach("Delivered")
    serial = (await journey.status())["serial_number"]
    wrong = {"serial_number": serial, "passcode": "000000"}
    for _ in range(3):
        assert "could not be confirmed" in await journey.refused("enroll_hard", wrong)
    assert re.search(r"wait 1[0-5] seconds", await journey.refused("enroll_hard", wrong))
    for failures in range(3, 10):
        await journey.wait(seconds=5 * failures + 1)
        assert "could not be confirmed" in await journey.refused("enroll_hard", wrong)
    await journey.wait(minutes=10)
    right = {"serial_number": serial, "passcode": journey.device(serial).press(at=await journey.now())}
    assert "locked" in await journey.refused("enroll_hard", right)
    await journey.update("resend_activation", {"by": "Dana"})
    await journey.wait(seconds=5)
    await journey.update("enroll_hard", right)


async def test_pressed_in_the_post_and_resynchronised(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.reach("Delivered")
    serial = (await journey.status())["serial_number"]
    device = journey.device(serial)
    first = device.press(41)
    assert "could not be confirmed" in await journey.refused(
        "enroll_hard", {"serial_number": serial, "passcode": first}
    )
    await journey.update("enroll_hard", {"serial_number": serial, "passcode": device.press()})
    await journey.wait(minutes=10)
    assert (await journey.status())["status"] == "Active"


async def test_pressed_fifteen_times_in_the_post(stage: Stage) -> None:
    """Beyond the look-ahead of ten: the first passcode fails, the next one resynchronises."""
    journey = await stage.request("hard")
    await journey.reach("Shipped")
    serial = (await journey.status())["serial_number"]
    device = journey.device(serial)
    device.press(15)
    await journey.deliver()
    first = {"serial_number": serial, "passcode": device.press()}
    assert "could not be confirmed" in await journey.refused("enroll_hard", first)
    not_the_next = {"serial_number": serial, "passcode": device.press(2)}
    assert "could not be confirmed" in await journey.refused("enroll_hard", not_the_next)
    await journey.update("enroll_hard", {"serial_number": serial, "passcode": device.press()})
    await journey.wait(minutes=10)
    assert (await journey.status())["status"] == "Active"
    assert await journey.signs()


async def test_a_token_that_goes_by_time(stage: Stage) -> None:
    from domain.samples import HARD_TOKENS

    serial = next(token.serial_number for token in HARD_TOKENS if token.algorithm == "TOTP")
    journey = await stage.request("hard")
    await journey.process(serial_number=serial)
    await journey.wait(days=3)
    stale = journey.device(serial).press(at=await journey.now() - timedelta(seconds=90))
    await journey.refused("enroll_hard", {"serial_number": serial, "passcode": stale})
    previous = journey.device(serial).press(at=await journey.now() - timedelta(seconds=30))
    await journey.update("enroll_hard", {"serial_number": serial, "passcode": previous})


async def test_never_more_than_a_hundred_wrong_ones_in_a_row(stage: Stage) -> None:
    journey = await stage.request("hard")
    await journey.reach("Delivered")
    with stage.sessions.begin() as session:
        session.execute(update(TokenRow).where(TokenRow.journey_id == journey.id).values(failures_in_a_row=100))
    await journey.update("resend_activation", {"by": "Dana"})
    await journey.wait(seconds=5)
    serial = (await journey.status())["serial_number"]
    right = {"serial_number": serial, "passcode": journey.device(serial).press(at=await journey.now())}
    assert "can't be enrolled any more" in await journey.refused("enroll_hard", right)
