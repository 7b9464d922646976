"""Runs the migrations: `tokens db upgrade`, the embedded stack and the tests all come here."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from database import permissions
from database.engine import engine_of

_MIGRATIONS = Path(__file__).parent / "migrations"


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["url"] = url
    return config


def upgrade(url: str) -> None:
    """Brings the database at `url` to the newest revision, and its roles' permissions to what they should be; what is there
    already is left as it is."""
    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    command.upgrade(_config(url), "head")
    engine = engine_of(url)
    try:
        with engine.begin() as connection:
            permissions.grant(connection)
    finally:
        engine.dispose()


def state(url: str) -> tuple[str | None, str | None]:
    """The revision the database is at, and the newest one."""
    engine = engine_of(url)
    try:
        with engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()
    return current, ScriptDirectory.from_config(_config(url)).get_current_head()
