"""Trackstar's reads: products, warehouses, connections, and what an integration can be told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection
from starlette.responses import Response
from starlette.routing import Route

from onhand import wire
from onhand.dialects.trackstar import door, filters, rendering, schema
from onhand.dialects.trackstar.door import NAME, Door, Place, Turned, Visit
from onhand.dialects.trackstar.filters import Query
from onhand.dialects.trackstar.rules import RULES
from onhand.dialects.trackstar.schema import Faults, Site
from onhand.stock.model import Level
from onhand.stock.model import Place as At
from onhand.store import catalog, channels, levels, products
from onhand.store.catalog import Location
from onhand.store.products import Product, Wanted
from onhand.wire import Incoming

_Row = TypeVar("_Row")


class Page(NamedTuple):
    """Products of a page with their levels, how many there are in all, and the last listing's id."""

    place: Place
    shown: Sequence[Product]
    levels: Mapping[At, Level]
    total: int
    last: int | None


def routes(hall: Door) -> list[Route]:
    """The reading routes."""
    table = {
        "/cart/products": _products,
        "/cart/products/{id}": _product,
        "/cart/warehouses": _warehouses,
        "/cart/warehouses/{id}": _warehouse,
        "/connections": _connections,
        "/connections/{id}": _connection,
        "/integrations/{type}/{name}/write-info": _write_info,
    }

    def bound(endpoint: Any) -> Any:
        async def answer(request: Incoming) -> Response:
            found: Response = await endpoint(hall, request)
            return found

        return answer

    return [Route(path, bound(endpoint), methods=["GET"]) for path, endpoint in table.items()]


def _valid(query: Query | Faults) -> Query:
    if not isinstance(query, Query):
        raise Turned(schema.invalid(query, "query"))
    return query


# --- products -----------------------------------------------------------------------------------------


async def _products(hall: Door, request: Incoming) -> Response:
    visit = await hall.visit(request)
    asked = _valid(filters.products(request.query().multi_items()))
    now = hall.inventory.now()
    page = await hall.inventory.read(visit.account, lambda c: _page(c, visit, asked, now), long=True)
    data = [rendering.cart_product(one, page.place.site, page.levels) for one in page.shown]
    token = None if page.last is None else filters.page_token(page.last)
    return wire.respond(200, {"data": data, "next_token": token, "total_count": page.total})


def _page(connection: Connection, visit: Visit, asked: Query, now: int) -> Page:
    place = door.place(connection, visit)
    account, link = visit.account, place.link
    if asked.ids is not None:
        asked = Query(wanted=(Wanted("external_id", "in", asked.ids),))
    rows = products.page(connection, account, link, asked.wanted, asked.after, asked.limit + 1)
    names = [name for _, name in rows[: asked.limit]]
    found = products.products(connection, account, link.id, names)
    shown = [found[name] for name in names]
    total = products.count(connection, account, link, asked.wanted)
    last = rows[asked.limit - 1][0] if len(rows) > asked.limit else None
    return Page(place, shown, _levels(connection, account, shown, place.site, now), total, last)


def _levels(
    connection: Connection, account: int, shown: Iterable[Product], site: Site, now: int
) -> dict[At, Level]:
    wanted = [(one.item, location) for one in shown for location in site.warehouses.values()]
    return levels.at(connection, account, wanted, now)


async def _product(hall: Door, request: Incoming) -> Response:
    visit = await hall.visit(request)
    name = request.path("id")
    now = hall.inventory.now()

    def query(connection: Connection) -> Page:
        place = door.place(connection, visit)
        found = products.products(connection, visit.account, visit.connection, rendering.names(name))
        product = rendering.pick(found, name)
        if product is None:
            raise Turned(schema.unknown("Product", name))
        here = _levels(connection, visit.account, [product], place.site, now)
        return Page(place, [product], here, 1, None)

    page = await hall.inventory.read(visit.account, query)
    return wire.respond(200, {"data": rendering.cart_product(page.shown[0], page.place.site, page.levels)})


# --- warehouses ---------------------------------------------------------------------------------------


async def _warehouses(hall: Door, request: Incoming) -> Response:
    visit = await hall.visit(request)
    asked = _valid(filters.plain(request.query().multi_items()))
    found = list((await _places(hall, visit)).items())
    shown, answer = _cut(list(enumerate(found, 1)), asked)
    return wire.respond(200, {"data": [rendering.warehouse(*one) for one in shown], **answer})


async def _warehouse(hall: Door, request: Incoming) -> Response:
    visit = await hall.visit(request)
    name = request.path("id")
    location = (await _places(hall, visit)).get(name)
    if location is None:
        raise Turned(schema.unknown("Warehouse", name))
    return wire.respond(200, {"data": rendering.warehouse(name, location)})


async def _places(hall: Door, visit: Visit) -> dict[str, Location]:
    """The connection's locations in its order, by external id."""

    def query(connection: Connection) -> dict[str, Location]:
        place = door.place(connection, visit)
        known = {one.id: one for one in catalog.locations(connection, visit.account)}
        return {name: known[at] for name, at in place.site.warehouses.items() if at in known}

    return await hall.inventory.read(visit.account, query)


def _cut(rows: list[tuple[int, _Row]], asked: Query) -> tuple[list[_Row], dict[str, Any]]:
    """The page of numbered rows that is asked for, and what is said about the rest."""
    behind = [row for row in rows if row[0] > asked.after]
    page = behind[: asked.limit]
    token = filters.page_token(page[-1][0]) if len(behind) > len(page) else None
    return [row for _, row in page], {"next_token": token, "total_count": len(rows)}


# --- the organisation ---------------------------------------------------------------------------------


async def _connections(hall: Door, request: Incoming) -> Response:
    caller = await hall.organisation(request)
    asked = _valid(filters.plain(request.query().multi_items()))
    found = await hall.inventory.read(caller.account, lambda c: channels.links(c, caller.account, NAME))
    shown, answer = _cut([(one.id, one) for one in found], asked)
    return wire.respond(200, {"data": [rendering.connection(one) for one in shown], **answer})


async def _connection(hall: Door, request: Incoming) -> Response:
    caller = await hall.organisation(request)
    name = request.path("id")
    found = await hall.inventory.read(caller.account, lambda c: channels.links(c, caller.account, NAME))
    link = next((one for one in found if str(one.id) == name), None)
    if link is None:
        raise Turned(schema.unknown("Connection", name))
    return wire.respond(200, {"data": rendering.connection(link)})


async def _write_info(hall: Door, request: Incoming) -> Response:
    caller = await hall.organisation(request)
    name = request.path("name")
    number = await hall.connection_of(request, caller)
    rule = RULES.get(name) if request.path("type") == "cart" else None
    if rule is None:
        raise Turned(schema.unknown("Integration", name))
    site = None
    if number is not None:
        visit = Visit(caller.account, "", number)
        place = await hall.inventory.read(caller.account, lambda c: door.place(c, visit))
        if place.rule is not rule:
            words = f"The connection is one of {place.rule.name}."
            raise Turned(schema.invalid({"x-trackstar-access-token": [words]}, "headers"))
        site = place.site
    return wire.respond(200, {"data": [rendering.write_info(rule, site)]})
