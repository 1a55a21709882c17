"""Connections that the hub tells, and their listings with all that is known of them: made, changed, shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from onhand.stock.offering import Rules
from onhand.store import counters, observing
from onhand.store.outgoing import SlotRow
from onhand.store.sql import Insert, Statement


class Linked(msgspec.Struct, frozen=True):
    """A connection that the hub tells. ``settings`` hold no secrets; ``locations`` are ours, in order. It is
    ``unfinished`` until its listings were imported and somebody said so."""

    id: int
    channel: str
    name: str
    locations: tuple[int, ...]
    settings: dict[str, Any]
    rules: Rules
    paused: bool
    created_at: int
    unfinished: bool = False


class Found(NamedTuple):
    """A listing of the channel that is of an item of ours."""

    external_id: str
    item: int
    ids: Mapping[str, str]
    sku: str | None
    writable: bool


class Numbers(NamedTuple):
    """A listing and what is known of its numbers. Times are microseconds UTC; ``marked_at`` is set while it
    is stale, ``due`` is then when it is told next, and ``words`` why it was put off, if it was."""

    id: int
    connection: int
    external_id: str
    item: int
    item_sku: str | None
    sku: str | None
    status: str
    writable: bool
    parked: str | None
    rules: Rules
    marked_at: int | None
    due: int | None
    attempts: int
    words: str | None
    slots: tuple[SlotRow, ...]


# --- connections --------------------------------------------------------------------------------------

_LINK = "id, channel, name, locations, settings, rules, paused, created_at, unfinished"
_links = Statement(
    f"SELECT {_LINK} FROM connections WHERE account = :account AND connector = 1"
    " AND (:link = 0 OR id = :link) ORDER BY id"
)
_add = Statement(
    "INSERT INTO connections (account, id, channel, name, connector, locations, settings, secrets, rules,"
    " paused, unfinished, created_at) VALUES (:account, :id, :channel, :name, 1, :locations, :settings,"
    " :secrets, :rules, 1, 1, :now)"
)
CHANGES = frozenset(
    {"name", "locations", "settings", "secrets", "rules", "paused", "unfinished", "created_at"}
)
"""The columns that `change` may set."""
_change = {
    name: Statement(f"UPDATE connections SET {name} = :value WHERE account = :account AND id = :id")
    for name in CHANGES
}
_hold = Statement("UPDATE connections SET paused = paused WHERE account = :account AND id = :id")


def links(connection: Connection, account: int, link: int = 0) -> list[Linked]:
    """The connections that the hub tells, by id; or one of them."""
    return [
        Linked(
            row[0],
            row[1],
            row[2],
            tuple(msgspec.json.decode(row[3], type=list[int])),
            msgspec.json.decode(row[4]),
            msgspec.json.decode(row[5], type=Rules),
            bool(row[6]),
            row[7],
            bool(row[8]),
        )
        for row in _links.run(connection, account=account, link=link)
    ]


def hold_links(connection: Connection, account: int) -> None:
    """Let nobody else make a connection of the account's until the transaction ends: which there are decides
    which may be made."""
    counters.at_least(connection, account, "connection", 0)


def number(connection: Connection, account: int) -> int:
    """The id of a connection that is about to be made: its secrets are sealed for it."""
    return counters.take(connection, account, "connection")


def add(connection: Connection, account: int, new: Linked, secrets: str | None, now: int) -> None:
    """Make a connection. It is unfinished, and paused, so that nobody tells it before it is whole."""
    _add.run(
        connection,
        account=account,
        id=new.id,
        channel=new.channel,
        name=new.name,
        locations=_text(new.locations),
        settings=_text(new.settings),
        secrets=secrets,
        rules=_text(new.rules),
        now=now,
    )


def hold(connection: Connection, account: int, link: int) -> None:
    """Let nobody else change a connection until the transaction ends: what is read of it now stands."""
    _hold.run(connection, account=account, id=link)


def held(connection: Connection, account: int, link: int) -> Linked | None:
    """A connection that the hub tells, and that nobody else changes until the transaction ends; None when
    there is none."""
    hold(connection, account, link)
    found = links(connection, account, link) if link else []
    return found[0] if found else None


def change(connection: Connection, account: int, link: int, values: Mapping[str, Any]) -> None:
    """Set some of `CHANGES`."""
    for name in sorted(values):
        value = values[name]
        plain = int(value) if isinstance(value, bool) else value
        stored = plain if isinstance(plain, (int, str)) or plain is None else _text(plain)
        _change[name].run(connection, account=account, id=link, value=stored)


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


# --- listings -----------------------------------------------------------------------------------------

_new = Insert(
    "listings",
    "account int, id int, connection int, external_id text, item int, ids text, sku text, writable int,"
    " created_at int, updated_at int",
)
_known = Statement(
    "UPDATE listings SET ids = r.ids, sku = r.sku, writable = r.writable, updated_at = :now FROM {rows}"
    " WHERE listings.account = r.account AND listings.id = r.id",
    rows="account int, id int, ids text, sku text, writable int",
)
_rules = Statement(
    "UPDATE listings SET rules = :rules, updated_at = :now WHERE account = :account AND id = :id"
)
_unpark = Statement(
    "UPDATE listings SET parked = NULL, updated_at = :now FROM {rows}"
    " WHERE listings.account = r.account AND listings.id = r.id AND listings.parked IS NOT NULL",
    rows="account int, id int",
)
_NUMBERS = (
    "SELECT g.id, g.connection, g.external_id, g.item, i.sku, g.sku, g.status, g.writable, g.parked, g.rules,"
    " o.marked_at, o.due, COALESCE(o.attempts, 0), o.words FROM listings g"
    " JOIN connections c ON c.account = g.account AND c.id = g.connection AND c.connector = 1"
    " JOIN items i ON i.account = g.account AND i.id = g.item"
    " LEFT JOIN outbox o ON o.account = g.account AND o.listing = g.id WHERE g.account = :account"
)
_page = Statement(
    f"{_NUMBERS} AND g.id > :after AND (:link = 0 OR g.connection = :link)"
    " AND (:stale = 0 OR o.listing IS NOT NULL) AND (:parked = 0 OR g.parked IS NOT NULL)"
    " ORDER BY g.id LIMIT :limit"
)
_one = Statement(f"{_NUMBERS} AND g.id = :id")
_of_item = Statement(f"{_NUMBERS} AND g.item = :item ORDER BY g.id")
_slots = Statement(
    "SELECT s.listing, s.place, s.locations, s.acknowledged, s.acknowledged_at, s.observed, s.observed_at,"
    " s.token, s.committed, s.wanted, s.wanted_at FROM {rows}"
    " JOIN slots s ON s.account = r.account AND s.listing = r.id ORDER BY s.listing, s.place",
    rows="account int, id int",
)


def keep_listings(
    connection: Connection, account: int, link: int, found: Sequence[Found], now: int
) -> tuple[list[int], dict[str, int]]:
    """Make listings, and bring those that are known up to date, their item aside: the ids of the new ones,
    and the ids of all by external id."""
    last = {one.external_id: one for one in found}
    known = observing.listings_of(connection, account, link, last)
    fresh = [one for name, one in last.items() if name not in known]
    first = counters.take(connection, account, "listing", len(fresh)) if fresh else 0
    ids = {one.external_id: first + at for at, one in enumerate(fresh)}
    _new.run(
        connection,
        [
            (account, ids[name], link, name, one.item, _text(one.ids), one.sku, int(one.writable), now, now)
            for name, one in ((one.external_id, one) for one in fresh)
        ],
    )
    if known:
        rows = [
            (account, at, _text(last[name].ids), last[name].sku, int(last[name].writable))
            for name, at in known.items()
        ]
        _known.run(connection, rows, now=now)
    return list(ids.values()), known | ids


def set_rules(connection: Connection, account: int, listing: int, rules: Rules, now: int) -> None:
    """Set a listing's own rules; `feeding.refeed` and `feeding.mark` come after it."""
    _rules.run(connection, account=account, id=listing, rules=_text(rules), now=now)


