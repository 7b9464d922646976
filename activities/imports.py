"""Taking token makers' files into stock: `ImportTokens`.

A file is read in batches into a table of its own (`imported_tokens`), seeds sealed, and how far it has come is written with each
batch: whoever goes on after a killed worker begins there. Only when all of it has been read does one transaction compare it with
the stock and move it over, so that stock is unchanged or complete at any time (docs/decisions/0008-imports.md).
"""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from temporalio import activity

from activities.beating import Beating
from activities.errors import refused
from activities.import_folder import ImportFolder, batch_of
from activities.import_orders import ImportEnding, ImportOrder, ImportProgress, ImportReport
from activities.takeover import report, take_over
from database import audit
from database.engine import Sessions
from database.sealing import Seal
from database.tables import ImportedToken, ImportRefusal, ImportRow
from domain.chronicle import Entry
from domain.token_files import BadRow, FileRefused, Format, Row, Token, recognised, rows

_BATCH = 2000
_ABANDONED = timedelta(hours=1)
_CHUNK = 1 << 20


class Overtaken(Exception):
    """Another attempt goes on with this import: this one was given up while it still worked."""


class Imports:
    """Given the database, the seal over seeds, and the folder."""

    def __init__(self, sessions: Sessions, seal: Seal, folder: ImportFolder) -> None:
        self._sessions, self._seal, self._folder = sessions, seal, folder

    @activity.defn(name="imports.take_in")
    def take_in(self, order: ImportOrder) -> ImportReport:
        """Reads the file to its end and takes its tokens into stock. Raises `refused` for a file that can't be read as a whole;
        rows that can't be taken are in the report. Beats while it works; begun again, it goes on where it was."""
        with Beating() as beat:
            try:
                return self._take_in(order, beat)
            except FileRefused as fault:
                raise refused(str(fault)) from None

    def _take_in(self, order: ImportOrder, beat: Beating) -> ImportReport:
        with self._sessions() as session:
            row = session.get(ImportRow, order.import_id)
            if row is not None and row.ended_at is not None:
                return report(session, row)
        path = self._folder.file(order.file)
        unlock = self._folder.unlock(order.file)
        with path.open("rb") as file:
            fingerprint = _fingerprint(file)
        format_ = Format(order.format) if order.format else recognised(path)
        done = self._begin(order, fingerprint, format_)
        batch_name = batch_of(order.file)
        for batch in _batches(islice(rows(path, format_, unlock), done, None)):
            self._stage(order, batch, done, batch_name)
            done += len(batch)
            beat.progress = done
        if not done:
            raise FileRefused("The file holds no tokens; send one with at least one.")
        with activity.shield_thread_cancel_exception():
            return take_over(self._sessions, order)

    def _begin(self, order: ImportOrder, fingerprint: str, format_: Format) -> int:
        """How many rows have been read before."""
        now = datetime.now(UTC)
        with activity.shield_thread_cancel_exception(), self._sessions.begin() as session:
            row = session.get(ImportRow, order.import_id, with_for_update=True)
            if row is not None:
                if row.fingerprint != fingerprint:
                    raise refused(
                        f"{order.file} was changed while it was being imported; nothing was taken, start it again."
                    )
                row.touched_at = now
                return row.rows_read
            _forget_abandoned(session, now)
            session.add(
                ImportRow(
                    import_id=order.import_id,
                    workflow_id=order.workflow_id,
                    file=order.file,
                    fingerprint=fingerprint,
                    format=format_,
                    partial=order.partial,
                    imported_by=order.imported_by,
                    rows_read=0,
                    taken=0,
                    refused=0,
                    started_at=activity.info().started_time,
                    touched_at=now,
                    ended_at=None,
                )
            )
            return 0

    def _stage(self, order: ImportOrder, batch: list[Row], done: int, batch_name: str) -> None:
        """Keeps a batch aside, if nobody else has; `done`: how many rows there were before it."""
        bad = [_refusal(order, row.line, row.serial, row.reason) for row in batch if isinstance(row, BadRow)]
        first: dict[str, Token] = {}
        for row in batch:
            if isinstance(row, Token):
                earlier = first.setdefault(row.serial, row)
                if earlier is not row:
                    bad.append(_duplicate(order, row, earlier.line))
        good = {
            serial: {
                "import_id": order.import_id,
                "serial_number": serial,
                "line": token.line,
                "batch": token.batch or batch_name,
                "algorithm": token.device.algorithm,
                "digits": token.device.digits,
                "digest": token.device.digest,
                "period": token.device.period,
                "seed": self._seal.close(token.device.seed, serial),
                "counter": token.counter,
            }
            for serial, token in first.items()
        }
        with activity.shield_thread_cancel_exception(), self._sessions.begin() as session:
            for serial, line in _staged(session, good):
                bad.append(_duplicate(order, first[serial], line))
            if bad:
                session.execute(insert(ImportRefusal.__table__), bad)  # type: ignore[arg-type]
            moved = session.execute(
                update(ImportRow)
                .where(
                    ImportRow.import_id == order.import_id, ImportRow.rows_read == done, ImportRow.ended_at.is_(None)
                )
                .values(rows_read=done + len(batch), refused=ImportRow.refused + len(bad), touched_at=datetime.now(UTC))
            )
            if moved.rowcount != 1:  # type: ignore[attr-defined]  # a CursorResult, as always for UPDATE
                raise Overtaken("another attempt goes on with this import")

    @activity.defn(name="imports.progress")
    def progress(self, import_id: str) -> ImportProgress:
        """How far it has come."""
        with self._sessions() as session:
            row = session.get(ImportRow, import_id)
            return ImportProgress() if row is None else ImportProgress(rows_read=row.rows_read, refused=row.refused)

    @activity.defn(name="imports.clear")
    def clear(self, ending: ImportEnding) -> None:
        """Removes what an import that is over needed: staged rows, what opened its file, the copy that `tokens import` made. A
        file that was refused goes into the audit trail."""
        order = ending.order
        now = activity.info().started_time
        with self._sessions.begin() as session:
            session.execute(delete(ImportedToken).where(ImportedToken.import_id == order.import_id))
            row = session.get(ImportRow, order.import_id)
            if row is not None and row.ended_at is None:
                row.ended_at = now
            if ending.refused:
                entry = Entry(
                    number=1,
                    at=now,
                    what="import refused",
                    by=order.imported_by,
                    status="Refused",
                    refused=ending.refused,
                )
                audit.append(session, order.workflow_id, order.import_id, [entry])
        self._folder.clear(order.file)


