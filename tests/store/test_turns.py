"""Processes that commit to one account take turns, and who waits for one takes more works along."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy import Connection

from onhand import commit_queue
from onhand.commit_queue import CommitQueue
from onhand.inventory import Inventory
from onhand.stock.model import Adjust, SetOnHand
from onhand.store.turns import TURNS, Turns
from onhand.ticket import Ticket
from onhand.transact import Busy
from onhand.work import Answer, Arrival, Recorded
from shops import Shop, key, opened, running, second, told
from stores import PostgresDatabases

PLUS = Adjust(1, 1, 1)
PATIENCE_SECONDS = 20
BUSY = (
    "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)

OURS = "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"


@pytest.fixture
def shop(postgres: PostgresDatabases) -> Iterator[Shop]:
    for shop in opened(postgres):
        shop.say(SetOnHand(1, 1, 10))
        yield shop
        shop.check()


@contextlib.contextmanager
def elsewhere(shop: Shop, account: int = 1) -> Iterator[None]:
    """Another process is busy with the account."""
    other = second(shop)
    try:
        with other.writing() as connection:
            assert Turns().take(connection, account) is False
            connection.exec_driver_sql("SELECT 1")  # it travels with the next statement
            yield
    finally:
        other.close()


@contextlib.asynccontextmanager
async def in_line(shop: Shop) -> AsyncIterator[tuple[Inventory, asyncio.Future[Recorded]]]:
    """A work of this process that waits for its turn; it comes when the block ends."""
    async with running(shop) as inventory:
        with elsewhere(shop):
            await inventory.record(shop.work(PLUS))  # it finds out that it is not alone
            first = inventory.record(shop.work(PLUS))
            for _ in range(PATIENCE_SECONDS * 100):
                if shop.sql(BUSY) == [(1,)]:
                    break
                await asyncio.sleep(0.01)
            else:
                raise AssertionError("nobody waits")
            yield inventory, first


def commits(shop: Shop) -> list[int]:
    """How many movements each transaction has, in order."""
    query = "SELECT COUNT(*) FROM movements GROUP BY xmin::text ORDER BY MIN(seq)"
    return [row[0] for row in shop.sql(query)]


def some(inventory: Inventory, shop: Shop, count: int) -> list[asyncio.Future[Recorded]]:
    """So many works that come now."""
    return [inventory.record(shop.work(PLUS)) for _ in range(count)]


def test_a_turn_is_waited_for_where_it_was_not_free_the_last_time(shop: Shop) -> None:
    turns = Turns()

    def take() -> bool:
        with shop.writing() as connection:
            waited = turns.take(connection, 1)
            connection.exec_driver_sql("SELECT 1")
            return waited

    assert [take(), take()] == [False, False]
    with elsewhere(shop):
        assert take() is False, "one that is not known to be shared is tried, and nobody waits"
    assert [take(), take()] == [True, False]
    with elsewhere(shop, account=2):
        assert [take(), take()] == [False, False], "each account has its own"


def test_those_who_come_while_it_is_waited_for_share_the_commit(shop: Shop) -> None:
    async def main() -> list[Recorded]:
        async with in_line(shop) as (inventory, first):
            later = some(inventory, shop, 5)
        return [await first, *await asyncio.gather(*later)]

    found = asyncio.run(main())
    assert [told(one) for one in found] == [f"adjusted 1@1 +1+0 {units}/0" for units in range(12, 18)]
    assert commits(shop) == [1, 1, 6]


def test_who_waits_in_vain_is_told_so(shop: Shop) -> None:
    """A turn is waited for no longer than any lock."""
    more = "&" if "?" in shop.url else "?"
    hasty = Shop(f"{shop.url}{more}options=-c%20lock_timeout%3D300ms")

    async def main() -> list[Recorded | BaseException]:
        async with in_line(hasty) as (inventory, first):
            later = some(inventory, hasty, 2)
            return await asyncio.gather(first, *later, return_exceptions=True)

    found = asyncio.run(main())
    # Where several fail together each is tried alone, and that without a turn.
    assert [type(one) for one in found] == [Busy, Recorded, Recorded]
    assert commits(shop) == [1, 1, 1, 1]
    hasty.close()


def test_one_that_breaks_harms_none_of_them(shop: Shop) -> None:
    def broken(_: Recorded) -> Answer:
        raise ValueError("broken")

    async def main() -> list[Recorded | BaseException]:
        async with in_line(shop) as (inventory, first):
            odd = inventory.record(shop.work(PLUS, key=key("odd"), answer=broken))
            later = [odd, *some(inventory, shop, 2)]
        return await asyncio.gather(first, *later, return_exceptions=True)

    first, odd, *others = asyncio.run(main())
    assert isinstance(odd, ValueError)
    assert [told(one) for one in (first, *others) if isinstance(one, Recorded)] == [
        f"adjusted 1@1 +1+0 {units}/0" for units in (12, 13, 14)
    ]


def test_the_same_key_twice_is_done_once(shop: Shop) -> None:
    async def main() -> list[Recorded]:
        async with in_line(shop) as (inventory, first):
            twice = [shop.work(PLUS, key=key("same")) for _ in range(2)]
            later = [inventory.record(one) for one in twice]
        return [await first, *await asyncio.gather(*later)]

    _, done, again = asyncio.run(main())
    assert told(done) == "adjusted 1@1 +1+0 13/0"
    assert again.replay == Answer(0, "", {})
    assert commits(shop) == [1, 1, 2]


def test_a_unit_takes_no_turn(shop: Shop) -> None:
    """It may take long, and others need not wait for it."""

    def unit(connection: Connection) -> int:
        return int(connection.exec_driver_sql(OURS).scalar_one())

    async def main() -> int:
        async with running(shop) as inventory:
            with elsewhere(shop):
                await inventory.record(shop.work(PLUS))
                return await asyncio.wait_for(inventory.write(1, unit), PATIENCE_SECONDS)

    assert asyncio.run(main()) == 0


def test_no_more_join_than_a_batch_may_have(monkeypatch: pytest.MonkeyPatch, shop: Shop) -> None:
    monkeypatch.setattr(commit_queue, "BATCH_LIMIT", 4)
    monkeypatch.setattr(commit_queue, "HEAVY_LIMIT", 10)
    loop = asyncio.new_event_loop()

    def ticket(weight: int, job: object = None) -> Ticket:
        return Ticket(1, job or Arrival("a", "b", "c"), loop.create_future(), loop, weight)  # type: ignore[arg-type]

    def joined(*waiting: Ticket) -> list[int]:
        queue = CommitQueue()
        queue.put(ticket(3))
        batch = queue.take()
        for one in waiting:
            queue.put(one)
        found = [one.weight for one in queue.join(batch)]
        assert batch.weight == 3 + sum(found)
        assert len(batch.tickets) == 1 + len(found)
        assert queue.weight == sum(one.weight for one in waiting) - sum(found)
        return found

    assert joined(*[ticket(1) for _ in range(9)]) == [1, 1, 1]
    assert joined(ticket(4), ticket(4), ticket(1)) == [4]
    assert joined(ticket(1), ticket(0, lambda _: None), ticket(1)) == [1]
    assert joined() == []
    loop.close()


def test_its_number_is_nobody_elses() -> None:
    assert TURNS < TURNS + (1 << 39) < 1 << 63
