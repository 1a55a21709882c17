"""Writes a small commit to SQLite in one statement.

The driver lets the interpreter go at each step of a statement, and a thread that wants it back waits for the
event loop. So all that a commit does is given as rows to a view of the connection's own, and triggers there
write them where they belong: a thread does it all, COMMIT included, in one step, while the loop goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import msgspec
from sqlalchemy import Connection

from onhand.store.books import Spot
from onhand.store.sql import Row, direct, step

ROWS_LIMIT = 512
"""Rows in one statement at most: it is prepared for so many, and the least number of columns that SQLite
takes parameters for is 32,766."""

STRIDE = 8
"""Rows by which statements differ, which are filled up with such as do nothing."""

_READY = "onestep"
_MOVEMENT = (
    *("account", "seq", "item", "location", "version", "kind", "on_hand", "reserved"),
    *("on_hand_after", "reserved_after", "infinite", "present"),
    *("reason", "reference", "caller", "context", "recorded_at", "effective_at"),
)
_KEY = ("account", "scope", "key", "fingerprint", "status", "body", "headers", "created_at")
_STALE = ("moved", "now")
_WIDTH = 2 + len(_MOVEMENT)
_DETAIL = ("account", "dialect", "kind", "item", "other", "body", "part")
_PRICE = ("account", "item", "seller", "price", "sale_price", "currency")
_SAYS = ("says_price", "says_sale_price", "says_currency")
_NOTHING, _MOVED, _KEPT, _MARKED, _DETAILED, _PRICED = range(6)
_FEW, _ALL = "onestep", "onestep_also"
"""Views for what nearly all commits write, and for all: each row comes by all triggers of its view."""
_LATER = -1
"""In the place of an account's last number where a later row moves the account."""


def _insert(table: str, columns: Sequence[str]) -> str:
    values = ", ".join(f"NEW.c{at}" for at in range(1, len(columns) + 1))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values})"


class _Trigger(NamedTuple):
    """What rows of a kind do; ``body`` names their columns as ``:name``."""

    what: int
    columns: Sequence[str]
    body: str

    def on(self, view: str) -> str:
        """The trigger of a view."""
        body = self.body
        for at, name in sorted(enumerate(self.columns, 1), key=lambda one: -len(one[1])):
            body = body.replace(f":{name}", f"NEW.c{at}")
        head = f"CREATE TEMP TRIGGER IF NOT EXISTS {view}_{self.what} INSTEAD OF INSERT ON {view}"
        return f"{head} WHEN NEW.c0 = {self.what} BEGIN {body}; END"


_NOT_SO = "SELECT RAISE(ABORT, 'the ledger is not where it was') WHERE"
_USUAL = (
    # A level goes from one version to the next, and an account from the number that was its last.
    _Trigger(
        _MOVED,
        [*_MOVEMENT, "before"],
        f"{_insert('movements', _MOVEMENT)};"
        "INSERT INTO levels (account, item, location, on_hand, reserved, infinite, present, version)"
        " SELECT :account, :item, :location, :on_hand_after, :reserved_after, :infinite, :present, 1"
        " WHERE :version = 1;"
        "UPDATE levels SET on_hand = :on_hand_after, reserved = :reserved_after, infinite = :infinite,"
        " present = :present, version = :version WHERE account = :account AND item = :item"
        " AND location = :location AND version = :version - (:version > 1);"
        f"{_NOT_SO} changes() <> 1;"
        "UPDATE accounts SET seq = :seq, recorded_at = :recorded_at"
        " WHERE id = :account AND seq = :before AND :before >= 0;"
        f"{_NOT_SO} :before >= 0 AND changes() <> 1",
    ),
    _Trigger(_KEPT, _KEY, _insert("idempotency", _KEY)),
    # Left to itself, SQLite goes through an account's feeds or listings instead of the rows that are given.
    _Trigger(
        _MARKED,
        _STALE,
        "INSERT INTO outbox (account, listing, connection, since, seq, due, marked_at)"
        " SELECT f.account, f.listing, g.connection, MIN(r.since), MAX(r.seq), :now, :now FROM"
        " (SELECT json_extract(value, '$[0]') AS account, json_extract(value, '$[1]') AS item,"
        " json_extract(value, '$[2]') AS location, json_extract(value, '$[3]') AS since,"
        " json_extract(value, '$[4]') AS seq FROM json_each(:moved)) AS r"
        " CROSS JOIN feeds f ON f.account = r.account AND f.item = r.item AND f.location = r.location"
        " CROSS JOIN listings g ON g.account = f.account AND g.id = f.listing"
        " WHERE true GROUP BY f.account, f.listing, g.connection ORDER BY f.account, f.listing"
        " ON CONFLICT (account, listing) DO UPDATE SET seq = excluded.seq, marks = outbox.marks + 1;"
        # As in `listed`: what was put off is due again, all else keeps its place in line.
        "UPDATE outbox SET due = :now WHERE due > :now AND (account, listing) IN (SELECT f.account, f.listing"
        " FROM (SELECT json_extract(value, '$[0]') AS account, json_extract(value, '$[1]') AS item,"
        " json_extract(value, '$[2]') AS location FROM json_each(:moved)) AS r"
        " CROSS JOIN feeds f ON f.account = r.account AND f.item = r.item AND f.location = r.location)",
    ),
)
_ALSO = (
    _Trigger(
        _DETAILED,
        _DETAIL,
        "INSERT INTO details (account, dialect, kind, item, other, body)"
        " SELECT :account, :dialect, :kind, :item, :other, :body WHERE :body IS NOT NULL"
        " ON CONFLICT (account, dialect, kind, item, other) DO UPDATE SET"
        " body = CASE WHEN :part THEN json_patch(details.body, excluded.body) ELSE excluded.body END;"
        "DELETE FROM details WHERE account = :account AND dialect = :dialect AND kind = :kind"
        " AND item = :item AND other = :other AND :body IS NULL",
    ),
    _Trigger(
        _PRICED,
        [*_PRICE, *_SAYS],
        f"{_insert('prices', _PRICE)} ON CONFLICT (account, item, seller) DO UPDATE SET"
        " price = CASE WHEN :says_price THEN excluded.price ELSE price END,"
        " sale_price = CASE WHEN :says_sale_price THEN excluded.sale_price ELSE sale_price END,"
        " currency = CASE WHEN :says_currency THEN excluded.currency ELSE currency END",
    ),
)


