"""Tells a SQLite file of another program from one that is ours, or empty."""

from __future__ import annotations

from sqlalchemy import Engine

from onhand.store.roles import VERSION

SHOWN = 3
BESIDE = ("sqlite_", "_litestream_")
"""What SQLite itself, and a copier of its log, keep in a file of ours."""


def tables(reader: Engine) -> str:
    """The first tables in a file that has none of ours; "" if it is ours, or empty."""
    with reader.connect() as connection:
        query = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
        names = [str(name) for (name,) in connection.exec_driver_sql(query)]
    if VERSION in names:
        return ""
    return ", ".join([name for name in names if not name.startswith(BESIDE)][:SHOWN])
