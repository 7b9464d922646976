"""sessions of operators"""

import sqlalchemy as sa
from alembic import op

import database.tables

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "operator_sessions",
        sa.Column("session_hash", sa.String(length=255), nullable=False),
        sa.Column("key_id", sa.String(length=255), nullable=False),
        sa.Column("signed_in_at", database.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("seen_at", database.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", database.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("ended_at", database.tables.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.key_id"]),
        sa.PrimaryKeyConstraint("session_hash"),
    )
    op.create_index(op.f("ix_operator_sessions_expires_at"), "operator_sessions", ["expires_at"], unique=False)
    op.create_index(op.f("ix_operator_sessions_key_id"), "operator_sessions", ["key_id"], unique=False)


def downgrade() -> None:
    op.drop_table("operator_sessions")
