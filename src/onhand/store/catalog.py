"""Items, kits, sellers, locations and prices: what the ledger's ids stand for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec
from sqlalchemy import Connection, select, update
from sqlalchemy.exc import IntegrityError

from onhand.store import counters, feeding, schema
from onhand.store.sql import Insert, Statement

SKU_LIMIT = 255
"""Characters in a SKU."""


class Item(msgspec.Struct, frozen=True):
    """A sellable thing. Prices are exact decimal text; times are microseconds UTC.

    ``barcodes`` is by kind (gtin, upc, ean, isbn, asin ...); ``measurements`` has length, width,
    height, unit, weight, weight_unit; ``attributes`` is by dialect. ``parent`` is the item this one
    is a variant of.
    """

    id: int
    sku: str | None = None
    name: str | None = None
    parent: int | None = None
    active: bool = True
    kit: bool = False
    price: str | None = None
    cost: str | None = None
    currency: str | None = None
    barcodes: dict[str, str] = {}
    image_url: str | None = None
    measurements: dict[str, Any] = {}
    tags: list[str] = []
    categories: list[str] = []
    attributes: dict[str, dict[str, Any]] = {}
    created_at: int = 0
    updated_at: int = 0


class Seller(msgspec.Struct, frozen=True):
    """A party that owns locations; ``own`` is the account's own."""

    id: int
    name: str
    own: bool = False
    default_location: int | None = None
    created_at: int = 0


class Location(msgspec.Struct, frozen=True):
    """A place that holds stock: ``kind`` is stock, held or mirrored."""

    id: int
    name: str
    seller: int
    kind: str = "stock"
    active: bool = True
    attributes: dict[str, Any] = {}
    created_at: int = 0


_Party = TypeVar("_Party", Seller, Location)


class Price(NamedTuple):
    """What one seller asks for an item; exact decimal text."""

    price: str | None
    sale_price: str | None
    currency: str | None


