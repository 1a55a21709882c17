"""Connections and their listings; only here a closed listing is opened again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Connection
from starlette.responses import Response

from onhand.api import params, told
from onhand.api.asked import Sellable
from onhand.api.calls import Call
from onhand.api.meaning import Wanted, item_of, location_of
from onhand.api.problems import Problem, bad_parameter, fault, invalid
from onhand.api.replies import Reply, response
from onhand.api.schema import Body, Id, Name, Where, missing
from onhand.api.schema import shown as time_shown
from onhand.attributes import ListingAttributes, named, updated
from onhand.store import catalog, channels, feeding, lookup
from onhand.store.books import Marked
from onhand.store.channels import Link, Listing

STATUSES = ("open", "closed")

TREET = "treet"
"""The API whose listings are named by a UUID, stand at one level, and close when that shows nothing."""

MARKETPLACER = "marketplacer"
"""The API whose listings are named by a number, and not shown otherwise."""

_NUMBER = re.compile(r"[1-9][0-9]{0,17}")


class New(Sellable, frozen=True, kw_only=True):
    """A listing to create: an item, offered on a connection under the channel's own id."""

    connection: Id
    external_id: Name
    location: Where | None = None
    closes_at_zero: bool = False
    attributes: ListingAttributes | UnsetType = UNSET


class Change(Body, frozen=True, kw_only=True):
    """What may change about a listing; what is left out stays as it is."""

    status: Literal["open", "closed"] | UnsetType = UNSET
    attributes: ListingAttributes | UnsetType = UNSET


async def connections(call: Call) -> Response:
    """GET /connections."""
    call.account_wide()
    call.params()
    found = await call.read(lambda c: channels.links(c, call.account))
    return response(Reply(200, told.page([_link_body(one) for one in found], None)))


async def listed(call: Call) -> Response:
    """GET /listings: by id, of one connection or status if asked."""
    found = call.params("connection", "status", "cursor", "limit")
    link = params.number(found, "connection") or 0
    status = params.one(found, "status") or ""
    if status and status not in STATUSES:
        raise bad_parameter("status", "expected open or closed")
    span = params.span(found, "listings", link, status)

    def query(connection: Connection) -> dict[str, Any]:
        found = channels.listings(
            connection, call.account, link, status=status, after=span.after, limit=span.asks
        )
        rows, more = span.cut(found, lambda one: one.id)
        allowed = call.allowed(connection)
        seen = [one for one in rows if allowed is None or one.location in allowed]
        return told.page(_bodies(connection, call.account, seen), more)

    return response(Reply(200, await call.read(query)))


async def shown(call: Call) -> Response:
    """GET /listings/{listing}."""
    call.params()
    number = call.number("listing", "unknown_listing")
    found = await call.read(lambda c: _bodies(c, call.account, [_listing(c, call, number)]))
    return response(Reply(200, found[0]))


async def created(call: Call) -> Response:
    """POST /listings."""
    call.account_wide()
    call.params()
    asked = call.body(New)
    wanted = Wanted(set(), set(), set())
    wanted.sellable(asked)
    wanted.places(asked.location)
    marked: set[Marked] = set()

    def unit(connection: Connection) -> Reply:
        names = call.names(connection, wanted)
        item = item_of(asked, names, "")
        if item not in lookup.skus(connection, call.account, [item]):
            raise missing("unknown_item", f"item {item}", "/item")
        location = None if asked.location is None else location_of(asked.location, names, "/location")
        if location is not None and not lookup.names(connection, call.account, [location]):
            raise missing("unknown_location", f"location {location}", "/location")
        link = channels.link(connection, call.account, asked.connection)
        if link is None:
            raise missing("unknown_connection", f"connection {asked.connection}", "/connection")
        new = _new(asked, link, item, location)
        if channels.listings_by_external(connection, call.account, link.id, [new.external_id]):
            raise _taken(new.external_id)
        try:
            made = channels.add_listing(connection, call.account, new, call.now)
        except catalog.Taken as taken:
            raise _taken(new.external_id) from taken
        feeding.refeed(connection, call.account, [made.id])
        marked.update(feeding.mark(connection, call.account, [made.id], call.now))
        body = _bodies(connection, call.account, [made])[0]
        return Reply(201, body, {"Location": f"/api/v1/listings/{made.id}"})

    done = await call.write(unit)
    call.inventory.marked(marked)
    return done


