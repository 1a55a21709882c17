"""Asks the engine whether what it keeps is whole: damage that no question of ours may meet for months."""

from __future__ import annotations

import shutil
import time
from typing import Any, NamedTuple

from sqlalchemy import Connection

from onhand.store import engine, files
from onhand.store.engine import DatabaseFailed, Store

SHOWN = 5
"""Findings about a damaged file that are said: the first tell as much as all."""

SECONDS_LIMIT = 60
STEPS = 20_000
"""Steps of SQLite between two looks at the clock."""

BACKUP = "keep it as it is, and restore a backup"


WAY_BACK = {
    files.THE_FILE: "stop the hub, bring it back",
    files.THE_LOG: "stop the hub with SIGTERM, which saves what was in it; kill -9 would lose that",
}
"""What to do when SQLite's files are not where they were."""

DISK_FLOOR_BYTES = 64 * 1024 * 1024
"""Free space below which a SQLite file is near to growing no more."""


class Integrity(NamedTuple):
    """What was found in words; ``faults`` are what must not be."""

    words: str
    faults: list[str]


def examine(store: Store, seconds: float = SECONDS_LIMIT) -> Integrity:
    """Read a SQLite file from end to end, for at most so long; ask PostgreSQL what its checksums met.
    Damage is never raised."""
    try:
        with engine.reading(store) as connection:
            return _file(connection, seconds) if store.sqlite else _checksums(connection)
    except DatabaseFailed as error:
        return damaged([engine.reason(error)])
    except UnicodeDecodeError:  # SQLite's own complaint quotes what is no text any more
        return damaged(["what it says of its tables is no text"])


def room(store: Store) -> list[str]:
    """What is wrong with the place of a SQLite file, in words; a server's own disk is not seen from here."""
    if not store.sqlite:
        return []
    if gone := store.moved():
        return [f"{gone} was moved, deleted or replaced, nothing is written: {WAY_BACK[gone]}"]
    free = shutil.disk_usage(store.path.absolute().parent).free
    if free >= DISK_FLOOR_BYTES:
        return []
    return [f"the disk is nearly full: {free >> 20} MiB are left of at least {DISK_FLOOR_BYTES >> 20}"]


def damaged(findings: list[str]) -> Integrity:
    """The file is not what was written to it."""
    more = ", and more" if len(findings) > SHOWN else ""
    return Integrity("damaged", [f"the file is damaged ({'; '.join(findings[:SHOWN])}{more}): {BACKUP}"])


def _file(connection: Connection, seconds: float) -> Integrity:
    driver: Any = connection.connection.driver_connection
    ends = time.monotonic() + seconds
    driver.set_progress_handler(lambda: time.monotonic() > ends, STEPS)
    try:
        rows = connection.exec_driver_sql(f"PRAGMA quick_check({SHOWN + 1})").scalars().all()
    except DatabaseFailed as error:
        if engine.reason(error) != "interrupted":
            raise
        return Integrity(f"not known: {seconds:g} seconds were not enough to read the file", [])
    finally:
        driver.set_progress_handler(None, 0)
    # A row may hold several lines, and names the one database that there is.
    lines = [line for row in rows for line in str(row).splitlines() if not line.startswith("***")]
    return Integrity("whole", []) if lines == ["ok"] else damaged(lines)


def _checksums(connection: Connection) -> Integrity:
    if connection.exec_driver_sql("SHOW data_checksums").scalar_one() != "on":
        return Integrity("not known: the server keeps no checksums (pg_checksums --enable)", [])
    query = "SELECT checksum_failures FROM pg_stat_database WHERE datname = current_database()"
    failures = connection.exec_driver_sql(query).scalar()
    if not failures:
        return Integrity("no page has failed its checksum", [])
    words = f"{failures} pages read did not have the checksum they were written with"
    return Integrity(
        "damaged", [f"the database is damaged ({words}): see the server's log; restore a backup"]
    )
