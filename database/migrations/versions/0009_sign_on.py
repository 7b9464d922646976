"""used launch tokens, and sessions of prescribers at the pages"""

import sqlalchemy as sa
from alembic import op

import database.tables

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "launches",
        sa.Column("launch_hash", sa.String(length=255), nullable=False),
        sa.Column("expires_at", database.tables.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("launch_hash"),
    )
    op.create_index(op.f("ix_launches_expires_at"), "launches", ["expires_at"], unique=False)
    op.create_table(
        "page_sessions",
        sa.Column("session_hash", sa.String(length=255), nullable=False),
        sa.Column("prescriber_id", sa.String(length=255), nullable=False),
        sa.Column("pin_validated", sa.Boolean(), nullable=False),
        sa.Column("device", sa.String(length=255), nullable=True),
        sa.Column("signed_on_at", database.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("seen_at", database.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", database.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("ended_at", database.tables.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["prescriber_id"], ["prescribers.prescriber_id"]),
        sa.PrimaryKeyConstraint("session_hash"),
    )
    op.create_index(op.f("ix_page_sessions_expires_at"), "page_sessions", ["expires_at"], unique=False)
    op.create_index(op.f("ix_page_sessions_prescriber_id"), "page_sessions", ["prescriber_id"], unique=False)


def downgrade() -> None:
    op.drop_table("page_sessions")
    op.drop_table("launches")
