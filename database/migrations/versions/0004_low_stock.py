"""alerts of low stock by batch, too"""

import sqlalchemy as sa
from alembic import op

import database.tables

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.drop_table("stock_alerts")  # nothing has written to it so far
    op.create_table(
        "stock_alerts",
        sa.Column("kind", sa.String(length=255), nullable=False),
        sa.Column("batch", sa.String(length=255), nullable=False),
        sa.Column("journey_id", sa.String(length=255), nullable=False),
        sa.Column("raised_at", database.tables.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("kind", "batch"),
    )
    op.create_index("tokens_by_batch", "tokens", ["kind", "batch", "state"])


def downgrade() -> None:
    op.drop_index("tokens_by_batch", "tokens")
    op.drop_table("stock_alerts")
    op.create_table(
        "stock_alerts",
        sa.Column("kind", sa.String(length=255), nullable=False),
        sa.Column("journey_id", sa.String(length=255), nullable=False),
        sa.Column("raised_at", database.tables.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("kind"),
    )
