"""What is to be told to channels: stale listings of a connection, and all that their numbers are made of.

Every function belongs into one snapshot (`inventory.read`); `told` writes what became of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from onhand.stock.model import ABSENT, Level, Place
from onhand.stock.offering import PLAIN, Part, Rules, Source
from onhand.store import ahead, books, levels
from onhand.store.ahead import Ahead
from onhand.store.packed import Packed
from onhand.store.sql import Statement

FOREVER = 2**62
_rules_of = msgspec.json.Decoder(Rules)


class Stale(NamedTuple):
    """A row of the outbox. Times are microseconds UTC."""

    listing: int
    since: int
    seq: int
    marks: int
    attempts: int
    marked_at: int


class SlotRow(NamedTuple):
    """A slot as stored: three numbers with their times. ``place`` is "" where the channel has none."""

    place: str
    locations: tuple[int, ...]
    wanted: int | None = None
    wanted_at: int | None = None
    acknowledged: int | None = None
    acknowledged_at: int | None = None
    observed: int | None = None
    observed_at: int | None = None
    token: str | None = None
    committed: int = 0


class Listed(NamedTuple):
    """A listing with its slots and the stock behind each of them, in the order of the slots. ``item_sku``
    is our own SKU, ``sku`` the channel's where it has another. ``counted`` is False where it was told nothing
    yet and its item, or all that a kit is made of, never had any stock anywhere, be it 0."""

    id: int
    item: int
    external_id: str
    ids: dict[str, str]
    sku: str | None
    item_sku: str | None
    notes: dict[str, str]
    rules: Rules
    writable: bool
    closed: bool
    parked: str | None
    slots: tuple[SlotRow, ...]
    sources: tuple[tuple[Source, ...], ...]
    counted: bool = True


class Aim(NamedTuple):
    """A stale listing, and what is needed to say what it should show. ``at`` is when it was read."""

    stale: Stale
    listed: Listed
    at: int
    reason: str | None = None
    context: str | None = None
    ahead: tuple[Ahead, ...] = ()


class Claimed(NamedTuple):
    """Stale listings whose time has come, and the connection's rules."""

    aims: tuple[Aim, ...]
    rules: Rules


# --- claiming -----------------------------------------------------------------------------------------


class _Found(NamedTuple):
    """A listing as it is stored. ``slotted`` is None where the slot beside it is none: it has no slots."""

    id: int
    item: int
    external_id: str
    ids: dict[str, str]
    sku: str | None
    item_sku: str | None
    notes: dict[str, str]
    rules: Rules
    writable: int
    status: str
    parked: str | None
    kit: int
    slotted: int | None


class _Cause(NamedTuple):
    """What was said of a movement."""

    reason: str | None
    context: str | None


_LISTING = (
    *("g.id", "g.item", "g.external_id", "json g.ids", "g.sku", "i.sku", "json g.notes", "json g.rules"),
    *("g.writable", "g.status", "g.parked", "i.kit", "s.listing"),
)
_SLOT = (
    *("COALESCE(s.place, '')", "json COALESCE(s.locations, '[]')"),
    *(f"s.{name}" for name in SlotRow._fields[2:-1]),
    "COALESCE(s.committed, 0)",
)
_BEHIND = (
    " JOIN items i ON i.account = g.account AND i.id = g.item"
    " LEFT JOIN slots s ON s.account = g.account AND s.listing = g.id"
)
_listed = Packed(
    tuple[_Found, SlotRow],
    _LISTING,
    _SLOT,
    rest="FROM {rows} JOIN listings g ON g.account = r.account AND g.id = r.id"
    f"{_BEHIND} ORDER BY g.id, s.place",
    rows="account int, id int",
)
# A listing that one movement made stale has that movement's reason; where there were more, none is right.
_claimed = Packed(
    tuple[Stale, _Cause, _Found, SlotRow],
    [f"o.{name}" for name in Stale._fields],
    ("m.reason", "m.context"),
    _LISTING,
    _SLOT,
    rest="FROM {rows} JOIN outbox o ON o.account = r.account AND o.listing = r.id AND o.due <= :until"
    f" JOIN listings g ON g.account = o.account AND g.id = o.listing{_BEHIND}"
    " LEFT JOIN movements m ON m.account = o.account AND m.seq = o.seq AND o.since = o.seq"
    " ORDER BY o.due, o.listing, s.place",
    rows="account int, id int",
)
_DUE = "SELECT {one} FROM outbox WHERE account = :account AND connection = :link AND due"
_due = Statement(
    sqlite="SELECT json_group_array(listing) FROM"
    f" ({_DUE.replace('{one}', 'listing')} <= :until ORDER BY due LIMIT :limit)",
    postgresql=f"{_DUE.replace('{one}', 'listing')} <= :until ORDER BY due LIMIT :limit",
)
_next = Statement(f"{_DUE.replace('{one}', 'MIN(due)')} > :now")
_kinds = Statement(
    "SELECT p.id, p.kind FROM {rows} JOIN locations p ON p.account = r.account AND p.id = r.id",
    rows="account int, id int",
)
_counted = Statement(
    "SELECT DISTINCT l.item FROM {rows} JOIN levels l ON l.account = r.account AND l.item = r.item"
    " WHERE l.version > 0",
    rows="account int, item int",
)
_rules = Statement("SELECT rules FROM connections WHERE account = :account AND id = :link")


