"""imports that were abandoned are known by when they were last touched"""

import sqlalchemy as sa
from alembic import op

import database.tables

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    # Nullable: code of the release before knows nothing of it, and adds its rows without.
    with op.batch_alter_table("imports", schema=None) as batch_op:
        batch_op.add_column(sa.Column("touched_at", database.tables.UtcDateTime(timezone=True), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("imports", schema=None) as batch_op:
        batch_op.drop_column("touched_at")
