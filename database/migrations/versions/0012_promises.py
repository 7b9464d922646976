"""promises in rows of their own, so that reports can count those that were kept"""

import json
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

import database.tables

revision = "0012"
down_revision = "0011"

_AT = database.tables.UtcDateTime(timezone=True)
_MOST = 500


def upgrade() -> None:
    made = op.create_table(
        "promises",
        sa.Column("run_id", sa.String(length=255), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("journey_id", sa.String(length=255), nullable=False),
        sa.Column("what", sa.String(length=255), nullable=False),
        sa.Column("due", _AT, nullable=False),
        sa.Column("met_at", _AT, nullable=True),
        sa.Column("broken", sa.String(length=255), nullable=True),
        sa.Column("ended_at", _AT, nullable=True),
        sa.PrimaryKeyConstraint("run_id", "number"),
    )
    op.create_index(op.f("ix_promises_journey_id"), "promises", ["journey_id"], unique=False)
    columns = ["what", "due", "met_at", "ended_at", "broken", "number"]
    op.create_index("promises_by_due", "promises", columns, unique=False)
    op.create_index("journeys_by_activation", "journeys", ["active_at"], unique=False)
    connection = op.get_bind()
    for query in (_OF_JOURNEYS, _OF_RETURNS, _OF_INCIDENTS):
        cursor = connection.execute(query)
        while rows := cursor.fetchmany(_MOST):
            promised = [promise for row in rows for promise in _promises(row)]
            if promised:
                op.bulk_insert(made, promised)


def downgrade() -> None:
    op.drop_index("journeys_by_activation", "journeys")
    op.drop_table("promises")


_JOURNEYS = sa.table(
    "journeys",
    *(sa.column(name) for name in ("first_run_id", "journey_id")),
    sa.column("promises", sa.JSON()),
    sa.column("ended_at", _AT),
)
_RETURNS = sa.table(
    "returns",
    *(sa.column(name) for name in ("first_run_id", "journey_id")),
    *(sa.column(name, _AT) for name in ("return_by", "received_at", "written_off_at")),
)
_INCIDENTS = sa.table(
    "incidents",
    *(sa.column(name) for name in ("first_run_id", "journey_id")),
    *(sa.column(name, _AT) for name in ("due_at", "closed_at")),
)
_OF_JOURNEYS = sa.select(_JOURNEYS.c.first_run_id, _JOURNEYS.c.journey_id, _JOURNEYS.c.promises, _JOURNEYS.c.ended_at)
_OF_RETURNS = sa.select(
    _RETURNS.c.first_run_id,
    _RETURNS.c.journey_id,
    sa.literal("returned in time").label("what"),
    _RETURNS.c.return_by.label("due"),
    _RETURNS.c.received_at.label("met_at"),
    _RETURNS.c.written_off_at.label("ended_at"),
)
_OF_INCIDENTS = sa.select(
    _INCIDENTS.c.first_run_id,
    _INCIDENTS.c.journey_id,
    sa.literal("reported in time").label("what"),
    _INCIDENTS.c.due_at.label("due"),
    _INCIDENTS.c.closed_at.label("met_at"),
    _INCIDENTS.c.closed_at.label("ended_at"),
)


def _promises(row: Any) -> list[dict[str, Any]]:
    """What the row promised; journeys kept it in one column until now."""
    of = {"run_id": row.first_run_id, "journey_id": row.journey_id}
    if not hasattr(row, "promises"):
        late = row.met_at is not None and row.met_at > row.due
        broken = "it was late" if late else "it did not come" if row.ended_at and not row.met_at else None
        ended_at = None if row.met_at else row.ended_at
        one = {"number": 1, "what": row.what, "due": row.due, "met_at": row.met_at, "broken": broken}
        return [{**of, **one, "ended_at": ended_at}]
    kept = json.loads(row.promises) if isinstance(row.promises, str) else row.promises
    return [
        {
            **of,
            "number": number,
            "what": promise["what"],
            "due": datetime.fromisoformat(promise["due"]),
            "met_at": datetime.fromisoformat(promise["met_at"]) if promise["met_at"] else None,
            "broken": promise["broken"][:255] if promise.get("broken") else None,
            "ended_at": None if promise["met_at"] else row.ended_at,
        }
        for number, promise in enumerate(kept if isinstance(kept, list) else (), 1)
    ]
