"""Connections, listings, external ids, and what dialects keep about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, select, update
from sqlalchemy.exc import IntegrityError

from onhand.store import counters, schema
from onhand.store.catalog import Taken
from onhand.store.sql import Insert, Statement


class Link(msgspec.Struct, frozen=True):
    """A connection: one merchant's account on a channel or dialect.

    ``channel`` is the dialect or connector, ``integration`` the cart behind a Trackstar connection,
    ``locations`` are ours, in order of preference; ``connector`` is True when the hub itself tells
    the channel, ``unfinished`` until its listings were imported.
    """

    id: int
    channel: str
    name: str
    integration: str | None = None
    connector: bool = False
    locations: list[int] = []
    settings: dict[str, Any] = {}
    created_at: int = 0
    unfinished: bool = False


class Listing(msgspec.Struct, frozen=True):
    """An item offered on a connection. ``status`` is open or closed; ``location`` is set when the
    listing is bound to one level."""

    id: int
    connection: int
    external_id: str
    item: int
    location: int | None = None
    status: str = "open"
    closes_at_zero: bool = False
    attributes: dict[str, Any] = {}
    created_at: int = 0
    updated_at: int = 0


def _row(one: Link | Listing) -> dict[str, Any]:
    values = msgspec.structs.asdict(one)
    for name, value in values.items():
        if isinstance(value, (dict, list)):
            values[name] = msgspec.json.encode(value).decode()
        elif isinstance(value, bool):
            values[name] = int(value)
    return values


def _link(values: dict[str, Any]) -> Link:
    for name in ("connector", "unfinished"):
        values[name] = bool(values[name])
    for name in ("locations", "settings"):
        values[name] = msgspec.json.decode(values[name])
    return Link(**values)


def listing_of(row: Sequence[Any]) -> Listing:
    """A listing from its columns, in the order of `Listing`."""
    values = dict(zip(Listing.__struct_fields__, row, strict=True))
    values["closes_at_zero"] = bool(values["closes_at_zero"])
    values["attributes"] = msgspec.json.decode(values["attributes"])
    return Listing(**values)


# --- connections --------------------------------------------------------------------------------------


def links(connection: Connection, account: int, channel: str | None = None) -> list[Link]:
    """The account's connections, by id; of one channel if named."""
    table = schema.connections
    columns = [table.c[name] for name in Link.__struct_fields__]
    query = select(*columns).where(table.c.account == account).order_by(table.c.id)
    if channel is not None:
        query = query.where(table.c.channel == channel)
    return [_link(dict(row._mapping)) for row in connection.execute(query)]


_one_link = Statement(
    f"SELECT {', '.join(Link.__struct_fields__)} FROM connections WHERE account = :account AND id = :id"
)


def link(connection: Connection, account: int, number: int) -> Link | None:
    """One connection."""
    found = _one_link.run(connection, account=account, id=number)
    return _link(dict(zip(Link.__struct_fields__, found[0], strict=True))) if found else None


def add_link(connection: Connection, account: int, new: Link, now: int) -> Link:
    """Create a connection; an id of 0 is given out."""
    number = new.id or counters.take(connection, account, "connection")
    made = msgspec.structs.replace(new, id=number, created_at=now)
    connection.execute(schema.connections.insert().values(account=account, **_row(made)))
    return made


# --- listings -----------------------------------------------------------------------------------------

_LISTING = ", ".join(f"g.{name}" for name in Listing.__struct_fields__)
_by_external = Statement(
    f"SELECT {_LISTING} FROM {{rows}} JOIN listings g ON g.account = r.account"
    " AND g.connection = r.connection AND g.external_id = r.external_id",
    rows="account int, connection int, external_id text",
)
_one_listing = Statement(f"SELECT {_LISTING} FROM listings g WHERE g.account = :account AND g.id = :id")
_LISTED = (
    f"SELECT {_LISTING} FROM listings g WHERE g.account = :account AND g.id > :after{{}}"
    " AND (:status = '' OR g.status = :status) ORDER BY g.id LIMIT :limit"
)
_listings = Statement(_LISTED.format(""))
_listings_of_link = Statement(_LISTED.format(" AND g.connection = :link"))


def listings_by_external(
    connection: Connection, account: int, link_id: int, names: Iterable[str]
) -> dict[str, Listing]:
    """The connection's listings of these external ids, by external id."""
    rows = [(account, link_id, name) for name in sorted(set(names))]
    found = [listing_of(row) for row in _by_external.run(connection, rows)] if rows else []
    return {listing.external_id: listing for listing in found}


_status = Statement("SELECT g.id, g.status FROM listings g WHERE g.account = :account AND g.id = :id")
_statuses = Statement(
    "SELECT g.id, g.status FROM {rows} JOIN listings g ON g.account = r.account AND g.id = r.id",
    rows="account int, id int",
)


def statuses(connection: Connection, account: int, ids: Sequence[int]) -> dict[int, str]:
    """The status of those of these listings that are there; commits may close some of them."""
    if len(ids) == 1:
        # As nearly always, and an array of one takes a third more instructions.
        return {row[0]: row[1] for row in _status.run(connection, account=account, id=ids[0])}
    rows = [(account, one) for one in ids]
    return {row[0]: row[1] for row in _statuses.run(connection, rows)} if rows else {}


_elsewhere = Statement(
    "SELECT g.id FROM connections c JOIN listings g ON g.account = c.account AND g.connection = c.id"
    " AND g.external_id = :name WHERE c.account = :account AND c.channel = :channel LIMIT 1"
)


def listed_anywhere(connection: Connection, account: int, channel: str, name: str) -> bool:
    """Whether any of the account's connections of this channel has a listing of this external id."""
    return bool(_elsewhere.run(connection, account=account, channel=channel, name=name))


def listing(connection: Connection, account: int, number: int) -> Listing | None:
    """One listing by its own id."""
    found = _one_listing.run(connection, account=account, id=number)
    return listing_of(found[0]) if found else None


def listings(
    connection: Connection,
    account: int,
    link_id: int = 0,
    *,
    status: str = "",
    after: int = 0,
    limit: int = 50,
) -> list[Listing]:
    """Listings by id; of one connection (0: all) and one status ("": all)."""
    asked: dict[str, Any] = {"account": account, "status": status, "after": after, "limit": limit}
    if link_id:
        asked["link"] = link_id
    found = (_listings_of_link if link_id else _listings).run(connection, **asked)
    return [listing_of(row) for row in found]


def add_listing(connection: Connection, account: int, new: Listing, now: int) -> Listing:
    """Create a listing; an id of 0 is given out. Raises Taken when the external id is in use."""
    number = new.id or counters.take(connection, account, "listing")
    made = msgspec.structs.replace(new, id=number, created_at=now, updated_at=now)
    try:
        connection.execute(schema.listings.insert().values(account=account, **_row(made)))
    except IntegrityError as error:
        raise Taken(f"listing {new.external_id!r}") from error
    return made


def change_listing(
    connection: Connection, account: int, number: int, fields: Mapping[str, Any], now: int
) -> bool:
    """Set fields of a listing (status, attributes, location ...); False if there is none."""
    table = schema.listings
    values = {
        name: msgspec.json.encode(value).decode() if isinstance(value, dict) else value
        for name, value in fields.items()
    }
    statement = update(table).where(table.c.account == account, table.c.id == number)
    return connection.execute(statement.values(**values, updated_at=now)).rowcount == 1


# --- external ids and details -------------------------------------------------------------------------

_to_internal = Statement(
    "SELECT x.external, x.internal FROM {rows} JOIN external_ids x ON x.account = r.account"
    " AND x.space = r.space AND x.kind = r.kind AND x.external = r.name",
    rows="account int, space text, kind text, name text",
)
_to_external = Statement(
    "SELECT x.internal, x.external FROM {rows} JOIN external_ids x ON x.account = r.account"
    " AND x.space = r.space AND x.kind = r.kind AND x.internal = r.name",
    rows="account int, space text, kind text, name text",
)
_map = Insert(
    "external_ids",
    "account int, space text, kind text, external text, internal text",
    "ON CONFLICT DO NOTHING",
)


def internals(
    connection: Connection, account: int, space: str, kind: str, names: Iterable[str]
) -> dict[str, str]:
    """External to internal names. ``space`` is a dialect, or ``connection:<id>``."""
    rows = [(account, space, kind, name) for name in sorted(set(names))]
    return {row[0]: row[1] for row in _to_internal.run(connection, rows)} if rows else {}


def externals(
    connection: Connection, account: int, space: str, kind: str, names: Iterable[str]
) -> dict[str, str]:
    """Internal to external names."""
    rows = [(account, space, kind, name) for name in sorted(set(names))]
    return {row[0]: row[1] for row in _to_external.run(connection, rows)} if rows else {}


def map_ids(connection: Connection, account: int, space: str, kind: str, pairs: Mapping[str, str]) -> None:
    """Remember external to internal names; one that is known stays as it is."""
    rows = [(account, space, kind, external, internal) for external, internal in sorted(pairs.items())]
    _map.run(connection, rows)


_details = Statement(
    "SELECT d.item, d.other, d.body FROM {rows} JOIN details d ON d.account = r.account"
    " AND d.dialect = r.dialect AND d.kind = r.kind AND d.item = r.item",
    rows="account int, dialect text, kind text, item int",
)


def details(
    connection: Connection, account: int, dialect: str, kind: str, items: Iterable[int]
) -> dict[tuple[int, int], dict[str, Any]]:
    """What a dialect keeps about these items, by (item, other); written with `work.PutDetail`.

    A dialect that says so keeps it about listings, by their numbers.
    """
    rows = [(account, dialect, kind, item) for item in sorted(set(items))]
    found = _details.run(connection, rows) if rows else []
    return {(row[0], row[1]): msgspec.json.decode(row[2]) for row in found}
