"""Credentials: found by a public part or a digest, never stored in the clear."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, select, update

from onhand.store import schema
from onhand.store.sql import Insert, Statement


class Stored(NamedTuple):
    """A credential as stored. ``kind`` is key or token; ``scopes`` are words between spaces."""

    dialect: str
    lookup: str
    secret_hash: str | None
    account: int
    kind: str
    principal: str
    scopes: str
    seller: int | None
    connection: int | None
    label: str
    created_at: int
    expires_at: int | None
    revoked_at: int | None


_KEY = ", ".join(Stored._fields)
_find = Statement(f"SELECT {_KEY} FROM keys WHERE dialect = :dialect AND lookup = :lookup")
_add = Insert(
    "keys",
    "dialect text, lookup text, secret_hash text, account int, kind text, principal text, scopes text,"
    " seller int, connection int, label text, created_at int, expires_at int, revoked_at int",
)
_drop_expired = Statement("DELETE FROM keys WHERE kind = 'token' AND expires_at < :now")


def find(connection: Connection, dialect: str, lookup: str) -> Stored | None:
    """The credential of this dialect with this public part or digest."""
    found = _find.run(connection, dialect=dialect, lookup=lookup)
    return Stored(*found[0]) if found else None


def add(connection: Connection, rows: Sequence[Stored]) -> None:
    """Keep credentials."""
    _add.run(connection, rows)


def of_account(connection: Connection, account: int) -> list[Stored]:
    """The account's keys, oldest first; tokens are left out."""
    table = schema.keys
    columns: list[Any] = [table.c[name] for name in Stored._fields]
    query = select(*columns).where(table.c.account == account, table.c.kind == "key")
    return [Stored(*row) for row in connection.execute(query.order_by(table.c.created_at, table.c.lookup))]


def revoke(connection: Connection, account: int, principal: str, now: int) -> int:
    """End every credential of a principal at once; how many there were."""
    table = schema.keys
    statement = update(table).where(table.c.account == account, table.c.principal == principal)
    ending = statement.where(table.c.revoked_at.is_(None)).values(revoked_at=now)
    # Twice: the first may have waited for a transaction that made a token (see `hold`), and only a
    # second statement sees it.
    return connection.execute(ending).rowcount + connection.execute(ending).rowcount


def drop_expired(connection: Connection, now: int) -> None:
    """Forget tokens whose time is up."""
    _drop_expired.run(connection, now=now)


_tokens = Statement(
    f"SELECT {_KEY} FROM keys WHERE account = :account AND dialect = :dialect AND kind = 'token'"
    " AND label = :label AND expires_at > :now AND revoked_at IS NULL ORDER BY created_at DESC"
)
_drop = Statement(
    "DELETE FROM keys WHERE (dialect, lookup) IN (SELECT dialect, lookup FROM {rows})",
    rows="dialect text, lookup text",
)


def tokens(connection: Connection, account: int, dialect: str, label: str, now: int) -> list[Stored]:
    """The live tokens with this label, the newest first."""
    found = _tokens.run(connection, account=account, dialect=dialect, label=label, now=now)
    return [Stored(*row) for row in found]


def drop(connection: Connection, names: Sequence[tuple[str, str]]) -> None:
    """Forget credentials, named as (dialect, lookup)."""
    if names:
        _drop.run(connection, names)


_hold = Statement(
    "UPDATE keys SET label = label WHERE dialect = :dialect AND lookup = :lookup AND revoked_at IS NULL"
    " RETURNING lookup"
)


def hold(connection: Connection, dialect: str, lookup: str) -> bool:
    """Lock a credential until the commit, so that `revoke` does not miss what is made from it
    meanwhile; False when there is none or it is revoked."""
    return bool(_hold.run(connection, dialect=dialect, lookup=lookup))
