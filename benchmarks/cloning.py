"""Open journeys by the hundred thousand: some are really run to where they wait, and their rows are copied under other ids, in Temporal's
database and in the application's. What is copied is what Temporal itself has written, so that it goes on like any other.

Ids keep their length, which the lengths within the copied messages depend on. PostgreSQL only, while Temporal is down.
"""

import hashlib
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

from benchmarks.site import Site, superuser_url

_OF_RUN = ("executions", "current_executions", "timer_info_maps", "activity_info_maps", "signals_requested_sets")
_OF_TREE = ("history_node", "history_tree")
_APPLICATION = ("journeys", "audit", "audit_heads", "promises", "tokens", "emails", "activation_links")
_NUMBERED = frozenset(
    {"first_run_id", "run_id", "entry", "message_id", "link_hash", "serial_number", "tracking_number"}
)
"""Columns of the application's tables that must differ from row to row and need not mean anything here."""
_MASK = 0xFFFFFFFF
_SPREAD, _STRIDE = 30 * 86_400, 15_485_863
"""Seconds over which the copies' starts are spread, and how far apart one number is from the next."""


@dataclass(frozen=True)
class Template:
    """A journey that waits, and how many are to be made of it. Its id ends in seven digits."""

    workflow_id: str
    run_id: uuid.UUID
    copies: int

    def copy_id(self, number: int) -> str:
        return f"{self.workflow_id[:-7]}{number:07d}"

    def copy_run(self, number: int) -> uuid.UUID:
        """The same each time, so that loading can be repeated."""
        digest = hashlib.sha256(f"{self.run_id}{number}".encode()).digest()[:16]
        return uuid.UUID(bytes=digest, version=4)


@dataclass
class Shards:
    """Temporal's, of which there are `count`, and where copies are put in them."""

    count: int
    _tasks: Counter[int] = field(default_factory=Counter[int])

    def of(self, namespace_id: str, workflow_id: str) -> int:
        """Where Temporal keeps a workflow: FarmHash's Fingerprint32 of both ids."""
        return fingerprint32(f"{namespace_id}_{workflow_id}".encode()) % self.count + 1

    def task(self, shard: int) -> int:
        """A task's id, unlike any other of its shard. Temporal carries out none that is ahead of the shard's clock, which each start
        of it puts forward by 2**20, and none that is behind what the copied journey says of its own tasks: they were made in
        the second start, and the third is the first to see the copies."""
        self._tasks[shard] += 1
        return 2 * 2**20 + 2**19 + self._tasks[shard]


def clone(site: Site, templates: list[Template], shards: Shards) -> None:
    """Makes the copies; numbers go on from template to template, from 1. Nobody may be using Temporal's database."""
    with (
        psycopg.connect(superuser_url(site, "temporal")) as temporal,
        psycopg.connect(superuser_url(site, "temporal_visibility")) as visibility,
    ):
        first = 1
        for template in templates:
            numbers = range(first, first + template.copies)
            _clone_run(temporal, visibility, template, numbers, shards)
            _clone_records(site, template, numbers)
            first += template.copies
    for database in ("temporal", "temporal_visibility", "tokens"):
        with psycopg.connect(superuser_url(site, database), autocommit=True) as connection:
            connection.execute("ANALYZE")


def _clone_run(temporal: Any, visibility: Any, template: Template, numbers: range, shards: Shards) -> None:
    run = template.run_id.bytes
    namespace: bytes = temporal.execute("SELECT namespace_id FROM executions WHERE run_id = %s", (run,)).fetchone()[0]
    namespace_id = str(uuid.UUID(bytes=namespace))
    found = {table: _rows(temporal, table, "run_id = %s", run) for table in _OF_RUN}
    found |= {table: _rows(temporal, table, "tree_id = %s", run) for table in _OF_TREE}
    mark = str(template.run_id).encode()
    # Those of steps that are over would wake each copy for nothing.
    to_come = "position(%s::bytea in data) > 0 AND visibility_timestamp > now() AT TIME ZONE 'UTC' + interval '1 hour'"
    found["timer_tasks"] = _rows(temporal, "timer_tasks", to_come, mark)
    assert found["executions"][1], f"{template.workflow_id} is not there"
    for table, (columns, rows) in found.items():
        _copy(temporal, table, columns, _copies(template, columns, rows, numbers, namespace_id, shards))
    columns, rows = _rows(visibility, "executions_visibility", "run_id = %s", str(template.run_id))
    copies = _copies(template, columns, rows, numbers, namespace_id, shards)
    _copy(visibility, "executions_visibility", columns, copies)
    temporal.commit()
    visibility.commit()


