"""A sandbox channel in a thread of its own, for hubs whose tests are synchronous."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import httpx2

from onhand import frontdoor
from onhand.sandbox import card, catalogue
from onhand.sandbox.app import Sandbox, fresh
from onhand.sandbox.card import Card


class Shop:
    """A running sandbox: its card, and what an operator does to it."""

    def __init__(self, made: Card) -> None:
        self.card = made

    @property
    def settings(self) -> dict[str, Any]:
        """What a connection needs."""
        names = ("url", "client_id", "client_secret", "webhook_secret")
        return {name: getattr(self.card, name) for name in names}

    def ask(self, path: str, body: object) -> Any:
        """An operator's request."""
        headers = {"Authorization": f"Bearer {self.card.admin_key}"}
        answer = httpx2.post(f"{self.card.url}/admin{path}", headers=headers, json=body)
        assert answer.is_success, answer.text
        return answer.json()


@contextlib.contextmanager
def shop() -> Iterator[Shop]:
    """A sandbox with the usual assortment."""
    ready: SimpleQueue[Any] = SimpleQueue()

    async def run() -> None:
        sandbox, stop = Sandbox(fresh(catalogue.assortment(1))), asyncio.Event()
        loop = asyncio.get_running_loop()

        def heard(port: int) -> None:
            made = card.card(sandbox.state, f"http://127.0.0.1:{port}")
            ready.put((made, lambda: loop.call_soon_threadsafe(stop.set)))

        async with sandbox.running():
            await frontdoor.serve(sandbox, "127.0.0.1", 0, bulk=lambda _: True, on_ready=heard, stop=stop)

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    made, end = ready.get(timeout=20)
    try:
        yield Shop(made)
    finally:
        end()
        thread.join(10)
