"""What is to be told to channels: stale listings of a connection, and all that their numbers are made of.

Every function belongs into one snapshot (`inventory.read`); `told` writes what became of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from onhand.stock.model import ABSENT, Level, Place
from onhand.stock.offering import PLAIN, Part, Rules, Source
from onhand.store import ahead, books, levels
from onhand.store.ahead import Ahead
from onhand.store.sql import Row, Statement

FOREVER = 2**62
NOTHING = "{}"
_names = msgspec.json.Decoder(dict[str, str])
_rules_of = msgspec.json.Decoder(Rules)
_locations = msgspec.json.Decoder(tuple[int, ...])


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
    is our own SKU, ``sku`` the channel's where it has another."""

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


class Aim(NamedTuple):
    """A stale listing, and what is needed to say what it should show. ``at`` is when it was read."""

    stale: Stale
    listed: Listed
    at: int
    reason: str | None = None
    context: str | None = None
    ahead: tuple[Ahead, ...] = ()


class Claimed(NamedTuple):
    """Stale listings whose time has come, the connection's rules, and when the next time comes (None:
    nothing waits for a time). ``full`` says that there may be more than were asked for."""

    aims: tuple[Aim, ...]
    rules: Rules
    next_due: int | None
    full: bool


# --- claiming -----------------------------------------------------------------------------------------

_due = Statement(
    "SELECT o.listing, o.since, o.seq, o.marks, o.attempts, o.marked_at FROM outbox o"
    " WHERE o.account = :account AND o.connection = :link AND o.due <= :now ORDER BY o.due LIMIT :limit"
)
_next = Statement(
    "SELECT MIN(due) FROM outbox WHERE account = :account AND connection = :link AND due > :now"
)
_listed = Statement(
    "SELECT g.id, g.item, g.external_id, g.ids, g.sku, i.sku, g.notes, g.rules, g.writable, g.status,"
    " g.parked, i.kit FROM {rows} JOIN listings g ON g.account = r.account AND g.id = r.id"
    " JOIN items i ON i.account = g.account AND i.id = g.item ORDER BY g.id",
    rows="account int, id int",
)
_slots = Statement(
    "SELECT s.listing, s.place, s.locations, s.wanted, s.wanted_at, s.acknowledged, s.acknowledged_at,"
    " s.observed, s.observed_at, s.token, s.committed FROM {rows}"
    " JOIN slots s ON s.account = r.account AND s.listing = r.id ORDER BY s.listing, s.place",
    rows="account int, id int",
)
_kinds = Statement(
    "SELECT p.id, p.kind FROM {rows} JOIN locations p ON p.account = r.account AND p.id = r.id",
    rows="account int, id int",
)
_rules = Statement("SELECT rules FROM connections WHERE account = :account AND id = :link")
# A listing that one movement made stale has that movement's reason; where there were more, none is right.
_causes = Statement(
    "SELECT m.seq, m.reason, m.context FROM {rows}"
    " JOIN movements m ON m.account = r.account AND m.seq = r.seq",
    rows="account int, seq int",
)


def claim(
    connection: Connection,
    account: int,
    link: int,
    now: int,
    limit: int,
    without: Collection[int] = (),
    *,
    early: bool = False,
    futures: bool = False,
) -> Claimed:
    """Up to ``limit`` stale listings of a connection that are due (or are not yet, if ``early``), longest
    waiting first, but not ``without``; in one snapshot with all that their numbers are made of, planned
    changes too if ``futures``. To be asked by who holds the lease."""
    many = limit + len(without)
    until = FOREVER if early else now
    found = [Stale(*row) for row in _due.run(connection, account=account, link=link, now=until, limit=many)]
    mine = [one for one in found if one.listing not in without][:limit]
    causes = _reasons(connection, account, mine)
    there = {one.id: one for one in listed(connection, account, [one.listing for one in mine], now)}
    planned = ahead.changes(connection, account, _behind(there.values())) if futures else []
    aims = [_aim(one, there[one.listing], now, causes, planned) for one in mine]
    rules = rules_of(connection, account, link)
    next_due = _next.run(connection, account=account, link=link, now=now)[0][0]
    return Claimed(tuple(aims), rules, next_due, len(found) == many)


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


def _aim(
    stale: Stale,
    one: Listed,
    at: int,
    causes: Mapping[int, tuple[str | None, str | None]],
    planned: Sequence[Ahead],
) -> Aim:
    places = _behind([one]) if planned else {}
    mine = tuple(change for change in planned if change.place in places)
    cause = causes.get(stale.seq, (None, None)) if stale.since == stale.seq else (None, None)
    return Aim(stale, one, at, *cause, mine)


def _reasons(
    connection: Connection, account: int, found: Iterable[Stale]
) -> dict[int, tuple[str | None, str | None]]:
    rows = sorted({(account, one.seq) for one in found if one.since == one.seq})
    return {row[0]: (row[1], row[2]) for row in _causes.run(connection, rows)} if rows else {}


def rules_of(connection: Connection, account: int, link: int) -> Rules:
    """The rules of a connection."""
    rows = _rules.run(connection, account=account, link=link)
    return _rules_of.decode(rows[0][0]) if rows else PLAIN


def listed(connection: Connection, account: int, ids: Iterable[int], now: int) -> list[Listed]:
    """These listings, with the stock behind their slots, by id."""
    rows = [(account, one) for one in sorted(set(ids))]
    if not rows:
        return []
    found = _listed.run(connection, rows)
    slots: dict[int, list[SlotRow]] = {}
    for listing, place, at, *numbers in _slots.run(connection, rows):
        slots.setdefault(listing, []).append(SlotRow(place, _locations.decode(at), *numbers))
    recipes = books.components(connection, [(account, row[1]) for row in found if row[11]])
    parts = {row[1]: recipes.get((account, row[1]), []) if row[11] else [(row[1], 1)] for row in found}
    places = {
        (part, at)
        for row in found
        for slot in slots.get(row[0], ())
        for at in slot.locations
        for part, _ in parts[row[1]]
    }
    behind = _Stock(connection, account, parts, places, now)
    return [_one(row, tuple(slots.get(row[0], ())), behind) for row in found]


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
        self._parts = parts
        self._levels = levels.at(connection, account, places, now)
        rows = sorted({(account, where) for _, where in places})
        self._kinds: dict[int, str] = {row[0]: row[1] for row in _kinds.run(connection, rows)} if rows else {}

    def source(self, item: int, location: int) -> Source:
        """An item, or the components of a kit, at one location."""
        made = [
            Part(part, self._levels.get((part, location), ABSENT), per) for part, per in self._parts[item]
        ]
        return Source(location, self._kinds.get(location, "stock"), tuple(made))


def _one(row: Row, slots: tuple[SlotRow, ...], behind: _Stock) -> Listed:
    number, item, external_id, ids, sku, item_sku, notes, rules, writable, status, parked, _ = row
    return Listed(
        number,
        item,
        external_id,
        _names.decode(ids),
        sku,
        item_sku,
        _names.decode(notes) if notes != NOTHING else {},
        _rules_of.decode(rules) if rules != NOTHING else PLAIN,
        bool(writable),
        status != "open",
        parked,
        slots,
        tuple(tuple(behind.source(item, at) for at in slot.locations) for slot in slots),
    )
