"""What a simulated party has done, in a SQLite file, so that it outlives a kill."""

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any


class Conflict(Exception):
    """The key was used before, for something else."""


class Store:
    """One table of (what, key): the request, its reference and the result.

    Open while its server runs (`lifespan`), and used from that server's thread only. Each write is on disk before the call
    returns, so a party never answers for something that a `kill -9` could undo.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._connection: sqlite3.Connection | None = None

    @asynccontextmanager
    async def lifespan(self, _app: Any = None) -> AsyncIterator[None]:
        """Open inside. Raises OSError or sqlite3.Error when the file can't be made."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(self._file, isolation_level=None)
        try:
            self._run("PRAGMA journal_mode = WAL")
            self._run("PRAGMA synchronous = FULL")
            self._run(
                "CREATE TABLE IF NOT EXISTS done (what TEXT, key TEXT, reference TEXT, request TEXT, result TEXT, "
                "PRIMARY KEY (what, key))"
            )
            yield
        finally:
            self._connection.close()
            self._connection = None

    def _run(self, statement: str, *values: Any) -> sqlite3.Cursor:
        assert self._connection is not None, "the store is open only while its server runs"
        return self._connection.execute(statement, values)

    def once(self, what: str, key: str, reference: str, request: Any, result: Any) -> tuple[Any, bool]:
        """Keeps `result` unless the key is known; the kept result and whether it is new. Raises Conflict."""
        asked = json.dumps(request, sort_keys=True)
        new = self._run(
            "INSERT OR IGNORE INTO done VALUES (?, ?, ?, ?, ?)", what, key, reference, asked, json.dumps(result)
        ).rowcount
        row = self._run("SELECT request, result FROM done WHERE what = ? AND key = ?", what, key).fetchone()
        if row[0] != asked:
            raise Conflict(f"The key {key} was used before for another request; use a new key.")
        return json.loads(row[1]), new == 1

    def put(self, what: str, key: str, reference: str, result: Any) -> None:
        """Keeps `result`, whatever was there; the place in the order stays that of the first."""
        self._run(
            "INSERT INTO done VALUES (?, ?, ?, 'null', ?) ON CONFLICT (what, key) DO UPDATE SET result = excluded.result",
            what,
            key,
            reference,
            json.dumps(result),
        )

    def get(self, what: str, key: str) -> Any | None:
        row = self._run("SELECT result FROM done WHERE what = ? AND key = ?", what, key).fetchone()
        return None if row is None else json.loads(row[0])

    def reference(self, what: str, key: str) -> str | None:
        """The reference under which it was done; None if it was not."""
        row = self._run("SELECT reference FROM done WHERE what = ? AND key = ?", what, key).fetchone()
        return None if row is None else row[0]

    def page(self, what: str, undone: str, after: int, limit: int) -> list[dict[str, Any]]:
        """Up to `limit` of a kind behind the place `after`, oldest first: key, reference, request, result, the place, and whether
        there is one of the kind `undone` under the same key."""
        rows = self._run(
            "SELECT rowid, key, reference, request, result, EXISTS (SELECT 1 FROM done AS other WHERE other.what = ? AND "
            "other.key = done.key) FROM done WHERE what = ? AND rowid > ? ORDER BY rowid LIMIT ?",
            undone,
            what,
            after,
            limit,
        ).fetchall()
        return [
            {
                "place": place,
                "key": key,
                "reference": reference,
                "request": json.loads(request),
                "result": json.loads(result),
                "undone": bool(is_undone),
            }
            for place, key, reference, request, result, is_undone in rows
        ]

    def all(self, what: str, reference: str | None) -> list[dict[str, Any]]:
        """Every result of a kind, with its key and request; oldest first."""
        rows = self._run(
            "SELECT key, request, result FROM done WHERE what = ? AND (? IS NULL OR reference = ?) ORDER BY rowid",
            what,
            reference,
            reference,
        ).fetchall()
        return [{"key": key, "request": json.loads(request), **json.loads(result)} for key, request, result in rows]
