"""What an error of the database means: nobody let in, tried again, a full disk, a broken one."""

from __future__ import annotations

import os
from typing import NoReturn

import structlog
from sqlalchemy.exc import DBAPIError, OperationalError

from onhand.store.engine import reason
from onhand.store.hearing import Silent

EXIT_IO_ERROR = 74

RETRY_STATES = frozenset({"40001", "40P01"})
COLLIDED = "23505"
"""Unique violation: two processes made the same thing at once; who decides again sees the other's."""

CORRUPT = frozenset({"XX001", "XX002"})
MALFORMED = ("database disk image is malformed", "file is not a database")
"""What PostgreSQL's codes and SQLite's words say of what is not as it was written."""

LOCKED = "55P03"
DISK_FULL = "53100"
READ_ONLY = "25006"
NOT_NOW = frozenset({LOCKED, "57014", "53000", "53200", "53300", "53400"})
"""A lock or a statement took longer than an operator allows; there is no memory or no connection left."""

log = structlog.get_logger(__name__)


def away(error: DBAPIError) -> bool:
    """Whether PostgreSQL let nobody in: then no statement was sent, and nothing was done."""
    opening = error.statement is None and isinstance(error, OperationalError) and not silent(error)
    return opening and state(error) not in RETRY_STATES


def silent(error: DBAPIError) -> bool:
    """Whether PostgreSQL has said nothing for as long as an answer is waited for. To try again would be to
    wait as long again; of what was sent before COMMIT, nothing was done."""
    return isinstance(error.orig, Silent)


def state(error: DBAPIError) -> str:
    """PostgreSQL's code for it; "" where there is none."""
    return getattr(error.orig, "sqlstate", None) or ""


def full(error: DBAPIError) -> bool:
    """Whether there was no room on the disk."""
    return "disk is full" in reason(error) or state(error) == DISK_FULL


def broken(error: DBAPIError) -> bool:
    """Whether the disk failed, so that nobody knows what is on it."""
    return not state(error) and "disk I/O error" in reason(error)


def damaged(error: Exception) -> bool:
    """Whether what is kept is not what was written; also where a hub has said so in words."""
    if isinstance(error, DBAPIError) and state(error) in CORRUPT:
        return True
    return any(words in str(error) for words in MALFORMED)


def shut(error: DBAPIError) -> bool:
    """Whether the database takes no writes: it is a standby, or somebody has made it read-only."""
    return state(error) == READ_ONLY or "readonly database" in reason(error)


def passing(error: DBAPIError) -> bool:
    """Whether the database would not do it now and may later. Before COMMIT this means: nothing was done."""
    if error.connection_invalidated or shut(error):
        return True
    return state(error) in RETRY_STATES | NOT_NOW or "database is locked" in reason(error)


def wide(error: DBAPIError) -> bool:
    """Whether it ends the whole transaction, and not what one unit did in its savepoint."""
    lost = error.connection_invalidated or state(error) in RETRY_STATES
    return lost or full(error) or broken(error)


def stop_now(words: str) -> NoReturn:
    """An I/O error leaves it open what is on the disk: stop, so that nothing untrue is said."""
    log.critical("stopping", reason=words)
    os._exit(EXIT_IO_ERROR)
