"""imports that were abandoned are known by when they were last touched"""

import sqlalchemy as sa
from alembic import op

import database.tables

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    # Nothing could write imports before this revision, so there is no row that would need a value.
    with op.batch_alter_table("imports", schema=None) as batch_op:
        batch_op.add_column(sa.Column("touched_at", database.tables.UtcDateTime(timezone=True), nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("imports", schema=None) as batch_op:
        batch_op.drop_column("touched_at")
