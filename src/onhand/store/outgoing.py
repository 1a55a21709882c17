"""What is to be told to channels: stale listings of a connection, and all that their numbers are made of.

Every function belongs into one snapshot (`inventory.read`); `told` writes what became of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import msgspec
from sqlalchemy import Connection

from onhand.stock.model import ABSENT, Level, Place, Value
from onhand.stock.offering import PLAIN, Part, Rules, Source
from onhand.store import ahead, books, levels
from onhand.store.ahead import Ahead
from onhand.store.packed import Packed
from onhand.store.sql import Statement

FOREVER = 2**62
Recipes: TypeAlias = Mapping[int, Sequence[tuple[int, int]]]
"""By the item of a kit: its components, and how many of each go into one."""
_NONE: Mapping[Place, Level] = {}
_rules_of = msgspec.json.Decoder(Rules)


class Stale(Value, frozen=True, array_like=True):
    """A row of the outbox, and what was said of the one movement that made it stale: where there were more,
    nothing is right. Times are microseconds UTC."""

    listing: int
    seq: int
    marks: int
    attempts: int
    marked_at: int
    reason: str | None = None
    context: str | None = None


class SlotRow(Value, frozen=True, array_like=True):
    """A slot as stored: three numbers with their times. ``place`` is "" where the channel has none. What was
    ``wanted`` last is not read to tell it anew."""

    place: str
    locations: tuple[int, ...]
    acknowledged: int | None = None
    acknowledged_at: int | None = None
    observed: int | None = None
    observed_at: int | None = None
    token: str | None = None
    committed: int = 0
    wanted: int | None = None
    wanted_at: int | None = None


class Listed(Value, frozen=True):
    """A listing with its slots and the stock behind each of them, in the order of the slots. ``item_sku``
    is our own SKU, ``sku`` the channel's where it has another. ``counted`` is False where it was told nothing
    yet and its item, or all that a kit is made of, never had any stock anywhere, be it 0."""

    id: int
    item: int
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


class Aim(Value, frozen=True):
    """A stale listing, and what is needed to say what it should show. ``at`` is when it was read."""

    stale: Stale
    listed: Listed
    at: int
    ahead: tuple[Ahead, ...] = ()


class Claimed(NamedTuple):
    """Stale listings whose time has come, none while the connection is ``paused``, and its rules."""

    aims: tuple[Aim, ...]
    rules: Rules
    paused: bool = False


# --- claiming -----------------------------------------------------------------------------------------


class _Found(Value, frozen=True, array_like=True):
    """A listing as it is stored. ``notes`` and ``rules`` are None where there are none; ``slotted`` is None
    where the slot beside it is none: it has no slots."""

    id: int
    item: int
    ids: dict[str, str]
    sku: str | None
    item_sku: str | None
    notes: dict[str, str] | None
    rules: Rules | None
    writable: int
    status: str
    parked: str | None
    kit: int
    slotted: int | None


class _Near(Value, frozen=True, array_like=True):
    """The level at a slot's first location, where it is present."""

    on_hand: int | None
    reserved: int | None
    infinite: int | None
    version: int | None
    next_expiry: int | None

    def level(self, now: int) -> Level | None:
        """As a value; None where there is none, or where a hold has ended: that is to be reckoned."""
        if self.on_hand is None or (self.next_expiry is not None and self.next_expiry <= now):
            return None
        return Level(
            self.on_hand, self.reserved or 0, bool(self.infinite), True, self.version or 0, self.next_expiry
        )


_LISTING = (
    *("g.id", "g.item", "json g.ids", "g.sku", "i.sku", "json NULLIF(g.notes, '{}')"),
    *("json NULLIF(g.rules, '{}')", "g.writable", "g.status", "g.parked", "i.kit", "s.listing"),
)
_SLOT = (
    *("COALESCE(s.place, '')", "json COALESCE(s.locations, '[]')", "s.acknowledged", "s.acknowledged_at"),
    *("s.observed", "s.observed_at", "s.token", "COALESCE(s.committed, 0)"),
)
_BEHIND = (
    " JOIN items i ON i.account = g.account AND i.id = g.item"
    " LEFT JOIN slots s ON s.account = g.account AND s.listing = g.id"
)
_listed = Packed(
    tuple[_Found, SlotRow],
    _LISTING,
    (*_SLOT, "s.wanted", "s.wanted_at"),
    rest="FROM {rows} JOIN listings g ON g.account = r.account AND g.id = r.id"
    f"{_BEHIND} ORDER BY g.id, s.place",
    rows="account int, id int",
)
_FIRST = "CAST(SUBSTR(s.locations, 2) AS INTEGER)"
# In no order: to sort rows of so many columns takes as long as to find them. With the level that most slots
# are all fed by.
_claimed = Packed(
    tuple[Stale, _Found, SlotRow, _Near],
    (
        *(f"o.{name}" for name in ("listing", "seq", "marks", "attempts", "marked_at")),
        "m.reason",
        "m.context",
    ),
    _LISTING,
    _SLOT,
    tuple([f"l.{name}" for name in _Near.__struct_fields__]),
    rest="FROM {rows} JOIN outbox o ON o.account = r.account AND o.listing = r.id AND o.due <= :until"
    f" JOIN listings g ON g.account = o.account AND g.id = o.listing{_BEHIND}"
    " LEFT JOIN movements m ON m.account = o.account AND m.seq = o.seq AND o.since = o.seq"
    f" LEFT JOIN levels l ON l.account = g.account AND l.item = g.item AND l.location = {_FIRST}"
    " AND l.present = 1",
    rows="account int, id int",
    listed=True,
    postgresql={_FIRST: "CAST(CAST(s.locations AS JSON) ->> 0 AS BIGINT)"},
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
_RULES = "SELECT rules FROM connections WHERE account = :account AND id = :link"
_rules = Statement(_RULES)
_rules_told = Statement(f"{_RULES} AND paused = 0")


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
    ids: Sequence[int],
    *,
    early: bool = False,
    futures: bool = False,
) -> Claimed:
    """Those of the listings ``ids`` that are stale and due (or are not yet, if ``early``), in the order of
    ``ids``, in one snapshot with all that their numbers are made of, planned changes too if ``futures``; none
    while the connection is paused. To be asked by who holds the lease."""
    above = _rules_told.run(connection, account=account, link=link)
    if not above:
        return Claimed((), PLAIN, paused=True)
    rules = _rules_of.decode(above[0][0])
    if not ids:
        return Claimed((), rules)
    rows = [(account, one) for one in ids]
    found = _claimed.run(connection, rows, until=FOREVER if early else now)
    near: dict[Place, Level] = {}
    for _, listing, slot, first in found:
        if slot.locations and (level := first.level(now)) is not None:
            near[listing.item, slot.locations[0]] = level
    there = _made(connection, account, [(listing, slot) for _, listing, slot, _ in found], now, near)
    stale = {one.listing: one for one, _, _, _ in found}
    planned = ahead.changes(connection, account, _behind(there.values())) if futures else []
    if planned:
        return Claimed(
            tuple([_aim(stale[one], there[one], now, planned) for one in ids if one in stale]), rules
        )
    return Claimed(tuple([Aim(stale[one], there[one], now) for one in ids if one in stale]), rules)


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


