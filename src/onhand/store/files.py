"""Connections to a SQLite file: the one that writes, those that read, and the settings of each."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

CACHE_KIB = 4 * 1024
"""Pages that each connection to SQLite keeps. A miss is a copy from the system's own cache; more made
nothing faster, of ten thousand levels or of a million, and took 60 MB with all readers at work."""

CHECKPOINT_PAGES = 4096
"""Pages in SQLite's log at which a commit takes them into the file: 16 MiB. A page that was written often
by then is taken once. SQLite's own 1,000 are reached by seven commits of 64 requests each."""

LOG_BYTES = 64 * 1024 * 1024
"""What the log may keep of the disk's room once it is taken into the file: while somebody reads for long it
grows by all that is written, and would keep the most that it ever had."""

LOG = "-wal"
"""What SQLite adds to a file's name for its log."""

BUSY_TIMEOUT_MS = 10_000
"""How long another process that writes is waited for."""

# A NULL among its parameters makes the driver ask what it may be taken for, which ends in two exceptions
# that nobody sees: a tenth of what a row costs. Somebody who knows is asked first.
sqlite3.register_adapter(type(None), {None: None}.__getitem__)


def engines(path: Path, readers: int) -> tuple[Engine, Engine]:
    """One to write through and one for so many readers; a file that is not there is made."""
    _keep_to_its_owner(path)
    # Who has the one that writes has it alone: two at once would end each other's transactions.
    writer = _engine(path, reads=False, most=1)
    reader = _engine(path, reads=True, most=readers + 1)  # one more for the loop's own point reads
    # The driver's own transaction handling is off, so that a write takes its lock at once and a
    # read sees one snapshot.
    event.listen(writer, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    event.listen(reader, "begin", _begin_read)
    return writer, reader


def _engine(path: Path, *, reads: bool, most: int) -> Engine:
    how: dict[str, Any] = {"poolclass": QueuePool, "max_overflow": 0, "pool_timeout": BUSY_TIMEOUT_MS / 1000}
    return create_engine("sqlite://", creator=lambda: connect(path, reads=reads), pool_size=most, **how)


def _keep_to_its_owner(path: Path) -> None:
    """Make a file that is not there yet as one that others on this machine cannot read. SQLite gives its log
    the same rights; what cannot be made, or is there, is for SQLite to open or to complain of."""
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


THE_FILE, THE_LOG = "the database", "the log beside the database (-wal)"


class Standing:
    """The file and its log as they were when they were opened. What is written to others nobody would find:
    whoever opens the name then finds another file, or the file without what its log has."""

    def __init__(self, path: Path) -> None:
        self._file = str(path)
        self._log = os.path.realpath(path) + LOG
        self._opened = path.stat()
        self._logged: os.stat_result | None = None

    def moved(self) -> str:
        """Which of both its name no longer leads to, in words; "" if all is as it was.

        SQLite takes the log away only with the last connection, and some are kept while anybody asks this.
        """
        if not _leads_to(self._file, self._opened):
            return THE_FILE
        if self._logged is None:  # of a new database it is made with the first change
            with contextlib.suppress(OSError):
                self._logged = Path(self._log).stat()
        elif not _leads_to(self._log, self._logged):
            return THE_LOG
        return ""


def _leads_to(name: str, known: os.stat_result) -> bool:
    try:
        # Asked twice before each batch: a Path takes half as long again.
        return os.path.samestat(os.stat(name), known)  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # nobody may look now; what is open stays so


def orphaned_log(path: Path) -> Path | None:
    """The log of a database that is gone or empty: SQLite would remove it with all that is in it."""
    real = Path(os.path.realpath(path))
    beside = real.with_name(real.name + LOG)
    if beside.is_file() and beside.stat().st_size and not (real.exists() and real.stat().st_size):
        return beside
    return None


def _begin_read(connection: Connection) -> None:
    driver: Any = connection.connection.driver_connection
    if not driver.in_transaction:
        driver.execute("BEGIN")


def connect(path: Path, *, reads: bool) -> sqlite3.Connection:
    """A connection of the driver's own, as the hub has them."""
    # Whoever reads would make a file that somebody has moved away anew, empty.
    there = f"{path.absolute().as_uri()}?mode=rw" if reads else path
    connection = sqlite3.connect(
        there, uri=reads, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    pragmas = [
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
        "foreign_keys = ON",
        "trusted_schema = OFF",
        "synchronous = FULL",
        f"cache_size = -{CACHE_KIB}",
        "temp_store = MEMORY",
    ]
    if reads:
        # A second connection that checkpoints is what corrupts old SQLite releases; readers never do.
        pragmas += ["wal_autocheckpoint = 0", "query_only = ON"]
    else:
        pragmas.insert(1, "journal_mode = WAL")
        pragmas += [f"wal_autocheckpoint = {CHECKPOINT_PAGES}", f"journal_size_limit = {LOG_BYTES}"]
    try:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection
