"""What a channel said when a listing was put off is kept with it."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """A column that a hub of the version before neither writes nor misses."""
    op.get_bind().exec_driver_sql("ALTER TABLE outbox ADD COLUMN words TEXT")
