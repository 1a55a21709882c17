"""Trackstar over HTTP: adjustments of one product and of many."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from onhand import asgi, wire
from onhand.dialects.trackstar import door, reads, rendering, schema
from onhand.dialects.trackstar.door import Door, Place, Turned, Visit, labelled, turned
from onhand.dialects.trackstar.rendering import cart_product
from onhand.dialects.trackstar.schema import Batch, Change, Line, Site
from onhand.inventory import Inventory
from onhand.settings import Settings
from onhand.stock.ledger import NO_STOCK_OF_A_KIT, Refused
from onhand.stock.model import AnyCommand, SetAvailable
from onhand.store import products, requests
from onhand.store.products import Product
from onhand.wire import Incoming
from onhand.work import Accepted, Answer, Group, Key, Plan, Recorded, Work

shape = door.refused

Made = tuple[int, Any]
"""A status and a body that can be encoded."""


def app(inventory: Inventory, settings: Settings) -> ASGIApp:
    """Trackstar's cart API, for paths below its mount."""
    hall = Door(inventory, settings)
    strict = settings.strict_trackstar

    async def adjust(request: Incoming) -> Response:
        visit = await hall.visit(request, write=True)
        asked = door.read(await door.body(request))
        key = door.idempotency(request, visit.principal, asked)
        name = request.path("id")
        place = hall.remembered(visit) or await hall.place(visit)
        if key is not None and (before := await _before(inventory, visit, key)) is not None:
            return before
        now = inventory.now()
        change = schema.read_change(asked, place.rule, place.site, strict, now)
        if not isinstance(change, Change):
            raise Turned(schema.invalid(change))
        kept = None
        if key is None:
            kept = _remembered(inventory, visit, name) or await _kept(inventory, visit, place.site, name)
        if kept is None:
            product = await _product(inventory, visit, place.site, name)
            _feasible(change, product)
            return await _record(inventory, *_adjustment(visit, place, product, change, key))
        _feasible(change, kept)
        work, made = _adjustment(visit, place, kept, change, None)
        recorded = await inventory.record(work)
        if isinstance(recorded.outcomes[0], Accepted) and not _moved(recorded):
            # Only now it counts when something last did.
            found = (await _look(inventory, visit, place.site, (name,))).get(name, kept)
            _, made = _adjustment(visit, place, found, change, None)
        return wire.respond(*made(recorded))

    async def batch(request: Incoming) -> Response:
        visit = await hall.visit(request, write=True)
        asked = door.read(await door.body(request))
        key = door.idempotency(request, visit.principal, asked)
        place = hall.remembered(visit) or await hall.place(visit)
        if key is not None and (before := await _before(inventory, visit, key)) is not None:
            return before
        wanted = schema.read_batch(asked, place.rule, place.site, strict)
        if not isinstance(wanted, Batch):
            raise Turned(schema.invalid(wanted))
        wishes = {name for line in wanted.lines for name in rendering.names(line.product)}
        found = await _look(inventory, visit, place.site, tuple(wishes))
        chosen = [
            _variant(rendering.pick(found, line.product), line.product, f"line_items.{at}.product_id")
            for at, line in enumerate(wanted.lines)
        ]
        _agree(wanted.lines, chosen)
        return await _record(inventory, *_settings(visit, place, wanted, chosen, key))

    routes = [
        Route("/cart/products/batch-adjust-inventory", batch, methods=["PUT"]),
        Route("/cart/products/{id}/adjust-inventory", adjust, methods=["PUT"]),
        *reads.routes(hall),
    ]
    return labelled(asgi.application(routes, door.shape, asgi.kept_slashes, wire.incoming, turned))


async def _before(inventory: Inventory, visit: Visit, key: Key) -> Response | None:
    """The answer to a key that was used before."""
    name = (visit.account, key.scope, key.key)
    stored = await inventory.read(visit.account, lambda c: requests.look_up(c, name), alone=True)
    return door.known(stored, key)


async def _look(
    inventory: Inventory, visit: Visit, site: Site, names: tuple[str, ...]
) -> Mapping[str, Product]:
    """The products of these external ids; read each time, because their status and their last move count."""
    return await inventory.read(visit.account, lambda c: _all(c, visit, site, names), alone=True)


def _all(connection: Connection, visit: Visit, site: Site, names: Sequence[str]) -> dict[str, Product]:
    account, link = visit.account, visit.connection
    if len(names) == len(site.warehouses) == 1:
        ((name,), (place,)) = names, site.warehouses.values()
        return products.product(connection, account, link, name, place)
    return products.products(connection, account, link, names)


async def _product(inventory: Inventory, visit: Visit, site: Site, name: str) -> Product:
    """The product of an id, if it can be adjusted."""
    found = await _look(inventory, visit, site, rendering.names(name))
    return _variant(rendering.pick(found, name), name, "product_id")


