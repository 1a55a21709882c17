"""A COMMIT whose wait for the standby was cancelled is on one disk only, and is not acknowledged."""

from __future__ import annotations

import asyncio
import time

import pytest

from clusters import POLL_SECONDS, Postgres, servers
from onhand.inventory import clock
from onhand.stock.model import Adjust, SetOnHand
from onhand.transact import Unknowable
from shops import Shop, answer, key, running, stocked

SECONDS = 20.0


def test_it_is_unknown_whatever_its_key_says() -> None:
    with servers("alone") as (server,):
        server.create()
        server.start()
        stocked(server.url)
        shop = Shop(server.url)
        try:
            asyncio.run(_cancelled(server, shop))
        finally:
            shop.close()


async def _cancelled(server: Postgres, shop: Shop) -> None:
    async with running(shop, clock) as inventory:
        await inventory.record(shop.work(SetOnHand(1, 1, 5)))
        await asyncio.to_thread(server.require, "nobody")
        sale = shop.work(Adjust(1, 1, -1), key=key("sale"), answer=answer)
        waiting = asyncio.ensure_future(inventory.record(sale))
        await asyncio.to_thread(_cancel, server)
        with pytest.raises(Unknowable, match="synchronous replication"):
            await asyncio.wait_for(waiting, SECONDS)
        await asyncio.to_thread(server.require_none)
        again = await inventory.record(sale)
        assert again.replay is not None, "asked again with its key, it was done once"


def _cancel(server: Postgres) -> None:
    until = time.monotonic() + SECONDS
    while not server.give_up_waiting():
        assert time.monotonic() < until, "no commit waits for a standby"
        time.sleep(POLL_SECONDS)
