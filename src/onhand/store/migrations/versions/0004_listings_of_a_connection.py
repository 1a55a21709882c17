"""The listings of one connection are found by their ids."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Without it, a page of one connection's was found by a look at those of all."""
    op.execute("CREATE INDEX listings_connection ON listings (account, connection, id)")
