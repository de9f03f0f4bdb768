"""What Alembic runs; the connection, already in a transaction, comes from `records.migrate`."""

from alembic import context

from records.tables import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
