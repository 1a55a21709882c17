"""Keys of requests in the order of arrival on SQLite, and an index of the answers that are still kept."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

APPENDED = """
CREATE TABLE idempotency (
    account INTEGER NOT NULL, scope TEXT NOT NULL, "key" TEXT NOT NULL, fingerprint TEXT NOT NULL,
    status INTEGER, body TEXT, headers TEXT, created_at INTEGER NOT NULL,
    PRIMARY KEY (account, scope, "key")
) STRICT
"""
BODIES = "CREATE INDEX idempotency_bodies ON idempotency (account, created_at) WHERE body IS NOT NULL"


def upgrade() -> None:
    """On SQLite the table is made anew: a row in the order of its key was written with a page of others."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute("ALTER TABLE idempotency RENAME TO idempotency_by_key")
        op.execute(APPENDED)
        op.execute("INSERT INTO idempotency SELECT * FROM idempotency_by_key ORDER BY created_at")
        op.execute("DROP TABLE idempotency_by_key")
    op.execute(BODIES)
