"""Verifying the audit trail: every chain by itself, against its head, and against what was anchored of it outside the database."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

from sqlalchemy import select
from sqlalchemy.orm import Session

from database.audit_hash import (
    ERASURE,
    OWN,
    PURGE,
    START,
    commitments_hold,
    digest_of_purge,
    erased,
    hash_of,
    remainder,
)
from database.tables import AuditHead, AuditPurge, AuditRow


@dataclass(frozen=True)
class Fault:
    """One broken place of the trail: the journey, the row's number in its chain, what is wrong."""

    journey_id: str
    number: int
    what: str


@dataclass(frozen=True)
class Point:
    """What an anchor says of a journey: that its row `number` has this hash. `made_at` is UTC."""

    number: int
    hash: str
    anchor: int
    made_at: datetime


@dataclass
class Findings:
    """What came of it. `behind`: journeys whose own chain is whole, but older than what was anchored or going on differently:
    what a restored backup looks like."""

    rows: int = 0
    journeys: int = 0
    faults: list[Fault] = field(default_factory=list)
    behind: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _Erasure:
    """Up to where personal data has been erased, as an entry of the chain witnesses, and what it left of older rows."""

    to: int
    older: Mapping[str, str]


def examine(session: Session, anchored: Mapping[str, list[Point]] | None = None) -> Findings:
    """Walks every chain, a journey's rows in memory at a time. `anchored`: by journey, oldest first."""
    anchored = anchored or {}
    heads = {head.journey_id: head for head in session.scalars(select(AuditHead))}
    removed = session.scalars(select(AuditPurge).order_by(AuditPurge.number)).all()
    purges = {purge.journey_id: purge for purge in removed}  # the latest of each
    found = Findings()
    query = select(AuditRow).order_by(AuditRow.journey_id, AuditRow.number).execution_options(yield_per=1000)
    walked = set()
    for journey_id, group in groupby(session.scalars(query), key=lambda row: row.journey_id):
        rows = list(group)
        walked.add(journey_id)
        found.rows += len(rows)
        _examine(found, journey_id, rows, heads.get(journey_id), purges.get(journey_id), anchored.get(journey_id, []))
    for journey_id in sorted((heads.keys() | anchored.keys() | purges.keys()) - walked):
        _examine(found, journey_id, [], heads.get(journey_id), purges.get(journey_id), anchored.get(journey_id, []))
    found.journeys = len(heads.keys() | walked)
    found.faults += _faults_of_purges(session, removed)
    return found


def _examine(
    found: Findings,
    journey_id: str,
    rows: list[AuditRow],
    head: AuditHead | None,
    purge: AuditPurge | None,
    points: list[Point],
) -> None:
    start = (purge.number, purge.hash) if purge else (0, START)
    own = [Fault(journey_id, number, what) for number, what in _faults(rows, head, start)]
    hashes = dict([start, *((row.number, row.hash) for row in rows)])
    against = [Fault(journey_id, number, what) for number, what in _against(hashes, points, start[0])]
    if against and not own:
        found.behind.add(journey_id)
    found.faults += own + against


def _faults(rows: list[AuditRow], head: AuditHead | None, start: tuple[int, str]) -> Iterator[tuple[int, str]]:
    """What is wrong within one chain and with its head."""
    erasure = _erasure(rows)
    places = {row.number for row in rows} | set(range(start[0] + 1, (head.number if head else 0) + 1))
    written: dict[int, list[AuditRow]] = {}
    """By the number under which they were written."""
    changed = set()
    for row in rows:
        number = row.number
        if not _fits(row, number, erasure):
            # Moved to another place? Its hash tells where it was written.
            number = next((place for place in places if place != number and hash_of(row, place) == row.hash), number)
            if number == row.number:
                changed.add(number)
                what = "personal data is gone, but no erasure is on record" if erased(row) else "changed"
                yield number, f"{what} after it was written"
        written.setdefault(number, []).append(row)
    yield from _moved(written)
    yield from _gaps(written, head.number if head else 0, start[0])
    previous = start
    for number in sorted(written):
        row = next((row for row in written[number] if row.previous == previous[1]), written[number][0])
        if previous[0] == number - 1 and row.previous != previous[1] and not changed & {number, number - 1}:
            yield number, "does not follow from the row before it: one of the two was inserted, or written anew"
        previous = (number, row.hash)
    end = max((row.number for row in rows), default=start[0])
    if head is None and rows:
        yield end, "the chain has no head: it was inserted, or its head was removed"
    elif head and head.number < end:
        for number in range(head.number + 1, end + 1):
            yield number, f"inserted behind the chain's end, which is row {head.number}"
    elif head and head.number == end and head.hash != dict([start, *((row.number, row.hash) for row in rows)])[end]:
        yield end, "the head does not fit the chain's last row: one of the two was changed"


