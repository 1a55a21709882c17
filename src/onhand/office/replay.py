"""What a replay of real orders asks of the ledger: items, stock to begin with, and orders in chunks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, assert_never

import msgspec
from sqlalchemy import Connection

from onhand.inventory import Inventory
from onhand.office.orderfile import What
from onhand.office.people import BadAsk
from onhand.stock.ledger import Refused
from onhand.stock.model import Adjust, AnyCommand, Line, Reserve, Ship
from onhand.store import catalog
from onhand.store.catalog import Location
from onhand.work import Accepted, Answer, Conflict, Group, Key, Recorded, Work

CALLER = "onhand:replay"
SCOPE = "replay"
RECEIVED, RETURNED, LOST = "received", "returned", "lost"
"""The reasons of movements that no order makes."""

DONE, REFUSED, CONFLICT = 200, 299, 409
"""What became of an ask. A refusal is kept as well (so it is no 4xx): asked again, it must not come
to another end than the first time."""


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """An `orderfile.Ask` on its way: its lines are (item id, units)."""

    what: What
    invoice: str
    number: int
    lines: tuple[tuple[int, int], ...]
    digest: str


class Told(msgspec.Struct, frozen=True, array_like=True):
    """What became of it: DONE, REFUSED or CONFLICT, and whether it was so before this run.

    ``seq`` is its first movement: 0 when it made none (infinite stock), None when that is no longer
    kept. ``refusal`` is the ledger's, as JSON.
    """

    status: int
    before: bool = False
    seq: int | None = None
    refusal: dict[str, Any] | None = None


def reference(invoice: str) -> str:
    """What an invoice is called in the ledger."""
    return f"invoice {invoice}"


def stock_reference(digest: str) -> str:
    """What the units that a file's SKUs were given first are called in the ledger."""
    return f"replay {digest[:16]}"


async def find_location(inventory: Inventory, *, account: int, name: str | None) -> dict[str, Any]:
    """The id and name of a location to write at; without a name, the one that the account's own
    seller has as its default. Raises BadAsk in words."""
    match = await inventory.read(account, lambda c: location_named(c, account, name))
    if match.kind == "mirrored":
        raise BadAsk(f"{match.name!r} is a mirrored location: only its channel writes there")
    return {"id": match.id, "name": match.name}


def location_named(connection: Connection, account: int, name: str | None) -> Location:
    """The location of this name; without a name, the own seller's default. Raises BadAsk in words."""
    found = catalog.locations(connection, account)
    if name is None:
        sellers = catalog.sellers(connection, account)
        default = next((seller.default_location for seller in sellers if seller.own), None)
        match = next((one for one in found if one.id == default), None)
        words = "the account has no default location: say which with --location"
    else:
        match = next((one for one in found if one.name == name), None)
        names = ", ".join(one.name for one in found)
        words = f"there is no location named {name!r}; there is {names or 'none'}"
    if match is None:
        raise BadAsk(words)
    return match


async def ensure_items(inventory: Inventory, *, account: int, skus: list[str]) -> list[int]:
    """The ids of these SKUs in their order; an unknown SKU becomes an item."""
    found = await inventory.read(account, lambda c: catalog.items_by_sku(c, account, skus))
    ids = {sku: item.id for sku, item in found.items()}
    new = [sku for sku in skus if sku not in ids]
    if new:
        now = inventory.now()
        ids |= await inventory.write(account, lambda c: catalog.ensure_items(c, account, new, now))
    return [ids[sku] for sku in skus]


async def receive(
    inventory: Inventory,
    *,
    account: int,
    location: int,
    digest: str,
    quantity: int,
    items: list[tuple[str, int]],
) -> list[Told]:
    """Give each of ``items`` (SKU, id) ``quantity`` units, once for the file with this ``digest``."""
    works = []
    for sku, item in items:
        add = Adjust(item, location, quantity, reason=RECEIVED, reference=stock_reference(digest))
        key = Key(SCOPE, f"stock:{digest}:{location}:{sku}", str(quantity))
        works.append(Work(account, (Group((add,)),), CALLER, key, _answer))
    return await _record(inventory, works)


async def replay(inventory: Inventory, *, account: int, location: int, asks: list[list[Any]]) -> list[Told]:
    """Do ``asks`` (see `Asked`) in their order, each once for ever and each on its own."""
    works = []
    for ask in msgspec.convert(asks, list[Asked]):
        key = Key(SCOPE, f"{ask.what}:{ask.invoice}:{ask.number}", f"{location}:{ask.digest}")
        works.append(Work(account, (Group(_commands(ask, location)),), CALLER, key, _answer))
    return await _record(inventory, works)


def _commands(ask: Asked, location: int) -> tuple[AnyCommand, ...]:
    name = reference(ask.invoice)
    match ask.what:
        case What.ORDER:
            lines = tuple(Line(item, units, (location,)) for item, units in ask.lines)
            return (Reserve(name, lines), Ship(name))
        case What.LOSS:
            return tuple(Adjust(i, location, -units, reason=LOST, reference=name) for i, units in ask.lines)
        case What.RETURN:
            return tuple(
                Adjust(i, location, units, reason=RETURNED, reference=name) for i, units in ask.lines
            )
        case _:
            assert_never(ask.what)


async def _record(inventory: Inventory, works: Sequence[Work]) -> list[Told]:
    recorded = await asyncio.gather(*(inventory.record(work) for work in works))
    return [_told(one) for one in recorded]


def _answer(recorded: Recorded) -> Answer:
    outcome = recorded.outcomes[0]
    if isinstance(outcome, Accepted):
        return Answer(DONE, msgspec.json.encode(outcome.seq if outcome.entries else 0).decode())
    return Answer(REFUSED, msgspec.json.encode(_refusal(outcome)).decode())


def _refusal(outcome: Refused) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(outcome.refusal)
    return found


def _told(recorded: Recorded) -> Told:
    if isinstance(recorded.replay, Conflict):
        return Told(CONFLICT, before=True)
    answer = recorded.fresh or recorded.replay
    if answer is None:
        raise BadAsk("the ledger gave no answer to an order: run the command again")
    # The body of a stored answer is not kept for ever; its status is.
    kept = msgspec.json.decode(answer.body) if answer.body else None
    before = recorded.replay is not None
    if answer.status == DONE:
        return Told(DONE, before, kept)
    return Told(REFUSED, before, None, kept)
