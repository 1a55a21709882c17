"""Accepts and applies Sellbrite calls until it is killed: DATABASE ACCOUNT FIRST-QUANTITY.

Every call sets the stock of one SKU to the next quantity; the quantity is printed once it is accepted.
"""

from __future__ import annotations

import asyncio
import itertools
import sys

from onhand.appliers import APPLIERS
from onhand.clockwork import Clockwork
from onhand.dialects.sellbrite.schema import Change, queued
from onhand.inventory import Inventory
from onhand.store.engine import open_store

SKU, LOCATION, CALLERS = "KILLED", 1, 8


async def main(url: str, account: int, first: int) -> None:
    inventory = Inventory(open_store(url))
    inventory.start()
    await Clockwork(inventory, APPLIERS).start()
    numbers = itertools.count(first)

    async def caller() -> None:
        for number in numbers:
            body = queued(True, [Change(SKU, "w", number)], {"w": LOCATION})
            await inventory.accept(account, "sellbrite", "sellbrite:test", body)
            print(number, flush=True)

    await asyncio.gather(*(caller() for _ in range(CALLERS)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
