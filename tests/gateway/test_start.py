"""Before the gateway answers anybody it has read what the first question would wait for."""

import pytest

from domain import address
from tests.gateway.api import serving
from tests.stage import Stage


async def test_the_address_tables_are_loaded_first(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[bool] = []
    monkeypatch.setattr(address, "load", lambda: loaded.append(True))
    async with serving(stage):
        assert loaded == [True]
