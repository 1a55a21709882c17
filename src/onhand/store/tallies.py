"""Reads for whoever adds the ledger up: what moved at a location, and where its levels began."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sqlalchemy import Connection

from onhand.store.sql import Statement

PAGE = 5_000
"""Rows that are read at a time."""

_moves = Statement(
    "SELECT m.seq, m.item, m.kind, m.on_hand, m.reserved, m.on_hand_after, m.reason, m.reference, m.caller"
    " FROM movements m WHERE m.account = :account AND m.seq > :after AND m.location = :at"
    " ORDER BY m.seq LIMIT :limit"
)
_OPENING = (
    "SELECT r.item, (SELECT m.on_hand_after FROM {movements} WHERE m.account = r.account"
    " AND m.item = r.item AND m.location = r.location AND m.seq <= :seq"
    " ORDER BY m.seq DESC LIMIT 1) FROM {rows}"
)
_opening = Statement(
    # Left to itself, SQLite looks among all movements of the account, for each item.
    sqlite=_OPENING.replace("{movements}", "movements m INDEXED BY movements_level"),
    postgresql=_OPENING.replace("{movements}", "movements m"),
    rows="account int, item int, location int",
)


class Move(NamedTuple):
    """What one movement did to a level's on_hand and reserved, and who says so."""

    seq: int
    item: int
    kind: str
    on_hand: int
    reserved: int
    on_hand_after: int
    reason: str | None
    reference: str | None
    caller: str


def moves(connection: Connection, account: int, location: int, after: int) -> Iterator[Move]:
    """Every movement at a location behind number ``after``, in order, read a page at a time."""
    while True:
        rows = _moves.run(connection, account=account, after=after, at=location, limit=PAGE)
        yield from (Move(*row) for row in rows)
        if len(rows) < PAGE:
            return
        after = rows[-1][0]


def on_hand_at(
    connection: Connection, account: int, location: int, items: Iterable[int], seq: int
) -> dict[int, int]:
    """The on_hand of these items as the account's movement number ``seq`` left it."""
    rows = [(account, item, location) for item in sorted(set(items))]
    found = _opening.run(connection, rows, seq=seq) if rows else []
    return {item: int(units or 0) for item, units in found}
