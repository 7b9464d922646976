"""events that came by webhook"""

import sqlalchemy as sa
from alembic import op

import database.tables

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "webhook_events",
        sa.Column("event_key", sa.String(length=255), nullable=False),
        sa.Column("sender", sa.String(length=255), nullable=False),
        sa.Column("message", sa.String(length=255), nullable=False),
        sa.Column("tracking_number", sa.String(length=255), nullable=True),
        sa.Column("journey_id", sa.String(length=255), nullable=True),
        sa.Column("status", sa.String(length=255), nullable=False),
        sa.Column("detail", sa.String(length=255), nullable=True),
        sa.Column("occurred_at", database.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("received_at", database.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("passed_on_at", database.tables.UtcDateTime(timezone=True), nullable=True),
        sa.Column("next_try_at", database.tables.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("event_key"),
    )
    with op.batch_alter_table("webhook_events") as batch:
        for column in ("tracking_number", "journey_id", "received_at"):
            batch.create_index(f"ix_webhook_events_{column}", [column], unique=False)
        batch.create_index(
            "webhook_events_waiting",
            ["next_try_at"],
            unique=False,
            sqlite_where=sa.text("passed_on_at is null"),
            postgresql_where=sa.text("passed_on_at is null"),
        )


def downgrade() -> None:
    op.drop_table("webhook_events")
