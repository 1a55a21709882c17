"""Tells tables that are as this version knows them from others of the same names."""

from __future__ import annotations

from sqlalchemy import Connection

from onhand.store import outward, schema

_METADATA = {table.metadata for table in (schema.accounts, outward.feeds)}.pop()

_SQLITE = (
    "SELECT t.name, c.name FROM sqlite_master AS t JOIN pragma_table_info(t.name) AS c WHERE t.type = 'table'"
)
_POSTGRESQL = (
    "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
    " WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')"
    " AND a.attnum > 0 AND NOT a.attisdropped"
)

UNSETTLED = "no such table", "no such column", "already exists", "duplicate column", "columns but"
"""How SQLite says that a statement of ours does not fit the tables that are there."""


def lacking(connection: Connection) -> list[str]:
    """Columns of this version, as ``table.column``, that the database does not have; more may be there."""
    query = _SQLITE if connection.dialect.name == "sqlite" else _POSTGRESQL
    found = {(str(table), str(column)) for table, column in connection.exec_driver_sql(query)}
    wanted = [(table.name, column.name) for table in _METADATA.sorted_tables for column in table.columns]
    return [f"{table}.{column}" for table, column in wanted if (table, column) not in found]
