"""Writes on SQLite what channels took as it was sent, in one statement for the outbox and the slots.

A trigger of the connection's own finds each row by its key. A statement for each table, with all rows given,
puts them in order first, and notes what it is going to change before it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from onhand.store.sql import LISTED, Row, direct, step

_VIEW = (
    "CREATE TEMP VIEW IF NOT EXISTS taken AS SELECT NULL AS account, NULL AS listing, NULL AS seq,"
    " NULL AS marks, NULL AS place, NULL AS wanted, NULL AS token, NULL AS now WHERE false"
)
_TRIGGER = """
CREATE TEMP TRIGGER IF NOT EXISTS taken_written INSTEAD OF INSERT ON taken WHEN NEW.account > 0 BEGIN
    DELETE FROM outbox WHERE account = NEW.account AND listing = NEW.listing
        AND seq = NEW.seq AND marks = NEW.marks;
    UPDATE slots SET wanted = NEW.wanted, wanted_at = NEW.now, acknowledged = NEW.wanted,
        acknowledged_at = NEW.now, token = COALESCE(NEW.token, token)
        WHERE account = NEW.account AND listing = NEW.listing AND place = NEW.place;
END
"""
_COLUMNS = 8
_NOTHING = [0] * _COLUMNS
"""A row that the trigger passes over."""
_MISSING = "no such table: taken"


@cache
def _take(size: int) -> str:
    row = f"({', '.join('?' * _COLUMNS)})"
    return f"INSERT INTO taken VALUES {', '.join([row] * size)}"


def write(connection: Connection, rows: Sequence[Row]) -> int:
    """Write slots that took what they were to: account, listing, seq and marks of the outbox row that was
    told, place, number, the token where there is another, and the time. How many rows of both tables were
    changed: fewer than these slots and their listings where one was marked again, or is gone."""
    driver: Any = connection.connection.driver_connection
    before: int = driver.total_changes
    for start in range(0, len(rows), LISTED):
        some = rows[start : start + LISTED]
        # Powers of two: few texts are to be prepared.
        size = 1 << (len(some) - 1).bit_length()
        values = tuple(chain(chain.from_iterable(some), _NOTHING * (size - len(some))))
        _written(connection, _take(size), values)
    changed: int = driver.total_changes - before
    return changed


def _written(connection: Connection, text: str, values: tuple[Any, ...]) -> None:
    try:
        step(connection, text, values)
    except OperationalError as error:
        if _MISSING not in str(error.orig):
            raise
        # The first time, and when the transaction in which it was made was undone.
        direct(connection, _VIEW)
        direct(connection, _TRIGGER)
        step(connection, text, values)
