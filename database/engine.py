"""Engines and sessions, for SQLite (WAL) and PostgreSQL alike."""

from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.orm import Session, sessionmaker

Sessions = sessionmaker[Session]

_POOL: dict[str, Any] = {"pool_size": 10, "max_overflow": 20, "pool_timeout": 20}
"""A worker has many threads, each of which holds a connection for a short transaction only."""


def engine_of(url: str) -> Engine:
    """An engine for `url`. SQLite's transactions take the write lock at once, so that two writers never deadlock. Errors
    don't repeat the values of a statement: they are logged, and the values are people's."""
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True, hide_parameters=True, **_POOL)
    engine = create_engine(url, connect_args={"timeout": 30}, hide_parameters=True, **_POOL)

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver's own BEGIN would be a deferred one
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def sessions_of(engine: Engine) -> Sessions:
    """Sessions for `with sessions.begin() as session:`: one transaction each."""
    return sessionmaker(engine, expire_on_commit=False)
