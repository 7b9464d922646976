"""Deactivation: confirmed, with a reason, refused everywhere from that instant, however much is down."""

import asyncio

import pytest

from activities.verification import NotVerified
from domain.peers import incident_id, return_id
from tests.stage import Play, Stage


async def active(stage: Stage, kind: str = "hard", prescriber_id: str = "P-1001") -> Play:
    journey = await stage.request(kind, prescriber_id)
    await journey.reach("Active")
    return journey


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"reason": "faulty"}, "it must be confirmed"),
        ({"reason": "faulty", "confirmed": False}, "it must be confirmed"),
        ({"confirmed": True}, "a hard token needs a reason"),
        ({"confirmed": True, "reason": "uninstalled"}, "a hard token needs a reason"),
        ({"confirmed": True, "reason": "bored"}, "`reason` must be"),
        ({"confirmed": True, "reason": "lost", "replaced_by": "token-hard-mine"}, "start `ReplaceToken`"),
    ],
)
async def test_it_needs_the_confirmation_and_a_reason(stage: Stage, body: dict[str, object], said: str) -> None:
    journey = await active(stage)
    assert said in await journey.refused("deactivate", body)
    await journey.signal("deactivate", body)
    snapshot = await journey.status()
    assert snapshot["status"] == "Active"
    assert said in snapshot["refused"][-1]["reason"]
    assert await journey.signs()


@pytest.mark.parametrize("way", ["signal", "update"])
async def test_it_signs_until_then_and_never_after(stage: Stage, way: str) -> None:
    journey = await active(stage)
    assert await journey.signs()
    body = {"confirmed": True, "reason": "faulty", "by": "Ann"}
    await (journey.signal if way == "signal" else journey.update)("deactivate", body)
    assert (await journey.result())["status"] == "Deactivated"
    token = journey.token()
    assert token is not None
    with pytest.raises(NotVerified, match="only an active token can, and it is Deactivated"):
        stage.verification().verify(journey.id, "000000", None, await journey.now())
    assert not await journey.signs()
    assert token.state == "written_off"
    assert journey.letters()[-1] == "deactivated"
    assert not await stage.exists(return_id(journey.id))
    assert not await stage.exists(incident_id(journey.id))


async def test_refused_at_once_even_while_vendor_and_directory_are_down(stage: Stage) -> None:
    journey = await active(stage)
    stage.fault("vendor", kind="error", method="PUT")
    stage.fault("directory", kind="error")
    await journey.update("deactivate", {"confirmed": True, "reason": "faulty", "in_possession": True})
    # The answer is there, so it is refused; nobody else has heard of it yet.
    assert not await journey.signs()
    assert "revoked everywhere" not in str((await journey.status())["timeline"])
    # The return does not wait for them.
    await stage.peer(return_id(journey.id))
    assert stage.done("vendor", "revocations", journey.id) == []
    stage.clear_faults()
    await journey.wait(minutes=10)
    assert (await journey.result())["status"] == "Deactivated"
    assert len(stage.done("vendor", "revocations", journey.id)) == 1
    assert journey.letters().count("deactivated") == 1


async def test_a_soft_token_needs_no_reason_and_has_nothing_to_send_back(stage: Stage) -> None:
    journey = await active(stage, "soft")
    await journey.update("deactivate", {"confirmed": True, "in_possession": True})
    assert (await journey.result())["status"] == "Deactivated"
    token = journey.token()
    assert token is not None
    assert token.state == "revoked"
    assert not await stage.exists(return_id(journey.id))


async def test_two_deactivations_at_the_same_instant_are_one(stage: Stage) -> None:
    journey = await active(stage)
    body = {"confirmed": True, "reason": "faulty"}
    told = await asyncio.gather(
        *(journey.update("deactivate", {**body, "by": f"Operator {number}"}) for number in range(4)),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, dict) for answer in told) == 1
    await journey.result()
    assert journey.letters().count("deactivated") == 1


async def test_the_email_says_what_to_do(stage: Stage) -> None:
    journey = await active(stage)
    await journey.update("deactivate", {"confirmed": True, "reason": "faulty", "in_possession": True})
    await journey.result()
    said = journey.said("deactivated")
    assert "1449 Whitehall Road" in said
    assert "must return it, so that it is here by Thursday 2 April 2037" in " ".join(said.split())
