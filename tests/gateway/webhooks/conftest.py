"""A gateway with a secret for each sender, and senders that sign as they do."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr

from settings import Settings
from simulators import webhooks
from simulators.serving import Serving
from simulators.webhooks import Hook
from starter.gateway.app import app
from starter.gateway.webhooks.senders import SENDERS

SECRETS = {sender.name: f"the secret of {sender.name}" for sender in SENDERS}
PATHS = {sender.name: f"/v1/webhooks{sender.path}" for sender in SENDERS}
_SIGN = {"easypost": webhooks.easypost, "shippo": webhooks.shippo}


@dataclass
class Sending:
    """Posts webhooks to one gateway."""

    http: httpx.Client

    def __call__(self, sender: str, body: Any, secret: str | None = None) -> httpx.Response:
        """Signed by the sender's own scheme; `body` is JSON, or the very bytes."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        url = str(self.http.base_url.join(PATHS[sender]))
        headers = _SIGN.get(sender, webhooks.plain)(Hook(url, secret or SECRETS[sender]), content)
        return self.http.post(url, content=content, headers=dict(headers))


@contextmanager
def gateway(settings: Settings) -> Iterator[Sending]:
    """A gateway of its own. It sweeps only at its start, unless the settings say otherwise."""
    given = {"webhook_secrets": {name: SecretStr(secret) for name, secret in SECRETS.items()}}
    if "webhook_sweep_seconds" not in settings.model_fields_set:
        given["webhook_sweep_seconds"] = 3600  # type: ignore[assignment]
    with (
        Serving(app(settings.model_copy(update=given))) as serving,
        httpx.Client(base_url=serving.url, timeout=20, trust_env=False) as http,
    ):
        yield Sending(http)


@pytest.fixture
def counted() -> Callable[[str, str], float]:
    """How often the counter stands at for a sender and an outcome."""

    def count(sender: str, outcome: str) -> float:
        labels = {"sender": sender, "outcome": outcome}
        return REGISTRY.get_sample_value("tokens_webhooks_total", labels) or 0.0

    return count
