"""Least privilege on PostgreSQL: who migrates owns the tables; who runs may not touch what has been written into the audit trail.

The roles are made with the database (`deploy/postgres/`). Where they are not there, as in a test or with one user for
everything, nothing is granted, and the triggers alone hold.
"""

from sqlalchemy import Connection, text

APPLICATION = "tokens_app"
"""The role of worker, gateway and the everyday commands."""
APPEND_ONLY = ("audit", "audit_purges")


def grant(connection: Connection) -> None:
    """Brings the application role's permissions to what they should be; harmless when repeated, so after every migration."""
    if connection.dialect.name != "postgresql":
        return
    known = connection.execute(
        text("select r.rolname = current_user from pg_roles r where r.rolname = :role"), {"role": APPLICATION}
    ).scalar()
    if known is not False:  # not there, or the one that migrates itself
        return
    schema = connection.execute(text("select quote_ident(current_schema())")).scalar_one()
    for statement in (
        f"grant usage on schema {schema} to {APPLICATION}",
        f"grant select, insert, update, delete on all tables in schema {schema} to {APPLICATION}",
        f"grant usage, select on all sequences in schema {schema} to {APPLICATION}",
        f"revoke insert, update, delete, truncate on {schema}.alembic_version from {APPLICATION}",
        *(f"revoke update, delete, truncate on {schema}.{table} from {APPLICATION}" for table in APPEND_ONLY),
        f"revoke insert on {schema}.audit_purges from {APPLICATION}",
        f"revoke delete, truncate on {schema}.audit_heads from {APPLICATION}",
    ):
        connection.execute(text(statement))
