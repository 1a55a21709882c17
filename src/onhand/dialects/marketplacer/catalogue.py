"""The routes around the inventories: members, variants, and stock of one or of many of them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection
from starlette.datastructures import URL
from starlette.responses import Response

from onhand import wire
from onhand.auth import Caller
from onhand.dialects.marketplacer import door, rendering, schema, shop, variants
from onhand.dialects.marketplacer.door import Front, respond
from onhand.dialects.marketplacer.errors import Problem
from onhand.dialects.marketplacer.schema import DIALECT, Wish
from onhand.dialects.marketplacer.shop import Shop
from onhand.dialects.marketplacer.variants import Page, Variant
from onhand.stock.ledger import Refused
from onhand.stock.model import AnyCommand, Level
from onhand.store import catalog, levels, offers
from onhand.wire import Incoming
from onhand.work import Group, Work

NO_PLACE = "The owner of this API key has no place for stock."


async def list_memberships(front: Front, caller: Caller, request: Incoming) -> Response:
    """The sellers of the multi-store, for its owner."""
    here = await front.inventory.read(caller.account, lambda c: shop.enter(c, caller))
    if not here.parent:
        raise Problem(403, "Only the owner of a multi-store may list its members.")
    sellers = [(home.seller, home.name) for home in here.homes.values()]
    return respond(200, rendering.memberships(sellers))


async def list_variants(front: Front, caller: Caller, request: Incoming) -> Response:
    """The caller's variants, filtered, page by page."""
    given = request.query()
    page = variants.page(given.get("page[number]"), given.get("page[size]"))
    where = variants.filters(given)
    possible = not any("\0" in value for value in where.values())

    def look(connection: Connection) -> tuple[int, list[dict[str, object]]]:
        here = shop.enter(connection, caller)
        if not possible:
            return 0, []
        asked = (connection, caller.account, here.link, DIALECT, where)
        total = offers.count(*asked, shared=not here.single)
        part = offers.page(*asked, shared=not here.single, offset=page.offset, limit=page.size)
        items = catalog.items(connection, caller.account, [offer.item for offer in part])
        found = [Variant(int(o.name), items[o.item]) for o in part if schema.number(o.name)]
        return total, _resources(connection, here, found, front.inventory.now())

    total, shown = await front.inventory.read(caller.account, look, long=True)
    body: dict[str, object] = {"data": shown}
    if total:
        body["links"] = _links(_address(request), page, total)
    return respond(200, body)


async def get_variant(front: Front, caller: Caller, request: Incoming) -> Response:
    """One variant."""
    name = request.path("variant")

    def look(connection: Connection) -> tuple[Variant, dict[str, object]]:
        here = shop.enter(connection, caller)
        found = shop.variant(connection, here, name)
        return found, _resources(connection, here, [found], front.inventory.now())[0]

    found, shown = await front.inventory.read(caller.account, look)
    url = str(_address(request).replace(query="", fragment=""))
    body = variants.single(url, found, shown, request.query().get("include", ""))
    return respond(200, body)


async def put_variant(front: Front, caller: Caller, request: Incoming) -> Response:
    """Set the stock and the prices of a variant that one seller sells; it has no inventories."""
    body = door.read(await door.body(front, request))
    name = request.path("variant")

    def look(connection: Connection) -> tuple[Shop, Variant]:
        here = shop.enter(connection, caller)
        return here, shop.variant(connection, here, name)

    here, found = await front.inventory.read(caller.account, look)
    wish, home = schema.variant(body), here.mine
    if found.multi_store:
        raise schema.several_sellers()
    if home is None:
        raise Problem(403, NO_PLACE)
    if wish != Wish():
        item = found.item.id
        commands = tuple(schema.commands(wish, item, home.location))
        group = Group(commands, also=tuple(schema.companions(wish, item, home.seller)))
        recorded = await front.record(Work(caller.account, (group,), caller.principal), item)
        schema.accepted(recorded, name)
    return await get_variant(front, caller, request)


def _resources(
    connection: Connection, here: Shop, found: Sequence[Variant], now: int
) -> list[dict[str, object]]:
    items = [one.item.id for one in found]
    at = levels.of_items(connection, here.account, items, now)
    priced = catalog.prices(connection, here.account, items)
    shared = frozenset(here.places.values())
    owner = next((home for home in here.homes.values() if home.own), here.mine)
    alone = frozenset([owner.location] if owner else ())
    by_item: dict[int, dict[int, Level]] = {}
    for (item, location), level in at.items():
        by_item.setdefault(item, {})[location] = level
    shown = []
    for one in found:
        counted = shared if one.multi_store else alone
        mine = [level for place, level in by_item.get(one.item.id, {}).items() if place in counted]
        price = None if one.multi_store or owner is None else priced.get((one.item.id, owner.seller))
        shown.append(variants.resource(one, mine, price))
    return shown


def _address(request: Incoming) -> URL:
    """Where the client has asked. That it spoke TLS with a proxy only the proxy knows: links to plain http
    would lead past it, with the key in the open."""
    spoken = wire.header(request.scope["headers"], b"x-forwarded-proto").partition(",")[0].strip().lower()
    url = URL(scope=request.scope)
    return url.replace(scheme="https") if spoken == "https" else url


def _links(url: URL, page: Page, total: int) -> dict[str, str]:
    last = variants.last(page, total)
    wanted = {"first": 1, "next": page.number + 1, "last": last}
    return {
        name: str(url.include_query_params(**{"page[number]": number, "page[size]": page.size}))
        for name, number in wanted.items()
        if number <= last
    }


async def post_stock(front: Front, caller: Caller, request: Incoming) -> Response:
    """Set the caller's own stock of many variants, all or none."""
    body = door.read(await door.body(front, request))

    def look(connection: Connection) -> tuple[Shop, dict[str, int | None], dict[str, Variant]]:
        here = shop.enter(connection, caller)
        asked = schema.stock(body)
        return here, asked, shop.variants(connection, here, asked)

    here, asked, found = await front.inventory.read(caller.account, look)
    if here.mine is None:
        raise Problem(403, NO_PLACE)
    commands: list[AnyCommand] = []
    names: list[str] = []
    first: dict[int, str] = {}
    for name, count in asked.items():
        if name not in found:
            raise schema.unknown_variant(name)
        # Two variants may be of one item, and the answer says of both what was set.
        if asked[other := first.setdefault(found[name].item.id, name)] != count:
            raise schema.contradicted(name, other)
        made = schema.stock_commands(count, found[name].item.id, here.mine.location)
        commands += made
        names += [name] * len(made)
    work = Work(caller.account, (Group(tuple(commands)),), caller.principal)
    outcome = (await front.inventory.record(work)).outcomes[0]
    if isinstance(outcome, Refused):
        raise schema.stock_refused(outcome.refusal, names[outcome.index])
    return respond(201, schema.stock_answer(asked))
