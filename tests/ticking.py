"""A small world for the tests of the background loops: one account, one level, and a movable clock."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Connection

from onhand.clockwork import Beats, Clockwork
from onhand.inbox import Applier
from onhand.inventory import Inventory
from onhand.stock.model import AnyCommand, Level, SetAvailable
from onhand.store import accounts, catalog, incidents, levels, requests
from onhand.store.catalog import Item, Location, Seller
from onhand.store.engine import open_store
from onhand.store.requests import Message
from onhand.work import Group, Recorded, Work

SECOND = 1_000_000
FAST = Beats(look=0.02, settle=0.02, scan=0.2, prune=0.05, first_prune=0.05)
PLACE = (1, 1)


class World:
    """One account with one item at one location, and a clock that a test may move."""

    def __init__(self, inventory: Inventory, account: int) -> None:
        self.inventory = inventory
        self.account = account

    async def record(self, *commands: AnyCommand, **more: Any) -> Recorded:
        return await self.inventory.record(Work(self.account, (Group(commands),), "test", **more))

    async def level(self) -> Level:
        def query(connection: Connection) -> dict[tuple[int, int], Level]:
            return levels.at(connection, self.account, [PLACE], self.inventory.now())

        found = await self.inventory.read(self.account, query)
        return found.get(PLACE, Level())

    async def incidents(self) -> list[incidents.Incident]:
        return await self.inventory.read(self.account, lambda c: incidents.page(c, self.account))

    async def kinds(self) -> list[str]:
        found = await self.inventory.read(self.account, lambda c: levels.movements(c, self.account))
        return [one.kind for one in found]

    async def until(self, holds: Callable[[], Awaitable[bool]], seconds: float = 30.0) -> None:
        """Wait for something to become true; fail if it does not."""
        end = time.monotonic() + seconds
        while not await holds():
            assert time.monotonic() < end, "it did not come true"
            await asyncio.sleep(0.01)

    async def empty(self) -> bool:
        return await self.inventory.read(self.account, lambda c: requests.ends(c, self.account)) is None

    async def accept(self, *bodies: Any, source: str = "test") -> None:
        for body in bodies:
            await self.inventory.accept(self.account, source, "test:client", json.dumps(body))


class Clock:
    def __init__(self) -> None:
        self.offset = 0

    def __call__(self) -> int:
        return time.time_ns() // 1000 + self.offset


@asynccontextmanager
async def world(url: str, name: str = "shop") -> AsyncIterator[World]:
    store = open_store(url)
    inventory = Inventory(store, Clock())
    inventory.start()
    try:
        yield World(inventory, await inventory.write(0, lambda c: make(c, name)))
    finally:
        await inventory.stop()
        store.close()


def make(connection: Connection, name: str) -> int:
    known = {one.name: one.id for one in accounts.accounts(connection)}
    if name in known:
        return known[name]
    account = accounts.add(connection, name, 1).id
    catalog.add_seller(connection, account, Seller(1, name, own=True), 1)
    catalog.add_location(connection, account, Location(1, "MAIN", 1), 1)
    catalog.add_items(connection, account, [Item(1, sku="A")], 1)
    return account


@asynccontextmanager
async def ticking(
    here: World, appliers: dict[str, Applier] | None = None, beats: Beats = FAST
) -> AsyncIterator[Clockwork]:
    clockwork = Clockwork(here.inventory, appliers or {}, beats)
    await clockwork.start()
    try:
        yield clockwork
    finally:
        await clockwork.stop()


def clock_of(here: World) -> Clock:
    assert isinstance(here.inventory.now, Clock)
    return here.inventory.now


async def note(inventory: Inventory, account: int, messages: Sequence[Message]) -> None:
    """Sets the level to each message's number; "bad" ones fail, "refused" ones are too large."""
    groups = []
    for message in messages:
        body = json.loads(message.body)
        if body == "bad":
            raise ValueError("this message is poison")
        quantity = 10**13 if body == "refused" else body
        groups.append(Group((SetAvailable(1, 1, quantity),)))
    consume = tuple(message.id for message in messages)
    await inventory.record(Work(account, tuple(groups), "test:applier", consume=consume))


async def counts(here: World) -> list[int]:
    found = await here.inventory.read(here.account, lambda c: levels.movements(c, here.account, limit=10_000))
    return [one.on_hand_after for one in found]
