"""Who may call: keys, scopes, rates; keys by command; what nobody may send."""

import time
from datetime import UTC, datetime

import pytest

from database.tables import ApiKey
from starter import api_keys
from starter.api_keys import NoSuchKey, Scope
from tests.gateway.api import Upstream, detail, request, serving, token
from tests.stage import Stage

NEW = {"prescriber_id": "P-1001", "kind": "hard"}


async def test_without_a_key_that_fits_nothing_is_done(stage: Stage, upstream: Upstream) -> None:
    good = upstream.system().key
    assert good is not None
    key_id, secret = good.split(".")
    other = api_keys.create(stage.sessions, "Other", [Scope.READ], datetime.now(UTC))
    for key in (
        None,
        f"{key_id}.{secret[:-1]}",
        f"{key_id}.",
        f"{other.split('.')[0]}.{secret}",
        f"tok-0.{secret}",
        "x",
    ):
        answer = await upstream.with_key(key).once("/v1/token-requests", NEW)
        assert "key" in detail(answer, 401)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert secret not in answer.text
    # Nothing is read of what comes without a key: not even that it is malformed.
    assert (await upstream.with_key(None).post("/v1/token-requests", content=b"{")).status_code == 401
    assert stage.rows("select * from journeys") == []


async def test_each_scope_opens_what_it_names(stage: Stage, upstream: Upstream) -> None:
    journey = await stage.request()
    systems = {scope: upstream.system(scope) for scope in Scope}
    by_scope = {
        ("GET", "/v1/tokens"): {Scope.READ},
        ("GET", token(journey.id)): {Scope.READ},
        ("GET", "/v1/token-requests"): {Scope.READ, Scope.OPERATE},
        ("GET", request(journey.id)): {Scope.REQUEST, Scope.OPERATE},
        ("POST", "/v1/token-requests"): {Scope.REQUEST},
        ("PATCH", request(journey.id)): {Scope.REQUEST, Scope.OPERATE},
        ("POST", request(journey.id, "cancel")): {Scope.REQUEST, Scope.OPERATE},
        ("POST", request(journey.id, "process")): {Scope.OPERATE},
        ("POST", token(journey.id, "deactivate")): {Scope.REQUEST, Scope.OPERATE},
        ("POST", token(journey.id, "replace")): {Scope.REQUEST, Scope.OPERATE},
        ("POST", token(journey.id, "resend-activation")): {Scope.REQUEST, Scope.OPERATE},
        ("POST", token(journey.id, "verify")): {Scope.VERIFY},
    }
    for (method, path), opens in by_scope.items():
        for scope, system in systems.items():
            # Malformed on purpose: past the scope it is 422, and nothing is done.
            answer = await system.request(method, path, json=None if method == "GET" else {"unknown": 1})
            if scope in opens:
                assert answer.status_code == (200 if method == "GET" else 422), (method, path, scope)
            else:
                assert "scope" in detail(answer, 403), (method, path, scope)
                assert "insufficient_scope" in answer.headers["WWW-Authenticate"]
    assert (await journey.status())["status"] == "Requested"


async def test_another_prescriber_s_token_is_as_if_it_were_not_there(stage: Stage, upstream: Upstream) -> None:
    ehr = upstream.system()
    journey = await stage.request(prescriber_id="P-1001")
    hers, his = {"prescriber_id": "P-1001"}, {"prescriber_id": "P-1002"}
    nothing = detail(await ehr.get(token("token-hard-none"), params=his), 404)
    assert detail(await ehr.get(token(journey.id), params=his), 404) == nothing.replace("token-hard-none", journey.id)
    detail(await ehr.get(request(journey.id), params=his), 404)
    everything = {"If-Match": "*"}
    detail(
        await ehr.patch(request(journey.id), params=his, json={"email": "his@lakeside.example"}, headers=everything),
        404,
    )
    for path, body in (
        (request(journey.id, "cancel"), {}),
        (request(journey.id, "process"), {}),
        (token(journey.id, "deactivate"), {"confirmed": True, "reason": "lost"}),
        (token(journey.id, "replace"), {"confirmed": True, "reason": "lost"}),
        (token(journey.id, "resend-activation"), {}),
        (token(journey.id, "verify"), {"passcode": "000000"}),
    ):
        detail(await ehr.post(path, params=his, json=body), 404)
    assert (await journey.status())["timeline"][-1]["what"] == "requested"
    assert (await ehr.get("/v1/tokens", params=his)).json()["tokens"] == []
    assert (await ehr.get(token(journey.id), params=hers)).status_code == 200
    assert (await ehr.post(request(journey.id, "cancel"), params=hers)).status_code == 200


async def test_only_tokens_are_spoken_with(stage: Stage, upstream: Upstream) -> None:
    """Another workflow's id is no token's, whatever messages it takes."""
    ehr = upstream.system()
    journey = await stage.request()
    await journey.reach("Deactivated")
    opened = await stage.open("ReturnByMail", {"journey_id": journey.id, "serial_number": "HT-0"})
    await opened.failed()
    detail(await ehr.get(token(opened.id)), 404)
    detail(await ehr.post(request(opened.id, "cancel")), 404)
    for odd in ("..", "%00", "a" * 201, "%F0%28", "'; drop table journeys; --"):
        assert (await ehr.get(f"/v1/tokens/{odd}")).status_code == 404