def due(connection: Connection, account: int, link: int, until: int, limit: int) -> list[int]:
    """Up to ``limit`` stale listings of a connection that are due by then, longest waiting first."""
    found = _due.run(connection, account=account, link=link, until=until, limit=limit)
    if connection.dialect.name == "sqlite":
        return msgspec.json.decode(found[0][0], type=list[int])
    return [row[0] for row in found]


def next_due(connection: Connection, account: int, link: int, now: int) -> int | None:
    """When the next stale listing of a connection is due that is not yet; None where there is none."""
    found: int | None = _next.run(connection, account=account, link=link, now=now)[0][0]
    return found


def claim(
    connection: Connection,
    account: int,
    link: int,
    now: int,
    ids: Iterable[int],
    *,
    early: bool = False,
    futures: bool = False,
) -> Claimed:
    """Those of the listings ``ids`` that are stale and due (or are not yet, if ``early``), longest waiting
    first, in one snapshot with all that their numbers are made of, planned changes too if ``futures``. To
    be asked by who holds the lease."""
    rules = rules_of(connection, account, link)
    rows = [(account, one) for one in ids]
    if not rows:
        return Claimed((), rules)
    found = _claimed.run(connection, rows, until=FOREVER if early else now)
    there = _made(connection, account, [(listing, slot) for _, _, listing, slot in found], now)
    planned = ahead.changes(connection, account, _behind(there.values())) if futures else []
    aims = {
        stale.listing: _aim(stale, there[stale.listing], now, cause, planned) for stale, cause, _, _ in found
    }
    return Claimed(tuple(aims.values()), rules)


def _behind(found: Iterable[Listed]) -> dict[Place, Level]:
    """The levels behind listings that are no kits."""
    return {
        (part.item, source.location): part.level
        for one in found
        for sources in one.sources
        for source in sources
        for part in source.parts
        if part.item == one.item
    }


def _aim(stale: Stale, one: Listed, at: int, cause: _Cause, planned: Sequence[Ahead]) -> Aim:
    places = _behind([one]) if planned else {}
    mine = tuple(change for change in planned if change.place in places)
    return Aim(stale, one, at, cause.reason, cause.context, mine)


def rules_of(connection: Connection, account: int, link: int) -> Rules:
    """The rules of a connection."""
    rows = _rules.run(connection, account=account, link=link)
    return _rules_of.decode(rows[0][0]) if rows else PLAIN


def listed(connection: Connection, account: int, ids: Iterable[int], now: int) -> list[Listed]:
    """These listings, with the stock behind their slots, by id."""
    rows = [(account, one) for one in sorted(set(ids))]
    if not rows:
        return []
    return list(_made(connection, account, _listed.run(connection, rows), now).values())


def _made(
    connection: Connection, account: int, found: Sequence[tuple[_Found, SlotRow]], now: int
) -> dict[int, Listed]:
    """Listings by id, from a row for each of their slots, and what is read of the stock behind them."""
    rows = {row.id: row for row, _ in found}
    slots: dict[int, list[SlotRow]] = {number: [] for number in rows}
    for row, slot in found:
        if row.slotted is not None:
            slots[row.id].append(slot)
    kits = [(account, row.item) for row in rows.values() if row.kit]
    recipes = books.components(connection, kits) if kits else {}
    parts = {
        row.item: recipes.get((account, row.item), ()) if row.kit else ((row.item, 1),)
        for row in rows.values()
    }
    places = {
        (part, at)
        for number, row in rows.items()
        for slot in slots[number]
        for at in slot.locations
        for part, _ in parts[row.item]
    }
    behind = _Stock(connection, account, parts, places, now)
    new = {
        number: {part for part, _ in parts[row.item]}
        for number, row in rows.items()
        if all(slot.acknowledged is None for slot in slots[number])
    }
    known = behind.counted(set().union(*new.values())) if new else set()
    return {
        number: _one(
            row, tuple(slots[number]), behind, counted=number not in new or not known.isdisjoint(new[number])
        )
        for number, row in rows.items()
    }


class _Stock:
    """Levels and kinds of locations for many listings, read at once."""

    def __init__(
        self,
        connection: Connection,
        account: int,
        parts: Mapping[int, Sequence[tuple[int, int]]],
        places: set[tuple[int, int]],
        now: int,
    ) -> None:
        self._connection, self._account = connection, account
        self._parts = parts
        self._levels = levels.at(connection, account, places, now)
        rows = sorted({(account, where) for _, where in places})
        self._kinds: dict[int, str] = {row[0]: row[1] for row in _kinds.run(connection, rows)} if rows else {}

    def counted(self, items: set[int]) -> set[int]:
        """Those of some items that ever had stock, here or elsewhere."""
        here = {item for (item, _), level in self._levels.items() if level.version}
        rows = [(self._account, one) for one in sorted(items - here)]
        return here | {row[0] for row in _counted.run(self._connection, rows)} if rows else here

    def source(self, item: int, location: int) -> Source:
        """An item, or the components of a kit, at one location."""
        held = self._levels
        made = tuple([Part(part, held.get((part, location), ABSENT), per) for part, per in self._parts[item]])
        return Source(location, self._kinds.get(location, "stock"), made)


def _one(row: _Found, slots: tuple[SlotRow, ...], behind: _Stock, *, counted: bool) -> Listed:
    number, item, external_id, ids, sku, item_sku, notes, rules, writable, status, parked, _, _ = row
    sources = tuple([tuple([behind.source(item, at) for at in slot.locations]) for slot in slots])
    return Listed(
        *(number, item, external_id, ids, sku, item_sku, notes, rules, bool(writable), status != "open"),
        parked,
        slots,
        sources,
        counted,
    )
