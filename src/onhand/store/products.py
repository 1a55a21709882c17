"""What a connection offers, with the items behind it: one record for each listing, alone or by page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, and_, func, not_, or_, select

from onhand.store import schema
from onhand.store.channels import Link
from onhand.store.packed import Packed

SECOND = 1_000_000
"""Microseconds."""


class Product(msgspec.Struct, frozen=True, array_like=True):
    """What a connection says of a listing and its item. ``parent`` is the external id under which it offers
    the parent of the item. ``moved_at`` is when stock last changed at the connection's locations
    (microseconds UTC, 0 for never). ``closes`` says whether the listing may close with its level. ``active``,
    ``kit``, ``has_variants`` and ``closes`` are 0 or 1, as the tables have them."""

    external_id: str
    status: str
    attributes: dict[str, Any]
    listed_at: int
    listing_updated_at: int
    item: int
    sku: str | None
    name: str | None
    active: int
    kit: int
    price: str | None
    cost: str | None
    barcodes: dict[str, str]
    image_url: str | None
    measurements: dict[str, Any]
    tags: list[str]
    categories: list[str]
    created_at: int
    item_updated_at: int
    parent: str | None
    has_variants: int
    moved_at: int
    closes: int

    @property
    def updated_at(self) -> int:
        """When anything about it last changed, in microseconds UTC."""
        return max(self.item_updated_at, self.listing_updated_at, self.moved_at)


_COLUMNS = (
    *("g.external_id", "g.status", "json g.attributes", "g.created_at", "g.updated_at"),
    *("i.id", "i.sku", "i.name", "i.active", "i.kit", "i.price", "i.cost", "json i.barcodes", "i.image_url"),
    *("json i.measurements", "json i.tags", "json i.categories", "i.created_at", "i.updated_at"),
    # Left to itself, SQLite looks for a parent among all listings of the connection.
    "(SELECT MIN(p.external_id) FROM listings p INDEXED BY listings_level WHERE p.account = g.account"
    " AND p.item = i.parent AND p.connection = g.connection)",
    "CASE WHEN EXISTS (SELECT 1 FROM items k WHERE k.account = i.account AND k.parent = i.id)"
    " THEN 1 ELSE 0 END",
)
# A hot item has very many movements: the last one of each level is found through its index.
_MOVED = (
    "COALESCE((SELECT MAX(m.recorded_at) FROM levels l JOIN movements m ON m.account = l.account"
    " AND m.item = l.item AND m.location = l.location"
    " AND m.seq = (SELECT MAX(x.seq) FROM movements x WHERE x.account = l.account"
    " AND x.item = l.item AND x.location = l.location)"
    " WHERE l.account = g.account AND l.item = g.item AND l.location IN"
    " (SELECT value FROM json_each(c.locations))), 0)"
)
_MOVED_AT_PLACE = (
    "COALESCE((SELECT m.recorded_at FROM movements m WHERE m.account = g.account AND m.item = g.item"
    " AND m.location = :place AND m.seq = (SELECT MAX(x.seq) FROM movements x"
    " WHERE x.account = g.account AND x.item = g.item AND x.location = :place)), 0)"
)
_CLOSES = "g.closes_at_zero"
_OTHERWISE = {
    " INDEXED BY listings_level": "",
    "SELECT value FROM json_each(c.locations)": (
        "SELECT e.value::bigint FROM jsonb_array_elements_text(c.locations::jsonb) AS e"
    ),
}
_products = Packed(
    Product,
    (*_COLUMNS, _MOVED, _CLOSES),
    rest="FROM {rows} JOIN listings g ON g.account = r.account AND g.connection = r.connection"
    " AND g.external_id = r.external_id"
    " JOIN items i ON i.account = g.account AND i.id = g.item"
    " JOIN connections c ON c.account = g.account AND c.id = g.connection",
    rows="account int, connection int, external_id text",
    postgresql=_OTHERWISE,
)
_product = Packed(
    Product,
    (*_COLUMNS, _MOVED_AT_PLACE, _CLOSES),
    rest="FROM listings g JOIN items i ON i.account = g.account AND i.id = g.item"
    " WHERE g.account = :account AND g.connection = :link AND g.external_id = :name",
    postgresql=_OTHERWISE,
)


def products(connection: Connection, account: int, link: int, names: Iterable[str]) -> dict[str, Product]:
    """The products that a connection offers under these external ids, by external id."""
    rows = [(account, link, name) for name in sorted(set(names))]
    return {one.external_id: one for one in _products.run(connection, rows)} if rows else {}


def product(connection: Connection, account: int, link: int, name: str, place: int) -> dict[str, Product]:
    """The same for one external id of a connection whose only location is ``place``: as most have it, and
    with two thirds of the instructions."""
    found = _product.run(connection, account=account, link=link, name=name, place=place)
    return {one.external_id: one for one in found}


# --- pages --------------------------------------------------------------------------------------------


class Wanted(NamedTuple):
    """One condition on a page. ``field`` is created, updated, external_id or sku.

    Times are ``since`` (at or after the first value), ``until`` (before it), or ``at`` and ``not_at``
    (within the second that begins at one of the values); names are ``in`` or ``nin``, and an item
    without a SKU is never in a list.
    """

    field: str
    op: str
    values: tuple[int, ...] | tuple[str, ...]


def page(
    connection: Connection, account: int, link: Link, wanted: Sequence[Wanted], after: int, limit: int
) -> list[tuple[int, str]]:
    """The (listing id, external id) of at most ``limit`` products behind listing ``after``."""
    listings = schema.listings
    query = _where(select(listings.c.id, listings.c.external_id), account, link, wanted)
    query = query.where(listings.c.id > after).order_by(listings.c.id).limit(limit)
    return [(int(row[0]), str(row[1])) for row in connection.execute(query)]


def count(connection: Connection, account: int, link: Link, wanted: Sequence[Wanted]) -> int:
    """How many products there are on all pages."""
    query = _where(select(func.count()), account, link, wanted)
    return int(connection.execute(query).scalar_one())


def _where(query: Select[Any], account: int, link: Link, wanted: Sequence[Wanted]) -> Select[Any]:
    listings, items = schema.listings, schema.items
    same = and_(items.c.account == listings.c.account, items.c.id == listings.c.item)
    query = query.select_from(listings.join(items, same))
    query = query.where(listings.c.account == account, listings.c.connection == link.id)
    return query.where(*(_condition(one, link) for one in wanted))


def _condition(one: Wanted, link: Link) -> ColumnElement[bool]:
    match one.op:
        case "since":
            return _since(one.field, link, int(one.values[0]))
        case "until":
            return not_(_since(one.field, link, int(one.values[0])))
        case "at" | "not_at":
            within = [
                and_(_since(one.field, link, int(at)), not_(_since(one.field, link, int(at) + SECOND)))
                for at in one.values
            ]
            return or_(*within) if one.op == "at" else not_(or_(*within))
        case _:
            column = schema.listings.c.external_id if one.field == "external_id" else schema.items.c.sku
            listed = column.in_(one.values)
            return listed if one.op == "in" else or_(column.is_(None), not_(listed))


def _since(field: str, link: Link, at: int) -> ColumnElement[bool]:
    return schema.items.c.created_at >= at if field == "created" else _changed(link, at)


def _changed(link: Link, at: int) -> ColumnElement[bool]:
    """Whether `Product.updated_at` is at or after ``at``."""
    listings, levels, movements = schema.listings, schema.levels, schema.movements
    other = movements.alias()
    last = select(func.max(other.c.seq)).where(
        other.c.account == levels.c.account,
        other.c.item == levels.c.item,
        other.c.location == levels.c.location,
    )
    behind = and_(
        movements.c.account == levels.c.account,
        movements.c.item == levels.c.item,
        movements.c.location == levels.c.location,
        movements.c.seq == last.scalar_subquery(),
    )
    moved = (
        select(movements.c.seq)
        .select_from(levels.join(movements, behind))
        .where(levels.c.account == listings.c.account, levels.c.item == listings.c.item)
        .where(levels.c.location.in_(link.locations), movements.c.recorded_at >= at)
    )
    return or_(schema.items.c.updated_at >= at, listings.c.updated_at >= at, moved.exists())
