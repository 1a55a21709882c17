"""A PostgreSQL that takes what it is sent and says nothing: everybody is told so in time, nothing is done
twice or lost, and all goes on by itself when it speaks again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from onhand.inventory import Inventory, clock
from onhand.stock.model import Adjust, SetOnHand
from onhand.store import levels
from onhand.store.engine import StoreError, migrate, open_store
from onhand.transact import Busy, Unknowable
from shops import PATIENCE_SECONDS, Shop, answer, key, running, stocked, told
from stalling import Proxy, stalling
from stores import PostgresDatabases

SECONDS = 1
"""How long an answer is waited for here."""
AT_MOST = 2 * (SECONDS + 2) + 1
"""A wait, and after it a connection (libpq takes two seconds for less) and a wait, on a busy machine."""


@pytest.fixture
def proxied(postgres: PostgresDatabases) -> Iterator[tuple[Shop, Proxy]]:
    """A shop on PostgreSQL behind a proxy, and the proxy."""
    url = postgres.copy(stocked)
    with stalling(url) as proxy:
        shop = Shop(url)
        shop.store.close()
        # The proxy falls silent at words, which would not be sent again.
        shop.store = open_store(proxy.url, answer_seconds=SECONDS, prepares=False)
        yield shop, proxy
        proxy.speak()
        shop.close()
    postgres.drop(url)


def seen(connection: Connection) -> int:
    return levels.last_seq(connection, 1)


POINTS = [
    (b"BEGIN", False, Busy),
    (b"BEGIN", True, Busy),
    (b"FOR NO KEY UPDATE", False, Busy),
    (b"FOR NO KEY UPDATE", True, Busy),
    (b"INSERT INTO movements", False, Unknowable),
    (b"INSERT INTO movements", True, Unknowable),
    (b"COMMIT", False, Unknowable),
    (b"COMMIT", True, Unknowable),
]


@pytest.mark.parametrize(("word", "heard", "told_so"), POINTS)
def test_a_change(proxied: tuple[Shop, Proxy], word: bytes, heard: bool, told_so: type[Exception]) -> None:
    shop, proxy = proxied
    sale = shop.work(Adjust(1, 1, -1), key=key("sale"), answer=answer)

    async def main() -> None:
        async with running(shop, clock) as inventory:
            await inventory.record(shop.work(SetOnHand(1, 1, 5)))
            proxy.stall(word, heard=heard)
            began = time.monotonic()
            with pytest.raises(told_so):
                await asyncio.wait_for(inventory.record(sale), PATIENCE_SECONDS)
            assert SECONDS <= time.monotonic() - began < AT_MOST
            assert proxy.stalled.is_set()
            proxy.speak()
            again = await asyncio.wait_for(inventory.record(sale), PATIENCE_SECONDS)
            # A COMMIT that was kept on the way, with what is sent together with it, arrives after all.
            assert (again.replay is not None) == (told_so is Unknowable)
            assert await inventory.read(1, seen) == 2, "it was done once"

    asyncio.run(main())
    shop.check()


def test_many_who_wait_and_a_stop(proxied: tuple[Shop, Proxy]) -> None:
    """More than there are threads, of two accounts: nobody waits for one turn after the other."""
    shop, proxy = proxied

    async def main() -> tuple[float, list[object]]:
        async with running(shop, clock) as inventory:
            await inventory.record(shop.work(SetOnHand(1, 1, 50)))
            proxy.stall()
            began = time.monotonic()
            works = [inventory.record(shop.work(Adjust(1, 1, -1), key=key(f"{n}"))) for n in range(40)]
            others = [inventory.record(shop.work(Adjust(1, 1, 1), account=2)) for _ in range(3)]
            reads = [inventory.read(1, seen, long=n % 2 == 0) for n in range(40)]
            jobs = [asyncio.ensure_future(one) for one in (*works, *others, *reads)]
            await asyncio.sleep(0.1)
        ended = time.monotonic() - began
        return ended, await asyncio.gather(*jobs, return_exceptions=True)

    seconds, results = asyncio.run(main())
    assert [type(one) for one in results] == [Busy] * 83
    assert seconds < 2 * AT_MOST, "the stop waited for all of them"
    proxy.speak()
    assert shop.kinds() == ["counted"]
    shop.check()


def slow(connection: Connection) -> int:
    return int(connection.exec_driver_sql("SELECT 7 FROM pg_sleep(3.5)").scalar_one())


async def _takes_long(inventory: Inventory) -> None:
    assert await inventory.read(1, slow, long=True) == 7
    with pytest.raises(Busy, match="said nothing for 1 s"):
        await inventory.read(1, slow)


def test_long_work_is_waited_for_while_the_server_speaks(proxied: tuple[Shop, Proxy]) -> None:
    shop, _ = proxied

    async def main() -> None:
        async with running(shop, clock) as inventory:
            await _takes_long(inventory)
            assert await inventory.read(1, seen) == 0

    asyncio.run(main())


def test_long_work_ends_when_the_server_stops_speaking(proxied: tuple[Shop, Proxy]) -> None:
    shop, proxy = proxied

    async def main() -> None:
        async with running(shop, clock) as inventory:
            reading = asyncio.ensure_future(inventory.read(1, slow, long=True))
            await asyncio.sleep(0.3)
            proxy.stall()
            began = time.monotonic()
            with pytest.raises(Busy):
                await asyncio.wait_for(reading, PATIENCE_SECONDS)
            assert time.monotonic() - began < AT_MOST
            proxy.speak()
            assert await inventory.read(1, seen, long=True) == 0

    asyncio.run(main())


def test_long_work_whose_answer_was_lost(proxied: tuple[Shop, Proxy]) -> None:
    """The server answers others, and has nothing more to say here."""
    shop, proxy = proxied

    def lost(connection: Connection) -> int:
        proxy.stall(b"pg_sleep", heard=True)
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
        value = connection.exec_driver_sql("SELECT 7 FROM pg_sleep(0.1)").scalar_one()
        return int(value)

    async def main() -> None:
        async with running(shop, clock) as inventory:
            began = time.monotonic()
            reading = asyncio.ensure_future(inventory.read(1, lost, long=True))
            await asyncio.to_thread(proxy.stalled.wait, PATIENCE_SECONDS)
            proxy.speak_to_others()
            with pytest.raises(Busy):
                await asyncio.wait_for(reading, PATIENCE_SECONDS)
            assert time.monotonic() - began < AT_MOST + 1

    asyncio.run(main())


def test_a_start(proxied: tuple[Shop, Proxy]) -> None:
    shop, proxy = proxied
    url = shop.store.url
    proxy.stall()
    began = time.monotonic()
    with pytest.raises(StoreError, match="cannot open"):
        open_store(url, answer_seconds=SECONDS)
    assert time.monotonic() - began < AT_MOST
    proxy.speak()
    proxy.stall(b"pg_catalog")
    with pytest.raises(StoreError, match="cannot open"):
        open_store(url, answer_seconds=SECONDS)
    proxy.speak()
    store = open_store(url, answer_seconds=SECONDS)
    migrate(store)
    store.close()
    assert told(shop.commit(shop.work(Adjust(1, 1, 1)))[0]) == "adjusted 1@1 +1+0 1/0"