def _staged(session: Session, good: dict[str, dict[str, Any]]) -> list[tuple[str, int]]:
    """Puts the rows to those that wait. Returns the serials that waited already, each with the line in which it stood."""
    if not good:
        return []
    on_postgresql = session.get_bind().dialect.name == "postgresql"
    inserting = (postgresql if on_postgresql else sqlite).insert(ImportedToken.__table__).on_conflict_do_nothing()  # type: ignore[arg-type]
    done = session.execute(inserting, list(good.values()), execution_options={"preserve_rowcount": True})
    if done.rowcount == len(good):  # type: ignore[attr-defined]  # a CursorResult, as always for INSERT
        return []
    # Looked up only now: files that repeat a serial are rare, and each look costs as much as the insert.
    if on_postgresql:
        # It would go on with the plan that was good when the table was still empty.
        session.execute(text("ANALYZE imported_tokens"))
    waiting = session.execute(
        select(ImportedToken.serial_number, ImportedToken.line).where(
            ImportedToken.import_id == next(iter(good.values()))["import_id"], ImportedToken.serial_number.in_(good)
        )
    )
    return [(serial, line) for serial, line in waiting if line != good[serial]["line"]]


def _forget_abandoned(session: Session, now: datetime) -> None:
    """Rows of imports that were terminated. One that still lives but rests begins from its file's start again."""
    since = func.coalesce(ImportRow.touched_at, ImportRow.started_at)
    abandoned = session.scalars(
        select(ImportRow.import_id).where(ImportRow.ended_at.is_(None), since < now - _ABANDONED)
    ).all()
    for table in (ImportedToken, ImportRefusal, ImportRow):
        session.execute(delete(table).where(table.import_id.in_(abandoned)))


def _fingerprint(file: Any) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def _batches(found: Iterable[Row]) -> Iterator[list[Row]]:
    rest = iter(found)
    while batch := list(islice(rest, _BATCH)):
        yield batch


def _refusal(order: ImportOrder, line: int, serial: str | None, reason: str) -> dict[str, Any]:
    return {"import_id": order.import_id, "line": line, "serial_number": serial, "reason": reason}


def _duplicate(order: ImportOrder, token: Token, line: int) -> dict[str, Any]:
    return _refusal(order, token.line, token.serial, f"its serial number stands in line {line} already")
