"""The end of an import: what was read is compared with the stock and moved into it, all in one transaction."""

from sqlalchemy import case, delete, func, insert, literal, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from temporalio import activity

from activities.import_orders import ImportOrder, ImportReport, RefusedRow
from database import audit
from database.engine import Sessions
from database.tables import ImportedToken, ImportRefusal, ImportRow, TokenRow
from domain.chronicle import Entry
from domain.status import Kind
from domain.token_state import TokenState

_SHOWN = 100
_TRIES = 5


def report(session: Session, row: ImportRow) -> ImportReport:
    """What came of an import that has ended."""
    refused = session.scalars(
        select(ImportRefusal).where(ImportRefusal.import_id == row.import_id).order_by(ImportRefusal.line).limit(_SHOWN)
    )
    return ImportReport(
        import_id=row.import_id,
        format=row.format,
        taken=row.taken,
        refused=[RefusedRow(line=each.line, serial=each.serial_number, reason=each.reason) for each in refused],
        refused_in_all=row.refused,
    )


def take_over(sessions: Sessions, order: ImportOrder) -> ImportReport:
    """Moves what was read into stock: all of it or nothing, or with `partial` the good rows. No token that is there already is
    touched. Done before, it answers the same."""
    for number in range(_TRIES):
        try:
            with sessions.begin() as session:
                return _take_over(session, order)
        except IntegrityError:
            # PostgreSQL: another import has put the same serial in between the comparison and the move.
            if number == _TRIES - 1:
                raise
    raise AssertionError("unreachable")


def _take_over(session: Session, order: ImportOrder) -> ImportReport:
    row = session.get_one(ImportRow, order.import_id, with_for_update=True)
    if row.ended_at is not None:
        return report(session, row)
    staged = ImportedToken.import_id == order.import_id
    session.execute(
        insert(ImportRefusal).from_select(
            ["import_id", "line", "serial_number", "reason"],
            select(
                ImportedToken.import_id,
                ImportedToken.line,
                ImportedToken.serial_number,
                case(
                    (TokenRow.state == TokenState.IN_STOCK, "it is in stock already"),
                    else_="it is in the inventory already, as " + func.replace(TokenRow.state, "_", " "),
                ),
            )
            .join(TokenRow, TokenRow.serial_number == ImportedToken.serial_number)
            .where(staged),
        )
    )
    of_this = select(func.count()).where(ImportRefusal.import_id == order.import_id)
    row.refused = session.execute(of_this.select_from(ImportRefusal)).scalar_one()
    if order.partial or not row.refused:
        # Not left out while moving: PostgreSQL would look for each row among those that it has just moved, if stock was empty.
        there = select(ImportRefusal.line).where(
            ImportRefusal.import_id == ImportedToken.import_id, ImportRefusal.line == ImportedToken.line
        )
        session.execute(
            delete(ImportedToken).where(staged, there.exists()).execution_options(synchronize_session=False)
        )
        row.taken = _move(session, row)
    session.execute(delete(ImportedToken).where(staged))
    row.ended_at = now = activity.info().started_time
    what = f"import of {order.file}: {row.taken} tokens taken, {row.refused} rows refused"
    entry = Entry(number=1, at=now, what=what, by=order.imported_by, status="Imported" if row.taken else "Refused")
    audit.append(session, order.workflow_id, order.import_id, [entry])
    session.flush()
    return report(session, row)


def _move(session: Session, row: ImportRow) -> int:
    """Returns how many tokens are new in stock."""
    same = ("serial_number", "batch", "algorithm", "digits", "digest", "period", "seed", "counter")
    fresh = {
        "kind": Kind.HARD.value,
        "state": TokenState.IN_STOCK.value,
        "taken_in_at": row.started_at,
        "drift": 0,
        "failures": 0,
        "failures_in_a_row": 0,
        "locked": False,
    }
    columns = [getattr(ImportedToken, name) for name in same]
    values = [literal(value, TokenRow.__table__.c[name].type) for name, value in fresh.items()]
    moved = session.execute(
        insert(TokenRow.__table__).from_select(  # type: ignore[arg-type]
            [*same, *fresh],
            select(*columns, *values).where(ImportedToken.import_id == row.import_id),
            include_defaults=False,
        ),
        execution_options={"preserve_rowcount": True},
    )
    return moved.rowcount  # type: ignore[attr-defined]  # a CursorResult, as always for INSERT
