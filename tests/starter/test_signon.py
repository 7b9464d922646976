"""Sign-on: launch tokens, sessions, forms; and the page that plays the EHR in the embedded stack."""

import html
import re
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pydantic import SecretStr

from starter.gateway.signon import launch
from tests.site import AUDIENCE, Ehr, Site
from tests.stage import Stage


@pytest.fixture(autouse=True)
def address(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", stage.client.service_client.config.target_host)


@pytest.fixture
async def site(stage: Stage) -> AsyncIterator[Site]:
    async with Site(stage) as site:
        yield site


async def hand_over(site: Site, token: str, **fields: str) -> httpx.Response:
    return await site.client().post("/launch", data={"token": token, **fields})


async def test_a_launch_signs_on_and_leads_home(site: Site) -> None:
    visit = site.client()
    answer = await visit.post("/launch", data={"token": site.ehr.token()})
    assert (answer.status_code, answer.headers["location"]) == (303, "/manage-tokens")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    page = await visit.get("/manage-tokens")
    assert "Miriam Aldous" in page.text
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-frame-options"] == "DENY"
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", page.text)


async def test_cookies_are_secure_everywhere_but_on_this_machine(stage: Stage) -> None:
    for public, marked in (
        ("https://tokens.example", True),
        ("http://tokens.example", True),
        ("http://localhost:8080", False),
    ):
        device = {"fingerprint": "a" * 64, "prescribes": True}
        async with Site(stage, public_url=public) as site:
            answer = await hand_over(site, site.ehr.token(device=device))
        cookies = answer.headers.get_list("set-cookie")
        assert len(cookies) == 2
        assert all(("Secure" in cookie) is marked and "HttpOnly" in cookie for cookie in cookies), public
        assert any(cookie.startswith("__Host-tokens_session=") for cookie in cookies) is marked


async def test_by_get_too(site: Site) -> None:
    answer = await site.client().get("/launch", params={"token": site.ehr.token(), "to": "/manage-tokens/request"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/manage-tokens/request")


async def test_it_leads_nowhere_else(site: Site) -> None:
    for to in ("https://evil.example/", "//evil.example", "/manage-tokens.evil.example", "/launch", "/\\evil"):
        answer = await hand_over(site, site.ehr.token(), to=to)
        assert answer.headers["location"] == "/manage-tokens", to


# Whole numbers: seconds from now.
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "expired": ({"iat": -400, "exp": -200}, "it has expired"),
    "for another system": ({"aud": "https://other.example"}, "made out for another system"),
    "from another issuer": ({"iss": "https://evil.example"}, "made out for another system"),
    "for too long": ({"iat": 0, "exp": 3600}, "for too long"),
    "old, and for long": ({"iat": -3600, "exp": 100}, "for too long"),
    "not valid yet": ({"iat": 300, "exp": 400}, "not valid yet"),
    "without an id": ({"jti": None}, "a part of it is missing"),
    "without an end": ({"exp": None}, "a part of it is missing"),
    "without a prescriber": ({"sub": None}, "a part of it is missing"),
    "proofed by a word": ({"id_proofed": "yes"}, "a part of it is missing"),
    "from a device that is none": ({"device": {"fingerprint": "<script>"}}, "a part of it is missing"),
}


async def test_a_bad_launch_is_refused(site: Site) -> None:
    now = int(time.time())
    for name, (claims, sentence) in BAD.items():
        stated: dict[str, Any] = {name: now + said if isinstance(said, int) else said for name, said in claims.items()}
        answer = await hand_over(site, site.ehr.token(**stated))
        assert answer.status_code == 403, name
        assert sentence in answer.text, name
        assert "set-cookie" not in answer.headers, name


async def test_a_forged_launch_is_refused(site: Site) -> None:
    claims = jwt.decode(site.ehr.token(), options={"verify_signature": False})
    forgeries = [
        Ehr().token(),
        jwt.encode(claims, "", algorithm="none", headers={"kid": "ehr"}),
        # The public key as a shared secret (RFC 8725, section 2.1); PyJWT itself refuses to make one, so by hand.
        _signed_by_secret(claims, site.ehr.public),
        site.ehr.token()[:-6] + "AAAAAA",
        "",
        "a.b",
        "nonsense",
    ]
    for forgery in forgeries:
        answer = await hand_over(site, forgery)
        assert (answer.status_code, "not one that your EHR has signed" in answer.text) == (403, True)


def _signed_by_secret(claims: dict[str, Any], secret: str) -> str:
    import base64
    import hashlib
    import hmac
    import json

    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    head = part(json.dumps({"alg": "HS256", "typ": "JWT", "kid": "ehr"}).encode())
    signed = f"{head}.{part(json.dumps(claims).encode())}"
    return f"{signed}.{part(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())}"


async def test_a_launch_is_good_once_for_all_copies(stage: Stage, site: Site) -> None:
    token = site.ehr.token()
    async with Site(stage) as other:
        other.settings.ehr_public_keys["ehr"] = site.ehr.public
        assert (await hand_over(site, token)).status_code == 303
        for copy in (site, other):
            again = await hand_over(copy, token)
            assert (again.status_code, "used already" in again.text) == (403, True)


KEYS: dict[str, Callable[[], Any]] = {
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
}


@pytest.mark.parametrize("algorithm", KEYS)
async def test_the_ehr_may_sign_with_other_keys(stage: Stage, algorithm: str) -> None:
    key = KEYS[algorithm]()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    settings = stage.settings.model_copy(update={"ehr_public_keys": {"k": public}, "launch_audience": AUDIENCE})
    claims = jwt.decode(Ehr().token(), options={"verify_signature": False})
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    read = launch.read(jwt.encode(claims, private, algorithm=algorithm, headers={"kid": "k"}), settings)
    assert read.prescriber_id == "P-1001"


async def test_who_is_not_known_or_not_proofed_is_told_what_to_do(site: Site) -> None:
    unknown = await hand_over(site, site.ehr.token("P-9999"))
    assert (unknown.status_code, "has not been set up for EPCS tokens" in unknown.text) == (403, True)
    for token in (site.ehr.token("P-1025"), site.ehr.token(id_proofed=False)):
        answer = await hand_over(site, token)
        assert (answer.status_code, "Complete it in your EHR" in answer.text) == (403, True)
        assert "tokens_session=" not in answer.headers.get("set-cookie", "").replace('tokens_session="";', "")


async def test_the_prescribing_device_is_remembered(stage: Stage, site: Site) -> None:
    device = {"fingerprint": "F" * 64, "name": "Exam room 2", "prescribes": True}
    visit = site.client()
    for _ in range(2):
        answer = await visit.post("/launch", data={"token": site.ehr.token(device=device)})
        assert answer.cookies["tokens_device"] == "f" * 64
    recorded = "select prescriber_id, name from prescribing_devices where fingerprint = '" + "f" * 64 + "'"
    assert stage.rows(recorded) == [("P-1001", "Exam room 2")]
    other = await site.visit(device={"fingerprint": "e" * 64, "prescribes": False})
    assert "tokens_device" not in other.cookies


async def test_without_a_session_nothing_is_shown(site: Site) -> None:
    visit = site.client()
    for path in ("/manage-tokens", "/manage-tokens/request", "/manage-tokens/select", "/manage-tokens/token/x"):
        answer = await visit.get(path)
        assert (answer.status_code, "Sign on through your EHR" in answer.text) == (401, True)
        assert "/demo" not in answer.text
    assert (await visit.get("/manage-tokens/live", headers={"X-Live": "1"})).text == ""


async def test_a_session_ends_by_sign_out_idling_and_age(stage: Stage, site: Site) -> None:
    visit = await site.visit()
    kept = dict(visit.cookies)
    assert "You are signed out" in (await visit.submit("/sign-out")).text
    visit.cookies.update(kept)
    assert (await visit.get("/manage-tokens")).status_code == 401
    for column in ("seen_at", "expires_at"):
        visit = await site.visit()
        with stage.sessions.begin() as session:
            session.connection().exec_driver_sql(f"update page_sessions set {column} = '2026-01-01 00:00:00.000000'")
        assert (await visit.get("/manage-tokens")).status_code == 401


async def test_looking_does_not_keep_a_session_alive_but_doing_does(stage: Stage, site: Site) -> None:
    visit = await site.visit()

    def seen() -> str:
        return stage.rows("select seen_at from page_sessions")[0][0]

    with stage.sessions.begin() as session:
        session.connection().exec_driver_sql("update page_sessions set seen_at = datetime('now', '-10 minutes')")
    before = seen()
    assert (await visit.get("/manage-tokens/live", headers={"X-Live": "1"})).status_code == 200
    assert seen() == before
    assert (await visit.get("/manage-tokens")).status_code == 200
    assert seen() > before


async def test_a_new_launch_ends_the_browser_s_older_session(stage: Stage, site: Site) -> None:
    visit = await site.visit()
    await visit.post("/launch", data={"token": site.ehr.token("P-1003")})
    assert "Ngozi Chukwuma" in (await visit.get("/manage-tokens")).text
    assert stage.rows("select count(*) from page_sessions where ended_at is null") == [(1,)]


async def test_a_form_must_come_from_this_session_and_our_pages(site: Site) -> None:
    visit = await site.visit()
    csrf = await visit.csrf()
    ours = {"Sec-Fetch-Site": "same-origin"}
    older = await (await site.visit("P-1002")).csrf()
    form = {"csrf": csrf, "hard": "yes", "go": "contact"}
    path = "/manage-tokens/request"
    assert (await visit.post(path, data=form, headers=ours)).status_code == 200
    assert (await visit.post(path, data=form, headers={"Origin": site.url})).status_code == 200
    for headers in ({}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "null"}):
        assert (await visit.post(path, data=form, headers=headers)).status_code == 403
    assert (await visit.post(path, data=form, headers={"Origin": "http://evil.example"})).status_code == 403
    for wrong in ("", older, csrf[:-1], "ä"):
        assert (await visit.post(path, data=form | {"csrf": wrong}, headers=ours)).status_code == 403
    assert (await visit.post(path, data=form | {"name": "x" * 70_000}, headers=ours)).status_code == 413
    assert (await visit.post(path, json=form, headers=ours)).status_code == 415
    assert (await visit.get("/manage-tokens")).status_code == 200  # still signed on


async def test_a_form_that_comes_after_the_session_ended_is_kept_in_the_page(stage: Stage, site: Site) -> None:
    visit = await site.visit()
    path, ours = "/manage-tokens/request", {"Sec-Fetch-Site": "same-origin"}
    typed = {"hard": "yes", "email": "new@lakeside.example", "street1": '9 "Sample" Wharf', "postal_code": "0540"}
    form = {"csrf": await visit.csrf(), "go": "review", **typed}
    with stage.sessions.begin() as session:
        session.connection().exec_driver_sql("update page_sessions set seen_at = '2026-01-01 00:00:00.000000'")
    answer = await visit.post(path, data=form, headers=ours)
    assert (answer.status_code, answer.headers["cache-control"]) == (401, "no-store")
    assert hidden(answer.text) == {"go": "review", **typed}
    assert "9 &#34;Sample&#34; Wharf</dd>" in answer.text
    assert not answer.cookies
    # Only for a form of our own pages: another site learns and plants nothing.
    assert hidden((await visit.post(path, data=form, headers={"Sec-Fetch-Site": "cross-site"})).text) == {}
    # Signed on in another window: the same form, without or with the old session's token, is asked about and then taken.
    await visit.post("/launch", data={"token": site.ehr.token()})
    asked = await visit.post(path, data={"go": "review", **typed}, headers=ours)
    assert (asked.status_code, "Miriam Aldous" in asked.text) == (403, True)
    again = hidden(asked.text)
    assert again == {"csrf": await visit.csrf(), "go": "review", **typed}
    taken = await visit.post(path, data=again, headers=ours)
    assert (taken.status_code, 'value="new@lakeside.example"' in taken.text) == (422, True)
    assert "ZIP" in taken.text


def hidden(page: str) -> dict[str, str]:
    """The hidden fields of a page's own form."""
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page[page.find("<main") :])
    return {name: html.unescape(value) for name, value in found}