def _new(asked: New, link: Link, item: int, location: int | None) -> Listing:
    name, closes = asked.external_id, asked.closes_at_zero
    if link.channel == TREET:
        if location is None:
            raise invalid("/location", "A Treet listing stands at one location")
        name, closes = _uuid(name), True
    if link.channel == MARKETPLACER and not _NUMBER.fullmatch(name):
        raise invalid("/external_id", "The id of a Marketplacer variant is a number of up to 18 digits")
    told = _attributes({}, asked.attributes, link.channel)
    return Listing(0, link.id, name, item, location, closes_at_zero=closes, attributes=told)


def _attributes(kept: dict[str, Any], told: ListingAttributes | UnsetType, channel: str) -> dict[str, Any]:
    """What a listing of this channel keeps after ``told``. Raises Problem: invalid_body."""
    if isinstance(told, UnsetType):
        return kept
    for name in named(told):
        if name != channel:
            raise invalid(f"/attributes/{name}", f"The listing is on a connection of {channel}")
    found: dict[str, Any] = updated({channel: kept}, told).get(channel, {})
    return found


def _uuid(text: str) -> str:
    """As it is compared on the wire: in lower case."""
    try:
        if str(UUID(text)) == text.lower():
            return text.lower()
    except ValueError:
        pass
    raise invalid("/external_id", "The id of a Treet listing is a UUID")


async def changed(call: Call) -> Response:
    """PATCH /listings/{listing}: closed, or open again; what its API is told of it."""
    call.params()
    number = call.number("listing", "unknown_listing")
    asked = call.body(Change)
    marked: set[Marked] = set()

    def unit(connection: Connection) -> Reply:
        old = _listing(connection, call, number)
        if asked.status not in (UNSET, old.status):
            channels.change_listing(connection, call.account, number, {"status": asked.status}, call.now)
            marked.update(feeding.mark(connection, call.account, [number], call.now))
        if not isinstance(asked.attributes, UnsetType):
            _tell(connection, call, number, asked.attributes)
        return Reply(200, _bodies(connection, call.account, [_listing(connection, call, number)])[0])

    done = await call.write(unit)
    call.inventory.marked(marked)
    return done


def _tell(connection: Connection, call: Call, number: int, told: ListingAttributes) -> None:
    # What is kept is read once nobody else can change it: another process may be doing so.
    channels.change_listing(connection, call.account, number, {}, call.now)
    one = _listing(connection, call, number)
    channel = _channels(connection, call.account)[one.connection]
    kept = _attributes(one.attributes, told, channel)
    channels.change_listing(connection, call.account, number, {"attributes": kept}, call.now)


def _channels(connection: Connection, account: int) -> dict[int, str]:
    """The channel of each connection."""
    return {one.id: one.channel for one in channels.links(connection, account)}


def _listing(connection: Connection, call: Call, number: int) -> Listing:
    found = channels.listing(connection, call.account, number)
    allowed = call.allowed(connection)
    if found is None or (allowed is not None and found.location not in allowed):
        raise Problem("unknown_listing", "There is no such listing")
    return found


def _taken(name: str) -> Problem:
    words = f"The connection has a listing {name!r} already"
    return Problem("name_taken", words, [fault("name_taken", words, pointer="/external_id")])


def _bodies(connection: Connection, account: int, rows: list[Listing]) -> list[dict[str, Any]]:
    skus = lookup.skus(connection, account, {one.item for one in rows})
    channel_of = _channels(connection, account) if any(one.attributes for one in rows) else {}
    return [_body(one, skus.get(one.item), channel_of) for one in rows]


def _body(one: Listing, sku: str | None, channel_of: Mapping[int, str]) -> dict[str, Any]:
    body = msgspec.structs.asdict(one)
    if one.attributes:
        body["attributes"] = {channel_of[one.connection]: one.attributes}
    times = {"created_at": time_shown(one.created_at), "updated_at": time_shown(one.updated_at)}
    return body | {"sku": sku} | times


def _link_body(one: Link) -> dict[str, Any]:
    body = msgspec.structs.asdict(one)
    del body["settings"]
    return body | {"created_at": time_shown(one.created_at)}
