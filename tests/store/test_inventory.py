"""The one door: works and units from many callers, in one commit, none harmed by another."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from onhand import commit_queue, commits
from onhand.inventory import Inventory
from onhand.stock.model import Adjust, AnyCommand, Extend, Insufficient, SetOnHand, Unknown
from onhand.store import catalog, channels, requests, wakeups
from onhand.store.catalog import Taken
from onhand.transact import Busy
from onhand.work import Answer, Plan, PutPrice, Recorded, Work
from shops import START, Shop, answer, key, running, second, together, told
from transcript import hold, want

PLUS = Adjust(1, 1, 1)
Job = Callable[[], Awaitable[Any]]


class Mishap(Exception):
    """Raised by a unit."""


def run(shop: Shop, *jobs: Callable[[Inventory], Awaitable[Any]]) -> list[Any]:
    """The results of jobs that one batch takes."""

    async def main() -> list[Any]:
        async with running(shop) as inventory:
            return await together(inventory, *(partial(job, inventory) for job in jobs))

    return asyncio.run(main())


def record(work: Work) -> Callable[[Inventory], Awaitable[Recorded]]:
    return lambda inventory: inventory.record(work)


def rename(name: str, error: Exception | None = None) -> Callable[[Inventory], Awaitable[int]]:
    """A unit that gives item 9 a name and returns 9, or raises after it did."""

    def unit(connection: Connection) -> int:
        catalog.change_item(connection, 1, 9, {"name": name}, START)
        if error is not None:
            raise error
        return 9

    return lambda inventory: inventory.write(1, unit)


def name_of_nine(shop: Shop) -> str | None:
    with shop.reading() as connection:
        return catalog.items(connection, 1, [9])[9].name


def test_works_and_units_of_one_batch(shop: Shop) -> None:
    results = run(
        shop,
        record(shop.work(SetOnHand(1, 1, 5))),
        rename("first"),
        rename("second", Mishap()),
        record(shop.work(Adjust(1, 1, -6))),
        rename("third"),
        lambda inventory: inventory.write(1, taken),
        record(shop.work(PLUS)),
    )
    assert [told(results[at]) for at in (0, 3, 6)] == [
        "counted 1@1 +5+0 5/0",
        Insufficient(1, 1, 6, 5, 5, 0),
        "adjusted 1@1 +1+0 6/0",
    ]
    assert (results[1], results[4]) == (9, 9)
    assert isinstance(results[2], Mishap)
    assert isinstance(results[5], Taken)
    assert name_of_nine(shop) == "third"
    shop.check()


def taken(connection: Connection) -> None:
    """A unit that runs into a constraint after it wrote something."""
    catalog.change_item(connection, 1, 9, {"name": "lost"}, START)
    catalog.change_item(connection, 1, 9, {"sku": "SKU-1"}, START)


def explode(recorded: Recorded) -> Answer:
    raise Mishap


BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("its answer cannot be made", {"key": key("broken"), "answer": explode}),
    ("a price of nothing", {"also": (PutPrice(99, 1, "1.00", None),)}),
    ("a caller that is no text", {"caller": "\ud800"}),
    ("an account that is not there", {"account": 77}),
]


@pytest.mark.parametrize("options", [options for _, options in BROKEN], ids=[name for name, _ in BROKEN])
def test_a_broken_work_harms_nobody(shop: Shop, options: dict[str, Any]) -> None:
    works = [shop.work(SetOnHand(1, 1, 5)), shop.work(PLUS, **options), shop.work(PLUS), shop.work(PLUS)]
    results = run(shop, *map(record, works))
    assert [told(results[at]) for at in (0, 2, 3)] == [
        "counted 1@1 +5+0 5/0",
        "adjusted 1@1 +1+0 6/0",
        "adjusted 1@1 +1+0 7/0",
    ]
    if options.get("account"):
        assert told(results[1]) == Unknown("item", "1")
    else:
        assert isinstance(results[1], Mishap | IntegrityError | UnicodeEncodeError)
    assert shop.sql("SELECT COUNT(*) FROM idempotency") == [(0,)]
    shop.check()


def test_numbers_beyond_the_databases_are_unknown_or_refused(shop: Shop) -> None:
    results = run(shop, record(shop.work(Adjust(2**70, 1, 1))), record(shop.work(PLUS)))
    assert not isinstance(results[0], Recorded) or told(results[0]) == Unknown("item", str(2**70))
    assert told(results[1]) == "adjusted 1@1 +1+0 1/0"


def test_twins_wait_for_one_another(shop: Shop) -> None:
    twins = [shop.work(PLUS, key=key("k"), answer=answer) for _ in range(9)]
    other = shop.work(PLUS, key=key("k", "something else"), answer=answer)
    results = run(shop, *map(record, [*twins, other]))
    assert results[0].fresh == Answer(200, "1", {"X-Seq": "1"})
    assert [result.replay for result in results[1:9]] == [results[0].fresh] * 8
    assert type(results[9].replay).__name__ == "Conflict"
    assert shop.kinds() == ["adjusted"]


def test_a_crowd(shop: Shop) -> None:
    """Two hundred at once, some of which give up waiting: whoever was answered was done."""

    async def main() -> int:
        async with running(shop) as inventory:
            tasks = [asyncio.ensure_future(inventory.record(shop.work(PLUS))) for _ in range(200)]
            await asyncio.sleep(0)
            gave_up = sum(task.cancel() for task in tasks[::10])  # but for those that were done by then
            results = await asyncio.gather(*tasks, return_exceptions=True)
            return gave_up + sum(isinstance(result, Recorded) for result in results)

    assert asyncio.run(main()) == 200
    level = shop.level((1, 1))
    assert level is not None
    assert 180 <= level.on_hand <= 200
    shop.check()


def test_too_many_are_turned_away(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "WAITING_LIMIT", 4)
    results = run(shop, *[record(shop.work(PLUS))] * 6)
    # The one that holds the writer up waits too.
    assert [isinstance(result, Busy) for result in results] == [False] * 3 + [True] * 3
    assert run(shop, *[record(shop.work(PLUS))] * 3)[-1].levels[1, 1].on_hand == 6
    shop.check()


def test_too_many_commands_are_turned_away(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "WEIGHT_LIMIT", 50)
    bulk = shop.work(*[PLUS] * (commits.SMALL + 4))
    results = run(shop, *[record(bulk)] * 5, record(shop.work(PLUS)))
    assert [isinstance(result, Busy) for result in results] == [False] * 3 + [True] * 2 + [False]
    assert run(shop, *[record(bulk)] * 3)[-1].levels[1, 1].on_hand == 6 * 20 + 1
    shop.check()


def test_heavy_works_are_committed_one_after_the_other(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_queue, "HEAVY_LIMIT", 5)
    moments = itertools.count(START)

    async def main() -> list[Recorded]:
        async with running(shop, lambda: next(moments)) as inventory:
            works = [shop.work(*[PLUS] * size) for size in (9, 2, 3, 1, 9)]
            return await together(inventory, *(partial(inventory.record, work) for work in works))

    results = asyncio.run(main())
    commits = [len(list(same)) for _, same in itertools.groupby(results, lambda one: one.recorded_at)]
    assert commits == [1, 2, 1, 1]
    assert [one.levels[1, 1].on_hand for one in results] == [9, 11, 14, 15, 24]
    shop.check()


def test_stopping_commits_what_waits(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_queue, "BATCH_LIMIT", 2)

    async def main() -> list[Any]:
        async with running(shop) as inventory:
            tasks = [asyncio.ensure_future(inventory.record(shop.work(PLUS))) for _ in range(23)]
            await asyncio.sleep(0)
        with pytest.raises(Busy):
            await inventory.record(shop.work(PLUS))
        return await asyncio.wait_for(asyncio.gather(*tasks), 10)

    assert asyncio.run(main())[-1].levels[1, 1].on_hand == 23
    shop.check()


def test_reads_see_what_was_answered(shop: Shop) -> None:
    def count(connection: Connection) -> int:
        return len(channels.listings(connection, shop.account))

    async def main() -> None:
        async with running(shop) as inventory:
            assert await inventory.read(1, count) == 9
            assert await inventory.read(1, count, long=True) == 9
            await inventory.record(shop.work(SetOnHand(1, 1, 5)))
            rows = await inventory.read(1, lambda c: c.exec_driver_sql("SELECT seq FROM movements").all())
            assert len(rows) == 1

    asyncio.run(main())


def test_a_reader_cannot_write(shop: Shop) -> None:
    async def main() -> None:
        async with running(shop) as inventory:
            for long in (False, True):
                with pytest.raises(Exception, match=r"read-?only"):
                    await inventory.read(1, lambda c: c.exec_driver_sql("DELETE FROM outbox"), long=long)

    asyncio.run(main())


def test_messages_are_numbered_in_order_of_arrival(shop: Shop) -> None:
    calls: list[int] = []

    async def main() -> list[int]:
        async with running(shop) as inventory:
            inventory.arrived = calls.append
            return [await inventory.accept(1, "test", "someone", str(number)) for number in range(3)]

    numbers = asyncio.run(main())
    assert calls == [1, 1, 1]
    with shop.reading() as connection:
        found = requests.waiting(connection, 1)
    assert [(message.id, message.body) for message in found] == list(zip(numbers, "012", strict=True))
    assert numbers == sorted(numbers)


def test_wakeups_say_when_to_look_again(shop: Shop) -> None:
    if shop.store.sqlite:
        pytest.skip("SQLite is asked for what is due itself")
    shop.say(SetOnHand(1, 1, 5))
    works = [
        shop.work(hold("a", want(1, 1), until=START + 70)),
        shop.work(hold("b", want(1, 1), until=START + 50)),
        shop.work(also=(Plan(START + 90, (PLUS,)),)),
    ]
    run(shop, *map(record, works))
    with shop.writing() as connection:
        assert wakeups.take(connection, START + 49) == []
        assert wakeups.take(connection, START + 50) == [(1, wakeups.EXPIRY)]
        assert wakeups.take(connection, START + 90) == [(1, wakeups.PLANNED)]
        assert wakeups.ahead(connection, 1) == {wakeups.EXPIRY: START + 50, wakeups.PLANNED: START + 90}
    # A new expiry moves nothing, and is to be looked at all the same.
    moved: list[tuple[AnyCommand, int]] = [
        (Extend("a", START + 40), 40),
        (hold("b", want(1, 1), until=START + 30), 30),
    ]
    for command, due in moved:
        run(shop, record(shop.work(command)))
        with shop.writing() as connection:
            assert wakeups.take(connection, START + due - 1) == []
            assert wakeups.take(connection, START + due) == [(1, wakeups.EXPIRY)]


def test_accounts_go_side_by_side(shop: Shop) -> None:
    other = second(shop, account=2)

    async def main() -> None:
        async with running(shop) as inventory:
            works = [one.work(PLUS) for one in (shop, other) for _ in range(20)]
            await asyncio.gather(*map(inventory.record, works))

    asyncio.run(main())
    for one in (shop, other):
        one.check()
        assert len(one.history()) == 20
    other.close()
