"""What can be wrong with a request: the workflow fails with one sentence, and does not hang."""

from typing import Any

import pytest
from sqlalchemy import text

from tests.stage import Stage

ADDRESS = {"name": "Desk", "street1": "1 Secret Lane", "city": "Annapolis", "state": "MD", "postal_code": "21401"}
GOOD = {"prescriber_id": "P-1015", "kind": "hard"}


@pytest.mark.parametrize(
    ("bodies", "said"),
    [
        ((), "`prescriber_id` is missing"),
        ((None,), "`prescriber_id` is missing"),
        (({},), "`kind` is missing"),
        (("P-1015",), "a text came"),
        (([GOOD],), "a list came"),
        ((b"\xff\xfe",), "bytes that are not JSON"),
        ((GOOD, GOOD), "2 payloads came"),
        (({"prescriber_id": 7, "kind": "hard"},), "`prescriber_id`"),
        ((GOOD | {"kind": "medium"},), "`kind` must be 'hard' or 'soft'"),
        ((GOOD | {"email": 5},), "`email`"),
        ((GOOD | {"shipping_address": "1 Secret Lane"},), "`shipping_address`"),
        ((GOOD | {"shipping_address": ADDRESS | {"state": "ZZ"}},), "state"),
        ((GOOD | {"shipping_address": ADDRESS | {"state": "CA"}},), "ZIP"),
        ((GOOD | {"shipping_address": ADDRESS | {"postal_code": "secret"}},), "ZIP"),
        ((GOOD | {"shipping_address": {"name": "Desk"}},), "is missing"),
        ((GOOD | {"email": "secret-at-clinic"},), "email"),
        ((GOOD | {"surprise": True},), "`surprise` is not known"),
        ((GOOD | {"replaces": {"journey": 1}},), "`replaces`"),
        (({"prescriber_id": "P-9999", "kind": "hard"},), "is not known"),
        (({"prescriber_id": "P-1025", "kind": "soft"},), "has not completed ID proofing"),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_it_fails_with_its_sentence(stage: Stage, bodies: tuple[Any, ...], said: str) -> None:
    journey = await stage.start(*bodies)
    sentence = await journey.failed()
    assert said in sentence
    assert "ecret" not in sentence
    assert sentence.endswith(".")
    assert journey.letters() == []
    with stage.sessions() as session:
        assert session.execute(text("select count(*) from journeys")).scalar_one() == 0


async def test_a_refused_request_is_in_the_audit_trail(stage: Stage) -> None:
    journey = await stage.start({"prescriber_id": "P-1025", "kind": "soft", "requested_by": "Ann"})
    sentence = await journey.failed()
    with stage.sessions() as session:
        [(refused, by)] = session.execute(text('select refused, "by" from audit'))
    assert refused == sentence
    assert by == "Ann"


async def test_a_second_live_token_is_refused_naming_the_first(stage: Stage) -> None:
    first = await stage.request("hard", "P-1015")
    second = await stage.start(GOOD)
    sentence = await second.failed()
    assert first.id in sentence
    assert "wait for that one, or cancel it first" in sentence
    await first.reach("Active")
    third = await stage.start(GOOD)
    assert "replace or deactivate that one instead" in await third.failed()
    await first.update("deactivate", {"confirmed": True, "reason": "faulty"})
    await first.result()
    fourth = await stage.request("hard", "P-1015")
    assert (await fourth.status())["status"] == "Requested"


async def test_a_used_id_is_refused(stage: Stage) -> None:
    first = await stage.request("soft", "P-1015")
    await first.update("cancel", {})
    await first.result()
    again = await stage.start({"prescriber_id": "P-1016", "kind": "soft"}, journey_id=first.id)
    assert "start this request under another id" in await again.failed()


async def test_nobody_forges_a_journey_that_is_carried_on(stage: Stage) -> None:
    victim = await stage.request("hard", "P-1015")
    await victim.reach("Active")
    carried = {"journey_id": victim.id, "prescriber_id": "P-1015", "kind": "hard", "status": "Deactivated"}
    for journey_id in (victim.id, "token-forged"):
        forged = await stage.start({**GOOD, "carried": {**carried, "journey_id": journey_id}})
        assert "`carried` is not yours to set" in await forged.failed()
    assert (await victim.status())["status"] == "Active"
    assert await victim.signs()
    assert stage.done("vendor", "revocations", victim.id) == []
