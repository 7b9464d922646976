"""The codec endpoints: who may have payloads shown, and that the address's key stays out of logs."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import uvicorn
from pydantic import SecretStr

from simulators.serving import listen
from starter import api_keys
from starter.api_keys import Scope
from starter.gateway.app import app
from tests.gateway.api import Upstream, serving
from tests.stage import Stage

UI = {"Origin": "http://127.0.0.1:8233"}
KEY = "the-key-in-the-address"
TYPED = {"payloads": [{"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": "eyJhIjoxfQ=="}]}


@pytest.fixture
async def gateway(stage: Stage) -> AsyncIterator[Upstream]:
    async with serving(stage, codec_key=SecretStr(KEY), api_failed_sign_ins="3/minute") as upstream:
        yield upstream


def sentence(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    return answer.json()["detail"]


async def test_a_key_of_scope_operate_reads_and_writes(gateway: Upstream) -> None:
    operator = gateway.system(Scope.OPERATE)
    sealed = await operator.post("/codec/encode", json=TYPED, headers=UI)
    assert sealed.headers["access-control-allow-origin"] == UI["Origin"]
    assert sealed.headers["access-control-allow-credentials"] == "true"
    assert "eyJhIjoxfQ" not in sealed.text
    opened = await operator.post("/codec/decode?preserveStorageRefs=true", json=sealed.json(), headers=UI)
    assert opened.json() == TYPED
    assert (await operator.post("/codec/decode", content=b"nonsense")).status_code == 400

    nobody = gateway.with_key(None)
    said = sentence(await nobody.post("/codec/decode", json=sealed.json(), headers=UI), 401)
    assert "operators only" in said
    assert "/ops/sign-in" in said
    assert "scope operate" in sentence(await gateway.system(Scope.READ).post("/codec/decode", json=sealed.json()), 403)
    forger = gateway.with_key(f"{(operator.key or '').partition('.')[0]}.{'x' * 43}")
    for _ in range(3):
        assert "does not fit" in sentence(await forger.post("/codec/decode", json=sealed.json()), 401)
    assert "wait" in sentence(await forger.post("/codec/decode", json=sealed.json()), 429)


async def test_only_the_ui_s_origin_may_read(gateway: Upstream) -> None:
    nobody = gateway.with_key(None)
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-namespace"}
    for path in ("/codec/decode", f"/codec/{KEY}/decode"):
        assert (await nobody.options(path, headers=UI | asked)).status_code == 200
        other = await nobody.options(path, headers={"Origin": "http://evil.example"} | asked)
        assert "access-control-allow-origin" not in other.headers


async def test_the_key_in_the_address_opens_and_stays_out_of_logs(
    stage: Stage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = logging.getLogger("uvicorn.access")  # other servers of this process have switched it off
    monkeypatch.setattr(access, "handlers", [caplog.handler])
    monkeypatch.setattr(access, "level", logging.INFO)
    settings = stage.settings.model_copy(update={"codec_key": SecretStr(KEY)})
    with listen("127.0.0.1", 0) as listening:
        base = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(app(settings, stage.client), log_config=None, log_level="info"))
        running = asyncio.create_task(server.serve([listening]))
        async with httpx.AsyncClient(base_url=base) as ui:
            sealed = await ui.post(f"/codec/{KEY}/encode", json=TYPED, headers=UI)
            assert (await ui.post(f"/codec/{KEY}/decode", json=sealed.json(), headers=UI)).json() == TYPED
            assert "not this stack's" in sentence(await ui.post("/codec/a-guess/decode", json=TYPED), 401)
            figures = (await ui.get("/metrics")).text
        server.should_exit = True
        await running
    logged = [record.getMessage() for record in caplog.records if record.name == "uvicorn.access"]
    assert any("POST /codec/decode" in line for line in logged)
    assert not any(key in "".join([*logged, figures]) for key in (KEY, "a-guess"))


async def test_without_an_embedded_stack_no_address_opens(upstream: Upstream) -> None:
    for guess in ("", "x", KEY):
        answer = await upstream.with_key(None).post(f"/codec/{guess}/decode", json=TYPED)
        assert answer.status_code in (401, 404)


# Operators in a browser


class Browser(httpx.AsyncClient):
    """Sends what a browser would from the gateway's own pages."""

    def __init__(self, url: str) -> None:
        super().__init__(base_url=url, headers={"Sec-Fetch-Site": "same-origin"}, timeout=30)

    async def form(self, path: str, **fields: Any) -> httpx.Response:
        return await self.post(path, data=fields)


