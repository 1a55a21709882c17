"""Another process on a hub's PostgreSQL, which is about to commit while the hub is asked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import httpx2
from sqlalchemy import Connection

from hubs import BASE_URL, Call, Hub
from onhand.inventory import Inventory
from onhand.store.engine import open_store

WAIT_SECONDS = 10


def beside(hub: Hub, url: str, unit: Callable[[Connection], object], call: Call) -> httpx2.Response:
    """The hub's answer to ``call``, which it is sent when the other process has done ``unit`` in the hub's
    account but not yet committed it; that happens while the hub is at work."""
    second = Inventory(open_store(url))
    wrote, may_end = threading.Event(), threading.Event()

    def held(connection: Connection) -> None:
        unit(connection)
        wrote.set()
        assert may_end.wait(WAIT_SECONDS)

    async def both_at_once() -> httpx2.Response:
        second.start()
        first = asyncio.ensure_future(second.write(hub.account, held))
        assert await asyncio.to_thread(wrote.wait, WAIT_SECONDS)
        transport = httpx2.ASGITransport(hub.client.app)
        async with httpx2.AsyncClient(transport=transport, base_url=BASE_URL) as client:
            asked = asyncio.ensure_future(client.request(call.method, call.path, **call.options))
            await asyncio.sleep(0.3)
            may_end.set()
            await first
            return await asked

    try:
        return hub.run(both_at_once)
    finally:
        hub.run(second.stop)
        second.store.close()
