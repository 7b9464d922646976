"""answers to requests that came with an idempotency key; lists in the order of the requests"""

import sqlalchemy as sa
from alembic import op

import database.tables

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "idempotent_requests",
        sa.Column("caller", sa.String(length=255), nullable=False),
        sa.Column("idempotency_key", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", sa.String(length=255), nullable=False),
        sa.Column("request_id", sa.String(length=255), nullable=False),
        sa.Column("came_at", database.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("claimed_at", database.tables.UtcDateTime(timezone=True), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("headers", sa.JSON(), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("caller", "idempotency_key"),
    )
    op.create_index("ix_idempotent_requests_came_at", "idempotent_requests", ["came_at"])
    op.create_index("journeys_by_request", "journeys", ["requested_at", "journey_id"])


def downgrade() -> None:
    op.drop_index("journeys_by_request", table_name="journeys")
    op.drop_table("idempotent_requests")
