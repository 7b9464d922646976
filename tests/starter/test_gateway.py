"""The carrier's webhook, health."""

import json
import time
from collections.abc import Iterator

import httpx
import pytest
from pydantic import SecretStr

from simulators.carrier import signature
from simulators.serving import Serving
from starter.gateway.app import app
from tests.stage import Stage

SECRET = "a secret of the carrier's"


@pytest.fixture
def http(stage: Stage) -> Iterator[httpx.Client]:
    settings = stage.settings.model_copy(update={"webhook_secrets": {"plain": SecretStr(SECRET)}})
    with Serving(app(settings)) as serving, httpx.Client(base_url=serving.url) as http:
        yield http


@pytest.fixture(autouse=True)
def address(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", stage.client.service_client.config.target_host)


async def test_a_signed_event_moves_its_journey(stage: Stage, http: httpx.Client) -> None:
    journey = await stage.request("hard")
    await journey.reach("Shipped")
    number = (await journey.status())["tracking_number"]
    event = {"tracking_number": number, "status": "delivered", "occurred_at": (await journey.now()).isoformat()}
    content = json.dumps(event).encode()
    forged = signature(content, "another secret")
    assert http.post("/v1/webhooks/carrier/plain", content=content, headers=forged).status_code == 401
    stale = signature(content, SECRET) | {"X-Tokens-Timestamp": str(int(time.time()) - 900)}
    assert http.post("/v1/webhooks/carrier/plain", content=content, headers=stale).status_code == 401
    assert http.post("/v1/webhooks/carrier/plain", content=content).status_code == 401
    assert (await journey.status())["status"] == "Shipped"
    answer = http.post("/v1/webhooks/carrier/plain", content=content, headers=signature(content, SECRET))
    assert (answer.status_code, answer.json()) == (202, {"taken": True})
    assert (await journey.status())["status"] == "Delivered"


async def test_an_event_that_nobody_waits_for(http: httpx.Client) -> None:
    event = {"tracking_number": "TKN0", "status": "delivered", "occurred_at": "2037-03-04T15:20:00Z"}
    for content, status in ((json.dumps(event).encode(), 202), (b"[]", 422), (b"{", 422)):
        answer = http.post("/v1/webhooks/carrier/plain", content=content, headers=signature(content, SECRET))
        assert answer.status_code == status


async def test_health(http: httpx.Client) -> None:
    assert http.get("/healthz").status_code == 200
    assert http.get("/readyz").json() == {"status": "ready"}
