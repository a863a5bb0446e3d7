"""Alembic's entry point: runs the migrations on the connection that the caller locked."""

from alembic import context
from sqlalchemy import Connection

from tasks.inventory.tables import Table

connection: Connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Table.metadata,
    transactional_ddl=True,  # the caller's transaction: a migration happens whole or not at all
)
with context.begin_transaction():
    context.run_migrations()
