"""Reads whole tables in pieces of bounded size, with a digest that is the same on both engines."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, Table, Text

from onhand.store import accounts, outward, schema
from onhand.store.engine import set_account
from onhand.store.sql import Insert, Row

FIRST_ROWS, ROWS_LIMIT = 100, 5_000
"""Rows read at a time: the first time, and at most."""
PIECE_BYTES = 4 * 1024 * 1024
"""What the rows of one reading have together, as nearly as the ones before them tell."""
TABLES: tuple[Table, ...] = tuple(outward.feeds.metadata.sorted_tables)
"""Every table, each after those that it refers to."""
_DIGEST_BYTES = 16
_WRAP = (1 << 8 * _DIGEST_BYTES) - 1
"""Digests of rows are added up: the sum is the same in whatever order an engine returns them."""


class Tally(NamedTuple):
    """How many rows, and the sum of their digests: equal for equal rows, in any order."""

    rows: int = 0
    digest: int = 0

    def plus(self, other: Tally) -> Tally:
        """Both together."""
        return Tally(self.rows + other.rows, (self.digest + other.digest) & _WRAP)


def parts(connection: Connection) -> Iterator[tuple[Table, int | None, int]]:
    """What is to be read one after the other, and how many rows it has: the tables that belong to all, then
    those in which an account has any. The account is named, as whoever reads must."""
    shared = [table for table in TABLES if table.name in schema.OUTSIDE]
    own = [table for table in TABLES if table.name not in schema.OUTSIDE]
    yield from ((table, None, rows) for table, rows in _counts(connection, shared, None) if rows)
    for account in accounts.accounts(connection):
        set_account(connection, account.id)
        found = _counts(connection, own, account.id)
        yield from ((table, account.id, rows) for table, rows in found if rows)


def _counts(connection: Connection, tables: list[Table], account: int | None) -> list[tuple[Table, int]]:
    # One question for all of them: with thousands of accounts each costs as much as its rows.
    each = ", ".join(f"(SELECT COUNT(*) FROM {table.name}{_of(account)})" for table in tables)
    return list(zip(tables, connection.exec_driver_sql(f"SELECT {each}").one(), strict=True))


def _of(account: int | None) -> str:
    """The WHERE of an account's rows; of all rows for None."""
    return "" if account is None else f" WHERE account = {account}"


def pieces(
    connection: Connection, table: Table, account: int | None
) -> Iterator[tuple[Sequence[Row], Tally]]:
    """The rows of a table, some at a time, in the order of its key, once the account is named."""
    key = ", ".join(one.name for one in table.primary_key.columns)
    names = ", ".join(one.name for one in table.columns)
    query = f"SELECT {names} FROM {table.name}{_of(account)} ORDER BY {key}"
    result = connection.exec_driver_sql(query, execution_options={"stream_results": True})
    size = FIRST_ROWS
    with contextlib.closing(result):
        while rows := [tuple(row) for row in result.fetchmany(size)]:
            packed = [_packed(row) for row in rows]
            yield rows, Tally(len(rows), sum(map(_digest, packed)) & _WRAP)
            average = max(1, sum(map(len, packed)) // len(rows))
            size = max(1, min(ROWS_LIMIT, PIECE_BYTES // average, size * 4))


_packed = msgspec.msgpack.Encoder().encode


def _digest(packed: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(packed, digest_size=_DIGEST_BYTES).digest(), "big")


def insert(table: Table) -> Insert:
    """The statement that writes whole rows of a table."""
    kinds = [(one.name, "text" if isinstance(one.type, Text) else "int") for one in table.columns]
    return Insert(table.name, ", ".join(f"{name} {kind}" for name, kind in kinds))
