"""A process of its own that writes until its disk fails, and says each change that was acknowledged.

The disk goes on failing, or with a third word ("once") it fails once and is as good as before then.
"""

import asyncio
import resource
import sys

from sqlalchemy import event

from onhand.stock.model import Adjust
from shops import Shop, running

SIZE = resource.RLIMIT_FSIZE
ENDLESS = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


async def sink(shop: Shop, room: int, *, once: bool) -> None:
    """Record changes; a file that grows beyond ``room`` bytes is an I/O error."""
    async with running(shop) as inventory:
        await inventory.record(shop.work(Adjust(1, 1, 1, reason="x" * 400)))
        if once:  # who tries again takes a connection first
            event.listen(shop.store.writer, "checkout", lambda *_: resource.setrlimit(SIZE, ENDLESS))
        resource.setrlimit(SIZE, (room, resource.RLIM_INFINITY if once else room))
        for number in range(1, 1_000):
            print(number, flush=True)
            await inventory.record(shop.work(Adjust(1, 1, 1, reason="x" * 400)))


def main(url: str, room: str, *words: str) -> None:
    """Sink, and end in whatever way the program ends."""
    shop = Shop(url)
    asyncio.run(sink(shop, int(room), once="once" in words))


if __name__ == "__main__":
    main(*sys.argv[1:])
