"""When an account must be looked at again, for processes that may not look into every account."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from onhand.store.sql import Insert, Row, Statement

EXPIRY, PLANNED, INBOX = "expiry", "planned", "inbox"

_put = Insert(
    "wakeups",
    "account int, kind text, due int",
    "ON CONFLICT (account, kind) DO UPDATE SET due ="
    " CASE WHEN wakeups.due < excluded.due THEN wakeups.due ELSE excluded.due END",
)
_take = Statement("DELETE FROM wakeups WHERE due <= :now RETURNING account, kind")
_any_due = Statement("SELECT 1 FROM wakeups WHERE due <= :now LIMIT 1")
_expiry = Statement(
    "SELECT MIN(next_expiry) FROM levels WHERE account = :account AND next_expiry IS NOT NULL"
)
_planned = Statement("SELECT MIN(due) FROM planned WHERE account = :account AND status = 'waiting'")
_inbox = Statement("SELECT MIN(received_at) FROM inbox WHERE account = :account")
_DUE_LEVELS = (
    "SELECT item, location FROM {levels} WHERE account = :account AND next_expiry <= :now"
    " ORDER BY next_expiry LIMIT :limit"
)
# Left to itself, SQLite looks at every level here, several times a second.
_INDEXED = "levels INDEXED BY levels_next_expiry"
_due_levels = Statement(
    sqlite=_DUE_LEVELS.replace("{levels}", _INDEXED), postgresql=_DUE_LEVELS.replace("{levels}", "levels")
)
_due_everywhere = Statement(
    sqlite=f"SELECT DISTINCT account FROM {_INDEXED} WHERE next_expiry <= :now",
    postgresql="SELECT DISTINCT account FROM levels WHERE next_expiry <= :now",
)


def put(connection: Connection, rows: Iterable[Row]) -> None:
    """Remember (account, kind, due), the earlier of two."""
    _put.run(connection, rows)


def take(connection: Connection, now: int) -> list[tuple[int, str]]:
    """Take the (account, kind) whose time has come; who takes them must `put` what is still ahead."""
    return [(row[0], row[1]) for row in _take.run(connection, now=now)]


def any_due(connection: Connection, now: int) -> bool:
    """Whether there is something to `take`."""
    return bool(_any_due.run(connection, now=now))


def ahead(connection: Connection, account: int) -> dict[str, int]:
    """What an account waits for, read from its tables: kind to the earliest time."""
    statements = {EXPIRY: _expiry, PLANNED: _planned, INBOX: _inbox}
    found = {kind: one.run(connection, account=account)[0][0] for kind, one in statements.items()}
    return {kind: due for kind, due in found.items() if due is not None}


def due_levels(connection: Connection, account: int, now: int, limit: int = 500) -> list[tuple[int, int]]:
    """Levels (item, location) with a hold whose time has come."""
    return [(row[0], row[1]) for row in _due_levels.run(connection, account=account, now=now, limit=limit)]


def accounts_due(connection: Connection, now: int) -> list[int]:
    """Accounts with such levels; needs a connection that sees all accounts (SQLite)."""
    return [row[0] for row in _due_everywhere.run(connection, now=now)]


def earliest(found: Sequence[tuple[str, int]]) -> dict[str, int]:
    """The earliest time of each kind."""
    due: dict[str, int] = {}
    for kind, at in found:
        due[kind] = min(at, due.get(kind, at))
    return due
