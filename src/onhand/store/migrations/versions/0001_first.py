"""The first tables, and row-level security as a second wall between accounts on PostgreSQL."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None

ENDS = ";\n"


def upgrade() -> None:
    """Run the statements that lie beside this file, which never change again, whatever the code's tables
    become; on PostgreSQL they let each transaction see only the account that it names."""
    connection = op.get_bind()
    source = Path(__file__).with_suffix(f".{connection.dialect.name}.sql")
    for statement in source.read_text(encoding="utf-8").split(ENDS):
        if statement.strip():
            connection.exec_driver_sql(statement)