async def _kept(inventory: Inventory, visit: Visit, site: Site, name: str) -> Product | None:
    """The same by what is remembered, but for when it last moved. None where that does not do: where another
    process or a commit may have closed the listing, and for what cannot be adjusted."""
    if not inventory.store.sqlite or len(rendering.names(name)) != 1:
        return None
    await inventory.recall_many(
        visit.account, _products_of(visit), [name], lambda c, names: _all(c, visit, site, names)
    )
    return _remembered(inventory, visit, name)


def _remembered(inventory: Inventory, visit: Visit, name: str) -> Product | None:
    """The same by what is remembered now."""
    found: Product | None = inventory.remembered(visit.account).get(_products_of(visit), {}).get(name)
    return None if found is None or found.closes or found.has_variants else found


def _products_of(visit: Visit) -> str:
    return f"trackstar product of {visit.connection}"


def _variant(product: Product | None, name: str, field: str) -> Product:
    """A product that can be adjusted; 404 for none, 422 for a parent."""
    if product is None:
        raise Turned(schema.unknown("Product", name))
    if product.has_variants:
        raise Turned(schema.invalid({field: [schema.PARENT]}))
    return product


def _feasible(change: Change, product: Product) -> None:
    """422 for a plan that could only be refused when it is due; at once, the ledger says the same."""
    if change.due is not None and product.kit:
        raise Turned(schema.refused(NO_STOCK_OF_A_KIT, product.external_id))


def _agree(lines: Sequence[Line], chosen: Sequence[Product]) -> None:
    """422 for lines that set one level to different numbers: two products may be of one item."""
    first: dict[tuple[int, int], int] = {}
    faults: schema.Faults = {}
    for at, (line, product) in enumerate(zip(lines, chosen, strict=True)):
        if first.setdefault((product.item, line.location), line.quantity) != line.quantity:
            faults[f"line_items.{at}.product_id"] = [schema.OTHER_NUMBER]
    if faults:
        raise Turned(schema.invalid(faults))


def _adjustment(
    visit: Visit, place: Place, product: Product, change: Change, key: Key | None
) -> tuple[Work, Callable[[Recorded], Made]]:
    item = product.item
    context = None
    if change.extras:
        context = wire.encode({"connection": visit.connection, **change.extras}).decode()
    commands: tuple[AnyCommand, ...] = (schema.command(change, item),)
    group = Group(commands)
    if change.due is not None:
        group = Group((), also=(Plan(change.due, commands, context),))

    def made(recorded: Recorded) -> Made:
        outcome = recorded.outcomes[0]
        if isinstance(outcome, Refused):
            return schema.refused(outcome.refusal, product.external_id)
        data = cart_product(product, place.site, recorded.levels, _moved(recorded))
        return 200, {"data": data, "id": data.id, "unused_fields": change.unused}

    watch = tuple([(item, location) for location in place.site.warehouses.values()])
    return Work(visit.account, (group,), visit.principal, key=key, watch=watch, context=context), made


def _settings(
    visit: Visit, place: Place, wanted: Batch, chosen: list[Product], key: Key | None
) -> tuple[Work, Callable[[Recorded], Made]]:
    """All lines in one group: a batch is done whole or not at all."""
    pairs = list(zip(wanted.lines, chosen, strict=True))
    group = Group(tuple(_set(line, product) for line, product in pairs))
    # Two ids may be one product, and two products of one item: what is shown is each product, once.
    shown = {product.external_id: product for product in chosen}

    def made(recorded: Recorded) -> Made:
        outcome = recorded.outcomes[0]
        if isinstance(outcome, Refused):
            line = wanted.lines[outcome.index]
            return schema.refused(outcome.refusal, line.product, f"line_items.{outcome.index}.")
        moved = {entry.movement.item for entry in outcome.entries}
        data = [
            cart_product(one, place.site, recorded.levels, _moved(recorded) if one.item in moved else 0)
            for one in shown.values()
        ]
        return 200, {"data": data, "unused_fields": wanted.unused}

    watch = tuple((one.item, at) for one in shown.values() for at in place.site.warehouses.values())
    return Work(visit.account, (group,), visit.principal, key=key, watch=watch), made


def _set(line: Line, product: Product) -> SetAvailable:
    return SetAvailable(product.item, line.location, line.quantity)


def _moved(recorded: Recorded) -> int:
    """When the group was recorded; 0 if it changed nothing."""
    outcome = recorded.outcomes[0]
    return recorded.recorded_at if isinstance(outcome, Accepted) and outcome.entries else 0


async def _record(inventory: Inventory, work: Work, made: Callable[[Recorded], Made]) -> Response:
    if work.key is None:
        return wire.respond(*made(await inventory.record(work)))

    def answer(recorded: Recorded) -> Answer:
        status, body = made(recorded)
        return Answer(status, wire.encode(body).decode())

    recorded = await inventory.record(replace(work, answer=answer))
    if recorded.replay is not None:
        return door.replayed(recorded.replay)
    if recorded.fresh is not None:
        return wire.respond(recorded.fresh.status, recorded.fresh.body.encode())
    return wire.respond(*made(recorded))
