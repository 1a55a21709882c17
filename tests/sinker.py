"""A process of its own that writes until its disk fails, and says each change that was acknowledged."""

import asyncio
import resource
import sys

from onhand.stock.model import Adjust
from shops import Shop, running


async def sink(shop: Shop, room: int) -> None:
    """Record changes; a file that grows beyond ``room`` bytes is an I/O error."""
    async with running(shop) as inventory:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        for number in range(1, 100_000):
            await inventory.record(shop.work(Adjust(1, 1, 1, reason="x" * 400)))
            print(number, flush=True)


def main(url: str, room: str) -> None:
    """Sink, and end in whatever way the program ends."""
    shop = Shop(url)
    asyncio.run(sink(shop, int(room)))


if __name__ == "__main__":
    main(*sys.argv[1:])
