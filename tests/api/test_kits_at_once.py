"""Kits that two processes on one PostgreSQL make at once: the second sees what the first has made."""

from __future__ import annotations

import asyncio
import threading

import httpx2
from sqlalchemy import Connection

from hubs import BASE_URL, demo_hub
from native_calls import PREFIX, admin, codes
from onhand.inventory import Inventory
from onhand.store import catalog
from onhand.store.engine import open_store


def test_no_kit_is_made_of_what_becomes_one(postgres_url: str) -> None:
    with demo_hub(postgres_url, "native") as hub:
        api, second = admin(hub), Inventory(open_store(postgres_url))
        made = api.post("/items", {"items": [{"sku": sku} for sku in ("K1", "K2", "P")]}, 201)["data"]
        outer, inner, part = (one["id"] for one in made)
        wrote, may_end = threading.Event(), threading.Event()

        def unit(connection: Connection) -> None:
            catalog.hold_kits(connection, hub.account)
            catalog.set_kit(connection, hub.account, inner, {part: 1}, 1)
            wrote.set()
            assert may_end.wait(10)

        async def both_at_once() -> httpx2.Response:
            second.start()
            first = asyncio.ensure_future(second.write(hub.account, unit))
            assert await asyncio.to_thread(wrote.wait, 10)
            transport = httpx2.ASGITransport(hub.client.app)
            async with httpx2.AsyncClient(transport=transport, base_url=BASE_URL) as client:
                sent = {"components": [{"item": inner, "quantity": 1}]}
                who = {"Authorization": f"Bearer {api.key}"}
                asked = client.patch(f"{PREFIX}/items/{outer}", json=sent, headers=who)
                asking = asyncio.ensure_future(asked)
                await asyncio.sleep(0.3)
                may_end.set()
                await first
                return await asking

        try:
            answer = hub.run(both_at_once)
            assert (answer.status_code, codes(answer)) == (409, ("not_allowed", ["/components/0"]))
            assert api.get(f"/items/{outer}")["components"] in (None, [])
        finally:
            hub.run(second.stop)
            second.store.close()
