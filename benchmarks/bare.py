"""The limits of the database and the disk: loops that write the same rows with nothing around them."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psycopg

from onhand.store.engine import is_postgresql

BLOCK = 4096
_COLUMNS = (
    "account, seq, item, location, version, kind, on_hand, reserved, on_hand_after, reserved_after, infinite,"
    " present, caller, recorded_at, effective_at"
)

# --- SQLite -----------------------------------------------------------------------------------------

_READ = "SELECT on_hand, version FROM levels WHERE account = 1 AND item = ? AND location = 1"
_WRITE = "UPDATE levels SET on_hand = ?, version = ? WHERE account = 1 AND item = ? AND location = 1"
_RAISE = (
    "UPDATE levels SET on_hand = on_hand + 1, version = version + 1"
    " WHERE account = 1 AND item = ? AND location = 1"
)
_APPEND = (
    f"INSERT INTO movements ({_COLUMNS}) VALUES (1, ?, ?, 1, ?, 'adjusted', 1, 0, ?, 0, 0, 1, 'bench', 1, 1)"
)


def _sqlite(db: str) -> sqlite3.Connection:
    file = sqlite3.connect(db, isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "cache_size = -16384"):
        file.execute(f"PRAGMA {pragma}")
    return file


def _sqlite_rows(file: sqlite3.Connection, items: Sequence[int], seq: int) -> None:
    file.execute("BEGIN IMMEDIATE")
    for number, item in enumerate(items, seq):
        on_hand, version = file.execute(_READ, (item,)).fetchone()
        file.execute(_WRITE, (on_hand + 1, version + 1, item))
        file.execute(_APPEND, (number, item, version + 1, on_hand + 1))
    file.execute("COMMIT")


def _sqlite_sets(file: sqlite3.Connection, items: Sequence[int], seq: int) -> None:
    file.execute("BEGIN IMMEDIATE")
    file.executemany(_RAISE, [(item,) for item in items])
    file.executemany(_APPEND, [(number, item, 2, 1) for number, item in enumerate(items, seq)])
    file.execute("COMMIT")


# --- PostgreSQL -------------------------------------------------------------------------------------

_ONE = (
    "WITH changed AS (UPDATE levels SET on_hand = on_hand + 1, version = version + 1"
    " WHERE account = 1 AND item = %s AND location = 1 RETURNING item, version, on_hand)"
    f" INSERT INTO movements ({_COLUMNS})"
    " SELECT 1, %s, item, 1, version, 'adjusted', 1, 0, on_hand, 0, 0, 1, 'bench', 1, 1 FROM changed"
)
_MANY = (
    "WITH asked AS (SELECT item, number FROM unnest(%s::bigint[], %s::bigint[]) AS a(item, number)),"
    " grown AS (SELECT item, count(*) AS units FROM asked GROUP BY item),"
    " changed AS (UPDATE levels l SET on_hand = l.on_hand + g.units, version = l.version + g.units"
    " FROM grown g WHERE l.account = 1 AND l.item = g.item AND l.location = 1"
    " RETURNING l.item, l.version, l.on_hand)"
    f" INSERT INTO movements ({_COLUMNS})"
    " SELECT 1, a.number, a.item, 1, c.version, 'adjusted', 1, 0, c.on_hand, 0, 0, 1, 'bench', 1, 1"
    " FROM asked a JOIN changed c ON c.item = a.item"
)


def _postgres_rows(link: psycopg.Connection, items: Sequence[int], seq: int) -> None:
    with link.transaction(), link.cursor() as cursor:
        cursor.executemany(_ONE, [(item, number) for number, item in enumerate(items, seq)])


def _postgres_sets(link: psycopg.Connection, items: Sequence[int], seq: int) -> None:
    with link.transaction():
        link.execute(_MANY, (list(items), list(range(seq, seq + len(items)))), prepare=True)


# --- loops ------------------------------------------------------------------------------------------


def loop(db: str, items: int, batch: int, seconds: float, *, sets: bool) -> float:
    """Changes per second of a loop that commits ``batch`` of them at a time: each a level that is written
    and a movement. Row by row, as a program does it that looks at each level; or in ``sets``, which needs
    no look: the most that this database takes."""
    if is_postgresql(db):
        with psycopg.connect(db, autocommit=True) as link:
            step = _postgres_sets if sets else _postgres_rows
            return _run(lambda some, seq: step(link, some, seq), _last(db), items, batch, seconds)
    with contextlib.closing(_sqlite(db)) as file:
        change = _sqlite_sets if sets else _sqlite_rows
        return _run(lambda some, seq: change(file, some, seq), _last(db), items, batch, seconds)


def _last(db: str) -> int:
    query = "SELECT MAX(seq) FROM movements WHERE account = 1"
    if is_postgresql(db):
        with psycopg.connect(db) as link:
            return int(link.execute(query).fetchall()[0][0])
    with contextlib.closing(sqlite3.connect(db)) as file:
        return int(file.execute(query).fetchone()[0])


def _run(
    change: Callable[[Sequence[int], int], None], last: int, items: int, batch: int, seconds: float
) -> float:
    chosen = _choices(items, batch)
    done, start = 0, time.perf_counter()
    while time.perf_counter() < start + seconds:
        change(next(chosen), last + done + 1)
        done += batch
    return done / (time.perf_counter() - start)


def _choices(items: int, batch: int) -> Iterator[Sequence[int]]:
    """Random items, drawn before the clock runs and used again and again."""
    drawn = [random.choices(range(1, items + 1), k=batch) for _ in range(20)]
    while True:
        yield from drawn


def flushes(folder: Path, seconds: float) -> float:
    """Blocks per second that one after the other are appended and brought to the disk: fdatasync."""
    path = folder / "flushes"
    with path.open("wb", buffering=0) as file:
        done, start = 0, time.perf_counter()
        while time.perf_counter() < start + seconds:
            file.write(b"\0" * BLOCK)
            os.fdatasync(file.fileno())
            done += 1
        took = time.perf_counter() - start
    path.unlink()
    return done / took
