"""indexes for what is overdue and what needs a person, so that neither list reads what it passes over"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

_INDEXES = (
    ("journeys_due", ["action_due_by"], "live"),
    ("journeys_needing_attention", ["requested_at", "journey_id"], "needs_attention is not null"),
)


def upgrade() -> None:
    # Workers of the release before go on writing meanwhile.
    with op.get_context().autocommit_block():
        for name, columns, where in _INDEXES:
            # One whose making broke off is there, and no good.
            op.drop_index(name, "journeys", if_exists=True, postgresql_concurrently=True)
            condition = sa.text(where)
            op.create_index(
                name,
                "journeys",
                columns,
                unique=False,
                postgresql_concurrently=True,
                postgresql_where=condition,
                sqlite_where=condition,
            )


def downgrade() -> None:
    for name, _, _ in _INDEXES:
        op.drop_index(name, "journeys")
