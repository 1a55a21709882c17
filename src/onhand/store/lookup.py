"""Lean look-ups for requests that name many things: ids behind names, names behind ids, nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection

from onhand.store.packed import Packed
from onhand.store.sql import Statement

_items = Statement(
    "SELECT i.sku, i.id FROM {rows} JOIN items i ON i.account = r.account AND i.sku = r.sku",
    rows="account int, sku text",
)
_skus = Packed(
    tuple[int, str | None],
    ["i.id", "i.sku"],
    rest="FROM {rows} JOIN items i ON i.account = r.account AND i.id = r.id",
    rows="account int, id int",
)
_places = Statement(
    "SELECT p.name, p.id, p.seller FROM {rows} JOIN locations p ON p.account = r.account AND p.name = r.name",
    rows="account int, name text",
)
_names = Statement(
    "SELECT p.id, p.name FROM {rows} JOIN locations p ON p.account = r.account AND p.id = r.id",
    rows="account int, id int",
)
_of_seller = Statement("SELECT id FROM locations WHERE account = :account AND seller = :seller ORDER BY id")
_usual = Statement(
    "SELECT p.id FROM locations p JOIN sellers s ON s.account = p.account AND s.id = p.seller"
    " WHERE p.account = :account AND p.kind = 'stock' AND p.active = 1"
    " AND CASE WHEN :seller = 0 THEN s.own = 1 ELSE s.id = :seller END ORDER BY p.id LIMIT :limit"
)
_components = Statement(
    "SELECT k.kit, k.component FROM {rows} JOIN kit_components k ON k.account = r.account AND k.kit = r.kit",
    rows="account int, kit int",
)

_kits_with = Statement(
    "SELECT kit FROM kit_components WHERE account = :account AND component = :part LIMIT 1"
)

_references = Statement(
    "SELECT reference FROM reservations WHERE account = :account AND reference > :after"
    " ORDER BY reference LIMIT :limit"
)
_references_of = Statement(
    "SELECT reference FROM reservations r WHERE account = :account AND reference > :after"
    " AND NOT EXISTS (SELECT 1 FROM reservation_lines l"
    " JOIN locations p ON p.account = l.account AND p.id = l.location"
    " WHERE l.account = r.account AND l.reference = r.reference AND p.seller <> :seller)"
    " ORDER BY reference LIMIT :limit"
)


class Place(NamedTuple):
    """A location's id and whose it is."""

    id: int
    seller: int


def items(connection: Connection, account: int, skus: Iterable[str]) -> dict[str, int]:
    """SKU to item id, for the SKUs that exist."""
    rows = [(account, sku) for sku in sorted(set(skus))]
    return {row[0]: row[1] for row in _items.run(connection, rows)} if rows else {}


def skus(connection: Connection, account: int, ids: Iterable[int]) -> dict[int, str | None]:
    """Item id to SKU, for the items that exist."""
    rows = [(account, one) for one in sorted(set(ids))]
    return dict(_skus.run(connection, rows)) if rows else {}


def places(connection: Connection, account: int, names: Iterable[str]) -> dict[str, Place]:
    """Name to location, for the names that exist."""
    rows = [(account, name) for name in sorted(set(names))]
    return {row[0]: Place(row[1], row[2]) for row in _places.run(connection, rows)} if rows else {}


def names(connection: Connection, account: int, ids: Iterable[int]) -> dict[int, str]:
    """Location id to name, for the locations that exist."""
    rows = [(account, one) for one in sorted(set(ids))]
    return {row[0]: row[1] for row in _names.run(connection, rows)} if rows else {}


def of_seller(connection: Connection, account: int, seller: int) -> frozenset[int]:
    """The ids of a seller's locations."""
    return frozenset(row[0] for row in _of_seller.run(connection, account=account, seller=seller))


def usual(connection: Connection, account: int, seller: int | None, limit: int) -> tuple[int, ...]:
    """The active stock locations, by id, of a seller; of the account's own sellers for None."""
    rows = _usual.run(connection, account=account, seller=seller or 0, limit=limit)
    return tuple(row[0] for row in rows)


def components(connection: Connection, account: int, items: Iterable[int]) -> dict[int, tuple[int, ...]]:
    """The items that each of ``items`` is made of: none, if it is no kit."""
    found: dict[int, tuple[int, ...]] = dict.fromkeys(items, ())
    for kit, part in _components.run(connection, [(account, one) for one in sorted(found)]) if found else ():
        found[kit] = (*found[kit], part)
    return found


def kits_with(connection: Connection, account: int, component: int) -> bool:
    """Whether any kit is made of this item."""
    return bool(_kits_with.run(connection, account=account, part=component))


def references(
    connection: Connection, account: int, after: str, limit: int, seller: int | None = None
) -> list[str]:
    """The references of reservations, in the database's order, behind ``after`` ("" for the first); those at
    the locations of one ``seller`` alone, where one is named."""
    statement = _references if seller is None else _references_of
    rows = statement.run(connection, account=account, after=after, limit=limit, seller=seller)
    return [row[0] for row in rows]