def _view(name: str, triggers: Sequence[_Trigger]) -> list[str]:
    nothing = ", ".join(f"0 AS c{at}" for at in range(_WIDTH))
    view = f"CREATE TEMP VIEW IF NOT EXISTS {name} AS SELECT {nothing} WHERE 0"
    return [view, *[one.on(name) for one in triggers]]


_PREPARE = (*_view(_FEW, _USUAL), *_view(_ALL, (*_USUAL, *_ALSO)))

Deed: TypeAlias = tuple[str, Sequence[Any]]
"""A statement and its parameters."""


class Advance(NamedTuple):
    """An account's last movement number before a commit and after it, and the time of recording."""

    before: int
    last: int
    recorded_at: int


def prepare(connection: Connection) -> None:
    """Have the connection know what `do` does."""
    if _READY not in connection.info:
        for text in _PREPARE:
            direct(connection, text)
        connection.info[_READY] = True


def deed(
    advances: Mapping[int, Advance],
    movements: Sequence[Row],
    stale: Mapping[Spot, tuple[int, int]],
    keys: Iterable[Row],
    now: int,
    also: Sequence[Row] = (),
) -> Deed | None:
    """What is to be written: movements (rows of that table, by account, in order) with the levels that they
    lead to, the accounts' numbers, the first and the last movement of each level that makes listings stale,
    answers to keys, and what `detail` and `price` have made. None where that is more than `ROWS_LIMIT` rows,
    or nothing at all."""
    values: list[Any] = []
    for row in movements:
        values.append(_MOVED)
        values += row
        values.append(_LATER)
    end = 0
    for _, (before, last, _) in sorted(advances.items()):
        end += last - before
        values[end * _WIDTH - 1] = before
    for row in keys:
        values += (_KEPT, *row, *_REST_OF_KEY)
    if stale:
        moved = [(*spot, *seqs) for spot, seqs in stale.items()]
        values += (_MARKED, msgspec.json.encode(moved).decode(), now, *_REST_OF_STALE)
    for row in also:
        values += row
    count = len(values) // _WIDTH
    if not 0 < count <= ROWS_LIMIT:
        return None
    size = -count // STRIDE * -STRIDE if count > STRIDE else 1 << (count - 1).bit_length()
    values += _NO_ROW * (size - count)
    return _text(_ALL if also else _FEW, size), values


def detail(key: tuple[int, str, str, int, int], body: str | None, part: bool) -> Row:
    """What is kept under (account, dialect, kind, item, other), or a ``part`` of it; None deletes it."""
    return (_DETAILED, *key, body, part, *_REST_OF_DETAIL)


def price(account: int, item: int, seller: int, said: Mapping[str, str | None]) -> Row:
    """What is said of a price, by column; the others stay as they are."""
    columns = _PRICE[-len(_SAYS) :]
    values, says = [said.get(name) for name in columns], [int(name in said) for name in columns]
    return (_PRICED, account, item, seller, *values, *says, *_REST_OF_PRICE)


_NO_ROW = (_NOTHING,) * _WIDTH
_REST_OF_KEY = (0,) * (_WIDTH - 1 - len(_KEY))
_REST_OF_STALE = (0,) * (_WIDTH - 1 - len(_STALE))
_REST_OF_DETAIL = (0,) * (_WIDTH - 1 - len(_DETAIL))
_REST_OF_PRICE = (0,) * (_WIDTH - 1 - len(_PRICE) - len(_SAYS))


@cache
def _text(view: str, size: int) -> str:
    row = f"({', '.join('?' * _WIDTH)})"
    return f"INSERT INTO {view} VALUES {', '.join([row] * size)}"


def do(connection: Connection, what: Deed) -> None:
    """Write and commit, outside of a transaction. Raises DBAPIError, and nothing was written, when a level or
    an account is not where it was, or a key was used."""
    text, parameters = what
    # Of many the driver asks no last row: it lets the interpreter go once less.
    step(connection, text, [parameters], many=True)
