"""Writes a small commit to SQLite in one statement.

The driver lets the interpreter go at each step of a statement, and a thread that wants it back waits for the
event loop. So what a commit writes goes in as JSON, and a trigger of the connection's own makes the rows: a
thread does it all, COMMIT included, in one step, while the loop goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec
from sqlalchemy import Connection

from onhand.store.sql import Row, direct, step

Deed: TypeAlias = tuple[str, str, str, str, str, int]
"""What is to be written, encoded: see `deed`."""

_READY = "onestep"
_ADVANCES = "account before seq recorded_at"
_LEVELS = "account item location on_hand reserved infinite present version"
_MOVEMENTS = (
    "account seq item location version kind on_hand reserved on_hand_after reserved_after infinite present"
    " reason reference caller context recorded_at effective_at"
)
_MOVED = "account item location seq"
_KEYS = "account scope key fingerprint status body headers created_at"


def _list(columns: str) -> str:
    return ", ".join(columns.split())


def _rows(columns: str, given: str) -> str:
    values = [f"json_extract(value, '$[{at}]') AS {name}" for at, name in enumerate(columns.split())]
    return f"(SELECT {', '.join(values)} FROM json_each(NEW.{given})) AS r"


_VIEW = (
    "CREATE TEMP VIEW onestep AS SELECT NULL AS advances, NULL AS levels, NULL AS movements, NULL AS moved,"
    " NULL AS keys, NULL AS now WHERE false"
)
# Left to itself, SQLite goes through an account's feeds or listings instead of the rows that are given.
_TRIGGER = f"""
CREATE TEMP TRIGGER onestep_written INSTEAD OF INSERT ON onestep BEGIN
    UPDATE accounts SET seq = r.seq, recorded_at = r.recorded_at FROM {_rows(_ADVANCES, "advances")}
        WHERE accounts.id = r.account AND accounts.seq = r.before;
    SELECT RAISE(ABORT, 'the ledger is not where it was')
        WHERE changes() <> json_array_length(NEW.advances);
    UPDATE levels SET on_hand = r.on_hand, reserved = r.reserved, infinite = r.infinite,
        present = r.present, version = r.version FROM {_rows(_LEVELS, "levels")}
        WHERE levels.account = r.account AND levels.item = r.item AND levels.location = r.location;
    INSERT INTO movements ({_list(_MOVEMENTS)}) SELECT * FROM {_rows(_MOVEMENTS, "movements")};
    INSERT INTO outbox (account, listing, connection, since, seq, due, marked_at)
        SELECT f.account, f.listing, g.connection, MIN(r.seq), MAX(r.seq), NEW.now, NEW.now
        FROM {_rows(_MOVED, "moved")}
        CROSS JOIN feeds f ON f.account = r.account AND f.item = r.item AND f.location = r.location
        CROSS JOIN listings g ON g.account = f.account AND g.id = f.listing
        WHERE true GROUP BY f.account, f.listing, g.connection ORDER BY f.account, f.listing
        ON CONFLICT (account, listing) DO UPDATE SET seq = excluded.seq, due = excluded.due,
        marks = outbox.marks + 1;
    INSERT INTO idempotency ({_list(_KEYS)}) SELECT * FROM {_rows(_KEYS, "keys")};
END
"""
_DO = "INSERT INTO onestep VALUES (?, ?, ?, ?, ?, ?)"


def prepare(connection: Connection) -> None:
    """Have the connection know what `do` does."""
    if _READY not in connection.info:
        direct(connection, _VIEW)
        direct(connection, _TRIGGER)
        connection.info[_READY] = True


def deed(
    advances: Sequence[Row],
    levels: Sequence[Row],
    movements: Sequence[Row],
    moved: Sequence[Row],
    keys: Sequence[Row],
    now: int,
) -> Deed:
    """What is to be written: the movement number of each account, before and after, with the time of
    recording; levels that are there; movements; which of these make listings stale; and answers to keys."""
    return (_json(advances), _json(levels), _json(movements), _json(moved), _json(keys), now)


def _json(rows: Sequence[Row]) -> str:
    return msgspec.json.encode(rows).decode() if rows else "[]"


def do(connection: Connection, what: Deed) -> None:
    """Write and commit, outside of a transaction. Raises DBAPIError, and nothing was written, when an account
    has other movements than those before, or a key was used."""
    step(connection, _DO, what)
