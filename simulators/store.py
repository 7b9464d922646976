"""What a simulated party has done, in a SQLite file, so that it outlives a kill."""

import json
import sqlite3
import threading
from pathlib import Path
from typing import Any


class Conflict(Exception):
    """The key was used before, for something else."""


class Store:
    """One table of (what, key): the request, its reference and the result."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS done (what TEXT, key TEXT, reference TEXT, request TEXT, result TEXT, "
            "PRIMARY KEY (what, key))"
        )

    def close(self) -> None:
        self._connection.close()

    def once(self, what: str, key: str, reference: str, request: Any, result: Any) -> tuple[Any, bool]:
        """Keeps `result` unless the key is known; the kept result and whether it is new. Raises Conflict."""
        asked = json.dumps(request, sort_keys=True)
        with self._lock:
            cursor = self._connection.execute(
                "INSERT OR IGNORE INTO done VALUES (?, ?, ?, ?, ?)", (what, key, reference, asked, json.dumps(result))
            )
            row = self._connection.execute(
                "SELECT request, result FROM done WHERE what = ? AND key = ?", (what, key)
            ).fetchone()
        if row[0] != asked:
            raise Conflict(f"The key {key} was used before for another request; use a new key.")
        return json.loads(row[1]), cursor.rowcount == 1

    def put(self, what: str, key: str, reference: str, result: Any) -> None:
        """Keeps `result`, whatever was there."""
        with self._lock:
            self._connection.execute(
                "INSERT OR REPLACE INTO done VALUES (?, ?, ?, 'null', ?)", (what, key, reference, json.dumps(result))
            )

    def get(self, what: str, key: str) -> Any | None:
        with self._lock:
            row = self._connection.execute("SELECT result FROM done WHERE what = ? AND key = ?", (what, key)).fetchone()
        return None if row is None else json.loads(row[0])

    def all(self, what: str, reference: str | None) -> list[dict[str, Any]]:
        """Every result of a kind, with its key and request; oldest first."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT key, request, result FROM done WHERE what = ? AND (? IS NULL OR reference = ?) ORDER BY rowid",
                (what, reference, reference),
            ).fetchall()
        return [{"key": key, "request": json.loads(request), **json.loads(result)} for key, request, result in rows]
