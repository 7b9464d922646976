"""How Alembic reaches the database: the URL is handed over by `database.migrate`, never read from a file."""

from alembic import context

from database.engine import engine_of
from database.tables import Base

engine = engine_of(context.config.attributes["url"])
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
engine.dispose()
