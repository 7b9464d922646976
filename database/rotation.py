"""Changing the key over what is sealed in the database, while workers run.

The order that loses nothing: a new key is put behind the others in `TOKENS_SEAL_KEYS`, everywhere; then first, everywhere;
then `reseal` brings what is there under it; then the old one may go.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, LargeBinary, and_, bindparam, func, select, tuple_, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from database.engine import Sessions
from database.sealing import LONGEST_HEAD, Seal, Unsealable, key_id_of
from database.tables import Base, EmailRow, ImportedToken, SoftEnrollment, TokenRow

NO_KEY_ID = "?"
"""Stands for the key id of bytes that name none."""
_BATCH = 500
_MOST_PASSES = 5


@dataclass(frozen=True)
class SealedColumn:
    """`about`: the column with what a value is bound to (see `Seal.close`). It never changes for a row that is there."""

    table: type[Base]
    column: str
    about: str

    @property
    def name(self) -> str:
        return f"{self.table.__tablename__}.{self.column}"

    @property
    def attribute(self) -> InstrumentedAttribute[Any]:
        return getattr(self.table, self.column)

    @property
    def key(self) -> list[InstrumentedAttribute[Any]]:
        """The primary key, in the order in which rows are walked."""
        return [getattr(self.table, column.name) for column in self.table.__table__.primary_key]


SEALED = (
    SealedColumn(ImportedToken, "seed", about="serial_number"),  # first: they move to `tokens`
    SealedColumn(SoftEnrollment, "seed", about="enrollment_ref"),
    SealedColumn(TokenRow, "seed", about="serial_number"),
    SealedColumn(EmailRow, "sealed_message", about="message_id"),
)
"""Everything that is sealed in the database. A test holds it to the tables."""


@dataclass(frozen=True)
class _Held:
    """One sealed value as it was read. `key`: its row's primary key."""

    value: bytes
    about: str
    key: tuple[Any, ...]


@dataclass(frozen=True)
class Unopened:
    """A value that could not be re-sealed and was left as it is. `row` is its primary key."""

    what: str
    row: str
    key_id: str
    why: str


@dataclass(frozen=True)
class Resealed:
    """What came of it. `before` and `after`: how many values lie under each key id."""

    before: Counter[str]
    after: Counter[str]
    unopened: list[Unopened]


def counts(sessions: Sessions) -> dict[str, Counter[str]]:
    """For each sealed column, `tokens.seed` and so on, how many values lie under which key id."""
    found: dict[str, Counter[str]] = {}
    for sealed in SEALED:
        head = func.substr(sealed.attribute, 1, LONGEST_HEAD, type_=LargeBinary)
        found[sealed.name] = Counter(
            key_id_of(held.value) or NO_KEY_ID for rows in _batches(sessions, sealed, head) for held in rows
        )
    return found


def reseal(sessions: Sessions, seal: Seal) -> Resealed:
    """Brings everything that is sealed under the seal's first key, in batches with a transaction each: whatever ends it, the next
    call goes on. A value that changes meanwhile stays as it was changed. Passes are repeated until one finds nothing, as
    workers may write under an older key, or move rows, behind it."""
    before = _total(sessions)
    unopened: list[Unopened] = []
    for _ in range(_MOST_PASSES):
        found, unopened = 0, []
        for sealed in SEALED:
            for rows in _batches(sessions, sealed, sealed.attribute, other_than=seal.current):
                renewed = []
                for held in rows:
                    try:
                        plain = seal.open(held.value, held.about)
                    except Unsealable as fault:
                        unopened.append(_unopened(sealed, held, fault))
                    else:
                        renewed.append((held, seal.close(plain, held.about)))
                found += len(renewed)
                if renewed:
                    with sessions.begin() as session:
                        _replace(session, sealed, renewed)
        if not found:
            break
    return Resealed(before=before, after=_total(sessions), unopened=unopened)


def _total(sessions: Sessions) -> Counter[str]:
    return sum(counts(sessions).values(), Counter())


def _batches(
    sessions: Sessions, sealed: SealedColumn, value: Any, other_than: str | None = None
) -> Iterator[list[_Held]]:
    """What is held, by `value`, in the order of the rows' keys; with `other_than`, only what is not under this key id. A
    transaction for each batch, so that no writer waits for long."""
    wanted: list[ColumnElement[bool]] = [sealed.attribute.is_not(None)]
    if other_than is not None:
        head = other_than.encode() + b":"
        beginning = func.substr(sealed.attribute, 1, len(head), type_=LargeBinary)
        wanted.append(beginning.is_distinct_from(head))  # of no bytes at all SQLite makes NULL
    about = getattr(sealed.table, sealed.about)
    query = select(value, about.label("about"), *sealed.key).where(*wanted).order_by(*sealed.key).limit(_BATCH)
    following = query
    while True:
        with sessions.begin() as session:
            rows = [_Held(value=row[0] or b"", about=row[1], key=tuple(row[2:])) for row in session.execute(following)]
        if not rows:
            return
        yield rows
        following = query.where(tuple_(*sealed.key) > tuple_(*rows[-1].key))


def _replace(session: Session, sealed: SealedColumn, renewed: list[tuple[_Held, bytes]]) -> None:
    """Writes each new value where the old one still stands, and nowhere else."""
    same_row = and_(*(column == bindparam(f"key_{column.key}") for column in sealed.key))
    still_the_same = sealed.attribute == bindparam("old")
    session.connection().execute(
        update(sealed.table).where(same_row, still_the_same).values({sealed.column: bindparam("new")}),
        [
            {"old": held.value, "new": new}
            | {f"key_{column.key}": part for column, part in zip(sealed.key, held.key, strict=True)}
            for held, new in renewed
        ],
    )


def _unopened(sealed: SealedColumn, held: _Held, fault: Unsealable) -> Unopened:
    return Unopened(
        what=sealed.name, row=" ".join(map(str, held.key)), key_id=key_id_of(held.value) or NO_KEY_ID, why=str(fault)
    )
