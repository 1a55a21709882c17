"""Levels by page number, with filters: for wires that page by number and want to know how many there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from onhand.stock.model import Level, Place
from onhand.store import levels
from onhand.store.sql import Statement

FOREVER = 2**62


class Wanted(NamedTuple):
    """Levels of items with a SKU at ``locations``; of one item unless 0; whose first movement was
    recorded in ``created`` and whose last in ``updated`` (from and until, microseconds UTC, both
    included)."""

    locations: Sequence[int]
    item: int = 0
    created: tuple[int, int] = (0, FOREVER)
    updated: tuple[int, int] = (0, FOREVER)

    @property
    def timed(self) -> bool:
        """Whether the movements have to be asked."""
        return (self.created, self.updated) != ((0, FOREVER), (0, FOREVER))


_FROM = (
    " FROM {rows} JOIN levels l ON l.account = :account AND l.location = r.location AND l.present = 1"
    " JOIN items i ON i.account = l.account AND i.id = l.item AND i.sku IS NOT NULL"
    " WHERE (:item = 0 OR l.item = :item)"
)
# Left to itself, SQLite looks for a level's first and last movement among all that the account has.
_INDEXED = " INDEXED BY movements_level"
_AT = (
    f"(SELECT m.recorded_at FROM movements m{_INDEXED} WHERE m.account = l.account AND m.item = l.item"
    " AND m.location = l.location ORDER BY m.seq {} LIMIT 1)"
)
_TIMED = (
    f" AND {_AT.format('ASC')} BETWEEN :created_from AND :created_until"
    f" AND {_AT.format('DESC')} BETWEEN :updated_from AND :updated_until"
)
_LEVEL = "l.item, l.location, l.on_hand, l.reserved, l.infinite, l.present, l.version, l.next_expiry"
_ORDER = " ORDER BY l.item, l.location LIMIT :limit OFFSET :offset"
_ROWS = "location int"


def _both(text: str) -> Statement:
    return Statement(sqlite=text, postgresql=text.replace(_INDEXED, ""), rows=_ROWS)


_page = {
    False: _both(f"SELECT {_LEVEL}{_FROM}{_ORDER}"),
    True: _both(f"SELECT {_LEVEL}{_FROM}{_TIMED}{_ORDER}"),
}
_count = {
    False: _both(f"SELECT COUNT(*){_FROM}"),
    True: _both(f"SELECT COUNT(*){_FROM}{_TIMED}"),
}


def page(
    connection: Connection, account: int, wanted: Wanted, offset: int, limit: int, now: int
) -> tuple[dict[Place, Level], int]:
    """``limit`` levels behind the first ``offset``, by item and location, and how many there are in all."""
    values = {"account": account, "item": wanted.item}
    if wanted.timed:
        values |= dict(zip(("created_from", "created_until"), wanted.created, strict=True))
        values |= dict(zip(("updated_from", "updated_until"), wanted.updated, strict=True))
    rows = [(one,) for one in sorted(set(wanted.locations))]
    if not rows:
        return {}, 0
    count = int(_count[wanted.timed].run(connection, rows, **values)[0][0])
    if offset >= count:
        return {}, count
    found = _page[wanted.timed].run(connection, rows, **values, limit=limit, offset=offset)
    return levels.current(connection, account, found, now), count
