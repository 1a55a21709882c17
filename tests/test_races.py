"""Many at once, in one process and in several: nothing is sold twice, and nobody waits for ever."""

import asyncio
import contextlib
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from onhand.inventory import Inventory
from onhand.stock.ledger import Refused
from onhand.stock.model import (
    Adjust,
    AnyCommand,
    Confirm,
    Release,
    SetAvailable,
    SetOnHand,
    Ship,
    Transfer,
)
from racer import promise_all
from shops import Shop, opened, running, second
from stores import Databases, PostgresDatabases
from transcript import hold, want

HERE = Path(__file__).parent
UNITS = 100
PATIENCE_SECONDS = 30


@pytest.fixture
def shop(databases: Databases) -> Iterator[Shop]:
    """A shop on each kind of database."""
    yield from opened(databases)


@pytest.fixture
def two(postgres: PostgresDatabases) -> Iterator[tuple[Shop, Shop]]:
    """A shop on PostgreSQL, as two processes see it."""
    for one in opened(postgres):
        other = second(one)
        yield one, other
        other.close()


def sold_out(shop: Shop) -> None:
    """Every unit is promised once, and the books balance."""
    assert shop.sql("SELECT on_hand, reserved FROM levels WHERE version > 0") == [(UNITS, UNITS)]
    assert shop.sql("SELECT COUNT(*), SUM(held) FROM reservation_lines") == [(UNITS, UNITS)]
    assert shop.status(1) == "closed"
    shop.check()


def test_the_last_hundred_in_one_process(shop: Shop) -> None:
    shop.say(SetOnHand(1, 1, UNITS))
    assert asyncio.run(promise_all(shop, "r", 64)) == UNITS
    sold_out(shop)


def test_the_last_hundred_in_two_loops(two: tuple[Shop, Shop]) -> None:
    two[0].say(SetOnHand(1, 1, UNITS))

    async def main() -> list[int]:
        ways = (
            asyncio.to_thread(asyncio.run, promise_all(shop, name))
            for shop, name in zip(two, "ab", strict=True)
        )
        return await asyncio.wait_for(asyncio.gather(*ways), PATIENCE_SECONDS)

    assert sum(asyncio.run(main())) == UNITS
    sold_out(two[0])


def test_the_last_hundred_in_two_processes(two: tuple[Shop, Shop]) -> None:
    shop = two[0]
    shop.say(SetOnHand(1, 1, UNITS))
    paths = os.pathsep.join((str(HERE), str(HERE.parent / "src")))
    with contextlib.ExitStack() as stack:
        racers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, HERE / "racer.py", shop.url, name],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    env=os.environ | {"PYTHONPATH": paths},
                )
            )
            for name in "ab"
        ]
        for racer in racers:
            stack.callback(racer.kill)
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        said = [racer.communicate(timeout=PATIENCE_SECONDS)[0] for racer in racers]
        assert [racer.returncode for racer in racers] == [0, 0], said
    counts = [int(words) for words in said]
    assert sum(counts) == UNITS
    sold_out(shop)


def test_a_hot_sku(shop: Shop) -> None:
    """Everybody wants the same level: each gets a version of its own, in order."""

    async def main() -> None:
        async with running(shop) as inventory:
            works = (shop.work(Adjust(1, 1, 1 if number % 3 else -2)) for number in range(600))
            await asyncio.gather(*map(inventory.record, works))

    asyncio.run(main())
    history = shop.history()
    assert [one.version for one in history] == list(range(1, len(history) + 1))
    assert min(one.on_hand_after for one in history) >= 0
    shop.check()


def trade(dice: random.Random) -> AnyCommand:
    """A random command that may never take a level below what is promised there."""
    item, at, to = dice.choice((1, 2)), dice.choice((1, 2, 3)), dice.choice((1, 2, 3))
    name, units = f"h{dice.randrange(12)}", dice.randint(1, 5)
    deals: list[AnyCommand] = [
        Adjust(item, at, dice.randint(-6, 6)),
        Transfer(item, at, to, units),
        SetAvailable(item, at, units),
        hold(name, want(item, units, at, to), want(3 - item, units, to)),
        Release(name),
        Ship(name),
        Confirm(name),
    ]
    return dice.choice(deals)


async def market(shop: Shop, inventories: Sequence[Inventory], seed: int) -> int:
    """Random trade of many at once; how many groups were accepted."""

    async def trader(number: int) -> int:
        dice = random.Random(seed * 1000 + number)
        done = 0
        for turn in range(12):
            commands = [trade(dice) for _ in range(dice.randint(1, 3))]
            work = shop.work(*commands, caller=f"trader {number % 3}")
            recorded = await inventories[(number + turn) % len(inventories)].record(work)
            done += not isinstance(recorded.outcomes[0], Refused)
        return done

    return sum(await asyncio.gather(*map(trader, range(24))))


def honest(shop: Shop, done: int) -> None:
    """Nothing was sold that was not there, at no time, and the books balance."""
    assert done > 20
    assert min(one.on_hand_after - one.reserved_after for one in shop.history()) >= 0
    shop.check()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_market(shop: Shop, seed: int) -> None:
    async def main() -> int:
        async with running(shop) as inventory:
            return await asyncio.wait_for(market(shop, [inventory], seed), PATIENCE_SECONDS)

    honest(shop, asyncio.run(main()))


@pytest.mark.parametrize("seed", [3, 4])
def test_a_market_in_two_processes(two: tuple[Shop, Shop], seed: int) -> None:
    async def main() -> int:
        async with running(two[0]) as here, running(two[1]) as there:
            return await asyncio.wait_for(market(two[0], [here, there], seed), PATIENCE_SECONDS)

    honest(two[0], asyncio.run(main()))
