"""Which system a command speaks to: the one that `TEMPORAL_ADDRESS` and the settings name, or else the embedded stack that
runs on `TOKENS_STATE`."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from temporalio.client import Client

from connection import connect
from database.engine import Sessions, engine_of, sessions_of
from database.sealing import Seal
from settings import Settings
from starter import keys, stack


class NoSystem(Exception):
    """There is nothing to speak to; one sentence says what to do."""


def settings_in_use() -> Settings:
    """The settings, completed by the running embedded stack's addresses and keys where there is one."""
    settings = Settings()
    running = stack.connect_info(settings.state)
    if running is None or os.environ.get("TEMPORAL_ADDRESS", running["temporal"]) != running["temporal"]:
        return settings
    return settings_of(settings.state, running)


def settings_of(state: Path, running: dict[str, Any]) -> Settings:
    """The settings of the embedded stack that runs on `state`; this process's environment speaks to it from here on."""
    for name in [name for name in os.environ if name.startswith("TEMPORAL_")]:
        del os.environ[name]  # a developer's API key or certificates are for another server
    os.environ.update(
        {
            "TEMPORAL_CONFIG_FILE": os.devnull,
            **keys.environment(keys.load_or_create(state)),
            "TEMPORAL_ADDRESS": running["temporal"],
            "TEMPORAL_NAMESPACE": running["namespace"],
            "TOKENS_STATE": str(state),
            "TOKENS_DATABASE_URL": running["database_url"],
            "TOKENS_IMPORT_FOLDER": running.get("import_folder", str(state / "import")),
            "TOKENS_PUBLIC_URL": running["gateway"],
            "TOKENS_UI_URL": running["ui"],
            "TOKENS_CARRIER_URL": running["carrier"],
            "TOKENS_VENDOR_URL": running["vendor"],
            "TOKENS_DIRECTORY_URL": running["directory"],
        }
    )
    return Settings()


@asynccontextmanager
async def temporal(settings: Settings) -> AsyncIterator[Client]:
    """A connected client. Raises NoSystem."""
    try:
        client = await connect(settings)
    except RuntimeError:
        address = os.environ.get("TEMPORAL_ADDRESS", "127.0.0.1:7233")
        raise NoSystem(
            f"Temporal does not answer at {address}; start the embedded stack with `tokens up`, or set TEMPORAL_ADDRESS."
        ) from None
    yield client


@contextmanager
def database(settings: Settings) -> Iterator[Sessions]:
    """Sessions of the database in use."""
    engine = engine_of(settings.url_of_database)
    try:
        yield sessions_of(engine)
    finally:
        engine.dispose()


def seal_of(settings: Settings) -> Seal:
    """The seal over seeds and unsent mail."""
    return Seal({key_id: key.get_secret_value() for key_id, key in settings.seal_keys.items()})
