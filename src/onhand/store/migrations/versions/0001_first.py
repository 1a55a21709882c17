"""The first tables, and row-level security as a second wall between accounts on PostgreSQL."""

from __future__ import annotations

from alembic import op

from onhand.store import outward
from onhand.store.schema import OUTSIDE

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table; on PostgreSQL let each transaction see only the account it names."""
    connection = op.get_bind()
    metadata = outward.feeds.metadata
    metadata.create_all(connection, checkfirst=False)
    if connection.dialect.name != "postgresql":
        return
    for table in metadata.sorted_tables:
        if table.name in OUTSIDE:
            continue
        op.execute(f'ALTER TABLE "{table.name}" ENABLE ROW LEVEL SECURITY')
        op.execute(f'ALTER TABLE "{table.name}" FORCE ROW LEVEL SECURITY')
        op.execute(
            f'CREATE POLICY account ON "{table.name}" USING '
            "(account = NULLIF(current_setting('onhand.account', true), '')::bigint)"
        )
