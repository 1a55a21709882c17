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
CANCEL = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


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
        await asyncio.to_thread(_wait_for, server, "'nobody'")
        sale = shop.work(Adjust(1, 1, -1), key=key("sale"), answer=answer)
        waiting = asyncio.ensure_future(inventory.record(sale))
        await asyncio.to_thread(_cancel, server)
        with pytest.raises(Unknowable, match="synchronous replication"):
            await asyncio.wait_for(waiting, SECONDS)
        await asyncio.to_thread(_wait_for, server, "''")
        again = await inventory.record(sale)
        assert again.replay is not None, "asked again with its key, it was done once"


def _cancel(server: Postgres) -> None:
    until = time.monotonic() + SECONDS
    while not server.ask(CANCEL):
        assert time.monotonic() < until, "no commit waits for a standby"
        time.sleep(POLL_SECONDS)


def _wait_for(server: Postgres, standbys: str) -> None:
    server.ask(f"ALTER SYSTEM SET synchronous_standby_names = {standbys}")
    server.ask("SELECT pg_reload_conf()")
