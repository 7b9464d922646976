"""The production-shaped stack as tests start it: any free ports, few shards, and clocks that can be moved."""

import os
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psycopg
import pytest

from database import migrate
from database.engine import engine_of, sessions_of
from database.sealing import Seal
from starter import sample_data
from tools.production.stack import FOR_TRIALS, ProductionStack

FOR_JOURNEYS = ("search-attributes", "roles")
"""Temporal on PostgreSQL and the application's empty database, for workers that the test runs itself."""


on_sqlite = pytest.mark.skipif("TEST_STACK" in os.environ, reason="reads the file of an SQLite database")


@asynccontextmanager
async def running(state: Path, only: Sequence[str] | None = None) -> AsyncIterator[ProductionStack]:
    """A fresh stack, of which nothing is left afterwards."""
    stack = ProductionStack(state, print, FOR_TRIALS, only=only)
    stack.remove()  # what a run that was killed has left
    try:
        async with stack:
            yield stack
    finally:
        stack.remove()


class Databases:
    """Databases for the application, each with the sample data, made by copying one."""

    def __init__(self, stack: ProductionStack, seal: Seal) -> None:
        self._stack = stack
        self._template = self._made("TEMPLATE template0")
        url = self._url(self._template)
        migrate.upgrade(url)
        engine = engine_of(url)
        sample_data.load(sessions_of(engine), seal)
        engine.dispose()

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """SQLAlchemy's URL of a copy, which is gone afterwards."""
        name = self._made(f"TEMPLATE {self._template}")
        try:
            yield self._url(name)
        finally:
            self._as_superuser(f"DROP DATABASE {name} WITH (FORCE)")

    def _made(self, how: str) -> str:
        name = f"tokens_{uuid.uuid4().hex[:12]}"
        self._as_superuser(f"CREATE DATABASE {name} OWNER tokens_owner {how}")
        return name

    def _url(self, database: str) -> str:
        return f"postgresql+psycopg://tokens_owner:{self._secret('tokens_owner_password')}@{self._host()}/{database}"

    def _host(self) -> str:
        return f"127.0.0.1:{self._stack.port('postgres')}"

    def _secret(self, name: str) -> str:
        return (self._stack.secrets / name).read_text()

    def _as_superuser(self, statement: str) -> None:
        url = f"postgresql://postgres:{self._secret('postgres_password')}@{self._host()}/postgres"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]
