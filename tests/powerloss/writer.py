"""A process of its own that makes changes one after the other, and says what became of each."""

import asyncio
import sys

from onhand.stock.model import Adjust
from onhand.transact import StoreFull
from shops import Shop, running

CHANGES = 150


async def write(shop: Shop) -> None:
    """Say the reason of every change that was acknowledged, and "full" for one that found no room."""
    async with running(shop) as inventory:
        for number in range(CHANGES):
            try:
                await inventory.record(shop.work(Adjust(1, 1, 1, reason=f"change {number:03}" + "x" * 400)))
            except StoreFull:
                print("full", flush=True)
            else:
                print(number, flush=True)


if __name__ == "__main__":
    asyncio.run(write(Shop(sys.argv[1])))
