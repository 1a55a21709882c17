"""Treet over HTTP: who is calling, which listing, what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from onhand import asgi, wire
from onhand.auth import READ, WRITE, Caller, Gate
from onhand.dialects.treet import schema
from onhand.dialects.treet.schema import Invalid
from onhand.inventory import Inventory
from onhand.settings import Settings
from onhand.stock.ledger import Refused
from onhand.stock.model import ABSENT, Level, Place
from onhand.store import catalog, channels, levels
from onhand.store.catalog import Item
from onhand.store.channels import Listing
from onhand.wire import BODY_LIMIT, BadBody, Incoming
from onhand.work import Group, Work

NAME = "treet"
CLIENT_HEADER = b"x-treet-client-id"
KEY_HEADER = b"x-treet-authentication-key"


class _Denied(Exception):
    """A request that Treet answers with 403."""


class _Offer(NamedTuple):
    """What an update needs to know of a listing; whether it is open is the ledger's to say."""

    id: int
    item: int
    location: int | None


def shape(status: int, message: str) -> Response:
    """An error as Treet prints it."""
    return wire.respond(status, {"error": message})


def app(inventory: Inventory, settings: Settings) -> ASGIApp:
    """Treet's listings API, for paths below its mount."""
    gate = Gate(inventory, NAME)
    unknown_status = settings.treet_unknown_listing_status

    async def update(request: Incoming) -> Response:
        asked = _asked(request, await wire.body(request, BODY_LIMIT))
        caller, link = await _enter(gate, request, WRITE)
        if not isinstance(asked, tuple):
            return shape(400, asked)
        name, wish = asked
        account, kind = caller.account, f"treet listing of {link}"
        offer: _Offer | None = inventory.remembered(account).get(kind, {}).get(name)
        if offer is None:
            offers = await inventory.recall_many(
                account, kind, [name], lambda c, names: _offers(c, account, link, names)
            )
            offer = offers.get(name)
        if offer is None:
            await _refuse_elsewhere(inventory, account, name)
            return shape(unknown_status, "Listing not found")
        if offer.location is None:
            return shape(400, "The listing is not bound to a location")
        place = (offer.item, offer.location)
        group = Group((schema.command(wish, *place),), listing=offer.id)
        recorded = await inventory.record(Work(account, (group,), caller.principal, watch=(place,)))
        outcome = recorded.outcomes[0]
        if isinstance(outcome, Refused):
            return shape(400, schema.refused(outcome.refusal))
        return wire.respond(200, schema.updated(name, recorded.levels[place]))

    async def listings(request: Incoming) -> Response:
        caller, link = await _enter(gate, request, READ)
        try:
            asked = schema.query(request.query().multi_items())
        except Invalid as error:
            return shape(400, str(error))
        now = inventory.now()
        found = await inventory.read(caller.account, lambda c: entries(c, caller.account, link, asked, now))
        return wire.respond(200, schema.page(found, asked.limit))

    routes = [
        Route("/v1/listings/{id}/inventory", update, methods=["PUT"]),
        Route("/v1/listings", listings, methods=["GET"]),
    ]
    return asgi.application(routes, shape, asgi.kept_slashes, wire.incoming, _refused)


def _refused(error: Exception) -> Response | None:
    return shape(403, str(error)) if isinstance(error, _Denied) else None


def _asked(request: Incoming, raw: bytes) -> tuple[str, schema.Update] | str:
    """The listing's id and the update; else what is wrong, to be said once the caller is known."""
    try:
        return schema.listing_id(request.path("id")), schema.update(wire.decode(raw))
    except Invalid as error:
        return str(error)
    except BadBody as error:
        return error.message


async def _enter(gate: Gate, request: Incoming, scope: str) -> tuple[Caller, int]:
    """The caller and its connection. Raises _Denied, without saying which part of the credentials was
    wrong."""
    headers = request.headers
    client, key = headers.get(CLIENT_HEADER, b""), headers.get(KEY_HEADER, b"")
    if not client or not key:
        raise _Denied("The headers X-Treet-Client-Id and X-Treet-Authentication-Key are required")
    said = b"%b\n%b" % (client, key)
    caller = gate.at_once(said) or await gate.identify(said, client.decode("latin-1"), key.decode("latin-1"))
    if caller is None or caller.connection is None:
        raise _Denied("The client id and authentication key do not match an active client")
    if not caller.may(scope):
        raise _Denied("The authentication key does not have permission for this")
    return caller, caller.connection


def _offers(connection: Connection, account: int, link: int, names: Sequence[str]) -> dict[str, _Offer]:
    found = channels.listings_by_external(connection, account, link, names)
    return {name: _Offer(one.id, one.item, one.location) for name, one in found.items()}


async def _refuse_elsewhere(inventory: Inventory, account: int, name: str) -> None:
    if await inventory.read(account, lambda c: channels.listed_anywhere(c, account, NAME, name)):
        raise _Denied("The listing belongs to another client")


def entries(
    connection: Connection, account: int, link: int, asked: schema.Query, now: int
) -> list[schema.Entry]:
    """The listings that a query asks for, and one more where there are more."""
    found = channels.listings(
        connection, account, link, status=asked.status, after=asked.after, limit=asked.limit + 1
    )
    items = catalog.items(connection, account, [one.item for one in found])
    places = [(one.item, one.location) for one in found if one.location is not None]
    here = levels.at(connection, account, places, now)
    return [_entry(one, items[one.item], here) for one in found]


def _entry(listing: Listing, item: Item, here: Mapping[Place, Level]) -> schema.Entry:
    level = ABSENT if listing.location is None else here.get((listing.item, listing.location), ABSENT)
    return schema.Entry(listing.id, listing.external_id, listing.status == "open", level, item.sku, item.name)
