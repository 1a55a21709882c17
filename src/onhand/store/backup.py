"""Copies a SQLite file while others read and write it: the copy is the database of one moment, and whole."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from onhand.store.engine import BUSY_TIMEOUT_MS, StoreError, connect

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
    draft = target.with_name(target.name + ".part")
    draft.unlink(missing_ok=True)
    try:
        _copied(source, draft, step)
        _named(draft, target)
        _synced(target.parent)
    except FileExistsError as error:
        raise StoreError(f"{target} is there already: a backup does not write over anything") from error
    except sqlite3.Error as error:
        raise StoreError(f"the backup failed: {error}") from error
    finally:
        draft.unlink(missing_ok=True)


def _copied(source: Path, draft: Path, step: Callable[[int, int], None]) -> None:
    draft.touch(mode=0o600)
    with (
        contextlib.closing(connect(source, reads=True)) as here,
        contextlib.closing(sqlite3.connect(draft, isolation_level=None)) as there,
    ):
        there.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        there.execute("PRAGMA synchronous = FULL")
        # The snapshot: without it the copy would begin anew whenever somebody commits.
        here.execute("BEGIN")
        here.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        here.backup(there, pages=PAGES, progress=lambda _, left, pages: step(left, pages), sleep=0)
        # One file, with no log beside it that could be forgotten.
        there.execute("PRAGMA journal_mode = DELETE")
    descriptor = os.open(draft, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _named(draft: Path, target: Path) -> None:
    try:
        os.link(draft, target)  # fails where another backup has been faster, which `replace` would not
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        draft.replace(target)


def _synced(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
