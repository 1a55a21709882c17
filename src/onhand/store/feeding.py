"""Which levels feed which listing, and marking listings stale by hand: after a rule changed, a kit changed,
a drift was found, or a person asked.

Whoever makes a listing of a connection that the hub tells, or changes its rules, calls `refeed` in the same
unit and then `mark`; and after the commit hands what `mark` returned to `Inventory.marked`, so that the
courier hears of it at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from sqlalchemy import Connection

from onhand.stock.offering import Rules, feeding, stacked
from onhand.store import books, shelf
from onhand.store.books import Marked
from onhand.store.sql import Insert, Row, Statement

_LISTING = "account int, listing int"
_rows = Statement(
    "SELECT g.id, g.item, g.location, g.rules, i.kit, c.rules, c.locations FROM {rows}"
    " JOIN listings g ON g.account = r.account AND g.id = r.listing"
    " JOIN items i ON i.account = g.account AND i.id = g.item"
    " JOIN connections c ON c.account = g.account AND c.id = g.connection WHERE c.connector = 1",
    rows=_LISTING,
)
# What is read to make feeds of must stand until they are written: another process that changes it waits, and
# makes them anew. Connections by id first, as whoever changes one has locked it before its listings, then
# listings by id: so two of these do not wait for one another.
_hold_above = Statement(
    postgresql="SELECT c.id FROM {rows} JOIN listings g ON g.account = r.account AND g.id = r.listing"
    " JOIN connections c ON c.account = g.account AND c.id = g.connection ORDER BY c.id FOR SHARE OF c",
    rows=_LISTING,
)
_hold = Statement(
    postgresql="SELECT g.id FROM {rows} JOIN listings g ON g.account = r.account AND g.id = r.listing"
    " ORDER BY g.id FOR NO KEY UPDATE OF g",
    rows=_LISTING,
)
_unfeed = Statement(
    rows=_LISTING,
    sqlite="DELETE FROM feeds WHERE (account, listing) IN (SELECT account, listing FROM {rows})",
    postgresql="DELETE FROM feeds USING {rows} WHERE feeds.account = r.account AND feeds.listing = r.listing",
)
_feed = Insert("feeds", "account int, item int, location int, listing int", "ON CONFLICT DO NOTHING")
_slot = Insert(
    "slots",
    "account int, listing int, place text, locations text",
    "ON CONFLICT (account, listing, place) DO UPDATE SET locations = excluded.locations",
)
_slots = Statement(
    "SELECT s.listing, s.place FROM {rows} JOIN slots s ON s.account = r.account AND s.listing = r.listing",
    rows=_LISTING,
)
_unslot = Statement(
    rows=_LISTING + ", place text",
    sqlite="DELETE FROM slots WHERE (account, listing, place) IN"
    " (SELECT account, listing, place FROM {rows})",
    postgresql="DELETE FROM slots USING {rows} WHERE slots.account = r.account"
    " AND slots.listing = r.listing AND slots.place = r.place",
)


def hold(connection: Connection, account: int, listings: Iterable[int]) -> None:
    """Let nobody else change these listings, or the rules of their connections, until the transaction ends:
    what is read of them now stands."""
    if connection.dialect.name == "postgresql":
        rows = [(account, one) for one in sorted(set(listings))]
        _hold_above.later(connection, rows)
        _hold.later(connection, rows)


def refeed(connection: Connection, account: int, listings: Iterable[int]) -> None:
    """Make the slots and feeds of these listings anew from the rules of connection and listing, kits by
    their components. What is known of a slot that stays is kept. A listing that is bound to one location
    is fed by that one, unless its own rules say more. Costs rows, not the ledger's size."""
    rows = [(account, one) for one in sorted(set(listings))]
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        shelf.of(connection).forget(account)
    hold(connection, account, [row[1] for row in rows])
    found = _rows.run(connection, rows)
    recipes = books.components(connection, [(account, row[1]) for row in found if row[4]])
    feeds, slots = set[tuple[int, int, int, int]](), list[Row]()
    for number, item, bound, below, kit, above, usual in found:
        parts = [part for part, _ in recipes.get((account, item), [])] if kit else [item]
        here = _places(below, above, bound, msgspec.json.decode(usual, type=list[int]))
        for place, locations in here.items():
            slots.append((account, number, place, msgspec.json.encode(locations).decode()))
            feeds |= {(account, part, at, number) for part in parts for at in locations}
    kept = {(slot[1], slot[2]) for slot in slots}
    gone = [(account, *slot) for slot in _slots.run(connection, rows) if tuple(slot) not in kept]
    _unfeed.run(connection, rows)
    _feed.run(connection, sorted(feeds))
    if gone:
        _unslot.run(connection, gone)
    _slot.run(connection, slots)


