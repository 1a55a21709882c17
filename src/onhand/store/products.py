"""What a connection offers, with the items behind it: one record for each listing, alone or by page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, func, not_, or_, select

from onhand.store import schema
from onhand.store.catalog import Item, item_of
from onhand.store.channels import Link, Listing, listing_of
from onhand.store.sql import Statement

SECOND = 1_000_000
"""Microseconds."""


class Product(NamedTuple):
    """A listing and its item. ``parent`` is the external id under which the connection offers the
    parent of the item. ``moved_at`` is when stock last changed at the connection's locations
    (microseconds UTC, 0 for never)."""

    listing: Listing
    item: Item
    parent: str | None
    has_variants: bool
    moved_at: int

    @property
    def updated_at(self) -> int:
        """When anything about it last changed, in microseconds UTC."""
        return max(self.item.updated_at, self.listing.updated_at, self.moved_at)


_LISTING = ", ".join(f"g.{name}" for name in Listing.__struct_fields__)
_ITEM = ", ".join(f"i.{name}" for name in Item.__struct_fields__)
_ITEM_AT = len(Listing.__struct_fields__)
_REST_AT = _ITEM_AT + len(Item.__struct_fields__)
# A hot item has very many movements: the last one of each level is found through its index.
_PRODUCTS = (
    f"SELECT {_LISTING}, {_ITEM},"
    " (SELECT MIN(p.external_id) FROM {parents} WHERE p.account = g.account"
    " AND p.item = i.parent AND p.connection = g.connection),"
    " EXISTS (SELECT 1 FROM items k WHERE k.account = i.account AND k.parent = i.id),"
    " (SELECT MAX(m.recorded_at) FROM levels l JOIN movements m ON m.account = l.account"
    " AND m.item = l.item AND m.location = l.location"
    " AND m.seq = (SELECT MAX(x.seq) FROM movements x WHERE x.account = l.account"
    " AND x.item = l.item AND x.location = l.location)"
    " WHERE l.account = g.account AND l.item = g.item AND l.location IN ({places}))"
    " FROM {rows} JOIN listings g ON g.account = r.account AND g.connection = r.connection"
    " AND g.external_id = r.external_id"
    " JOIN items i ON i.account = g.account AND i.id = g.item"
    " JOIN connections c ON c.account = g.account AND c.id = g.connection"
)
_products = Statement(
    rows="account int, connection int, external_id text",
    # Left to itself, SQLite looks for a parent among all listings of the connection.
    sqlite=_PRODUCTS.replace("{parents}", "listings p INDEXED BY listings_level").replace(
        "{places}", "SELECT value FROM json_each(c.locations)"
    ),
    postgresql=_PRODUCTS.replace("{parents}", "listings p").replace(
        "{places}", "SELECT e.value::bigint FROM jsonb_array_elements_text(c.locations::jsonb) AS e"
    ),
)


def products(connection: Connection, account: int, link: int, names: Iterable[str]) -> dict[str, Product]:
    """The products that a connection offers under these external ids, by external id."""
    rows = [(account, link, name) for name in sorted(set(names))]
    found: dict[str, Product] = {}
    for row in _products.run(connection, rows) if rows else ():
        listing = listing_of(row[:_ITEM_AT])
        parent, has_variants, moved = row[_REST_AT:]
        item = item_of(row[_ITEM_AT:_REST_AT])
        found[listing.external_id] = Product(listing, item, parent, bool(has_variants), moved or 0)
    return found


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
