"""soft tokens have a name, and their seed lies in one place only"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    with op.batch_alter_table("soft_enrollments", schema=None) as batch_op:
        batch_op.alter_column("seed", existing_type=sa.LargeBinary(), nullable=True)
    # What is enrolled has its seed in `tokens`.
    op.execute("UPDATE soft_enrollments SET seed = NULL WHERE used_at IS NOT NULL")
    with op.batch_alter_table("tokens", schema=None) as batch_op:
        batch_op.add_column(sa.Column("name", sa.String(length=255), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("tokens", schema=None) as batch_op:
        batch_op.drop_column("name")
    op.execute("DELETE FROM soft_enrollments WHERE seed IS NULL AND used_at IS NULL")
    op.execute("UPDATE soft_enrollments SET seed = '' WHERE seed IS NULL")
    with op.batch_alter_table("soft_enrollments", schema=None) as batch_op:
        batch_op.alter_column("seed", existing_type=sa.LargeBinary(), nullable=False)
