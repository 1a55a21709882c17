"""A file that is written beside its name and renamed when it is whole, by one process at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from onhand.store.engine import StoreError


@contextlib.contextmanager
def draft(target: Path, mode: int) -> Iterator[Path]:
    """An empty file beside ``target``, to be written and then renamed by the block; else it goes when the
    block ends, as does what a killed run has left. Raises StoreError when somebody else is writing it."""
    path = target.with_name(target.name + ".part")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, mode)
    try:
        if not _ours(descriptor, path):
            raise StoreError(f"{target} is being written by somebody else at this moment")
        os.ftruncate(descriptor, 0)
        try:
            yield path
        finally:
            if _named(descriptor, path):  # once it is renamed, the name may be that of another one's draft
                path.unlink()
    finally:
        os.close(descriptor)


def _ours(descriptor: int, path: Path) -> bool:
    """Whether the open file is ours alone, and not one that who had it before us has renamed meanwhile."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks
    return _named(descriptor, path)


def _named(descriptor: int, path: Path) -> bool:
    """Whether the open file is the one that has this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
