"""the audit trail: erasable texts, tombstones of purges, and triggers that let nothing be changed or taken away

A migration that remakes the table `audit` on SQLite (batch mode) loses its triggers and has to make them anew.
"""

import sqlalchemy as sa
from alembic import op

import database.tables

revision = "0010"
down_revision = "0009"

_COVERED = ("journey_id", "number", "entry", "at", "status", "message", "previous", "hash", "version")
"""What not even an erasure may change, beside the JSON columns, which PostgreSQL compares as text."""

# The driver takes a doubled percent sign for one.
_POSTGRESQL = (
    """
    create function audit_append_only() returns trigger language plpgsql as $$
    declare
        old_head text;
    begin
        if tg_op = 'TRUNCATE' then
            raise exception 'the audit trail is append-only: it can not be emptied';
        end if;
        if tg_op = 'UPDATE' then
            old_head := split_part(old.what, ': ', 1);
            if COVERED
                and new.commitments::text is not distinct from old.commitments::text
                and new.facts::text is not distinct from old.facts::text
                and new."by" is null and new.refused is null and new.salts is null
                and new.what in (old.what, old_head || ': (erased)')
                and split_part(new.what, ': ', 1) = old_head
                and old.at < now() - interval '2 years'
            then
                return new;
            end if;
            raise exception 'the audit trail is append-only: row %% of %% can not be changed', old.number, old.journey_id;
        end if;
        if old.at < now() - interval '2 years' and exists (
            select from audit_purges where journey_id = old.journey_id and number >= old.number
        ) then
            return old;
        end if;
        raise exception 'the audit trail is append-only: row %% of %% can not be removed', old.number, old.journey_id;
    end $$
    """,
    """
    create function audit_heads_go_on() returns trigger language plpgsql as $$
    begin
        if tg_op = 'UPDATE' and new.journey_id = old.journey_id and new.number > old.number then
            return new;
        end if;
        raise exception 'the audit trail is append-only: its heads and tombstones can only be added to';
    end $$
    """,
    "create trigger audit_append_only before update or delete on audit for each row execute function audit_append_only()",
    "create trigger audit_no_truncate before truncate on audit for each statement execute function audit_append_only()",
    "create trigger audit_heads_go_on before update or delete on audit_heads for each row execute function audit_heads_go_on()",
    "create trigger audit_heads_no_truncate before truncate on audit_heads execute function audit_heads_go_on()",
    "create trigger audit_purges_stay before update or delete on audit_purges for each row execute function audit_heads_go_on()",
)

_SQLITE = (
    """
    create trigger audit_not_changed before update on audit
    when not (
        COVERED
        and new.commitments is old.commitments and new.facts is old.facts
        and new."by" is null and new.refused is null and new.salts is null
        and (
            new.what = old.what
            or new.what = substr(old.what, 1, instr(old.what, ': ') - 1) || ': (erased)' and instr(old.what, ': ') > 0
        )
        and old.at < datetime('now', '-2 years')
    )
    begin select raise(abort, 'the audit trail is append-only: a row can not be changed'); end
    """,
    """
    create trigger audit_not_removed before delete on audit
    when not (
        old.at < datetime('now', '-2 years')
        and exists (select 1 from audit_purges where journey_id = old.journey_id and number >= old.number)
    )
    begin select raise(abort, 'the audit trail is append-only: a row can not be removed'); end
    """,
    # SQLite's INSERT OR REPLACE would remove a row without asking the trigger above.
    """
    create trigger audit_not_replaced before insert on audit
    when exists (select 1 from audit where (journey_id = new.journey_id and number = new.number) or entry = new.entry)
    begin select raise(abort, 'the audit trail is append-only: a row can not be replaced'); end
    """,
    """
    create trigger audit_heads_go_on before update on audit_heads
    when not (new.journey_id = old.journey_id and new.number > old.number)
    begin select raise(abort, 'the audit trail is append-only: its heads only go on'); end
    """,
    """
    create trigger audit_heads_stay before delete on audit_heads
    begin select raise(abort, 'the audit trail is append-only: its heads stay'); end
    """,
    """
    create trigger audit_purges_not_changed before update on audit_purges
    begin select raise(abort, 'the audit trail is append-only: its tombstones stay'); end
    """,
    """
    create trigger audit_purges_not_removed before delete on audit_purges
    begin select raise(abort, 'the audit trail is append-only: its tombstones stay'); end
    """,
)


def upgrade() -> None:
    # Each with a default or without need of a value: workers of 0.1.0 still write the rows as they know them.
    op.add_column("audit", sa.Column("version", sa.Integer(), server_default="1", nullable=False))
    op.add_column("audit", sa.Column("commitments", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("audit", sa.Column("salts", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("audit", sa.Column("facts", sa.JSON(none_as_null=True), nullable=True))
    op.create_table(
        "audit_purges",
        sa.Column("journey_id", sa.String(length=255), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=255), nullable=False),
        sa.Column("first_at", database.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("last_at", database.tables.UtcDateTime(timezone=True), nullable=False),
        sa.Column("purge_id", sa.String(length=255), nullable=False),
        sa.Column("purged_at", database.tables.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("journey_id", "number"),
    )
    op.create_index(op.f("ix_audit_purges_purge_id"), "audit_purges", ["purge_id"], unique=False)
    on_postgresql = op.get_bind().dialect.name == "postgresql"
    same = "is not distinct from" if on_postgresql else "is"
    covered = " and ".join(f"new.{column} {same} old.{column}" for column in _COVERED)
    for statement in _POSTGRESQL if on_postgresql else _SQLITE:
        op.get_bind().exec_driver_sql(statement.replace("COVERED", covered))


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for trigger, table in (
            ("audit_append_only", "audit"),
            ("audit_no_truncate", "audit"),
            ("audit_heads_go_on", "audit_heads"),
            ("audit_heads_no_truncate", "audit_heads"),
            ("audit_purges_stay", "audit_purges"),
        ):
            op.execute(f"drop trigger {trigger} on {table}")
        op.execute("drop function audit_append_only()")
        op.execute("drop function audit_heads_go_on()")
    else:
        for trigger in ("audit_not_changed", "audit_not_removed", "audit_not_replaced"):
            op.execute(f"drop trigger {trigger}")
        for trigger in ("audit_heads_go_on", "audit_heads_stay"):
            op.execute(f"drop trigger {trigger}")
    op.drop_table("audit_purges")
    for column in ("facts", "salts", "commitments", "version"):
        op.drop_column("audit", column)
