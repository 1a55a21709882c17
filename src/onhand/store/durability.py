"""Reads back whether the database keeps what it has acknowledged, whatever happens to the machine."""

from __future__ import annotations

from sqlalchemy import Connection


def faults(connection: Connection) -> list[str]:
    """The settings of a connection under which an acknowledged change could be lost, in words; none is good.

    One connection is as good as another: all are opened alike.
    """
    return _of_sqlite(connection) if connection.dialect.name == "sqlite" else _of_postgresql(connection)


def _of_sqlite(connection: Connection) -> list[str]:
    mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
    level = int(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())
    found = [] if mode == "wal" else [f"journal_mode is {mode}, not wal"]
    return found if level >= 2 else [*found, f"synchronous is {level}, not FULL"]


def _of_postgresql(connection: Connection) -> list[str]:
    found = []
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        value = connection.exec_driver_sql(f"SHOW {name}").scalar_one()
        if value in ("off",) or (name == "synchronous_commit" and value == "local"):
            found.append(f"{name} is {value}: a power cut can lose acknowledged changes")
    return found