# The embedded stack's "sign in as"


@pytest.fixture
async def demo(stage: Stage) -> AsyncIterator[Site]:
    ehr = Ehr()
    settings = {"demo_ehr_key": SecretStr(ehr.private), "ehr_public_keys": {"demo": ehr.public}}
    async with Site(stage, **settings) as site:
        yield site


async def test_sign_in_as_takes_the_real_way(demo: Site) -> None:
    visit = demo.client()
    assert (await visit.get("/")).headers["location"] == "/demo"
    assert "Miriam Aldous" in (await visit.get("/demo")).text
    assert "/demo?to=/manage-tokens" in (await visit.get("/manage-tokens")).text
    fields = {"prescriber_id": "P-1004", "pin_validated": "yes", "to": "/manage-tokens/select"}
    page = (await visit.post("/demo", data=fields, headers={"Sec-Fetch-Site": "same-origin"})).text
    token = re.search(r'name="token" value="([^"]+)"', page)
    assert token
    answer = await visit.post("/launch", data={"token": token[1], "to": fields["to"]})
    assert answer.headers["location"] == "/manage-tokens/select"
    assert "Patrick O&#39;Dellmore" in (await visit.get("/manage-tokens")).text


async def test_sign_in_as_is_not_there_for_anybody_else(site: Site, demo: Site) -> None:
    plain = site.client()
    assert ((await plain.get("/demo")).status_code, (await plain.post("/demo")).status_code) == (404, 404)
    assert (await plain.get("/")).headers["location"] == "/manage-tokens"
    visit = demo.client()
    for headers in (
        {"Host": "rebound.evil.example"},
        {"Host": "127.0.0.1.evil.example:8080"},
        {"X-Forwarded-For": "203.0.113.9"},
        {"Forwarded": "for=203.0.113.9"},
        {"Via": "1.1 proxy"},
    ):
        assert (await visit.get("/demo", headers=headers)).status_code == 404
        answer = await visit.post("/demo", data={"prescriber_id": "P-1001"}, headers=headers)
        assert answer.status_code == 404
    assert (await visit.post("/demo", data={"prescriber_id": "P-1001"})).status_code == 403  # not from our page
