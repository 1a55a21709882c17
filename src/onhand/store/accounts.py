"""Accounts: the tenants that everything belongs to."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, func, select

from onhand.store import schema
from onhand.store.catalog import Taken
from onhand.store.engine import set_account

LOCK = 0x6163636F756E74
"""Held by a transaction that adds an account."""


class Account(NamedTuple):
    """A tenant; ``seq`` is its last movement, times are microseconds UTC."""

    id: int
    name: str
    seq: int
    recorded_at: int
    created_at: int


def accounts(connection: Connection) -> list[Account]:
    """All accounts, by id."""
    table = schema.accounts
    columns = [table.c[name] for name in Account._fields]
    return [Account(*row) for row in connection.execute(select(*columns).order_by(table.c.id))]


def add(connection: Connection, name: str, now: int) -> Account:
    """Create an account with its own seller. Raises Taken when the name is in use."""
    table = schema.accounts
    if connection.dialect.name == "postgresql":
        # One after the other: a number is not taken twice, and a name not either, where the tables are
        # spread over nodes that cannot see to it.
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
    if connection.execute(select(table.c.id).where(table.c.name == name)).first() is not None:
        raise Taken(f"account {name!r}")
    highest = connection.execute(select(func.max(table.c.id))).scalar()
    made = Account((highest or 0) + 1, name, 0, 0, now)
    connection.execute(table.insert().values(**made._asdict()))
    set_account(connection, made.id)
    return made