def _places(below: str, above: str, bound: int | None, usual: list[int]) -> Mapping[str, tuple[int, ...]]:
    listing = msgspec.json.decode(below, type=Rules)
    if bound is not None and listing.places is None and listing.locations is None:
        return {"": (bound,)}
    rules = stacked(msgspec.json.decode(above, type=Rules), listing)
    return feeding(rules, usual)


_of_items = Statement(
    "SELECT g.id FROM {rows} JOIN listings g ON g.account = r.account AND g.item = r.item",
    rows="account int, item int",
)
_of_link = Statement(
    "SELECT id FROM listings WHERE account = :account AND connection = :link AND id > :after"
    " ORDER BY id LIMIT :limit"
)


def listings_of(connection: Connection, account: int, items: Iterable[int]) -> list[int]:
    """The listings of these items: to be refed when what a kit is made of changed."""
    rows = [(account, item) for item in sorted(set(items))]
    return sorted({row[0] for row in _of_items.run(connection, rows)}) if rows else []


def listings_on(
    connection: Connection, account: int, link: int, after: int = 0, limit: int = 5000
) -> list[int]:
    """A connection's listings by id, a page: to be refed when its rules or locations changed."""
    found = _of_link.run(connection, account=account, link=link, after=after, limit=limit)
    return [row[0] for row in found]


# --- another SKU there --------------------------------------------------------------------------------

_follow = Statement(
    "UPDATE listings SET item = i.id, sku = r.sku, updated_at = :now FROM {rows}"
    " JOIN items i ON i.account = r.account AND i.sku = r.sku WHERE listings.account = r.account"
    " AND listings.connection = r.link AND listings.external_id = r.name AND listings.sku <> r.sku"
    " RETURNING listings.id",
    rows="account int, link int, name text, sku text",
)


def follow(
    connection: Connection, account: int, link: int, skus: Mapping[str, str | None], now: int
) -> set[Marked]:
    """Give the listings of a connection (``skus`` by external id) that its channel shows under another SKU
    than before to the item with that SKU, where there is one, and mark them: what is sold there is that item
    now. One that was bound to its item without a SKU stays. The result is as that of `mark`."""
    rows = [(account, link, name, sku) for name, sku in sorted(skus.items()) if sku]
    moved = [row[0] for row in _follow.run(connection, rows, now=now)] if rows else []
    refeed(connection, account, moved)
    return mark(connection, account, moved, now)


# --- marking ------------------------------------------------------------------------------------------

_mark = (
    "INSERT INTO outbox (account, listing, connection, since, seq, due, marked_at)"
    " SELECT g.account, g.id, g.connection, a.seq, a.seq, :now, :now FROM {rows}"
    " JOIN listings g ON g.account = r.account AND g.id = r.listing"
    " JOIN connections c ON c.account = g.account AND c.id = g.connection AND c.connector = 1"
    " JOIN accounts a ON a.id = r.account{where} ORDER BY g.account, g.id"
    " ON CONFLICT (account, listing) DO UPDATE SET marks = outbox.marks + 1, attempts = 0,"
    " due = CASE WHEN outbox.due < excluded.due THEN outbox.due ELSE excluded.due END,"
    " seq = CASE WHEN outbox.seq < excluded.seq THEN excluded.seq ELSE outbox.seq END"
    " RETURNING account, connection"
)
_marked = Statement(
    sqlite=_mark.replace("{where}", " WHERE true"), postgresql=_mark.replace("{where}", ""), rows=_LISTING
)


def mark(connection: Connection, account: int, listings: Iterable[int], now: int) -> set[Marked]:
    """Mark listings stale although nothing moved; parked ones are thereby released. After the commit the
    result is for `Inventory.marked`."""
    rows = [(account, one) for one in sorted(set(listings))]
    return {(row[0], row[1]) for row in _marked.run(connection, rows, now=now)} if rows else set()


_parked = Statement(
    "SELECT id, external_id, sku, item, parked, updated_at FROM listings"
    " WHERE account = :account AND parked IS NOT NULL AND id > :after"
    " AND (:link = 0 OR connection = :link) ORDER BY id LIMIT :limit"
)


def parked(
    connection: Connection, account: int, link: int = 0, after: int = 0, limit: int = 100
) -> list[tuple[int, str, str | None, int, str, int]]:
    """Listings that a channel will not take: (id, external id, channel's SKU, item, its words, when)."""
    found = _parked.run(connection, account=account, link=link, after=after, limit=limit)
    return [(row[0], row[1], row[2], row[3], row[4], row[5]) for row in found]
