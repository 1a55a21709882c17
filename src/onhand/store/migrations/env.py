"""Runs the migrations on the connection that `onhand.store.engine.migrate` opened."""

from __future__ import annotations

from alembic import context

from onhand.store import outward, schema

METADATA = {table.metadata for table in (schema.accounts, outward.feeds)}.pop()

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