def unpark(connection: Connection, account: int, listings: Iterable[int], now: int) -> None:
    """Forget what a channel said when it would not take them; `feeding.mark` comes after it."""
    rows = [(account, one) for one in sorted(set(listings))]
    if rows:
        _unpark.run(connection, rows, now=now)


def page(
    connection: Connection,
    account: int,
    link: int = 0,
    after: int = 0,
    limit: int = 100,
    *,
    stale: bool = False,
    parked: bool = False,
) -> list[Numbers]:
    """Listings by id with their numbers; of one connection (0: all), only stale or parked ones if asked."""
    found = _page.run(
        connection, account=account, link=link, after=after, limit=limit, stale=int(stale), parked=int(parked)
    )
    return _whole(connection, account, found)


def one(connection: Connection, account: int, listing: int) -> Numbers | None:
    """One listing of a connection that the hub tells."""
    found = _whole(connection, account, _one.run(connection, account=account, id=listing))
    return found[0] if found else None


def of_item(connection: Connection, account: int, item: int) -> list[Numbers]:
    """The listings of an item, by id."""
    return _whole(connection, account, _of_item.run(connection, account=account, item=item))


def _whole(connection: Connection, account: int, found: Sequence[Any]) -> list[Numbers]:
    slots: dict[int, list[SlotRow]] = {}
    if found:
        for listing, place, at, *rest in _slots.run(connection, [(account, row[0]) for row in found]):
            row = SlotRow(place, tuple(msgspec.json.decode(at)), *rest)
            slots.setdefault(listing, []).append(row)
    return [_numbers(row, slots.get(row[0], [])) for row in found]


def _numbers(row: Sequence[Any], slots: Sequence[SlotRow]) -> Numbers:
    made = Numbers._make((*row, tuple(slots)))
    return made._replace(writable=bool(row[7]), rules=msgspec.json.decode(row[9], type=Rules))