def _rows(connection: Any, table: str, where: str, value: Any) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Columns (but those that the database works out itself) and rows. JSON comes as text, to be put back as it was."""
    listed = connection.execute(
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_name = %s AND is_generated = 'NEVER' ORDER BY ordinal_position",
        (table,),
    ).fetchall()
    names = [sql.Identifier(name) + sql.SQL("::text" if type_ == "jsonb" else "") for name, type_ in listed]
    query = sql.SQL("SELECT {} FROM {} WHERE ").format(sql.SQL(", ").join(names), sql.Identifier(table))
    return [name for name, _ in listed], connection.execute(query + sql.SQL(where), (value,)).fetchall()  # type: ignore[arg-type]


def _copies(
    template: Template,
    columns: list[str],
    rows: list[tuple[Any, ...]],
    numbers: range,
    namespace_id: str,
    shards: Shards,
) -> Iterator[list[Any]]:
    old_id, old_run = template.workflow_id, str(template.run_id)
    for number in numbers:
        new_id, run = template.copy_id(number), template.copy_run(number)
        shard = shards.of(namespace_id, new_id)
        for row in rows:
            made = []
            for column, value in zip(columns, row, strict=True):
                match value:
                    case datetime() if column == "start_time":
                        # In the lists; all alike, each status would lie there in one piece, as it never does.
                        value -= timedelta(seconds=number * _STRIDE % _SPREAD)
                    case int() if column == "shard_id":
                        value = shard
                    case int() if column == "task_id":
                        value = shards.task(shard)
                    case bytes() if value == template.run_id.bytes:
                        value = run.bytes
                    case bytes():
                        value = value.replace(old_id.encode(), new_id.encode()).replace(
                            old_run.encode(), str(run).encode()
                        )
                    case str():
                        value = value.replace(old_id, new_id).replace(old_run, str(run))
                    case _:
                        pass
                made.append(value)
            yield made


def _copy(connection: Any, table: str, columns: list[str], rows: Iterator[list[Any]]) -> None:
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), names)
    with connection.cursor() as cursor, cursor.copy(statement) as copying:
        for row in rows:
            copying.write_row(row)


def _clone_records(site: Site, template: Template, numbers: range) -> None:
    """The application's rows, made within its database; each copy has a prescriber of its own."""
    if not numbers:
        return
    series = {
        "template": template.workflow_id,
        "stem": template.workflow_id[:-7],
        "first": numbers[0],
        "last": numbers[-1],
    }
    with psycopg.connect(superuser_url(site, "tokens")) as connection:
        connection.execute(
            "INSERT INTO prescribers SELECT 'CP-' || lpad(n::text, 7, '0'), practice_id, name, email, npi, dea_number, address,"
            " id_proofed FROM prescribers, generate_series(%(first)s::int, %(last)s::int) AS n WHERE prescriber_id = 'P-1001'",
            series,
        )
        for table in _APPLICATION:
            columns = [
                name
                for (name,) in connection.execute(
                    "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND table_schema = 'public'"
                    " ORDER BY ordinal_position",
                    (table,),
                ).fetchall()
            ]
            statement = sql.SQL(
                "INSERT INTO {table} ({columns}) SELECT {values} FROM {table}, generate_series(%(first)s::int, %(last)s::int) AS n"
                " WHERE journey_id = %(template)s"
            ).format(
                table=sql.Identifier(table),
                columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
                values=sql.SQL(", ").join(map(_value, columns)),
            )
            connection.execute(statement, series)


def _value(column: str) -> sql.Composable:
    if column == "journey_id":
        return sql.SQL("%(stem)s || lpad(n::text, 7, '0')")
    if column == "prescriber_id":
        return sql.SQL("'CP-' || lpad(n::text, 7, '0')")
    if column in _NUMBERED:
        return sql.SQL("{} || '-' || n").format(sql.Identifier(column))
    return sql.Identifier(column)


