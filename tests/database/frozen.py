"""The tables as the code of each release knows them, kept in `releases/<release>.json`, so that a migration under which a worker
of that release could not go on is caught. `make golden` freezes those of the present release; a file is never changed again. (0.1.0 is
without `stock_alerts`, which its code made no use of.)"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic.script import ScriptDirectory
from sqlalchemy import JSON, Boolean, Column, Integer, LargeBinary, MetaData, Table, Text

from database import migrate
from database.tables import Base, UtcDateTime

FOLDER = Path(__file__).parent / "releases"
_SORTS: dict[str, type[Any]] = {
    "text": Text,
    "number": Integer,
    "flag": Boolean,
    "bytes": LargeBinary,
    "time": UtcDateTime,
    "json": JSON,
}
_OF_PYTHON = {str: "text", int: "number", bool: "flag", bytes: "bytes", datetime: "time"}


def freeze(release: str, metadata: MetaData = Base.metadata, revision: str | None = None) -> Path:
    """Writes what a release's code knows. `revision`: the newest migration that it brings; left out: of all there are."""
    newest = revision or ScriptDirectory.from_config(migrate._config("")).get_current_head()  # pyright: ignore[reportPrivateUsage]
    tables = {
        table.name: {
            column.name: {"sort": _sort(column), "nullable": bool(column.nullable), "key": column.primary_key}
            | ({"of": str(next(iter(column.foreign_keys)).target_fullname)} if column.foreign_keys else {})
            for column in table.columns
        }
        for table in metadata.sorted_tables
    }
    path = FOLDER / f"{release}.json"
    path.write_text(json.dumps({"revision": newest, "tables": tables}, indent=1) + "\n")
    return path


def releases() -> list[Path]:
    return sorted(FOLDER.glob("*.json"))


def tables_of(frozen: dict[str, Any]) -> list[Table]:
    """As that release's code has them: its columns, and no others. Those that others refer to come first."""
    metadata = MetaData()
    return [
        Table(name, metadata, *(_column(name_, column) for name_, column in columns.items()))
        for name, columns in frozen["tables"].items()
    ]


def row(frozen: dict[str, Any], table: Table, number: int) -> dict[str, Any]:
    """One that this release could write: everything filled in, and fitting the rows of the same number."""
    values: dict[str, Any] = {}
    for column in table.columns:
        known = frozen["tables"][table.name][column.name]
        match known["sort"]:
            case "text":
                owner = known.get("of", f"{table.name}.{column.name}")
                values[column.name] = f"{owner}-{number}"
            case "number":
                values[column.name] = number
            case "flag":
                values[column.name] = False
            case "bytes":
                values[column.name] = b"sealed"
            case "time":
                values[column.name] = datetime(2037, 3, 3, 15, 0, tzinfo=UTC)
            case _:
                values[column.name] = {"number": number}
    return values


def _sort(column: Column[Any]) -> str:
    if isinstance(column.type, JSON):
        return "json"
    return _OF_PYTHON[datetime if type(column.type).__name__ == "UtcDateTime" else column.type.python_type]


def _column(name: str, known: dict[str, Any]) -> Column[Any]:
    return Column(name, _SORTS[known["sort"]], nullable=known["nullable"], primary_key=known["key"])


if __name__ == "__main__":
    print(f"Kept the tables of {sys.argv[1]}: {freeze(sys.argv[1]).name}")
