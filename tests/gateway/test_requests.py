"""Requests by upstream systems, until they are tokens."""

from sqlalchemy import update

from database.tables import TokenRow
from starter.api_keys import Scope
from tests.gateway.api import Upstream, detail, request, token
from tests.stage import Stage, eventually

ELSEWHERE = {
    "name": "Nadia Alvarez",
    "street1": "1449 Whitehall Road",
    "city": "Annapolis",
    "state": "MD",
    "postal_code": "21409",
}


async def test_a_hard_token_from_request_to_deactivation(stage: Stage, upstream: Upstream) -> None:
    ehr = upstream.system(name="EHR production")
    made = await ehr.once("/v1/token-requests", {"prescriber_id": "P-1001", "kind": "hard"})
    assert made.status_code == 201
    journey_id = made.json()["journey_id"]
    assert made.headers["Location"] == token(journey_id)
    assert made.json() == {
        "journey_id": journey_id,
        "kind": "hard",
        "status": "Requested",
        "requests": [{"journey_id": journey_id, "kind": "hard", "status": "Requested", "detail": None}],
    }
    [waiting] = (await ehr.get("/v1/token-requests")).json()["tokens"]
    assert waiting["journey_id"] == journey_id
    [(serial,)] = stage.rows("select max(serial_number) from tokens where state = 'in_stock'")
    assert (await ehr.post(request(journey_id, "process"), json={"serial_number": serial})).json()[
        "status"
    ] == "Processed"
    state = (await ehr.get(token(journey_id))).json()
    assert (state["serial_number"], state["source"]) == (serial, "journey")
    assert [(line["what"], line["by"]) for line in state["timeline"]][:2] == [
        ("requested", "EHR production"),
        (f"processed, token {serial}", "EHR production"),
    ]
    await eventually(lambda: ehr.get("/v1/token-requests"), lambda answer: answer.json()["tokens"] == [])
    assert (await ehr.post(token(journey_id, "resend-activation"))).status_code == 200
    again = await ehr.post("/v1/token-requests", json={"prescriber_id": "P-1001", "kind": "hard"})
    assert "already has a hard token" in detail(again, 409)
    cancelled = await ehr.post(request(journey_id, "cancel"), json={"reason": "no longer wanted", "by": "Dana"})
    assert cancelled.json() == {"journey_id": journey_id, "status": "Cancelled", "detail": None}


async def test_only_operators_lift_the_lock(stage: Stage, upstream: Upstream) -> None:
    journey = await stage.request("hard")
    await journey.reach("Delivered")
    with stage.sessions.begin() as session:
        session.execute(update(TokenRow).where(TokenRow.journey_id == journey.id).values(locked=True, failures=10))
    ehr, team = upstream.system(Scope.REQUEST, name="EHR"), upstream.system(Scope.OPERATE, name="Team")
    assert "ask the token team" in detail(await ehr.post(token(journey.id, "resend-activation")), 409)
    assert (await team.post(token(journey.id, "resend-activation"))).status_code == 200
    await journey.wait(seconds=5)
    row = journey.token()
    assert row is not None
    assert not row.locked


async def test_both_kinds_at_once(stage: Stage, upstream: Upstream) -> None:
    ehr = upstream.system()
    sent = {"prescriber_id": "P-1001", "kind": "both", "shipping_address": ELSEWHERE, "email": "nadia@lakeside.example"}
    made = await ehr.once("/v1/token-requests", sent)
    assert made.status_code == 201
    assert {(entry["kind"], entry["status"]) for entry in made.json()["requests"]} == {
        ("hard", "Requested"),
        ("soft", "Requested"),
    }
    hard = made.json()["requests"][0]["journey_id"]
    await ehr.post(request(hard, "cancel"))
    half = await ehr.once("/v1/token-requests", sent)
    assert half.status_code == 207
    [taken, refused] = half.json()["requests"]
    assert taken["status"] == "Requested"
    assert refused["status"] is None
    assert "already has a soft token" in refused["detail"]
    assert "already has a hard token" in detail(await ehr.once("/v1/token-requests", sent), 409)


async def test_an_edit_does_not_overwrite_another_s(stage: Stage, upstream: Upstream) -> None:
    ehr = upstream.system()
    journey = await stage.request()
    read = await ehr.get(request(journey.id))
    assert read.json()["shipping_address"]["name"]
    seen = read.headers["ETag"]
    assert "If-Match" in detail(await ehr.patch(request(journey.id), json={"email": "a@lakeside.example"}), 428)
    first = await ehr.patch(request(journey.id), json={"email": "a@lakeside.example"}, headers={"If-Match": seen})
    assert first.status_code == 200
    changed = await eventually(lambda: ehr.get(request(journey.id)), lambda answer: answer.headers["ETag"] != seen)
    edited = changed.headers["ETag"]
    assert first.headers.get("ETag", edited) == edited
    second = await ehr.patch(request(journey.id), json={"shipping_address": ELSEWHERE}, headers={"If-Match": seen})
    assert "has been changed since it was read" in detail(second, 412)
    several = {"If-Match": f"{seen}, {edited}"}
    assert (
        await ehr.patch(request(journey.id), json={"shipping_address": ELSEWHERE}, headers=several)
    ).status_code == 200
    whatever = await ehr.patch(request(journey.id), json={"email": "b@lakeside.example"}, headers={"If-Match": "*"})
    assert whatever.status_code == 200
    state = (await ehr.get(request(journey.id))).json()
    assert (state["email"], state["shipping_address"]["name"]) == ("b@lakeside.example", "Nadia Alvarez")
    await journey.process()
    said = detail(
        await ehr.patch(request(journey.id), json={"email": "c@lakeside.example"}, headers={"If-Match": seen}), 409
    )
    assert said == await journey.refused("edit", {"email": "c@lakeside.example"})


async def test_the_journey_s_own_sentence(stage: Stage, upstream: Upstream) -> None:
    ehr = upstream.system()
    unproofed = await ehr.post("/v1/token-requests", json={"prescriber_id": "P-9999", "kind": "hard"})
    assert detail(unproofed, 409) == "Prescriber P-9999 is not known; check the id, or add the account first."
    wrong = {**ELSEWHERE, "state": "VA"}
    bad = await ehr.post(
        "/v1/token-requests", json={"prescriber_id": "P-1001", "kind": "hard", "shipping_address": wrong}
    )
    assert "ZIP code does not fit the state" in detail(bad, 409)
    journey = await stage.request()
    unconfirmed = await ehr.post(token(journey.id, "deactivate"), json={"reason": "lost"})
    assert detail(unconfirmed, 409) == await journey.refused("deactivate", {"reason": "lost"})
    await journey.update("cancel", {})
    await journey.result()
    over = await ehr.post(request(journey.id, "cancel"))
    assert "it has been cancelled (status Cancelled); request a new token instead" in detail(over, 409)


async def test_ids_from_the_temporal_ui(stage: Stage, upstream: Upstream) -> None:
    ehr = upstream.system()
    for number, journey_id in enumerate(("a/b c", "hard%2Ftoken", "tökén?#&+é", "x/deactivate"), 1):
        prescriber = f"P-100{number}"
        await stage.start({"prescriber_id": prescriber, "kind": "soft"}, journey_id=journey_id)
        assert (await ehr.get(token(journey_id))).json()["journey_id"] == journey_id
        [listed] = (await ehr.get("/v1/tokens", params={"prescriber_id": prescriber, "kind": "soft"})).json()["tokens"]
        assert listed["journey_id"] == journey_id
        assert (await ehr.post(request(journey_id, "cancel"))).json()["journey_id"] == journey_id
