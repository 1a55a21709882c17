"""Copies all rows of a database into an empty one of either engine, and compares what arrived."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from sqlalchemy import Connection

from onhand.store import accounts, engine, roles, sealing, verify
from onhand.store.engine import Store, StoreError, reading, set_account
from onhand.store.pieces import TABLES, Tally, insert, parts, pieces

Step = Callable[[int], None]
"""Told how many rows more are done; may raise to end it all."""


class Arrived(NamedTuple):
    """What arrived of a table: rows there, rows here, and whether they are the same."""

    table: str
    rows: int
    found: int
    equal: bool


class Ledger(NamedTuple):
    """An account of the copy: how much it has, and how many faults its verification found."""

    account: str
    movements: int
    levels: int
    faults: int


def empty(connection: Connection) -> None:
    """Refuse, in words, a database that has anything in it."""
    engine.refuse_unknown(now := engine.revision_of(connection))
    there = _there(connection)
    if now is None and there:
        raise StoreError(f"it has a table {min(there)} that is not onhand's: copy into an empty database")
    for name in sorted(there):
        if connection.exec_driver_sql(f"SELECT 1 FROM {name} LIMIT 1").first() is not None:
            raise StoreError(f"it is not empty, there is something in {name}: copy into a fresh database")


def _there(connection: Connection) -> set[str]:
    """Those of our tables' names that the database has."""
    if connection.dialect.name == "sqlite":
        query = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
    else:
        query = "SELECT relname FROM pg_class c WHERE pg_table_is_visible(oid) AND relkind IN ('r', 'p', 'v')"
    return {row[0] for row in connection.exec_driver_sql(query)} & {table.name for table in TABLES}


def begin(connection: Connection) -> None:
    """Make the tables of an empty database in this transaction, and let nobody add an account until it ends.
    Raises StoreError in words."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({accounts.LOCK})")
    engine.bring_up(connection)
    engine.require_rights(connection)
    empty(connection)


def count(connection: Connection, *, walled: bool) -> int:
    """How many rows there are to copy. Raises StoreError when there is no account, and when there are rows
    of accounts that do not exist, which would stay behind (``walled``: they cannot be seen)."""
    if not accounts.accounts(connection):
        raise StoreError("there is no account in it: nothing to copy")
    found = Counter[str]()
    for table, _, rows in parts(connection):
        found[table.name] += rows
    if not walled:
        _no_orphans(connection, found)
    return found.total()


def _no_orphans(connection: Connection, found: Counter[str]) -> None:
    for table in TABLES:
        whole = connection.exec_driver_sql(f"SELECT COUNT(*) FROM {table.name}").scalar_one()
        if left := whole - found[table.name]:
            raise StoreError(f"{left} rows of {table.name} belong to no account, and would stay behind")


def fill(source: Connection, target: Connection, step: Step) -> dict[str, Tally]:
    """Copy every row; what each table had. Memory does not grow with the tables."""
    found = {table.name: Tally() for table in TABLES}
    inserts = {table.name: insert(table) for table in TABLES}
    for table, account, _ in parts(source):
        if account is not None:
            set_account(target, account)
        for rows, tally in pieces(source, table, account):
            inserts[table.name].run(target, rows)
            found[table.name] = found[table.name].plus(tally)
            step(tally.rows)
    return found


def compare(target: Connection, wanted: dict[str, Tally], step: Step) -> list[Arrived]:
    """Read every row of the copy and set it beside what the source had."""
    found = {table.name: Tally() for table in TABLES}
    for table, account, _ in parts(target):
        for _, tally in pieces(target, table, account):
            found[table.name] = found[table.name].plus(tally)
            step(tally.rows)
    return [
        Arrived(str(name), wanted[name].rows, found[name].rows, found[name] == wanted[name]) for name in found
    ]


def ledgers(target: Connection, step: Step) -> list[Ledger]:
    """Verify every account of the copy."""
    _analyze(target)
    found = []
    for account in accounts.accounts(target):
        set_account(target, account.id)
        extent = verify.extent(target, account.id)
        faults = 0
        for check in verify.CHECKS:
            faults += sum(one.fault for one in check.run(target, account.id))
            step(0)
        found.append(Ledger(account.name, extent.movements, extent.levels, faults))
    return found


def _analyze(connection: Connection) -> None:
    """Tell PostgreSQL's planner what there is now, where this role may."""
    if connection.dialect.name != "postgresql":
        return
    query = (
        "SELECT relname FROM pg_class WHERE pg_table_is_visible(oid) AND relkind = 'r'"
        " AND pg_has_role(relowner, 'USAGE')"
    )
    own = {row[0] for row in connection.exec_driver_sql(query)}
    for table in TABLES:
        if table.name in own:
            connection.exec_driver_sql(f"ANALYZE {table.name}")


def sealed(connection: Connection) -> int:
    """How many connections have secrets, which need the key that they were sealed with."""
    found = 0
    for account in accounts.accounts(connection):
        set_account(connection, account.id)
        found += len(sealing.envelopes(connection, account.id))
    return found


def walled(store: Store) -> bool:
    """Whether rows of accounts that do not exist are out of sight."""
    with reading(store) as connection:
        return not store.sqlite and not roles.passes_walls(connection)