def _moved(written: dict[int, list[AuditRow]]) -> Iterator[tuple[int, str]]:
    for number, rows in written.items():
        for row in rows:
            if row.number == number:
                if len(rows) > 1:
                    yield number, "inserted: another row was written as this number"
            else:
                yield row.number, f"reordered: it was written as row {number}"


def _gaps(written: dict[int, list[AuditRow]], head: int, start: int) -> Iterator[tuple[int, str]]:
    last = max(written, default=start)
    gone = [number for number in range(start + 1, last) if number not in written]
    for _, run in groupby(enumerate(gone), key=lambda pair: pair[1] - pair[0]):
        numbers = [number for _, number in run]
        yield numbers[0], f"missing: {_rows(numbers[0], numbers[-1])}"
    if head > last:
        yield last + 1, f"cut off: {_rows(last + 1, head)} missing, which the head names"


def _against(hashes: dict[int, str], points: list[Point], purged: int) -> Iterator[tuple[int, str]]:
    """The first anchored place at which the chain is another one."""
    good = purged
    for point in points:
        if point.number < purged:
            continue
        anchor = f"anchor {point.anchor} of {point.made_at:%d %B %Y %H:%M} UTC"
        if point.number not in hashes:
            last = max(hashes)
            yield max(last, good) + 1, f"cut off: {anchor} names row {point.number}, and the chain ends at {last}"
            return
        if hashes[point.number] != point.hash:
            yield good + 1, f"written anew: {_rows(good + 1, point.number)} not what {anchor} names"
            return
        good = point.number


def _fits(row: AuditRow, number: int, erasure: _Erasure | None) -> bool:
    """Whether the row is what its hash says, or was erased and an entry of its chain says so."""
    witnessed = erasure is not None and row.number <= erasure.to
    if row.version == 1 and witnessed and erasure is not None and str(row.number) in erasure.older:
        return remainder(row) == erasure.older[str(row.number)]
    if hash_of(row, number) != row.hash:
        return False
    return row.version == 1 or (commitments_hold(row) and (witnessed or not erased(row)))


def _erasure(rows: list[AuditRow]) -> _Erasure | None:
    """The latest one on record; an entry counts only if it is whole itself."""
    for row in reversed(rows):
        facts = row.facts or {}
        if (
            row.message == ERASURE
            and row.version == 2
            and hash_of(row) == row.hash
            and facts.get("to", row.number) < row.number
        ):
            return _Erasure(facts["to"], facts["older"])
    return None


def _faults_of_purges(session: Session, removed: Sequence[AuditPurge]) -> Iterator[Fault]:
    """Rows that are gone by a purge which the trail's own chain knows nothing of."""
    if not removed:
        return
    witnesses = session.scalars(select(AuditRow).where(AuditRow.journey_id == OWN, AuditRow.message == PURGE))
    on_record = {
        row.facts["purge_id"]: row.facts["digest"] for row in witnesses if row.facts and hash_of(row) == row.hash
    }
    by_purge: dict[str, list[AuditPurge]] = {}
    for purge in removed:
        by_purge.setdefault(purge.purge_id, []).append(purge)
    for purge_id, purges in by_purge.items():
        if on_record.get(purge_id) != digest_of_purge(purges):
            for purge in purges:
                yield Fault(
                    purge.journey_id, purge.number, "removed up to here by a purge that is not on record like this"
                )


def _rows(first: int, last: int) -> str:
    return f"row {first} is" if first == last else f"rows {first} to {last} are"
