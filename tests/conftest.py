"""The test stack: one real Temporal server with time skipping, real SMTP, real HTTP simulators, a real database."""

import asyncio
import os
import secrets
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import hypothesis
import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from connection import data_converter
from settings import Settings
from starter.temporal_binary import ensure
from starter.temporal_server import fair_queue_flags, time_skipping_flags
from telemetry.garbage import settle
from tests import on_stack
from tests.on_stack import Databases
from tests.replay import golden
from tests.stage import Stage, Theatre, seal_of
from tools.production.stack import ProductionStack
from workflows.search_attributes import REGISTRY

# The sandbox loads the workflows' modules anew for each run: compiled once for all runs and processes, whatever the
# environment says of bytecode, which halves that.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


# A machine that is busy for a moment is no failure.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")


def pytest_collection_finish() -> None:
    """As worker and gateway do: what three thousand tests are made of is not looked through for garbage again and again, which
    stops everything for most of a second."""
    settle()


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of the tests: their own state folder and keys, and nothing from the developer's environment."""
    for name in [name for name in os.environ if name.startswith(("TOKENS_", "TEMPORAL_"))]:
        if name != "TOKENS_TEMPORAL_BINARY":
            del os.environ[name]
    return Settings(
        _env_file=None,  # type: ignore[call-arg]
        state=tmp_path_factory.mktemp("state"),
        payload_keys={} if golden.recording() else {"test": secrets.token_hex(32)},  # type: ignore[dict-item]
        seal_keys={"test": secrets.token_hex(32)},  # type: ignore[dict-item]
        pin_pepper=secrets.token_hex(32),  # type: ignore[arg-type]
        party_timeout_seconds=1.0,
    )


@asynccontextmanager
async def temporal_server(settings: Settings, *flags: str) -> AsyncIterator[Client]:
    """A client of a fresh server with time skipping and this system's search attributes."""
    found = await asyncio.to_thread(ensure, settings, print)
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(found.path),
        data_converter=data_converter(settings),
        dev_server_extra_args=[
            *time_skipping_flags(),
            *fair_queue_flags(),
            *(f"--search-attribute={name}={type_}" for name, type_ in REGISTRY.items()),
            *flags,
        ],
    )
    async with environment:
        yield environment.client


@pytest.fixture(scope="session")
async def production(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ProductionStack | None]:
    """Where TEST_STACK is set (`make test-stack`): Temporal as in production, on PostgreSQL. None otherwise."""
    if not os.environ.get("TEST_STACK"):
        yield None
        return
    async with on_stack.running(tmp_path_factory.mktemp("production"), on_stack.FOR_JOURNEYS) as stack:
        yield stack


@pytest.fixture(scope="session")
async def temporal(settings: Settings, production: ProductionStack | None) -> AsyncIterator[Client]:
    """A client of the one server that nearly all tests share."""
    if production is not None:
        yield await Client.connect(production.info["temporal"], data_converter=data_converter(settings))
        return
    async with temporal_server(settings) as client:
        yield client


@pytest.fixture(scope="session")
def databases(production: ProductionStack | None, settings: Settings) -> Databases | None:
    """With TEST_STACK each test has a database of its own on PostgreSQL, too."""
    return None if production is None else Databases(production, seal_of(settings))


@pytest.fixture(scope="session")
def theatre(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    """The outside parties and a database with the sample data."""
    with Theatre(settings, tmp_path_factory.mktemp("theatre")) as theatre, ThreadPoolExecutor(16) as threads:
        theatre.threads = threads
        yield theatre


@pytest.fixture
def own_theatre(settings: Settings, theatre: Theatre, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    """Parties of its own: Reconcile looks at all that a vendor and a carrier have."""
    with Theatre(settings, tmp_path_factory.mktemp("reconcile")) as own:
        own.threads = theatre.threads
        yield own


@pytest.fixture
async def apart(temporal: Client, own_theatre: Theatre, tmp_path: Path) -> AsyncIterator[Stage]:
    """Like `stage`, with parties of its own."""
    async with Stage(temporal, own_theatre, tmp_path) as stage:
        yield stage


@pytest.fixture
async def stage(
    temporal: Client, theatre: Theatre, tmp_path: Path, databases: Databases | None
) -> AsyncIterator[Stage]:
    """A fresh database, a fresh mailbox and a worker on a task queue of its own."""
    with databases.fresh() if databases else nullcontext() as url:
        async with Stage(temporal, theatre, tmp_path, database_url=url) as stage:
            yield stage
