"""what was given for the new token of a replacement, for one that is taken up after its workflow was lost"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    # Workers of the release before go on writing meanwhile, without them.
    op.add_column("replacements", sa.Column("email", sa.String(length=255), nullable=True))
    op.add_column("replacements", sa.Column("shipping_address", sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("replacements") as table:
        table.drop_column("shipping_address")
        table.drop_column("email")
