"""The demo account: a small shop on every dialect, made once, with credentials for demo.json.

A dialect takes part with the three functions of its ``setup`` module, the `onhand.sample.Setup`
protocol: ``demo`` adds its share when the world is made and makes no credentials; ``section`` issues
fresh ones and describes what there is, when the world is made and on any later day; ``curl`` is a
line to paste. The stock before a dialect's own commands: item 1 has 10 at MAIN and no other level;
item 7 has 5 at MAIN; item 40 has 50 at MAIN; item 21, a parent, has none; every other item n has
20 + n at MAIN and 10 at EAST. WEST is empty.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection

from onhand import companions, merchandise
from onhand.inventory import Inventory
from onhand.sample import SHARED, Sample, Setup
from onhand.stock.ledger import Refused
from onhand.stock.model import SetOnHand
from onhand.store import accounts, catalog, channels
from onhand.store.catalog import Location, Seller, Taken
from onhand.work import Group, Key, PutDetail, Work

ACCOUNT = "demo"
CALLER = "onhand:demo"
MAIN, EAST, WEST = 1, 2, 3
ITEMS = len(merchandise.GOODS)

_PLACES = ((MAIN, "MAIN"), (EAST, "EAST"), (WEST, "WEST"))
_SELLERS = ((1, "Harbour Goods"), (2, "Eastside Living"), (3, "West Pier Supply"))
_SET = {1: ((MAIN, 10),), 7: ((MAIN, 5),), merchandise.PARENT: (), SHARED: ((MAIN, 50),)}
_WORLD, _ISSUED = "world", "issued"


class DemoFailed(Exception):
    """The demo cannot be made here, and why, in words."""


async def create(
    inventory: Inventory,
    base_url: str,
    setups: Mapping[str, Setup],
    *,
    kept: Mapping[str, Any] | None = None,
    name: str = ACCOUNT,
) -> dict[str, Any]:
    """Make the demo account ``name`` unless it is there; what demo.json says about it.

    ``kept`` is an earlier answer. It is given back, with ``base_url`` put right, if it is the last
    that was issued for this account; otherwise fresh credentials are, and older ones stay valid.
    Raises DemoFailed when another account has the name.
    """
    account = await inventory.write(0, lambda c: ensure(c, name, setups, inventory.now()))
    await _stock(inventory, account)
    sections = {key: _without_base(part) for key, part in (kept or {}).items() if isinstance(part, dict)}
    body = await inventory.read(account, lambda c: _detail(c, account, _ISSUED))
    if not sections or body is None or body.get("digest") != _digest(sections):
        sections = await inventory.write(account, lambda c: _issue(c, account, setups, inventory.now()))
    return {"base_url": base_url} | {
        key: {"base_url": base_url + mount(key), **section} for key, section in sections.items()
    }


def mount(name: str) -> str:
    """Where a dialect is served below the hub's own address."""
    return "/api/v1" if name == "native" else f"/{name}"


def world(connection: Connection, account: int, now: int) -> Sample:
    """Create the sellers, locations and items; no stock yet."""
    for number, label in _SELLERS:
        catalog.add_seller(connection, account, Seller(number, label, own=number == 1), now)
    for number, label in _PLACES:
        catalog.add_location(connection, account, Location(number, label, seller=number), now)
    catalog.add_items(connection, account, [merchandise.item(n) for n in range(1, ITEMS + 1)], now)
    return sample(connection, account)


def sample(connection: Connection, account: int) -> Sample:
    """The world as it is now."""
    return Sample(
        account,
        {item.id: item for item in catalog.items_page(connection, account, 0, ITEMS)},
        catalog.locations(connection, account),
        catalog.sellers(connection, account),
    )


def build(connection: Connection, account: int, setups: Mapping[str, Setup], now: int) -> tuple[Group, ...]:
    """Make the world and every dialect's share of it; the stock that must then be recorded."""
    made = world(connection, account, now)
    parts = [setup.demo(connection, made, now) for setup in setups.values()]
    groups = [Group(part.commands, also=part.also) for part in parts if part.commands or part.also]
    return (Group(_base_stock()), *groups)


def _base_stock() -> tuple[SetOnHand, ...]:
    usual = {n: ((MAIN, 20 + n), (EAST, 10)) for n in range(1, ITEMS + 1)}
    places = usual | _SET
    return tuple(
        SetOnHand(item, location, units, reason="opening stock")
        for item, here in places.items()
        for location, units in here
    )


def ensure(connection: Connection, name: str, setups: Mapping[str, Setup], now: int) -> int:
    """The demo account of this name, made if it is not there; its stock is left to be recorded."""
    found = {one.name: one.id for one in accounts.accounts(connection)}.get(name)
    if found is not None:
        return found
    try:
        account = accounts.add(connection, name, now).id
    except Taken:  # another process has just made it
        return ensure(connection, name, setups, now)
    groups = build(connection, account, setups, now)
    # Kept with the world until it is recorded: the hub may be killed between the two.
    _note(connection, account, _WORLD, {"stock": json.loads(msgspec.json.encode(groups))}, now)
    return account


async def _stock(inventory: Inventory, account: int) -> None:
    body = await inventory.read(account, lambda c: _detail(c, account, _WORLD))
    if body is None:
        raise DemoFailed(
            "the account exists, but the demo did not make it: rename it, or use another database"
        )
    if "stock" not in body:
        return
    groups = msgspec.convert(body["stock"], tuple[Group, ...])
    done = Group((), also=(PutDetail("demo", _WORLD, 0, 0, "{}"),))
    # Others may make the same demo, and sell of it: its stock is set once.
    key = Key(CALLER, "stock", "opening stock")
    recorded = await inventory.record(Work(account, (*groups, done), CALLER, key))
    refused = [outcome for outcome in recorded.outcomes if isinstance(outcome, Refused)]
    if refused:
        raise DemoFailed(f"the opening stock was refused: {refused[0]}")


def _issue(connection: Connection, account: int, setups: Mapping[str, Setup], now: int) -> dict[str, Any]:
    here = sample(connection, account)
    sections = {name: setup.section(connection, here, now) for name, setup in setups.items()}
    _note(connection, account, _ISSUED, {"digest": _digest(sections)}, now)
    return sections


def _detail(connection: Connection, account: int, kind: str) -> dict[str, Any] | None:
    return channels.details(connection, account, "demo", kind, [0]).get((0, 0))


def _note(connection: Connection, account: int, kind: str, body: Mapping[str, Any], now: int) -> None:
    put = PutDetail("demo", kind, 0, 0, json.dumps(body))
    companions.write(connection, [(account, CALLER, put)], now)


def _digest(sections: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(sections, sort_keys=True).encode()).hexdigest()


def _without_base(section: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in section.items() if key != "base_url"}
