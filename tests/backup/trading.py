"""A client that trades while a backup is made, and remembers what was acknowledged, and when."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2

from servers import Server

PATIENCE_SECONDS = 30


@contextmanager
def trading(hub: Server, key: str) -> Iterator[dict[str, float]]:
    """A client that changes stock while the block runs; the references that were acknowledged,
    with their times; it ends by itself when it is refused."""
    acknowledged: dict[str, float] = {}
    stopping = threading.Event()

    def trade() -> None:
        with httpx2.Client(base_url=hub.url, headers={"Authorization": f"Bearer {key}"}) as http:
            while not stopping.is_set():
                reference = f"r{len(acknowledged)}"
                change = {"op": "adjust", "item": 40, "location": "MAIN", "delta": 1, "reference": reference}
                answer = http.post("/api/v1/changes", json={"changes": [change]})
                if answer.status_code != 200:
                    return
                acknowledged[reference] = time.monotonic()

    thread = threading.Thread(target=trade)
    thread.start()
    try:
        yield acknowledged
    finally:
        stopping.set()
        thread.join(PATIENCE_SECONDS)
