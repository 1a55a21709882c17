"""Copies a SQLite file while others read and write it: the copy is the database of one moment, and whole."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from onhand.store.drafts import draft
from onhand.store.engine import StoreError
from onhand.store.files import BUSY_TIMEOUT_MS, connect

PAGES = 1_000
"""Pages copied at a time; in between the caller is told how far it is."""


def copy(source: Path, target: Path, step: Callable[[int, int], None]) -> None:
    """Copy the database at ``source`` to a new file ``target``, which is there whole or not at all, on the
    disk. ``step`` is told (pages that are left, pages). Raises StoreError in words.

    Nobody waits for it: it reads one snapshot, and what is committed meanwhile is not in the copy.
    """
    if target.exists():
        raise StoreError(f"{target} is there already: a backup does not write over anything")
    if not target.parent.is_dir():
        raise StoreError(f"the folder {target.parent} does not exist")
    try:
        with draft(target, 0o600) as made:
            made.chmod(0o600)  # one that an earlier run left may be open to others
            _copied(source, made, step)
            _named(made, target)
        _synced(target.parent)
    except FileExistsError as error:
        raise StoreError(f"{target} is there already: a backup does not write over anything") from error
    except sqlite3.Error as error:
        raise StoreError(f"the backup failed: {error}") from error


def _copied(source: Path, made: Path, step: Callable[[int, int], None]) -> None:
    with (
        contextlib.closing(connect(source, reads=True)) as here,
        contextlib.closing(sqlite3.connect(made.absolute(), isolation_level=None)) as there,
    ):
        there.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        there.execute("PRAGMA synchronous = FULL")
        # The snapshot: without it the copy would begin anew whenever somebody commits.
        here.execute("BEGIN")
        here.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        here.backup(there, pages=PAGES, progress=lambda _, left, pages: step(left, pages), sleep=0)
        # One file, with no log beside it that could be forgotten.
        there.execute("PRAGMA journal_mode = DELETE")
    descriptor = os.open(made, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _named(made: Path, target: Path) -> None:
    try:
        os.link(made, target)  # fails where another backup has been faster, which `replace` would not
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        made.replace(target)


def _synced(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