async def test_an_operator_signs_in_and_out(stage: Stage, gateway: Upstream) -> None:
    key = api_keys.create(stage.sessions, "Dana", [Scope.OPERATE], datetime.now(UTC))
    async with Browser(gateway.url) as browser:
        asked = await browser.get("/ops/sign-in?to=/ops/report")
        assert asked.status_code == 200
        assert 'value="/ops/report"' in asked.text
        wrong = await browser.form("/ops/sign-in", key="not a key", to="")
        assert wrong.status_code == 401
        assert "does not fit" in wrong.text
        reader = api_keys.create(stage.sessions, "a reader", [Scope.READ], datetime.now(UTC))
        assert (await browser.form("/ops/sign-in", key=reader)).status_code == 403
        stranger = await browser.post("/ops/sign-in", data={"key": key}, headers={"Sec-Fetch-Site": "cross-site"})
        assert stranger.status_code == 403

        let_in = await browser.form("/ops/sign-in", key=f" {key} ", to="/ops/report")
        assert (let_in.status_code, let_in.headers["location"]) == (303, "/ops/report")
        cookie = let_in.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert (await browser.form("/ops/sign-in", key=key, to="//evil.example")).headers["location"] == "/ops"

        sealed = await browser.post("/codec/encode", json=TYPED, headers=UI)
        assert (await browser.post("/codec/decode", json=sealed.json(), headers=UI)).json() == TYPED
        other = await browser.post("/codec/decode", json=sealed.json(), headers={"Origin": "http://evil.example"})
        assert other.status_code == 401

        home = (await browser.get("/ops/sign-in")).text
        assert "Dana" in home
        assert (await browser.form("/ops/sign-out", csrf="a guess")).status_code == 403
        csrf = home.partition('name="csrf" value="')[2].partition('"')[0]
        session = dict(browser.cookies)
        assert (await browser.form("/ops/sign-out", csrf=csrf)).headers["location"] == "/ops/sign-in"
        assert not browser.cookies
        browser.cookies.update(session)
        assert (await browser.post("/codec/decode", json=sealed.json(), headers=UI)).status_code == 401


@pytest.mark.parametrize("ends", ["revoked", "idle", "over"])
async def test_a_session_ends(stage: Stage, gateway: Upstream, ends: str) -> None:
    key = api_keys.create(stage.sessions, "Dana", [Scope.OPERATE], datetime.now(UTC))
    async with Browser(gateway.url) as browser:
        await browser.form("/ops/sign-in", key=key)
        assert (await browser.post("/codec/encode", json=TYPED, headers=UI)).status_code == 200
        if ends == "revoked":
            api_keys.revoke(stage.sessions, key.partition(".")[0], datetime.now(UTC))
        else:
            column = {"idle": "seen_at", "over": "expires_at"}[ends]
            with stage.sessions.begin() as session:
                session.connection().exec_driver_sql(f"update operator_sessions set {column} = '2026-01-01 00:00:00'")
        assert (await browser.post("/codec/encode", json=TYPED, headers=UI)).status_code == 401


async def test_keys_are_not_tried_out(gateway: Upstream) -> None:
    async with Browser(gateway.url) as browser:
        for _ in range(3):
            assert (await browser.form("/ops/sign-in", key="tok-1.x")).status_code == 401
        refused = await browser.form("/ops/sign-in", key="tok-1.x")
        assert refused.status_code == 429
        assert "wait" in refused.text
