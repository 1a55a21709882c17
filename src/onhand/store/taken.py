"""Writes on SQLite what channels took as it was sent, in one statement for the outbox and the slots.

A trigger of the connection's own finds each row by its key. A statement for each table, with all rows given,
puts them in order first, and notes what it is going to change before it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import chain

from sqlalchemy import Connection

from onhand.store.sql import LISTED, Row, Statement, direct, step

_VIEW = (
    "CREATE TEMP VIEW IF NOT EXISTS taken AS SELECT NULL AS account, NULL AS listing, NULL AS seq,"
    " NULL AS marks, NULL AS place, NULL AS wanted, NULL AS token, NULL AS now WHERE false"
)
_TRIGGER = """
CREATE TEMP TRIGGER IF NOT EXISTS taken_written INSTEAD OF INSERT ON taken BEGIN
    DELETE FROM outbox WHERE account = NEW.account AND listing = NEW.listing
        AND seq = NEW.seq AND marks = NEW.marks;
    UPDATE slots SET wanted = NEW.wanted, wanted_at = NEW.now, acknowledged = NEW.wanted,
        acknowledged_at = NEW.now, token = COALESCE(NEW.token, token)
        WHERE account = NEW.account AND listing = NEW.listing AND place = NEW.place;
END
"""
_COLUMNS = 8
_changes = Statement("SELECT total_changes()")


@cache
def _take(size: int) -> str:
    row = f"({', '.join('?' * _COLUMNS)})"
    return f"INSERT INTO taken VALUES {', '.join([row] * size)}"


def write(connection: Connection, rows: Sequence[Row]) -> int:
    """Write slots that took what they were to: account, listing, seq and marks of the outbox row that was
    told, place, number, the token where there is another, and the time. How many rows of both tables were
    changed: fewer than these slots and their listings where one was marked again, or is gone."""
    # Each time: what is made in a transaction that is undone is not there afterwards.
    direct(connection, _VIEW)
    direct(connection, _TRIGGER)
    before = _changes.run(connection)[0][0]
    start = 0
    while left := len(rows) - start:
        # Powers of two: few texts are to be prepared.
        size = min(LISTED, 1 << (left.bit_length() - 1))
        step(connection, _take(size), tuple(chain.from_iterable(rows[start : start + size])))
        start += size
    changed: int = _changes.run(connection)[0][0] - before
    return changed
