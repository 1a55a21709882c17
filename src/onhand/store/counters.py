"""Per-account integer counters, where a table or a wire needs small numbers."""

from __future__ import annotations

from sqlalchemy import Connection

from onhand.store.sql import Statement

CATALOGUE = "catalogue"
"""How often an account's catalogue was changed. PostgreSQL only: several processes remember it there."""

_take = Statement(
    "INSERT INTO counters (account, name, value) VALUES (:account, :name, :count)"
    " ON CONFLICT (account, name) DO UPDATE SET value = counters.value + excluded.value"
    " RETURNING value"
)
_last = Statement("SELECT value FROM counters WHERE account = :account AND name = :name")
_raise = Statement(
    "INSERT INTO counters (account, name, value) VALUES (:account, :name, :least)"
    " ON CONFLICT (account, name) DO UPDATE SET value ="
    " CASE WHEN counters.value < excluded.value THEN excluded.value ELSE counters.value END"
)


def take(connection: Connection, account: int, name: str, count: int = 1) -> int:
    """The first of ``count`` fresh numbers of this name, from 1 on."""
    rows = _take.run(connection, account=account, name=name, count=count)
    return int(rows[0][0]) - count + 1


def last(connection: Connection, account: int, name: str) -> int:
    """The last number of this name that was taken; 0 for none."""
    rows = _last.run(connection, account=account, name=name)
    return int(rows[0][0]) if rows else 0


def at_least(connection: Connection, account: int, name: str, least: int) -> None:
    """Make the next number of this name higher than ``least``."""
    _raise.run(connection, account=account, name=name, least=least)
