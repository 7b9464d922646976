"""Alembic's migrations; run by `database.migrate`."""
