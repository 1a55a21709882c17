"""What a connection offers, filtered and page by page, the sellers that have a place of their own, and what
is kept about an item at each of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import msgspec
from sqlalchemy import Connection

from onhand.stock.model import Level, Place
from onhand.store import levels
from onhand.store.catalog import Price
from onhand.store.packed import Packed
from onhand.store.sql import Statement


class Home(NamedTuple):
    """A seller with the location that stands for its stock; ``own`` is the account's own seller."""

    seller: int
    name: str
    location: int
    own: bool


class Offer(NamedTuple):
    """An item under the name that the connection has for it."""

    name: str
    item: int


_homes = Statement(
    "SELECT id, name, default_location, own FROM sellers"
    " WHERE account = :account AND default_location IS NOT NULL ORDER BY id"
)


def homes(connection: Connection, account: int) -> list[Home]:
    """The sellers that have a default location, by id."""
    return [Home(row[0], row[1], row[2], bool(row[3])) for row in _homes.run(connection, account=account)]


# --- what is kept about one item -------------------------------------------------------------------------


class Kept(NamedTuple):
    """Levels of an item by place, its prices and what a dialect keeps about it by seller."""

    levels: dict[Place, Level]
    prices: dict[int, Price]
    details: dict[int, dict[str, Any]]


_NUMBERS = ", ".join(["CAST(NULL AS BIGINT)"] * 5)
_Number: TypeAlias = int | None
_Text: TypeAlias = str | None
_kept = Packed(
    tuple[int, int, _Number, _Number, _Number, _Number, _Number, _Text, _Text, _Text],
    [f"k.c{at}" for at in range(10)],
    rest="FROM (SELECT 0 AS c0, l.location AS c1, l.on_hand AS c2, l.reserved AS c3, l.infinite AS c4,"
    " l.version AS c5, l.next_expiry AS c6, CAST(NULL AS TEXT) AS c7, CAST(NULL AS TEXT) AS c8,"
    " CAST(NULL AS TEXT) AS c9 FROM levels l WHERE l.account = :account AND l.item = :item AND l.present = 1"
    f" UNION ALL SELECT 1, p.seller, {_NUMBERS}, p.price, p.sale_price, p.currency FROM prices p"
    " WHERE p.account = :account AND p.item = :item"
    f" UNION ALL SELECT 2, d.other, {_NUMBERS}, d.body, CAST(NULL AS TEXT), CAST(NULL AS TEXT) FROM details d"
    " WHERE d.account = :account AND d.dialect = :dialect AND d.kind = :kind AND d.item = :item) AS k",
)


def kept(connection: Connection, account: int, item: int, dialect: str, kind: str, now: int) -> Kept:
    """All of it in one statement; ``kind`` is that of the details."""
    rows = _kept.run(connection, account=account, item=item, dialect=dialect, kind=kind)
    here: list[tuple[int | None, ...]] = []
    prices: dict[int, Price] = {}
    details: dict[int, dict[str, Any]] = {}
    for part, other, on_hand, reserved, infinite, version, expiry, *texts in rows:
        if part == 0:
            here.append((item, other, on_hand, reserved, infinite, 1, version, expiry))
        elif part == 1:
            prices[other] = Price(*texts)
        else:
            details[other] = msgspec.json.decode(texts[0] or "")
    return Kept(levels.current(connection, account, here, now), prices, details)


_FROM = (
    " FROM listings g JOIN items i ON i.account = g.account AND i.id = g.item"
    " WHERE g.account = :account AND g.connection = :link"
)
# An attribute of a dialect is in a JSON object of that dialect's name.
_SQLITE = {
    "sku": "i.sku = :sku",
    "barcode": "EXISTS (SELECT 1 FROM json_each(i.barcodes) b WHERE b.value = :barcode)",
    "external_id": "i.attributes -> :dialect ->> 'external_id' = :external_id",
    "shared": "COALESCE(i.attributes -> :dialect ->> 'multi_store', 1) <> 0",
}
_POSTGRESQL = {
    "sku": "i.sku = :sku",
    "barcode": "EXISTS (SELECT 1 FROM json_each_text(i.barcodes::json) b WHERE b.value = :barcode)",
    "external_id": "i.attributes::json -> :dialect::text ->> 'external_id' = :external_id",
    "shared": "COALESCE(i.attributes::json -> :dialect::text ->> 'multi_store', 'true') <> 'false'",
}
FILTERS = ("sku", "barcode", "external_id")


@cache
def _statement(select: str, names: tuple[str, ...], rest: str) -> Statement:
    wheres = ["".join(f" AND {table[name]}" for name in names) for table in (_SQLITE, _POSTGRESQL)]
    sqlite, postgresql = (f"SELECT {select}{_FROM}{where}{rest}" for where in wheres)
    return Statement(sqlite=sqlite, postgresql=postgresql)


def _names(where: Mapping[str, str], shared: bool) -> tuple[str, ...]:
    return (*(name for name in FILTERS if name in where), *(("shared",) if shared else ()))


def page(
    connection: Connection,
    account: int,
    link: int,
    dialect: str,
    where: Mapping[str, str],
    *,
    shared: bool = False,
    offset: int = 0,
    limit: int = 50,
) -> list[Offer]:
    """What the connection offers, in the order in which it was listed.

    ``where`` may name `FILTERS`: sku, barcode (any kind of barcode) and the dialect's external_id,
    all compared as a whole. ``shared`` leaves out what the dialect's attribute ``multi_store`` says
    is not to be shared between sellers.
    """
    rest = " ORDER BY g.id LIMIT :limit OFFSET :offset"
    statement = _statement("g.external_id, g.item", _names(where, shared), rest)
    values: dict[str, Any] = {**where, "account": account, "link": link, "dialect": dialect}
    return [Offer(*row) for row in statement.run(connection, limit=limit, offset=offset, **values)]


def count(
    connection: Connection,
    account: int,
    link: int,
    dialect: str,
    where: Mapping[str, str],
    *,
    shared: bool = False,
) -> int:
    """How many offers `page` has in all."""
    statement = _statement("COUNT(*)", _names(where, shared), "")
    values: dict[str, Any] = {**where, "account": account, "link": link, "dialect": dialect}
    return int(statement.run(connection, **values)[0][0])
