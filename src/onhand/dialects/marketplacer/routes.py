"""The Marketplacer dialect over HTTP: the table of its routes, and those of a variant's inventories."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import UNSET
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from onhand import wire
from onhand.asgi import application
from onhand.auth import READ, WRITE, Caller
from onhand.dialects.marketplacer import catalogue, door, rendering, schema, shop
from onhand.dialects.marketplacer.door import Front, Handler, guarded, respond
from onhand.dialects.marketplacer.errors import missing
from onhand.dialects.marketplacer.rendering import Record
from onhand.dialects.marketplacer.schema import Wish
from onhand.dialects.marketplacer.shop import Shop, State
from onhand.inventory import Inventory
from onhand.settings import Settings
from onhand.stock.model import AnyCommand, Level
from onhand.store.catalog import Price
from onhand.wire import Incoming
from onhand.work import Companion, Group, Recorded, Work

PREFIX = "/api/v2/client"
_NO_PRICE = Price(None, None, None)
WATCHED = 8
"""Members whose levels a work is told of, where there are no more."""


shape = door.shape


def app(inventory: Inventory, settings: Settings) -> ASGIApp:
    """The dialect as an application; paths are relative to where it is mounted."""
    front = door.front(inventory, settings)
    records = PREFIX + "/variants/{variant}/inventories"
    table: tuple[tuple[str, str, str, Handler], ...] = (
        ("GET", records, READ, list_inventories),
        ("PUT", records, WRITE, put_inventories),
        ("DELETE", records + "/{record}", WRITE, delete_inventory),
        ("GET", PREFIX + "/multi_store_memberships", READ, catalogue.list_memberships),
        ("GET", PREFIX + "/variants", READ, catalogue.list_variants),
        ("POST", PREFIX + "/variants/stock_on_hand", WRITE, catalogue.post_stock),
        ("GET", PREFIX + "/variants/{variant}", READ, catalogue.get_variant),
        ("PUT", PREFIX + "/variants/{variant}", WRITE, catalogue.put_variant),
    )
    routes = [Route(path, guarded(front, scope, do), methods=[verb]) for verb, path, scope, do in table]
    return application(routes, shape, asked=wire.incoming, refused=door.refused)


async def list_inventories(front: Front, caller: Caller, request: Incoming) -> Response:
    """All inventories of a variant, for the parent and for every member."""
    here = await shop.entered(front.inventory, caller)
    item = await shop.shared_item(front.inventory, here, request.path("variant"))
    state = await _state(front, here, item)
    sellers = sorted(state.levels)
    return _shown(state, await shop.record_ids(front.inventory, here.account, item, sellers))


async def put_inventories(front: Front, caller: Caller, request: Incoming) -> Response:
    """Create or change records: any member's by the parent, a member's own by the member."""
    inventory, name = front.inventory, request.path("variant")
    body = door.read(await door.body(front, request))
    here = shop.remembered(inventory, caller) or await shop.entered(inventory, caller)
    item = shop.remembered_item(inventory, here, name) or await shop.shared_item(inventory, here, name)
    places = here.places
    chosen = schema.by_seller(schema.wishes(body), places, here.bound)
    commands: list[AnyCommand] = []
    also: list[Companion] = []
    for seller, wish in chosen.items():
        commands += schema.commands(wish, item, places[seller])
        also += schema.companions(wish, item, seller)
    sayings = front.sayings if len(places) <= WATCHED else None
    watch = tuple([(item, places[seller]) for seller in (places if sayings else chosen)])
    group = Group(tuple(commands), also=tuple(also))
    recorded = await front.record(Work(caller.account, (group,), caller.principal, watch=watch), item)
    schema.accepted(recorded, name)
    if sayings is None:
        state = await _state(front, here, item)
    else:
        said = sayings.remembered(here, item) or await sayings.of(here, item)
        state = State(_present(here, item, recorded), said.prices, said.providers)
    written = {seller: recorded.levels[item, places[seller]] for seller in chosen}
    state = _as_written(state, chosen, written)
    sellers = list(dict.fromkeys((*chosen, *sorted(state.levels))))
    ids = shop.remembered_ids(inventory, here.account, item, sellers)
    # What is shown for the first time gets its id now.
    return _shown(state, ids or await shop.record_ids(inventory, here.account, item, sellers))


async def delete_inventory(front: Front, caller: Caller, request: Incoming) -> Response:
    """End a record: the level becomes absent, its prices go."""
    inventory, name = front.inventory, request.path("record")
    here = await shop.entered(inventory, caller)
    item = await shop.shared_item(inventory, here, request.path("variant"))
    whose = await inventory.read(caller.account, lambda c: shop.owner(c, caller.account, name))
    if whose is None or whose[0] != item or here.bound not in (None, whose[1]):
        raise missing(name)
    home = here.homes.get(whose[1])
    if home is None:
        raise missing(name)
    commands, also = schema.removal(item, home.seller, home.location)
    work = Work(caller.account, (Group(commands, also=also),), caller.principal)
    recorded = await front.record(work, item)
    schema.accepted(recorded, name)
    return wire.respond(204, None)


def _as_written(state: State, chosen: Mapping[int, Wish], written: Mapping[int, Level]) -> State:
    """``state``, read after the commit, with what this request wrote as it wrote it."""
    prices, providers = dict(state.prices), dict(state.providers)
    for seller, wish in chosen.items():
        if wish.price is not UNSET or wish.sale_price is not UNSET:
            old = prices.get(seller, _NO_PRICE)
            price = old.price if wish.price is UNSET else wish.price
            sale_price = old.sale_price if wish.sale_price is UNSET else wish.sale_price
            prices[seller] = Price(price, sale_price, old.currency)
        if wish.provider is None:
            providers.pop(seller, None)
        elif wish.provider is not UNSET:
            providers[seller] = wish.provider
    return State({**state.levels, **written}, prices, providers)


def _present(here: Shop, item: int, recorded: Recorded) -> dict[int, Level]:
    """The levels of the members that have one, where a work was told of all."""
    found = {seller: recorded.levels[item, at] for seller, at in here.places.items()}
    return {seller: level for seller, level in found.items() if level.present}


async def _state(front: Front, here: Shop, item: int) -> State:
    now = front.inventory.now()
    return await front.inventory.read(here.account, lambda c: shop.state(c, here, item, now))


def _shown(state: State, ids: Mapping[int, int]) -> Response:
    """The records of a state."""
    records = []
    for seller, level in state.levels.items():
        price = state.prices.get(seller, _NO_PRICE)
        provider = state.providers.get(seller)
        records.append(Record(ids[seller], seller, level, price.price, price.sale_price, provider))
    return respond(200, rendering.inventories(records))
