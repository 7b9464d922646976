"""tickets with which workflows that are gone go on, and what Reconcile has found"""

import sqlalchemy as sa
from alembic import op

import database.tables

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_table(
        "resumptions",
        sa.Column("workflow_id", sa.String(length=255), nullable=False),
        sa.Column("ticket_hash", sa.String(length=255), nullable=False),
        sa.Column("how", sa.String(length=255), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("offered_at", database.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("taken_by", sa.String(length=255), nullable=True),
        sa.PrimaryKeyConstraint("workflow_id"),
    )
    op.create_table(
        "findings",
        sa.Column("about", sa.String(length=255), nullable=False),
        sa.Column("matter", sa.String(length=255), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("then", sa.Text(), nullable=False),
        sa.Column("repaired", sa.Boolean(), nullable=False),
        sa.Column("first_found_at", database.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("found_at", database.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("run_id", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("about", "matter"),
    )
    op.create_index("findings_by_run", "findings", ["run_id", "repaired"], unique=False)


def downgrade() -> None:
    op.drop_index("findings_by_run", table_name="findings")
    op.drop_table("findings")
    op.drop_table("resumptions")
