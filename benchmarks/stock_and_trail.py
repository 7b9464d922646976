"""Imports, passcodes and, of half as many rows, the audit trail at three sizes, each against the bare work of the same kind."""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from pyotp.hotp import HOTP
from sqlalchemy import create_engine, insert, select, text
from temporalio.testing import ActivityEnvironment

from activities.import_folder import ImportFolder
from activities.import_orders import ImportEnding, ImportOrder
from activities.imports import Imports
from activities.verification import Verification
from benchmarks.figures import SIZES, Figure
from benchmarks.site import Site, superuser_url
from database.audit_hash import START, commit, hash_of
from database.audit_verification import examine
from database.tables import AuditHead, AuditRow, JourneyRow, TokenRow
from domain import samples
from domain.passcodes import Device, current
from domain.token_files.row import Token
from simulators.batch import FORMATS

_CHAIN = 8
"""Rows of the audit trail that a journey has by the time it is active."""
_BLOCK = 100


async def measure(site: Site, rows: int) -> list[Figure]:
    """Per unit at 1, 4 and 16 times `rows`."""
    work = _Work(site)
    try:
        found = await asyncio.to_thread(work.imports, rows)
        found += await asyncio.to_thread(work.passcodes, rows)
        return found + await asyncio.to_thread(work.trail, rows // 2)
    finally:
        work.close()


def _seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


class _Work:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._owner = create_engine(superuser_url(site, "tokens").replace("postgresql://", "postgresql+psycopg://"))
        self._folder = site.folder / "bench-import"
        self._folder.mkdir()

    def close(self) -> None:
        self._owner.dispose()

    # Imports

    def imports(self, rows: int) -> list[Figure]:
        """Each file against one insert of the rows that came of it, into a table with the same columns and indexes."""
        per_row: dict[int, float] = {}
        pairs: list[tuple[float, float]] = []
        self._import(500)  # what only the first pays
        for size in (*SIZES, SIZES[-1]):
            ours, bare = self._import(rows * size)
            per_row.setdefault(size, 1e6 * ours / (rows * size))
            if size == SIZES[-1]:
                pairs.append((ours, bare))
        count = f"{rows * SIZES[-1]:,} tokens"
        return [
            Figure("imports/import", f"import of {count}", "s", "bulk insert of the same rows", tuple(pairs)),
            _grown("import", "import, per row", "µs", per_row),
        ]

    def _import(self, rows: int) -> tuple[float, float]:
        name = f"IB-{secrets.token_hex(4)}"
        file = self._folder / f"{name}.csv"
        made = [Token(n, f"{name}-{n:07d}", Device("HOTP", secrets.token_bytes(20))) for n in range(1, rows + 1)]
        file.write_text(FORMATS["oath-csv"](made))
        order = ImportOrder(import_id=name, workflow_id=name, file=file.name, imported_by="bench")
        folder = ImportFolder(self._folder, self._site.seal)
        imports = Imports(self._site.sessions, self._site.seal, folder)
        ours = _seconds(lambda: ActivityEnvironment().run(imports.take_in, order))
        with self._site.sessions() as session:
            taken = [
                dict(row)
                for row in session.execute(_columns().where(TokenRow.serial_number.like(f"{name}-%"))).mappings()
            ]
        assert len(taken) == rows, f"{len(taken)} of {rows} rows were taken"
        with self._bare_table() as table:
            bare = _seconds(lambda: self._insert(table, taken))
        ActivityEnvironment().run(imports.clear, ImportEnding(order=order))
        return ours, bare

    @contextmanager
    def _bare_table(self) -> Iterator[str]:
        with self._owner.begin() as connection:
            connection.execute(text("CREATE TABLE bench_tokens (LIKE tokens INCLUDING ALL)"))
        yield "bench_tokens"
        with self._owner.begin() as connection:
            connection.execute(text("DROP TABLE bench_tokens"))

    def _insert(self, table: str, taken: list[dict[str, Any]]) -> None:
        statement = insert(TokenRow.__table__.to_metadata(_elsewhere(), name=table))  # type: ignore[attr-defined]
        with self._owner.begin() as connection:
            for start in range(0, len(taken), 2000):
                connection.execute(statement, taken[start : start + 2000])

    # Passcodes

    def passcodes(self, rows: int) -> list[Figure]:
        """Blocks of the same number of sign-ins, ours and bare in turn, at each size of the stock."""
        verification = Verification(self._site.sessions, self._site.seal, "pepper", self._site.settings.policy)
        pairs: list[tuple[float, float]] = []
        per_unit: dict[int, float] = {}
        reached = 0
        for size in SIZES:
            self._signing(reached + 1, rows * size)
            reached = rows * size
            if size == SIZES[0]:
                self._blocks(verification, 4, reached)
            pairs = [self._blocks(verification, start, reached) for start in range(4)]
            per_unit[size] = sorted(1e6 / ours for ours, _ in pairs)[len(pairs) // 2]
        return [
            Figure(
                "imports/verification",
                f"passcodes verified, {reached:,} tokens",
                "per s",
                "pyotp and one transaction",
                tuple(pairs),
            ),
            _grown("verification", "a passcode's verification", "µs", per_unit),
        ]

    def _signing(self, first: int, last: int) -> None:
        """Active tokens of these numbers."""
        journeys, tokens, now = [], [], datetime.now(UTC)
        for number in range(first, last + 1):
            serial = f"VT-{number:07d}"
            journeys.append(
                {
                    "journey_id": f"v-{number:07d}",
                    "first_run_id": "run",
                    "prescriber_id": samples.PRESCRIBERS[number % 24].prescriber_id,
                    "kind": "hard",
                    "status": "Active",
                    "live": False,  # so that one prescriber may have many
                    "email": "v@bench.example",
                    "requested_at": now,
                    "promises": [],
                    "policy": self._site.settings.policy.model_dump(mode="json"),
                }
            )
            tokens.append(
                {
                    "serial_number": serial,
                    "kind": "hard",
                    "batch": "bench",
                    "state": "active",
                    "journey_id": f"v-{number:07d}",
                    "algorithm": "HOTP",
                    "digits": 6,
                    "digest": "SHA1",
                    "period": 0,
                    "seed": self._site.seal.close(samples.seed_of(serial), serial),
                    "taken_in_at": now,
                }
            )
        with self._site.engine.begin() as connection:
            for start in range(0, len(tokens), 2000):
                connection.execute(insert(JourneyRow), journeys[start : start + 2000])
                connection.execute(insert(TokenRow), tokens[start : start + 2000])
        with self._owner.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("ANALYZE"))

    def _blocks(self, verification: Verification, start: int, rows: int) -> tuple[float, float]:
        """Sign-ins a second, ours and bare, of tokens all over the stock that have not been used before."""
        step = max(rows // (8 * _BLOCK), 1)
        numbers = [1 + (2 * start * _BLOCK + place) * step % rows for place in range(2 * _BLOCK)]
        serials = [f"VT-{number:07d}" for number in numbers]
        with self._site.sessions() as session:
            query = select(TokenRow.serial_number, TokenRow.counter).where(TokenRow.serial_number.in_(serials))
            counters = dict(session.execute(query).tuples().all())
        codes = [current(Device("HOTP", samples.seed_of(serial)), counters[serial]) for serial in serials]
        now = datetime.now(UTC)

        def ours() -> None:
            for serial, code in zip(serials[:_BLOCK], codes, strict=False):
                verification.verify(f"v-{serial[3:]}", code, None, now)

        def bare() -> None:
            for serial, code in zip(serials[_BLOCK:], codes[_BLOCK:], strict=True):
                self._bare_verify(serial, code)

        return _BLOCK / _seconds(ours), _BLOCK / _seconds(bare)

    def _bare_verify(self, serial: str, code: str) -> None:
        """A seed in hand, pyotp, and one transaction that moves the counter on."""
        import base64

        with self._site.engine.begin() as connection:
            counter = connection.execute(
                text("SELECT counter FROM tokens WHERE serial_number = :serial FOR UPDATE"), {"serial": serial}
            ).scalar_one()
            secret = base64.b32encode(samples.seed_of(serial)).decode()
            assert HOTP(secret).verify(code, counter)
            connection.execute(
                text("UPDATE tokens SET counter = :counter WHERE serial_number = :serial"),
                {"serial": serial, "counter": counter + 1},
            )

    # The audit trail

    def trail(self, rows: int) -> list[Figure]:
        """Verifying all chains against reading the same rows and hashing them once."""
        pairs: list[tuple[float, float]] = []
        per_unit: dict[int, float] = {}
        reached = 0
        for size in SIZES:
            self._chains(reached // _CHAIN, rows * size // _CHAIN)
            reached = rows * size // _CHAIN * _CHAIN
            if size == SIZES[0]:
                self._verify()
                self._read()
            pairs = [(reached / _seconds(self._verify), reached / _seconds(self._read)) for _ in range(2)]
            per_unit[size] = median(bare / ours for ours, bare in pairs)  # reading is linear by itself, and as noisy
        return [
            Figure("imports/audit", f"audit rows verified, {reached:,}", "per s", "read and hashed once", tuple(pairs)),
            _grown("audit", "audit verification, per row", "readings", per_unit),
        ]

    def _chains(self, first: int, last: int) -> None:
        at = datetime(2026, 1, 5, 14, 0, tzinfo=UTC)
        rows, heads = [], []
        names = [column.name for column in AuditRow.__table__.columns]
        for chain in range(first, last):
            previous = START
            for number in range(1, _CHAIN + 1):
                row = AuditRow(
                    journey_id=f"t-{chain:07d}",
                    number=number,
                    entry=f"t-{chain}:{number}",
                    at=at + timedelta(minutes=number),
                    what=f"processed, token {number}",
                    by="Dana",
                    status="Processed",
                    previous=previous,
                )
                commit(row)
                row.hash = previous = hash_of(row)
                rows.append({name: getattr(row, name) for name in names})
            heads.append({"journey_id": f"t-{chain:07d}", "number": _CHAIN, "hash": previous})
        with self._owner.begin() as connection:
            for start in range(0, len(rows), 2000):
                connection.execute(insert(AuditRow), rows[start : start + 2000])
            connection.execute(insert(AuditHead), heads)

    def _verify(self) -> None:
        with self._site.sessions() as session:
            found = examine(session)
        assert not found.faults, found.faults[:1]

    def _read(self) -> None:
        query = select(AuditRow).order_by(AuditRow.journey_id, AuditRow.number).execution_options(yield_per=1000)
        with self._site.sessions() as session:
            for row in session.scalars(query):
                hashlib.sha256(f"{row.previous}{row.entry}{row.what}{row.at}".encode()).hexdigest()


def _columns() -> Any:
    return select(*TokenRow.__table__.columns)


def _elsewhere() -> Any:
    from sqlalchemy import MetaData

    return MetaData()


def _grown(key: str, what: str, unit: str, per_unit: dict[int, float]) -> Figure:
    small, middle, large = (per_unit[size] for size in SIZES)
    return Figure(
        f"growth/{key}",
        f"growth: {what}, 16×",
        unit,
        "1×",
        ((large, small),),
        details={"1×": small, "4×": middle, "16×": large},
    )