class Taken(Exception):
    """A name that must be unique is in use; ``what`` says which, like "sku 'MUG-1'"."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is taken")
        self.what = what


_JSON = ("barcodes", "measurements", "tags", "categories", "attributes")
_FLAGS = ("active", "kit", "own")
_ITEM = ", ".join(f"i.{name}" for name in Item.__struct_fields__)
_by_id = Statement(
    f"SELECT {_ITEM} FROM {{rows}} JOIN items i ON i.account = r.account AND i.id = r.id",
    rows="account int, id int",
)
_by_sku = Statement(
    f"SELECT {_ITEM} FROM {{rows}} JOIN items i ON i.account = r.account AND i.sku = r.sku",
    rows="account int, sku text",
)
_page = Statement(
    f"SELECT {_ITEM} FROM items i WHERE i.account = :account AND i.id > :after ORDER BY i.id LIMIT :limit"
)
_count = Statement("SELECT COUNT(*) FROM items WHERE account = :account")


def item_of(row: Sequence[Any]) -> Item:
    """An item from its columns, in the order of `Item`."""
    values = dict(zip(Item.__struct_fields__, row, strict=True))
    return Item(**_plain(values))


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    for name in _JSON:
        if isinstance(values.get(name), str):
            values[name] = msgspec.json.decode(values[name])
    for name in _FLAGS:
        if name in values:
            values[name] = bool(values[name])
    return values


def stored(fields: Mapping[str, Any]) -> dict[str, Any]:
    """``fields`` of an Item, Seller or Location as the tables keep them."""
    row = dict(fields)
    for name, value in row.items():
        if name in _JSON:
            row[name] = msgspec.json.encode(value).decode()
        elif isinstance(value, bool):
            row[name] = int(value)
    return row


def items(connection: Connection, account: int, ids: Iterable[int]) -> dict[int, Item]:
    """The items of these ids that exist, by id."""
    rows = [(account, one) for one in sorted(set(ids))]
    found = [item_of(row) for row in _by_id.run(connection, rows)] if rows else []
    return {item.id: item for item in found}


def items_by_sku(connection: Connection, account: int, skus: Iterable[str]) -> dict[str, Item]:
    """The items of these SKUs that exist, by SKU; compared byte by byte."""
    rows = [(account, sku) for sku in sorted(set(skus))]
    found = [item_of(row) for row in _by_sku.run(connection, rows)] if rows else []
    return {item.sku: item for item in found if item.sku is not None}


def items_page(connection: Connection, account: int, after: int = 0, limit: int = 100) -> list[Item]:
    """Items by id, from the one behind ``after`` on."""
    return [item_of(row) for row in _page.run(connection, account=account, after=after, limit=limit)]


def count_items(connection: Connection, account: int) -> int:
    """How many items the account has."""
    return int(_count.run(connection, account=account)[0][0])


_add_items = Insert(
    "items",
    "account int, id int, sku text, name text, parent int, active int, kit int, price text, cost text,"
    " currency text, barcodes text, image_url text, measurements text, tags text, categories text,"
    " attributes text, created_at int, updated_at int",
)


def add_items(connection: Connection, account: int, new: Sequence[Item], now: int) -> list[Item]:
    """Create items; ids of 0 are given out. Raises Taken when a SKU or id is in use."""
    if not new:
        return []
    first = counters.take(connection, account, "item", len(new))
    made = [
        msgspec.structs.replace(item, id=item.id or first + at, created_at=now, updated_at=now)
        for at, item in enumerate(new)
    ]
    if any(item.id for item in new):
        counters.at_least(connection, account, "item", max(item.id for item in made))
    rows = [tuple(stored(msgspec.structs.asdict(item)).values()) for item in made]
    try:
        _add_items.run(connection, [(account, *row) for row in rows])
    except IntegrityError as error:
        raise Taken(_which(connection, account, made)) from error
    return made


def _which(connection: Connection, account: int, made: Sequence[Item]) -> str:
    if connection.dialect.name != "sqlite":
        return "an id or sku"  # the failed statement has ended what PostgreSQL will say
    taken = items_by_sku(connection, account, [item.sku for item in made if item.sku])
    return f"sku {next(iter(taken))!r}" if taken else "an id or sku"


def ensure_items(connection: Connection, account: int, skus: Iterable[str], now: int) -> dict[str, int]:
    """The item ids of these SKUs; an unknown SKU becomes an item without a name."""
    wanted = list(dict.fromkeys(skus))
    found = item_ids(connection, account, wanted)
    if len(found) < len(wanted):
        # Another process may be making the same ones: who has the counter sees what it has made.
        counters.at_least(connection, account, "item", 0)
        found = item_ids(connection, account, wanted)
    new = [Item(0, sku=sku) for sku in wanted if sku not in found]
    for item in add_items(connection, account, new, now):
        found[item.sku or ""] = item.id
    return found


def change_item(connection: Connection, account: int, item: int, fields: Mapping[str, Any], now: int) -> bool:
    """Set fields of an item; False if there is none. Raises Taken when the SKU is in use."""
    table = schema.items
    change = update(table).where(table.c.account == account, table.c.id == item)
    try:
        result = connection.execute(change.values(**stored(fields), updated_at=now))
    except IntegrityError as error:
        raise Taken(f"sku {fields.get('sku')!r}") from error
    return result.rowcount == 1


def touch_items(connection: Connection, account: int, ids: Iterable[int], now: int) -> None:
    """Note that these items were changed."""
    rows = [(account, one) for one in sorted(set(ids))]
    if rows:
        _touch.run(connection, rows, now=now)


_touch = Statement(
    "UPDATE items SET updated_at = :now FROM {rows} WHERE items.account = r.account AND items.id = r.id",
    rows="account int, id int",
)

# --- kits -------------------------------------------------------------------------------------------

# A listing and a level refer to their item: who makes one in another process has made it, or waits, and sees
# what the item has become.
_hold_item = Statement(postgresql="SELECT 1 FROM items WHERE account = :account AND id = :id FOR UPDATE")
_add_parts = Insert("kit_components", "account int, kit int, component int, quantity int")


def set_kit(connection: Connection, account: int, kit: int, parts: Mapping[int, int], now: int) -> None:
    """Make an item a kit of ``parts`` (component to units per kit); none makes it an item again."""
    if connection.dialect.name == "postgresql":
        _hold_item.run(connection, account=account, id=kit)
    table = schema.kit_components
    connection.execute(table.delete().where(table.c.account == account, table.c.kit == kit))
    _add_parts.run(connection, [(account, kit, part, units) for part, units in sorted(parts.items())])
    change_item(connection, account, kit, {"kit": bool(parts)}, now)
    listings = feeding.listings_of(connection, account, [kit])
    if listings:
        # Other levels now stand behind what is listed of it.
        feeding.refeed(connection, account, listings)
        feeding.mark(connection, account, listings, now)


def kit_parts(connection: Connection, account: int, kit: int) -> dict[int, int]:
    """Component to units per kit."""
    table = schema.kit_components
    query = select(table.c.component, table.c.quantity).where(table.c.account == account, table.c.kit == kit)
    return {row[0]: row[1] for row in connection.execute(query)}


# --- sellers and locations ------------------------------------------------------------------------


def sellers(connection: Connection, account: int) -> list[Seller]:
    """All sellers, by id."""
    table = schema.sellers
    columns = [table.c[name] for name in Seller.__struct_fields__]
    query = select(*columns).where(table.c.account == account).order_by(table.c.id)
    return [Seller(**_plain(dict(row._mapping))) for row in connection.execute(query)]


def locations(connection: Connection, account: int) -> list[Location]:
    """All locations, by id."""
    table = schema.locations
    columns = [table.c[name] for name in Location.__struct_fields__]
    query = select(*columns).where(table.c.account == account).order_by(table.c.id)
    return [Location(**_plain(dict(row._mapping))) for row in connection.execute(query)]


def add_seller(connection: Connection, account: int, seller: Seller, now: int) -> Seller:
    """Create a seller; an id of 0 is given out."""
    made = _numbered(connection, account, "seller", seller, now)
    _insert(connection, schema.sellers, account, made, f"seller {made.id}")
    return made


def add_location(connection: Connection, account: int, location: Location, now: int) -> Location:
    """Create a location; an id of 0 is given out. The first of a seller becomes its default."""
    made = _numbered(connection, account, "location", location, now)
    _insert(connection, schema.locations, account, made, f"location {made.name!r}")
    table = schema.sellers
    if made.kind == "stock":
        connection.execute(
            update(table)
            .where(table.c.account == account, table.c.id == made.seller)
            .where(table.c.default_location.is_(None))
            .values(default_location=made.id)
        )
    return made


def change(connection: Connection, kind: str, account: int, number: int, fields: Mapping[str, Any]) -> bool:
    """Set fields of a "seller" or "location"; False if there is none. Raises Taken on its name."""
    table = {"seller": schema.sellers, "location": schema.locations}[kind]
    statement = update(table).where(table.c.account == account, table.c.id == number)
    try:
        return connection.execute(statement.values(**stored(fields))).rowcount == 1
    except IntegrityError as error:
        raise Taken(f"{kind} {fields.get('name')!r}") from error


def hold_kits(connection: Connection, account: int) -> None:
    """Let nobody else make kits of the account's until the transaction ends: what is a kit, and a component,
    decides what may become one."""
    counters.at_least(connection, account, "kit", 0)


_hold_levels = Statement(
    postgresql="SELECT 1 FROM levels WHERE account = :account AND item = :id ORDER BY location FOR UPDATE"
)


def hold_levels(connection: Connection, account: int, item: int) -> None:
    """Let nobody else write levels of an item, or make new ones, until the transaction ends. Whoever waits
    for that asks anew what the item is (`books.lock_levels`)."""
    if connection.dialect.name == "postgresql":
        # A new level asks for its item's key. Who has one locked may ask for that, too, so these come first;
        # and once more, as there may be more by then.
        for statement in (_hold_levels, _hold_item, _hold_levels):
            statement.run(connection, account=account, id=item)


_hold_location = Statement("UPDATE locations SET active = active WHERE account = :account AND id = :id")


def hold_location(connection: Connection, account: int, number: int) -> None:
    """Let nobody else change a location until the transaction ends."""
    _hold_location.run(connection, account=account, id=number)


def _numbered(connection: Connection, account: int, name: str, one: _Party, now: int) -> _Party:
    number = one.id or counters.take(connection, account, name)
    if one.id:
        counters.at_least(connection, account, name, one.id)
    return msgspec.structs.replace(one, id=number, created_at=now)


def _insert(connection: Connection, table: Any, account: int, one: Seller | Location, what: str) -> None:
    try:
        connection.execute(table.insert().values(account=account, **stored(msgspec.structs.asdict(one))))
    except IntegrityError as error:
        raise Taken(what) from error


# --- prices -------------------------------------------------------------------------------------------

_prices = Statement(
    "SELECT p.item, p.seller, p.price, p.sale_price, p.currency FROM {rows}"
    " JOIN prices p ON p.account = r.account AND p.item = r.item",
    rows="account int, item int",
)


def prices(connection: Connection, account: int, ids: Iterable[int]) -> dict[tuple[int, int], Price]:
    """The prices of these items, by (item, seller)."""
    rows = [(account, one) for one in sorted(set(ids))]
    found = _prices.run(connection, rows) if rows else []
    return {(row[0], row[1]): Price(*row[2:]) for row in found}


_ids = Statement(
    "SELECT i.sku, i.id FROM {rows} JOIN items i ON i.account = r.account AND i.sku = r.sku",
    rows="account int, sku text",
)


def item_ids(connection: Connection, account: int, skus: Iterable[str]) -> dict[str, int]:
    """The ids of the items of these SKUs that exist, by SKU; compared byte by byte."""
    rows = [(account, sku) for sku in sorted(set(skus))]
    return {row[0]: row[1] for row in _ids.run(connection, rows)} if rows else {}
