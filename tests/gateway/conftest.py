"""A gateway on a stage."""

from collections.abc import AsyncIterator

import pytest

from tests.gateway.api import Upstream, serving
from tests.stage import Stage


@pytest.fixture(autouse=True)
def address(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", stage.client.service_client.config.target_host)


@pytest.fixture
async def upstream(stage: Stage) -> AsyncIterator[Upstream]:
    async with serving(stage) as upstream:
        yield upstream
