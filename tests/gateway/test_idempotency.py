"""The same POST again: answered, not done; whether the first is done, under way, or broke off."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, update

from database.tables import IdempotentRequest
from tests.gateway.api import Upstream, detail, request, serving, token
from tests.stage import Stage

HARD = {"prescriber_id": "P-1001", "kind": "hard"}


def broke_off(stage: Stage, ago: timedelta = timedelta(minutes=2)) -> None:
    """As if every gateway that works on something had been killed: what was claimed is still claimed, nothing answered."""
    with stage.sessions.begin() as session:
        session.execute(
            update(IdempotentRequest).values(status=None, headers=None, body=None, claimed_at=datetime.now(UTC) - ago)
        )


def kept(stage: Stage) -> list[IdempotentRequest]:
    with stage.sessions() as session:
        return list(session.scalars(select(IdempotentRequest)))


async def test_the_same_again_gets_the_same_answer(stage: Stage, upstream: Upstream) -> None:
    ehr, other = upstream.system(), upstream.system()
    first = await ehr.once("/v1/token-requests", HARD, "k1")
    again = await ehr.once("/v1/token-requests", HARD, "k1")
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert stage.rows("select count(*) from journeys") == [(1,)]
    # A refusal is an answer, too.
    refused = await ehr.once("/v1/token-requests", HARD, "k2")
    journey_id = first.json()["journey_id"]
    assert (await ehr.once(request(journey_id, "cancel"), {}, "k3")).status_code == 200
    assert detail(await ehr.once("/v1/token-requests", HARD, "k2"), 409) == detail(refused, 409)
    # Another body, another address: another request. Another system's keys are its own.
    for path, body in (
        ("/v1/token-requests", {**HARD, "kind": "soft"}),
        (request(journey_id, "cancel"), HARD),
        ("/v1/token-requests?x=1", HARD),
    ):
        assert "used for another request" in detail(await ehr.once(path, body, "k1"), 422)
    assert (await other.once("/v1/token-requests", HARD, "k1")).status_code == 201
    for key in ("", "a b", "x" * 201, "ü".encode()):
        answer = await ehr.post("/v1/token-requests", json=HARD, headers=[(b"Idempotency-Key", key)])  # type: ignore[list-item]
        assert "Idempotency-Key" in detail(answer, 422)


async def test_no_personal_data_is_kept(stage: Stage, upstream: Upstream) -> None:
    ehr = upstream.system()
    assert (await ehr.once("/v1/token-requests", {**HARD, "email": "private@lakeside.example"})).status_code == 201
    wrong = {"name": "Private", "street1": "1 Private St", "city": "Annapolis", "state": "VA", "postal_code": "21409"}
    other = {"prescriber_id": "P-1002", "kind": "hard", "shipping_address": wrong}
    detail(await ehr.once("/v1/token-requests", other), 409)
    rows = kept(stage)
    assert len(rows) == 2
    assert "rivate" not in repr([vars(row) for row in rows])


async def test_a_malformed_request_leaves_its_key_as_good_as_new(stage: Stage, upstream: Upstream) -> None:
    ehr = upstream.system()
    detail(await ehr.once("/v1/token-requests", {"prescriber_id": "P-1001"}, "k"), 422)
    assert kept(stage) == []
    assert (await ehr.once("/v1/token-requests", HARD, "k")).status_code == 201


async def test_at_the_same_instant_one_runs(stage: Stage, upstream: Upstream) -> None:
    ehr = upstream.system()
    async with serving(stage) as second:  # another copy of the gateway, over the same database
        copies = [ehr, second.with_key(ehr.key)]
        answers = await asyncio.gather(*(copies[n % 2].once("/v1/token-requests", HARD, "k") for n in range(6)))
    assert [answer.status_code for answer in answers] == [201] * 6
    assert len({answer.json()["journey_id"] for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    assert stage.rows("select count(*) from audit where what = 'requested'") == [(1,)]


async def test_one_under_way_for_long(stage: Stage) -> None:
    async with serving(stage, api_patience_seconds=0.3) as upstream:
        ehr = upstream.system()
        assert (await ehr.once("/v1/token-requests", HARD, "k")).status_code in (201, 202)
        broke_off(stage, timedelta(seconds=5))
        answer = await ehr.once("/v1/token-requests", HARD, "k")
        assert "still under way" in detail(answer, 409)
        assert answer.headers["Retry-After"] == "5"


async def test_after_a_crash_it_goes_on_where_it_was(stage: Stage, upstream: Upstream) -> None:
    """Each kind of POST, done, its answer lost, and sent again."""
    ehr = upstream.system()

    async def twice(path: str, body: dict[str, Any], key: str, status: int = 200) -> dict[str, Any]:
        first = await ehr.once(path, body, key)
        assert first.status_code == status, first.text
        broke_off(stage)
        again = await ehr.once(path, body, key)
        assert (again.status_code, again.json()) == (status, first.json())
        assert "Idempotent-Replayed" not in again.headers
        return again.json()

    made = await twice("/v1/token-requests", {"prescriber_id": "P-1001", "kind": "both"}, "request", 201)
    hard, soft = (entry["journey_id"] for entry in made["requests"])
    await twice(request(hard, "process"), {}, "process")
    await twice(token(hard, "resend-activation"), {}, "resend")
    happened = [line["what"] for line in (await ehr.get(token(hard))).json()["timeline"]]
    assert sum("fresh activation link" in what for what in happened) == 1
    await twice(request(soft, "cancel"), {"reason": "by mistake"}, "cancel")  # ends its journey
    journey = await stage.request(prescriber_id="P-1002")
    await journey.reach("Active")
    replaced = await twice(token(journey.id, "replace"), {"reason": "faulty", "confirmed": True}, "replace", 201)
    assert replaced["replaces"] == journey.id
    other = await stage.request("soft", prescriber_id="P-1003")
    await other.reach("Active")
    await twice(token(other.id, "deactivate"), {"confirmed": True}, "deactivate")
    assert stage.rows("select count(*) from journeys") == [(5,)]


async def test_after_its_time_a_key_is_new(stage: Stage, upstream: Upstream) -> None:
    ehr = upstream.system()
    first = (await ehr.once("/v1/token-requests", HARD, "k")).json()["journey_id"]
    await ehr.post(request(first, "cancel"))
    with stage.sessions.begin() as session:
        session.execute(update(IdempotentRequest).values(came_at=datetime.now(UTC) - timedelta(hours=25)))
    second = await ehr.once("/v1/token-requests", HARD, "k")
    assert second.status_code == 201
    assert second.json()["journey_id"] != first
    assert len(kept(stage)) == 1
