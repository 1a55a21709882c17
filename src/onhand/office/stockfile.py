"""Reads a file of stock numbers and checks every line before anything is done with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from onhand.office.orderfile import whole
from onhand.office.sheets import Bad, Row, Sheet
from onhand.stock.model import QUANTITY_LIMIT, TEXT_LIMIT, Level
from onhand.store import catalog, levels
from onhand.store.catalog import SKU_LIMIT, Item, Location

ON_HAND, AVAILABLE = "on_hand", "available"
_YES, _NO = frozenset({"true", "yes", "1"}), frozenset({"false", "no", "0"})


class Count(msgspec.Struct, frozen=True, array_like=True):
    """One line: an item at a location has ``quantity`` on hand, or available if ``available``.

    ``location`` is 0 and ``place`` its name until it has been looked up. ``infinite`` None leaves
    it as it is.
    """

    line: int
    sku: str
    place: str
    quantity: int
    available: bool = False
    infinite: bool | None = None
    reason: str | None = None
    reference: str | None = None
    location: int = 0


class Columns(NamedTuple):
    """Where the cells of a line are; None for a column that the file does not have."""

    sku: int
    location: int
    on_hand: int | None
    available: int | None
    infinite: int | None
    reason: int | None
    reference: int | None


def counts(sheet: Sheet) -> Iterator[Count | Bad]:
    """The lines of a stock file, each by itself. Raises BadAsk in words when a column is missing."""
    found = sheet.columns
    if ON_HAND not in found and AVAILABLE not in found:
        raise sheet.lacks("neither a column on_hand nor a column available")
    columns = Columns(
        sheet.column("sku"),
        sheet.column("location"),
        *(found.get(name) for name in (ON_HAND, AVAILABLE, "infinite", "reason", "reference")),
    )
    return (row if isinstance(row, Bad) else _count(row, columns) for row in sheet.rows)


def _count(row: Row, columns: Columns) -> Count | Bad:
    def cell(at: int | None) -> str:
        return "" if at is None else row.cells[at]

    sku, place = cell(columns.sku), cell(columns.location)
    if not sku or len(sku) > SKU_LIMIT:  # blanks alone are one where somebody has made such an item
        return Bad(row.line, f"sku has 1 to {SKU_LIMIT} characters")
    if not place:
        return Bad(row.line, "location is empty")
    on_hand, available = cell(columns.on_hand).strip(), cell(columns.available).strip()
    name, words = (ON_HAND, on_hand) if on_hand or columns.available is None else (AVAILABLE, available)
    if not words:
        return Bad(row.line, f"{name} is empty" if columns.on_hand is None else "on_hand is empty")
    quantity = whole(words)
    if quantity is None or quantity < 0:
        return Bad(row.line, f"{name} {words[:40]!r} is no whole number from 0 to {QUANTITY_LIMIT}")
    flag = cell(columns.infinite).strip().lower()
    if flag and flag not in _YES | _NO:
        return Bad(row.line, f"infinite {flag[:40]!r} is neither true nor false")
    reason, reference = cell(columns.reason) or None, cell(columns.reference) or None
    if max(len(reason or ""), len(reference or "")) > TEXT_LIMIT:
        return Bad(row.line, f"a reason or reference has more than {TEXT_LIMIT} characters")
    infinite = flag in _YES if flag else None
    return Count(row.line, sku, place, quantity, name == AVAILABLE, infinite, reason, reference)


class Check:
    """Looks the lines of one file up in the ledger, a page at a time, and notices what is twice. With
    ``create`` an unknown SKU is good, one that looks like a slip only with ``any_sku``."""

    def __init__(
        self, account: int, locations: Sequence[Location], *, create: bool, any_sku: bool = False
    ) -> None:
        self._account = account
        self._locations = {one.name: one for one in locations}
        self._create, self._any_sku = create, any_sku
        self._seen: dict[tuple[str, int], int] = {}
        self.new: set[str] = set()
        self.changed = 0
        self.unchanged = 0

    def page(self, connection: Connection, rows: Iterable[Count | Bad], now: int) -> list[Count | Bad]:
        """``rows`` with the ids of their locations, or marked as bad; in the same order."""
        taken = list(rows)
        skus = {row.sku for row in taken if isinstance(row, Count)}
        items = catalog.items_by_sku(connection, self._account, skus)
        checked = [row if isinstance(row, Bad) else self._check(row, items.get(row.sku)) for row in taken]
        good = [row for row in checked if isinstance(row, Count)]
        self._compare(connection, good, items, now)
        return checked

    def _check(self, row: Count, item: Item | None) -> Count | Bad:
        location = self._locations.get(row.place)
        if location is None:
            return Bad(row.line, f"there is no location named {row.place[:80]!r}")
        if location.kind == "mirrored":
            return Bad(row.line, f"{row.place!r} is a mirrored location: only its channel writes there")
        if item is not None and item.kit:
            return Bad(row.line, f"{row.sku!r} is a kit, which has no stock of its own: set its components")
        if item is None:
            if not self._create:
                return Bad(row.line, f"there is no item with the sku {row.sku!r} (--create makes it)")
            if not self._any_sku and (row.sku != row.sku.strip() or not row.sku.isprintable()):
                why = "it has blanks around it or odd characters (--any-sku makes it)"
                return Bad(row.line, f"no item is made of {row.sku!r}: {why}")
        first = self._seen.setdefault((row.sku, location.id), row.line)
        if first != row.line:
            return Bad(row.line, f"{row.sku!r} at {row.place!r} was in line {first} already")
        if item is None:
            self.new.add(row.sku)
        return msgspec.structs.replace(row, location=location.id)

    def _compare(
        self, connection: Connection, rows: Sequence[Count], items: dict[str, Item], now: int
    ) -> None:
        places = [(items[row.sku].id, row.location) for row in rows if row.sku in items]
        there = levels.at(connection, self._account, places, now)
        for row in rows:
            item = items.get(row.sku)
            level = None if item is None else there.get((item.id, row.location))
            if level is not None and same(row, level):
                self.unchanged += 1
            else:
                self.changed += 1


def same(row: Count, level: Level) -> bool:
    """Whether a level that is there says already what the line says."""
    stands = level.available if row.available else level.on_hand
    return stands == row.quantity and row.infinite in (None, level.infinite)
