"""`POST /v1/tokens/{journey_id}/verify`: an upstream system signs in with a token."""

from datetime import UTC, datetime

from sqlalchemy import update

from database.tables import IdempotentRequest
from starter.api_keys import Scope
from tests.gateway.api import Upstream, detail, token
from tests.gateway.test_idempotency import broke_off
from tests.stage import Play, Stage


async def active(stage: Stage, kind: str = "hard", prescriber_id: str = "P-1001") -> Play:
    journey = await stage.request(kind, prescriber_id)
    await journey.reach("Active")
    return journey


async def test_a_passcode_is_taken_once(stage: Stage, upstream: Upstream) -> None:
    system, journey = upstream.system(Scope.VERIFY), await active(stage)
    held = journey.token()
    assert held is not None
    passcode = journey.device(held.serial_number).press()
    answer = await system.post(token(journey.id, "verify"), json={"passcode": passcode})
    assert (answer.status_code, answer.json()) == (200, {"journey_id": journey.id, "verified": True})
    again = detail(await system.post(token(journey.id, "verify"), json={"passcode": passcode}), 409)
    wrong = detail(await system.post(token(journey.id, "verify"), json={"passcode": "000000"}), 409)
    assert again == wrong
    said = ""
    for _ in range(2):
        said = detail(await system.post(token(journey.id, "verify"), json={"passcode": "000000"}), 409)
    assert "wait" in said
    # A gateway that was killed after the passcode was taken, before it could note its answer: the same attempt, the same answer.
    other = await active(stage, prescriber_id="P-1002")
    held = other.token()
    assert held is not None
    sent = {"passcode": other.device(held.serial_number).press()}
    assert (await system.once(token(other.id, "verify"), sent, "lost")).status_code == 200
    broke_off(stage)
    once_more = await system.once(token(other.id, "verify"), sent, "lost")
    assert (once_more.status_code, "Idempotent-Replayed" in once_more.headers) == (200, False)
    assert detail(await system.once(token(other.id, "verify"), sent, "another"), 409) == wrong
    # Nothing that was typed stands anywhere.
    assert passcode not in repr(stage.rows("select * from idempotent_requests"))
    assert "passcode" in detail(await system.post(token(journey.id, "verify"), json={"pin": passcode}), 422)


async def test_refused_from_the_moment_of_deactivation(stage: Stage, upstream: Upstream) -> None:
    """Also where the system only repeats what was right before."""
    system, journey = upstream.system(), await active(stage)
    held = journey.token()
    assert held is not None
    sent = {"passcode": journey.device(held.serial_number).press()}
    assert (await system.once(token(journey.id, "verify"), sent, "k")).status_code == 200
    assert (await system.once(token(journey.id, "verify"), sent, "k")).json()["verified"] is True
    stage.fault("vendor", kind="error")
    stage.fault("directory", kind="error")
    ended = await system.post(token(journey.id, "deactivate"), json={"confirmed": True, "reason": "lost"})
    assert ended.status_code == 200
    assert "it is Deactivated" in detail(await system.once(token(journey.id, "verify"), sent, "k"), 409)
    assert "it is Deactivated" in detail(await system.once(token(journey.id, "verify"), sent), 409)


async def test_a_soft_token_takes_its_pin_too(stage: Stage, upstream: Upstream) -> None:
    from pyotp.totp import TOTP  # the app

    system, journey = upstream.system(Scope.VERIFY), await active(stage, "soft")
    held = journey.token()
    assert held is not None
    import base64

    seed = base64.b32encode(stage.seal.open(held.seed, held.serial_number)).decode()
    passcode = TOTP(seed).at(datetime.now(UTC))
    no_pin = detail(await system.once(token(journey.id, "verify"), {"passcode": passcode}, "a"), 409)
    wrong_pin = detail(await system.once(token(journey.id, "verify"), {"passcode": passcode, "pin": "1470"}, "b"), 409)
    assert no_pin == wrong_pin
    right = {"passcode": passcode, "pin": "2580"}
    assert (await system.once(token(journey.id, "verify"), right, "c")).status_code == 200
    fingerprints = {row[0] for row in stage.rows("select fingerprint from idempotent_requests")}
    assert len(fingerprints) == 3
    with stage.sessions.begin() as session:
        session.execute(update(IdempotentRequest).values(fingerprint="x"))
    assert "another request" in detail(await system.once(token(journey.id, "verify"), right, "c"), 422)