def due_at(site: Site, stem: str, how_many: int, when: datetime) -> int:
    """Lets the timers of so many copies whose ids begin with `stem` fall due at `when` (UTC), while Temporal is down. How many
    journeys that are."""
    seconds = int(when.timestamp())
    # Not before it: a timer keeps its fraction of a second, and Temporal drops a task that comes before its timer is due.
    task_at = datetime.fromtimestamp(seconds + 1, UTC).replace(tzinfo=None)
    with psycopg.connect(superuser_url(site, "temporal")) as connection:
        timers = connection.execute(
            "SELECT shard_id, namespace_id, workflow_id, run_id, timer_id, data FROM timer_info_maps WHERE workflow_id LIKE %s"
            " ORDER BY random() LIMIT %s",
            (f"{stem}%", how_many),
        ).fetchall()
        with connection.cursor() as cursor:
            cursor.executemany(
                "UPDATE timer_info_maps SET data = %s WHERE shard_id = %s AND namespace_id = %s AND workflow_id = %s AND run_id = %s"
                " AND timer_id = %s",
                [(_moved(data, seconds), *key) for *key, data in timers],
            )
            cursor.executemany(
                "UPDATE timer_tasks SET visibility_timestamp = %s WHERE shard_id = %s AND position(%s::bytea in data) > 0",
                [(task_at, row[0], str(uuid.UUID(bytes=row[3])).encode()) for row in timers],
            )
    return len({row[2] for row in timers})


def _moved(data: bytes, seconds: int) -> bytes:
    """A timer (TimerInfo of Temporal's persistence) that expires at that second: its field 3 is a Timestamp, whose field 1 are the
    seconds, as five bytes for the next centuries."""
    at = data.index(b"\x1a", 0)
    while data[at + 2] != 0x08:
        at = data.index(b"\x1a", at + 1)
    return data[: at + 3] + _varint(seconds) + data[at + 8 :]


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])


def fingerprint32(data: bytes) -> int:
    """FarmHash's 32-bit fingerprint of more than 24 bytes (farmhashmk), by which Temporal chooses shards. Raises ValueError for
    less."""
    length = len(data)
    if length <= 24:
        raise ValueError("only what is longer than 24 bytes is hashed here")
    c1, c2 = 0xCC9E2D51, 0x1B873593

    def fetch(place: int) -> int:
        return int.from_bytes(data[place : place + 4], "little")

    def rotate(value: int, by: int) -> int:
        return (value >> by | value << (32 - by)) & _MASK

    def scrambled(place: int) -> int:
        return rotate(fetch(place) * c1 & _MASK, 17) * c2 & _MASK

    def mixed(value: int) -> int:
        return (rotate(value, 19) * 5 + 0xE6546B64) & _MASK

    def murmured(a: int, into: int) -> int:
        return mixed(into ^ (rotate(a * c1 & _MASK, 17) * c2 & _MASK))

    h, g = length, c1 * length & _MASK
    f = g
    h = mixed(mixed(h ^ scrambled(length - 4)) ^ scrambled(length - 16))
    g = mixed(mixed(g ^ scrambled(length - 8)) ^ scrambled(length - 12))
    f = (rotate((f + scrambled(length - 20)) & _MASK, 19) + 113) & _MASK
    for place in range(0, (length - 1) // 20 * 20, 20):
        a, b, c, d, e = (fetch(place + 4 * part) for part in range(5))
        h, g, f = (h + a) & _MASK, (g + b) & _MASK, (f + c) & _MASK
        h = (murmured(d, h) + e) & _MASK
        g = (murmured(c, g) + a) & _MASK
        f = (murmured(b + e * c1 & _MASK, f) + d) & _MASK
        f = (f + g) & _MASK
        g = (g + f) & _MASK
    g = rotate(rotate(g, 11) * c1 & _MASK, 17) * c1 & _MASK
    f = rotate(rotate(f, 11) * c1 & _MASK, 17) * c1 & _MASK
    h = (rotate((h + g) & _MASK, 19) * 5 + 0xE6546B64) & _MASK
    h = rotate(h, 17) * c1 & _MASK
    h = (rotate((h + f) & _MASK, 19) * 5 + 0xE6546B64) & _MASK
    return rotate(h, 17) * c1 & _MASK
