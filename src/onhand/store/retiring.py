"""Takes a database out of service for good, and holds it still while it is copied: nothing goes on twice."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from onhand.store import engine, roles, together
from onhand.store.engine import NOT_ALLOWED, RETIRED, Store, StoreError

LOCK_SECONDS = 5
"""How long somebody's transaction may still be under way on a PostgreSQL that is to be held still."""
LEAVING_SECONDS = 2.0
"""A session is still to be seen for a moment after its process has gone."""
LOCKED_OUT = frozenset({"55P03", "40P01"})
"""A lock was not to be had in time, or only by a writer that waits for one of ours in turn."""


class AtWork(StoreError):
    """Somebody else has the database open, in words."""


@contextlib.contextmanager
def still(store: Store, *, retire: bool = False) -> Iterator[Connection]:
    """One snapshot of a database that nobody writes to while the block runs. Raises StoreError in words when
    somebody is at work on it.

    A SQLite file is the caller's to lock. On PostgreSQL nobody else may have a session; whoever comes later
    can read and waits to write, and with ``retire`` waits at the door. With ``retire`` the connection can
    mark it (`mark`), which counts when the block ends well.
    """
    tables = _lockable(store)
    store.reader.dispose()  # it would be one more session
    writer = store.writer.connect() if retire else store.reader.connect()
    with writer as connection:
        if retire and not store.sqlite:
            connection = connection.execution_options(**{together.BEGINS: together.SNAPSHOT})
        if not store.sqlite:
            # Before any lock, too: a hub at work is not to wait for one that is given back.
            with connection.begin():
                _alone(connection)
        with connection.begin():
            if not store.sqlite:
                _hold(connection, tables, retire=retire)
            yield connection


def _lockable(store: Store) -> list[str]:
    """The tables that this role may lock; what it may not is not written without one that it may."""
    if store.sqlite:
        return []
    wanted = ", ".join(f"('{name}')" for name in roles.TABLES)
    query = f"SELECT t FROM (VALUES {wanted}) AS w(t) WHERE has_table_privilege(to_regclass(t), 'UPDATE')"
    with store.reader.connect() as connection:
        return [row[0] for row in connection.exec_driver_sql(query)]


def _hold(connection: Connection, tables: list[str], *, retire: bool) -> None:
    # The locks come first: the snapshot is taken by the first question, and must have what they waited for.
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
    try:
        if retire:
            connection.exec_driver_sql(f"LOCK TABLE {roles.VERSION} IN ACCESS EXCLUSIVE MODE")
        if tables:
            connection.exec_driver_sql(f"LOCK TABLE {', '.join(tables)} IN SHARE MODE")
    except DBAPIError as error:
        match getattr(error.orig, "sqlstate", None):
            case code if code in LOCKED_OUT:
                raise AtWork("somebody is writing to it: stop every hub and courier first") from error
            case code if code == NOT_ALLOWED:
                raise StoreError("only the role that owns the tables may retire them") from error
            case _:
                raise
    _alone(connection)


def _alone(connection: Connection) -> None:
    query = (
        "SELECT COUNT(*), pg_stat_clear_snapshot() FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND usesysid IS NOT NULL"
        " AND COALESCE(backend_type, 'client backend') = 'client backend'"
    )
    until = time.monotonic() + LEAVING_SECONDS
    while others := connection.exec_driver_sql(query).scalar_one():
        if time.monotonic() > until:
            sessions = "another session is" if others == 1 else f"{others} other sessions are"
            raise AtWork(f"{sessions} open on it: stop every hub and courier first")
        time.sleep(0.1)


def mark(connection: Connection) -> None:
    """Retire the database when this transaction ends: no hub starts on it again; it can be read."""
    _set(connection, f"{RETIRED}{engine.head()}")


def retire(store: Store) -> None:
    """Take a database out of service that nobody works on. Raises StoreError in words."""
    engine.require_head(store)
    with still(store, retire=True) as connection:
        mark(connection)


def lift(store: Store) -> None:
    """Let a retired database serve again, at the revision that it had. Raises StoreError in words."""
    now = engine.revision(store)
    if now is None or not now.startswith(RETIRED):
        raise StoreError("it is not retired")
    with still(store, retire=True) as connection:
        _set(connection, now.removeprefix(RETIRED))


def _set(connection: Connection, revision: str) -> None:
    try:
        connection.exec_driver_sql(f"UPDATE {roles.VERSION} SET version_num = '{revision}'")
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != NOT_ALLOWED:
            raise
        raise StoreError("only the role that owns the tables may retire them") from error
