"""A process of its own that promises units one by one until there are none, and says how many it got."""

import asyncio
import sys

from onhand.stock.ledger import Refused
from shops import Shop, running
from transcript import hold, want

RESERVERS = 32


async def promise_all(shop: Shop, name: str, reservers: int = RESERVERS) -> int:
    """Promise single units of item 1 at location 1 until there are none; how many there were."""

    async def one(number: int) -> int:
        got = 0
        while True:
            work = shop.work(hold(f"{name}-{number}-{got}", want(1, 1)))
            outcome = (await inventory.record(work)).outcomes[0]
            if isinstance(outcome, Refused):
                return got
            got += 1

    async with running(shop) as inventory:
        return sum(await asyncio.gather(*map(one, range(reservers))))


def main(url: str, name: str) -> None:
    """Say that we are ready, wait for a line, race, and print the count."""
    shop = Shop(url)
    print("ready", flush=True)
    sys.stdin.readline()
    print(asyncio.run(promise_all(shop, name)), flush=True)
    shop.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
