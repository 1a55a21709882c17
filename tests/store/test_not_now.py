"""What the database would not do now was not done, and may be tried again: that is no fault of the hub."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from urllib.parse import urlsplit

import psycopg
import pytest
from sqlalchemy import Connection

from onhand import transact
from onhand.inventory import Inventory
from onhand.stock.model import Adjust
from onhand.store import counters
from onhand.transact import Busy
from shops import Shop, opened, running, together, told
from stores import PostgresDatabases, SqliteDatabases

PLUS = Adjust(1, 1, 1)
LATE = Adjust(2, 1, 1)


@pytest.fixture
def shop(postgres: PostgresDatabases) -> Iterator[Shop]:
    """A shop on PostgreSQL."""
    yield from opened(postgres)


def ordered(shop: Shop, words: str) -> None:
    """An operator sets something for all new sessions of the database."""
    name = urlsplit(shop.url).path[1:]
    with psycopg.connect(shop.url, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(f"ALTER DATABASE {name} {words}".encode())


def sleeps(connection: Connection) -> None:
    connection.exec_driver_sql("SELECT pg_sleep(20)")


Job = Callable[[Inventory, Shop], Awaitable[object]]
JOBS: list[Job] = [
    lambda inventory, shop: inventory.record(shop.work(PLUS)),
    lambda inventory, shop: inventory.accept(1, "test", "somebody", "{}"),
    lambda inventory, shop: inventory.write(1, lambda c: counters.take(c, 1, "mine")),
]


def test_a_database_that_is_read_only(shop: Shop) -> None:
    async def main() -> None:
        async with running(shop) as inventory:
            ordered(shop, "SET default_transaction_read_only = on")
            shop.store.close()
            for job in JOBS:
                with pytest.raises(Busy, match="read-only"):
                    await job(inventory, shop)
            ordered(shop, "RESET default_transaction_read_only")
            # The sessions that were told so are gone: these are new ones, of whatever server takes writes.
            assert told(await inventory.record(shop.work(PLUS))) == "adjusted 1@1 +1+0 1/0"

    asyncio.run(main())
    assert shop.kinds() == ["adjusted"]
    shop.check()


def test_a_lock_that_is_not_to_be_waited_for(shop: Shop) -> None:
    ordered(shop, "SET lock_timeout = '100ms'")
    shop.store.close()

    async def main(other: psycopg.Connection[tuple[object]]) -> None:
        async with running(shop) as inventory:
            works = [shop.work(PLUS), shop.work(LATE)]
            jobs = [partial(inventory.record, work) for work in works]
            first, then = await together(inventory, *jobs)
            assert isinstance(first, Busy)
            assert told(then) == "adjusted 2@1 +1+0 1/0", "the other one is not harmed"
            other.rollback()
            assert told(await inventory.record(works[0])) == "adjusted 1@1 +1+0 1/0"

    shop.say(PLUS)
    shop.say(Adjust(1, 1, -1))
    with psycopg.connect(shop.url) as other:
        other.execute("SET LOCAL onhand.account = '1'")
        other.execute("SELECT 1 FROM levels WHERE account = 1 AND item = 1 AND location = 1 FOR UPDATE")
        asyncio.run(main(other))
    shop.check()


def test_a_statement_that_takes_too_long(shop: Shop) -> None:
    ordered(shop, "SET statement_timeout = '300ms'")
    shop.store.close()

    async def main() -> None:
        async with running(shop) as inventory:
            works = [lambda: inventory.write(1, sleeps), lambda: inventory.record(shop.work(PLUS))]
            late, quick = await together(inventory, *works)
            assert isinstance(late, Busy)
            assert told(quick) == "adjusted 1@1 +1+0 1/0"
            with pytest.raises(Busy, match="statement timeout"):
                await inventory.read(1, sleeps)

    asyncio.run(main())
    shop.check()


def test_a_file_that_another_process_holds(sqlite: SqliteDatabases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transact, "BUSY_TIMEOUT_MS", 300)
    for shop in opened(sqlite):
        asyncio.run(_held(shop))
        assert shop.kinds() == ["adjusted"]
        shop.check()


async def _held(shop: Shop) -> None:
    async with running(shop) as inventory:
        with contextlib.closing(sqlite3.connect(shop.url, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            began = time.monotonic()
            works = [inventory.record(shop.work(PLUS)) for _ in range(20)]
            results = await asyncio.gather(*works, return_exceptions=True)
            assert [type(result) for result in results] == [Busy] * 20
            assert time.monotonic() - began < 20 * 0.3, "they have waited together"
        assert told(await inventory.record(shop.work(PLUS))) == "adjusted 1@1 +1+0 1/0"


def test_another_process_is_waited_for(sqlite: SqliteDatabases) -> None:
    """A backup, an import and a second command are done in a moment: nobody is turned away for them."""
    for shop in opened(sqlite):
        asyncio.run(_let_go(shop))
        assert shop.kinds() == ["adjusted"] * 3
        shop.check()


async def _let_go(shop: Shop) -> None:
    async with running(shop) as inventory:
        with contextlib.closing(sqlite3.connect(shop.url, isolation_level=None)) as other:
            for count in (1, 2, 3):
                other.execute("BEGIN IMMEDIATE")
                waiting = asyncio.ensure_future(inventory.record(shop.work(PLUS)))
                await asyncio.sleep(0.2)
                assert not waiting.done()
                other.execute("ROLLBACK")
                assert told(await waiting) == f"adjusted 1@1 +1+0 {count}/0"
