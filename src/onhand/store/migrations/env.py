"""Runs the migrations on the connection that `onhand.store.engine.migrate` opened."""

from __future__ import annotations

from alembic import context

from onhand.store import schema

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=schema.accounts.metadata,
    transactional_ddl=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
