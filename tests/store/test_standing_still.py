"""A process that stands still in the middle of a commit holds the others up for a while, and not for ever."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from onhand.stock.model import Adjust
from onhand.store import books, counters, lapsing
from shops import Shop, opened, running, second, told
from stores import PostgresDatabases

SECONDS = 30
PLUS = Adjust(1, 1, 1)


@pytest.fixture
def shop(postgres: PostgresDatabases) -> Iterator[Shop]:
    """A shop on PostgreSQL."""
    yield from opened(postgres)


def test_its_transaction_lapses_and_is_run_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lapsing, "IDLE_SECONDS", 1)
    other = second(shop)
    entered, awake = threading.Event(), threading.Event()
    runs: list[int] = []

    def stands_still(connection: Connection) -> int:
        books.lock_levels(connection, [(1, 1, 1)])
        runs.append(counters.take(connection, 1, "mine"))
        if not entered.is_set():
            entered.set()
            assert awake.wait(SECONDS)
        return runs[-1]

    async def main() -> None:
        async with running(shop) as one, running(other) as two:
            still = asyncio.ensure_future(one.write(1, stands_still))
            await asyncio.to_thread(entered.wait, SECONDS)
            recorded = await asyncio.wait_for(two.record(other.work(PLUS)), SECONDS)
            assert told(recorded) == "adjusted 1@1 +1+0 1/0"
            awake.set()
            assert await still == 1

    try:
        asyncio.run(main())
    finally:
        awake.set()
        other.close()
    assert runs == [1, 1], "what it had done was gone with its transaction, and was done again"
    shop.check()
