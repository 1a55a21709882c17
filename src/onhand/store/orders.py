"""Channels' orders as they are kept, what their lines stand on, and what they did to slots and levels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

from sqlalchemy import Connection

from onhand.store.sql import Insert, Row, Statement


class KeptOrder(NamedTuple):
    """A row of `orders`. ``lines`` is JSON; times are microseconds UTC, ``updated`` the channel's own."""

    external_id: str
    reference: str
    name: str
    updated: int
    holds: bool
    lines: str
    waiting: bool
    first_seen_at: int
    seen_at: int


_KEPT = ", ".join(f"o.{name}" for name in KeptOrder._fields)
_kept = Statement(
    f"SELECT o.connection, {_KEPT} FROM {{rows}} JOIN orders o ON o.account = r.account"
    " AND o.connection = r.link AND o.external_id = r.external_id",
    rows="account int, link int, external_id text",
)
_put = Insert(
    "orders",
    "account int, connection int, external_id text, reference text, name text, updated int, holds int,"
    " lines text, waiting int, first_seen_at int, seen_at int",
    "ON CONFLICT (account, connection, external_id) DO UPDATE SET name = excluded.name,"
    " updated = excluded.updated, holds = excluded.holds, lines = excluded.lines,"
    " waiting = excluded.waiting, seen_at = excluded.seen_at",
)
_waiting = Statement(
    f"SELECT {_KEPT} FROM orders o WHERE o.account = :account AND o.connection = :link AND o.waiting = 1"
    " AND o.external_id > :after ORDER BY o.external_id LIMIT :limit"
)
_page = Statement(
    f"SELECT {_KEPT} FROM orders o WHERE o.account = :account AND o.connection = :link"
    " AND o.external_id > :after ORDER BY o.external_id LIMIT :limit"
)
_HOLDING = (
    "SELECT DISTINCT o.external_id FROM reservation_lines n {join} orders o ON o.account = n.account"
    " AND o.reference = n.reference WHERE n.account = :account AND n.held > 0 AND o.connection = :link"
    " AND o.external_id > :after ORDER BY o.external_id LIMIT :limit"
)
# From the few lines that hold units, by their own index, and not through every order there ever was.
_holding = Statement(
    sqlite=_HOLDING.replace("{join}", "CROSS JOIN"), postgresql=_HOLDING.replace("{join}", "JOIN")
)


def kept(
    connection: Connection, account: int, names: Iterable[tuple[int, str]]
) -> dict[tuple[int, str], KeptOrder]:
    """The orders of these (connection, external id) that are kept."""
    rows = [(account, *name) for name in sorted(set(names))]
    found = _kept.run(connection, rows) if rows else []
    return {(row[0], row[1]): _order(row[1:]) for row in found}


def put(connection: Connection, account: int, rows: Sequence[Row], now: int) -> None:
    """Keep orders: (connection, external id, reference, name, updated, holds, lines, waiting) each."""
    last = {(row[0], row[1]): row for row in rows}
    _put.run(connection, [(account, *row, now, now) for _, row in sorted(last.items(), key=itemgetter(0))])


def waiting(
    connection: Connection, account: int, link: int, after: str = "", limit: int = 200
) -> list[KeptOrder]:
    """A connection's orders with a line that stands on nothing of ours, by external id."""
    found = _waiting.run(connection, account=account, link=link, after=after, limit=limit)
    return [_order(row) for row in found]


def page(
    connection: Connection, account: int, link: int, after: str = "", limit: int = 100
) -> list[KeptOrder]:
    """A connection's orders by external id."""
    found = _page.run(connection, account=account, link=link, after=after, limit=limit)
    return [_order(row) for row in found]


def holding(connection: Connection, account: int, link: int, after: str = "", limit: int = 1000) -> list[str]:
    """The external ids of a connection's orders that hold units in the ledger, in order."""
    found = _holding.run(connection, account=account, link=link, after=after, limit=limit)
    return [row[0] for row in found]


def _order(row: Row) -> KeptOrder:
    return KeptOrder(*row)._replace(holds=bool(row[4]), waiting=bool(row[6]))


# --- what a line stands on ----------------------------------------------------------------------------


class Found(NamedTuple):
    """A listing as an order's line needs it."""

    listing: int
    external_id: str
    sku: str | None
    item: int


_FOUND = "SELECT g.id, g.external_id, g.sku, g.item FROM {rows} JOIN listings g"
_by_name = Statement(
    f"{_FOUND} ON g.account = r.account AND g.connection = r.link AND g.external_id = r.name",
    rows="account int, link int, name text",
)
_by_sku = Statement(
    "SELECT g.id, g.external_id, COALESCE(g.sku, i.sku), g.item FROM {rows}"
    " JOIN items i ON i.account = r.account AND i.sku = r.name"
    " JOIN listings g ON g.account = i.account AND g.item = i.id AND g.connection = r.link ORDER BY g.id",
    rows="account int, link int, name text",
)
_by_their_sku = Statement(
    f"{_FOUND} ON g.account = r.account AND g.connection = r.link WHERE g.sku = r.name ORDER BY g.id",
    rows="account int, link int, name text",
)
_slots = Statement(
    "SELECT s.listing, s.place, s.locations FROM {rows} JOIN slots s ON s.account = r.account"
    " AND s.listing = r.listing ORDER BY s.listing, s.place",
    rows="account int, listing int",
)
_tracked = Statement(
    "SELECT DISTINCT l.item FROM {rows} JOIN levels l ON l.account = r.account AND l.item = r.item"
    " WHERE l.present = 1 AND l.version > 0",
    rows="account int, item int",
)

