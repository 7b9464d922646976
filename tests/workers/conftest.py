"""A Temporal server of each test's own: worker processes take the one task queue of production, and a promoted version stays."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client

from settings import Settings
from tests.conftest import temporal_server
from tests.stage import Stage, Theatre


@pytest.fixture
async def server(settings: Settings) -> AsyncIterator[Client]:
    async with temporal_server(settings) as client:
        yield client


@pytest.fixture
async def stage(server: Client, theatre: Theatre, tmp_path: Path) -> AsyncIterator[Stage]:
    """Without a worker: the test runs its own."""
    async with Stage(server, theatre, tmp_path) as stage:
        await stage.stop_worker()
        yield stage
