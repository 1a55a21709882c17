"""Levels by page number, with filters: for wires that page by number and want to know how many there are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import Connection

from onhand.stock.model import Level, Place
from onhand.store import levels
from onhand.store.sql import Statement

ALWAYS = (0, 2**62)
"""From the beginning to the end, in microseconds UTC."""

Ends: TypeAlias = tuple[bool, bool]
"""Whether the first, and whether the last movement of a level has to be looked at."""


class Wanted(NamedTuple):
    """Levels of items with a SKU at ``locations``; of ``items``, which have one, unless that is None; whose
    first movement was recorded in ``created`` and whose last in ``updated`` (from and until, microseconds
    UTC, both included)."""

    locations: Sequence[int]
    items: Sequence[int] | None = None
    created: tuple[int, int] = ALWAYS
    updated: tuple[int, int] = ALWAYS

    @property
    def ends(self) -> Ends:
        """Which movements have to be looked at; most of the time goes into that."""
        return self.created != ALWAYS, self.updated != ALWAYS


_LEVEL = "l.item, l.location, l.on_hand, l.reserved, l.infinite, l.present, l.version, l.next_expiry"
_ORDER = " ORDER BY l.item, l.location LIMIT :limit OFFSET :offset"
_ALL = (
    " FROM {rows} JOIN levels l ON l.account = :account AND l.location = r.location AND l.present = 1"
    " JOIN items i ON i.account = l.account AND i.id = l.item AND i.sku IS NOT NULL WHERE true"
)
# Read in the order of its key there is nothing to sort, and a level's item is looked for among those without
# a SKU: with as many levels as items, a twentieth of the time. The plus keeps it off the index by location.
_ALL_ON_SQLITE = (
    " FROM levels l WHERE l.account = :account AND l.present = 1"
    " AND +l.location IN (SELECT r.location FROM {rows})"
    " AND l.item NOT IN (SELECT i.id FROM items i WHERE i.account = :account AND i.sku IS NULL)"
)
_SOME = (
    " FROM {rows} JOIN levels l ON l.account = r.account AND l.item = r.item AND l.location = r.location"
    " AND l.present = 1 WHERE true"
)
# Left to itself, SQLite looks for a level's first and last movement among all that the account has.
_INDEXED = " INDEXED BY movements_level"
_AT = (
    f" AND (SELECT m.recorded_at FROM movements m{_INDEXED} WHERE m.account = l.account AND m.item = l.item"
    " AND m.location = l.location ORDER BY m.seq {} LIMIT 1)"
)
_FIRST = f"{_AT.format('ASC')} BETWEEN :created_from AND :created_until"
_LAST = f"{_AT.format('DESC')} BETWEEN :updated_from AND :updated_until"
_TIMES = {(first, last): _FIRST * first + _LAST * last for first, last in product((False, True), repeat=2)}


def _all(begins: str, times: str, ends: str = "") -> Statement:
    plain = times.replace(_INDEXED, "")
    return Statement(
        sqlite=f"{begins}{_ALL_ON_SQLITE}{times}{ends}",
        postgresql=f"{begins}{_ALL}{plain}{ends}",
        rows="location int",
    )


def _some(times: str) -> Statement:
    text = f"SELECT {_LEVEL}{_SOME}{times}"
    rows = "account int, item int, location int"
    return Statement(sqlite=text, postgresql=text.replace(_INDEXED, ""), rows=rows)


_page = {ends: _all(f"SELECT {_LEVEL}", times, _ORDER) for ends, times in _TIMES.items()}
_count = {ends: _all("SELECT COUNT(*)", times) for ends, times in _TIMES.items()}
_of_items = {ends: _some(times) for ends, times in _TIMES.items()}


def page(
    connection: Connection, account: int, wanted: Wanted, offset: int, limit: int, now: int
) -> tuple[dict[Place, Level], int]:
    """``limit`` levels behind the first ``offset``, by item and location, and how many there are in all."""
    found, count = _rows(connection, account, wanted, offset, limit)
    return levels.current(connection, account, found, now), count


def _rows(
    connection: Connection, account: int, wanted: Wanted, offset: int, limit: int
) -> tuple[Sequence[Any], int]:
    times = _spans(wanted)
    if wanted.items is not None:
        places = [(account, *place) for place in product(sorted(wanted.items), sorted(wanted.locations))]
        found = sorted(_of_items[wanted.ends].run(connection, places, **times)) if places else []
        return found[offset : offset + limit], len(found)
    rows = [(one,) for one in sorted(set(wanted.locations))]
    if not rows:
        return [], 0
    times["account"] = account
    count = int(_count[wanted.ends].run(connection, rows, **times)[0][0])
    if offset >= count:
        return [], count
    return _page[wanted.ends].run(connection, rows, **times, limit=limit, offset=offset), count


def _spans(wanted: Wanted) -> dict[str, int]:
    names = ("created_from", "created_until", "updated_from", "updated_until")
    return dict(zip(names, (*wanted.created, *wanted.updated), strict=True))