def _aim(stale: Stale, one: Listed, at: int, planned: Sequence[Ahead]) -> Aim:
    places = _behind([one])
    return Aim(stale, one, at, tuple([change for change in planned if change.place in places]))


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
    connection: Connection,
    account: int,
    found: Sequence[tuple[_Found, SlotRow]],
    now: int,
    near: Mapping[Place, Level] = _NONE,
) -> dict[int, Listed]:
    """Listings by id, from a row for each of their slots, and what is read of the stock behind them; ``near``
    are levels that were read already."""
    rows = {row.id: row for row, _ in found}
    recipes = _recipes(connection, account, rows.values())
    slots: dict[int, list[SlotRow]] = {number: [] for number in rows}
    places: set[Place] = set()
    told: set[int] = set()
    for row, slot in found:
        if row.slotted is not None:
            slots[row.id].append(slot)
            for at in slot.locations:
                places.add((row.item, at))
            if slot.acknowledged is not None:
                told.add(row.id)
    behind = _Stock(connection, account, recipes, places, now, near)
    new = {number: {part for part, _ in _parts(rows[number].item, recipes)} for number in rows.keys() - told}
    known = behind.counted(set().union(*new.values())) if new else set()
    return {
        number: _one(row, slots[number], behind, counted=number in told or not known.isdisjoint(new[number]))
        for number, row in rows.items()
    }


def _recipes(connection: Connection, account: int, rows: Iterable[_Found]) -> Recipes:
    """What the kits among these are made of."""
    kits = [(account, row.item) for row in rows if row.kit]
    found = books.components(connection, kits) if kits else {}
    return {item: found.get((account, item), ()) for _, item in kits}


def _parts(item: int, recipes: Recipes) -> Sequence[tuple[int, int]]:
    """The components of a kit with their units, or the item itself."""
    return recipes.get(item, ((item, 1),))


class _Stock:
    """Levels and kinds of locations for many listings, read at once, for listings at ``places``."""

    def __init__(
        self,
        connection: Connection,
        account: int,
        recipes: Recipes,
        places: set[Place],
        now: int,
        near: Mapping[Place, Level],
    ) -> None:
        self._connection, self._account = connection, account
        self._recipes = recipes
        rows = sorted({(account, where) for _, where in places})
        self._kinds: dict[int, str] = {row[0]: row[1] for row in _kinds.run(connection, rows)} if rows else {}
        if recipes:
            places = {(part, at) for item, at in places for part, _ in _parts(item, recipes)}
        self._levels = {**near, **levels.at(connection, account, places - near.keys(), now)}

    def counted(self, items: set[int]) -> set[int]:
        """Those of some items that ever had stock, here or elsewhere."""
        here = {item for (item, _), level in self._levels.items() if level.version}
        rows = [(self._account, one) for one in sorted(items - here)]
        return here | {row[0] for row in _counted.run(self._connection, rows)} if rows else here

    def sources(self, item: int, locations: Iterable[int]) -> tuple[Source, ...]:
        """An item, or the components of a kit, at some locations."""
        held, kinds, recipes = self._levels, self._kinds, self._recipes
        made = []
        for at in locations:
            if item in recipes:
                parts = tuple([Part(part, held.get((part, at), ABSENT), per) for part, per in recipes[item]])
            else:
                parts = (Part(item, held.get((item, at), ABSENT)),)
            made.append(Source(at, kinds.get(at, "stock"), parts))
        return tuple(made)


def _one(row: _Found, slots: list[SlotRow], behind: _Stock, *, counted: bool) -> Listed:
    if len(slots) > 1:
        slots.sort(key=_by_place)
    sources = tuple([behind.sources(row.item, slot.locations) for slot in slots])
    rules, notes = PLAIN if row.rules is None else row.rules, row.notes or {}
    closed, ours, theirs = row.status != "open", row.item_sku, row.sku
    # By place, and not from parts: that takes as long as to make the value.
    return Listed(
        row.id, row.item, row.ids, theirs, ours, notes, rules, bool(row.writable), closed, row.parked,
        tuple(slots), sources, counted,
    )  # fmt: skip


def _by_place(slot: SlotRow) -> str:
    return slot.place