async def test_a_revoked_key_opens_nothing_at_once(stage: Stage, upstream: Upstream) -> None:
    ehr = upstream.system(Scope.READ)
    assert (await ehr.get("/v1/tokens")).status_code == 200
    assert ehr.key is not None
    api_keys.revoke(stage.sessions, ehr.key.split(".")[0], datetime.now(UTC))
    assert "revoked" in detail(await ehr.get("/v1/tokens"), 401)
    with pytest.raises(NoSuchKey):
        api_keys.revoke(stage.sessions, "tok-none", datetime.now(UTC))


def test_a_key_is_kept_nowhere(stage: Stage) -> None:
    key = api_keys.create(stage.sessions, "EHR", [Scope.READ, Scope.READ, Scope.VERIFY], datetime.now(UTC))
    key_id, secret = key.split(".")
    assert len(secret) >= 43  # 256 bits
    with stage.sessions() as session:
        row = session.get_one(ApiKey, key_id)
        assert row.scopes == ["read", "verify"]
        assert secret not in repr(vars(row))
    for name, scopes in (("", [Scope.READ]), ("EHR", []), ("a\nb", [Scope.READ]), ("x" * 101, [Scope.READ])):
        with pytest.raises(ValueError, match="key"):
            api_keys.create(stage.sessions, name, scopes, datetime.now(UTC))


async def test_rates(stage: Stage) -> None:
    async with serving(stage, api_rate="3/hour", api_failed_sign_ins="2/hour") as upstream:
        ehr, other = upstream.system(), upstream.system()
        for _ in range(3):
            assert (await ehr.get("/v1/tokens")).status_code == 200
        answer = await ehr.get("/v1/tokens")
        assert "too often" in detail(answer, 429)
        assert 3500 < int(answer.headers["Retry-After"]) <= 3600
        assert (await other.get("/v1/tokens")).status_code == 200
        # Guessing at one key: throttled before it is looked at, and nobody else's calls are.
        assert other.key is not None
        guess = upstream.with_key(f"{other.key.split('.')[0]}.guess")
        assert [(await guess.get("/v1/tokens")).status_code for _ in range(4)] == [401, 401, 429, 429]
        third = upstream.system()
        assert (await third.get("/v1/tokens")).status_code == 200
        # Guessing at all keys.
        statuses = [(await upstream.with_key(f"tok-{n}.guess").get("/v1/tokens")).status_code for n in range(19)]
        assert statuses == [401] * 18 + [429]


MALFORMED = [
    (b"{", "the body is not JSON"),
    (b"\xff\xfe", "the body is not JSON"),
    (b"[]", "must be a JSON object"),
    (b"{}", "`prescriber_id` is missing; `kind` is missing"),
    (b'{"prescriber_id": "P-1001", "kind": "secret-sauce"}', "`kind` must be 'hard', 'soft' or 'both'"),
    (
        b'{"prescriber_id": "secret sauce", "kind": "hard"}',
        "`prescriber_id` has characters that don't belong there",
    ),
    (b'{"prescriber_id": "P-1001", "kind": "hard", "seed": "secret-sauce"}', "`seed` in the body is not known"),
    (b'{"prescriber_id": "P-1001", "kind": "hard", "<b>secret-sauce": 1}', "a field in the body is not known"),
    (b'{"prescriber_id": "P-1001", "kind": "both", "replaces": "secret-sauce"}', "one of its own kind"),
    (
        b'{"prescriber_id": "P-1001", "kind": "hard", "requested_by": "secret-sauce\\u0000"}',
        "`requested_by`: must not",
    ),
    (
        b'{"prescriber_id": "P-1001", "kind": "hard", "shipping_address": {"name": "secret-sauce"}}',
        "`shipping_address.street1` is missing",
    ),
]


async def test_what_is_malformed_is_named_and_never_repeated(upstream: Upstream) -> None:
    ehr = upstream.system()
    for sent, said in MALFORMED:
        answer = await ehr.post("/v1/token-requests", content=sent, headers={"Content-Type": "application/json"})
        assert said in detail(answer, 422)
        assert "sauce" not in answer.text


async def test_unknown_addresses_methods_and_filters(upstream: Upstream) -> None:
    ehr = upstream.system()
    assert "/v1/docs" in detail(await ehr.get("/v1/nowhere"), 404)
    wrong = await ehr.delete("/v1/tokens")
    assert "does not take that method" in detail(wrong, 405)
    assert wrong.headers["Allow"] == "GET"
    assert "`prescriber` in the query is not known" in detail(await ehr.get("/v1/tokens?prescriber=P-1001"), 422)
    for query in (
        "status=Aktive",
        "limit=0",
        "limit=x",
        "cursor=x",
        "limit=5&limit=6",
        "cursor=&cursor=",
        "cursor=WzEsMl0",
        "prescriber_id=%00",
    ):
        detail(await ehr.get(f"/v1/tokens?{query}"), 422)


async def test_bodies_that_are_too_large(upstream: Upstream) -> None:
    ehr = upstream.system()
    large = b'{"prescriber_id": "' + b"P" * 300_000 + b'"}'
    assert "larger than 256 KB" in detail(await ehr.post("/v1/token-requests", content=large), 413)

    async def unannounced():
        for _ in range(100):
            yield b" " * 10_000

    begun = time.monotonic()
    assert "larger than 256 KB" in detail(await ehr.post("/v1/token-requests", content=unannounced()), 413)
    assert time.monotonic() - begun < 30
    assert (await ehr.get("/v1/tokens")).status_code == 200
