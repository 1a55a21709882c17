"""What the tests of remembered things share: a name that changes, and a shop in which a story is played."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from sqlalchemy import Connection

from onhand.inventory import Inventory
from onhand.store import catalog
from shops import START, Shop, running

SECONDS = 0.1
"""Stands in for the second that a look at the number of changes counts."""


def name_it(name: str) -> Callable[[Connection], object]:
    return lambda connection: catalog.change_item(connection, 1, 9, {"name": name}, START)


def play(shop: Shop, story: Callable[[Inventory], Awaitable[None]]) -> None:
    async def main() -> None:
        async with running(shop) as inventory:
            await inventory.write(1, name_it("first"))
            await story(inventory)

    asyncio.run(main())
