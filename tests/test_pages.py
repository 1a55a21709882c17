"""The pages around the APIs, asked as health checks ask: often, many at once, and while others write."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from sqlalchemy import Connection

from onhand.faces import FACES
from onhand.inventory import Inventory
from onhand.pages import Pages
from onhand.stock.model import Adjust
from onhand.store import accounts, catalog
from onhand.store.catalog import Location, Seller
from onhand.store.engine import Store, open_store
from onhand.store.verify import verify
from onhand.work import Group, Work

AT_ONCE = 40
PATIENCE_SECONDS = 10
ROUNDS = 40


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[tuple[Store, Inventory, httpx2.AsyncClient]]:
    """A store with its ledger running, and a client of the pages."""
    store = open_store(url)
    inventory = Inventory(store)
    inventory.start()
    transport = httpx2.ASGITransport(Pages(inventory, FACES))
    try:
        async with httpx2.AsyncClient(transport=transport, base_url="http://hub") as http:
            yield store, inventory, http
    finally:
        await inventory.stop()
        store.close()


def test_many_health_checks_at_once_do_not_wait_for_one_another(migrated_url: str) -> None:
    async def run() -> None:
        async with opened(migrated_url) as (_, _, http), asyncio.timeout(PATIENCE_SECONDS):
            answers = await asyncio.gather(*(http.get("/readyz") for _ in range(AT_ONCE)))
        assert [answer.status_code for answer in answers] == [200] * AT_ONCE

    asyncio.run(run())


def test_a_health_check_leaves_the_writer_alone(sqlite_url: str) -> None:
    async def run() -> None:
        async with opened(sqlite_url) as (store, _, http):
            with store.writer.connect() as connection:
                driver = connection.connection.driver_connection
                assert driver is not None
                driver.execute("BEGIN IMMEDIATE")
                answer = await http.get("/readyz")
                assert (answer.status_code, answer.json()["faults"]) == (200, [])
                assert driver.in_transaction
                driver.execute("ROLLBACK")

    asyncio.run(run())


@pytest.mark.parametrize("checks", [1, 4])
def test_health_checks_while_others_write(migrated_url: str, checks: int) -> None:
    async def run() -> None:
        async with opened(migrated_url) as (_, inventory, http):
            account, item, place = await inventory.write(0, _goods)
            work = Work(account, (Group((Adjust(item, place, 1),)),), "test")

            async def writes() -> None:
                for _ in range(ROUNDS):
                    await inventory.record(work)

            async def asks() -> list[int]:
                return [(await http.get("/readyz")).status_code for _ in range(ROUNDS)]

            async with asyncio.timeout(6 * PATIENCE_SECONDS):
                found = await asyncio.gather(*(asks() for _ in range(checks)), *(writes() for _ in range(4)))
            assert found[:checks] == [[200] * ROUNDS] * checks
            assert await inventory.read(account, lambda c: list(verify(c, account))) == []

    asyncio.run(run())


def _goods(connection: Connection) -> tuple[int, int, int]:
    account = accounts.add(connection, "one", 1).id
    seller = catalog.add_seller(connection, account, Seller(0, "one", own=True), 1)
    place = catalog.add_location(connection, account, Location(0, "main", seller.id), 1)
    item = catalog.ensure_items(connection, account, {"A"}, 1)["A"]
    return account, item, place.id
