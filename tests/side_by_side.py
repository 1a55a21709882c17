"""Another process on a hub's PostgreSQL, which is about to commit while the hub is asked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx2
from sqlalchemy import Connection

from hubs import BASE_URL, Call, Hub
from onhand.inventory import Inventory
from onhand.store.engine import open_store

T = TypeVar("T")

WAIT_SECONDS = 10


async def behind(
    other: Inventory, account: int, unit: Callable[[Connection], object], job: Callable[[], Awaitable[T]]
) -> T:
    """What ``job`` comes to, which begins when the ``other`` process has done ``unit`` but not yet committed
    it; that happens while the job is at work."""
    wrote, may_end = threading.Event(), threading.Event()

    def held(connection: Connection) -> None:
        unit(connection)
        wrote.set()
        assert may_end.wait(WAIT_SECONDS)

    first = asyncio.ensure_future(other.write(account, held))
    assert await asyncio.to_thread(wrote.wait, WAIT_SECONDS)
    asked = asyncio.ensure_future(job())
    await asyncio.sleep(0.3)
    may_end.set()
    await first
    return await asked


def beside(hub: Hub, url: str, unit: Callable[[Connection], object], call: Call) -> httpx2.Response:
    """The hub's answer to ``call``, which it is sent when another process has done ``unit`` in the hub's
    account but not yet committed it: see `behind`."""
    second = Inventory(open_store(url))

    async def ask() -> httpx2.Response:
        transport = httpx2.ASGITransport(hub.client.app)
        async with httpx2.AsyncClient(transport=transport, base_url=BASE_URL) as client:
            return await client.request(call.method, call.path, **call.options)

    async def both_at_once() -> httpx2.Response:
        second.start()
        return await behind(second, hub.account, unit, ask)

    try:
        return hub.run(both_at_once)
    finally:
        hub.run(second.stop)
        second.store.close()