_first_counted = Statement(
    "SELECT l.item, MIN((SELECT m.recorded_at FROM movements m WHERE m.account = l.account"
    " AND m.item = l.item AND m.location = l.location ORDER BY m.seq LIMIT 1))"
    " FROM {rows} JOIN levels l ON l.account = r.account AND l.item = r.item GROUP BY l.item",
    rows="account int, item int",
)


def named(connection: Connection, account: int, link: int, names: Iterable[str]) -> dict[str, Found]:
    """The connection's listings of these external ids."""
    rows = [(account, link, name) for name in sorted({name for name in names if name})]
    return {row[1]: Found(*row) for row in _by_name.run(connection, rows)} if rows else {}


def by_sku(connection: Connection, account: int, link: int, skus: Iterable[str]) -> dict[str, Found]:
    """The connection's listings that the channel calls by these SKUs, or whose items we do; the first
    where there are several."""
    rows = [(account, link, sku) for sku in sorted({sku for sku in skus if sku})]
    if not rows:
        return {}
    found: dict[str, Found] = {}
    for row in (*_by_their_sku.run(connection, rows), *_by_sku.run(connection, rows)):
        if row[2] is not None:
            found.setdefault(row[2], Found(*row))
    return found


def slots(connection: Connection, account: int, listings: Iterable[int]) -> dict[int, dict[str, str]]:
    """The slots of these listings: place to our locations, as a JSON list of ids."""
    rows = [(account, listing) for listing in sorted(set(listings))]
    found: dict[int, dict[str, str]] = {}
    for listing, place, locations in _slots.run(connection, rows) if rows else ():
        found.setdefault(listing, {})[place] = locations
    return found


def tracked(connection: Connection, account: int, items: Iterable[int]) -> set[int]:
    """Those of these items of which stock is kept anywhere."""
    rows = [(account, item) for item in sorted(set(items))]
    return {row[0] for row in _tracked.run(connection, rows)} if rows else set()


def first_counted(connection: Connection, account: int, items: Iterable[int]) -> dict[int, int]:
    """When the first stock of each of these items was recorded, in microseconds UTC."""
    rows = [(account, item) for item in sorted(set(items))]
    return {row[0]: row[1] for row in _first_counted.run(connection, rows) if row[1] is not None}


# --- what an order did --------------------------------------------------------------------------------

# A number that was confirmed or seen after the order changed has the sale in it already.
_NOT_YET = "(slots.{at} IS NULL OR slots.{at} < :updated)"
_LOWERED = (
    "CASE WHEN slots.{name} IS NULL THEN NULL WHEN NOT " + _NOT_YET + " THEN slots.{name}"
    " WHEN slots.{name} > r.sold THEN slots.{name} - r.sold ELSE 0 END"
)
_COMMITTED = (
    "CASE WHEN NOT " + _NOT_YET.format(at="observed_at") + " THEN slots.committed"
    " WHEN slots.committed + r.open > 0 THEN slots.committed + r.open ELSE 0 END"
)
_took = {
    gross: Statement(
        f"UPDATE slots SET acknowledged = {_LOWERED.format(name='acknowledged', at='acknowledged_at')},"
        f" observed = {_LOWERED.format(name='observed', at='observed_at')}"
        + (f", committed = {_COMMITTED}" if gross else "")
        + " FROM {rows} WHERE slots.account = r.account AND slots.listing = r.listing"
        " AND slots.place = r.place",
        rows="account int, listing int, place text, sold int, open int",
    )
    for gross in (False, True)
}


_open_units = Statement(
    "SELECT s.listing, s.place, s.committed FROM {rows} JOIN slots s ON s.account = r.account"
    " AND s.listing = r.listing ORDER BY s.listing, s.committed DESC, s.place",
    rows="account int, listing int",
)


def channel_took(
    connection: Connection,
    account: int,
    taken: Sequence[tuple[int, str | None, int, int]],
    updated: int,
    *,
    gross: bool = False,
) -> None:
    """Lower what slots are known to show by what the channel itself took off: (listing, place, units sold,
    change in the units of its open orders), so that the next push compares with the number that is there.

    What was confirmed or seen after ``updated`` (by our clock, microseconds UTC) has it already and stays.
    ``gross`` is for channels that count their own open orders: their committed units follow, also where it
    cannot be told at which slot: what all slots of a listing are told together must have them.
    """
    rows = [(listing, slot, sold, change) for listing, slot, sold, change in taken if slot is not None]
    if gross:
        rows += _spread(connection, account, {one[0]: one[3] for one in taken if one[1] is None})
    if rows:
        _took[gross].run(connection, [(account, *one) for one in sorted(rows)], updated=updated)


def _spread(
    connection: Connection, account: int, changes: Mapping[int, int]
) -> list[tuple[int, str, int, int]]:
    """Changes in the open units of listings, put on the slots that have the most of them."""
    rows = [(account, listing) for listing in sorted(changes)]
    left, made = dict(changes), list[tuple[int, str, int, int]]()
    for listing, place, units in _open_units.run(connection, rows) if rows else ():
        here = max(left[listing], -units)
        left[listing] -= here
        if here:
            made.append((listing, place, 0, here))
    return made
