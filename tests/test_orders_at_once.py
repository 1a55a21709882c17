"""Somebody changes what an order holds between a look at it and the commit: the order is looked at again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from market import Market, line, open_market, order
from onhand import orders_in
from onhand.connectors.flow import OrderLine
from onhand.stock.model import AnyCommand, Part, Release, Return, Ship
from onhand.work import Accepted, Group, Recorded, Work
from transcript import hold_text

PERSON = "native:1"


def before_commits(here: Market, *others: AnyCommand) -> None:
    """Have a person do each of these right before one of the next commits of orders."""
    record, left = here.inventory.record, list(others)

    async def late(work: Work) -> Recorded:
        if work.caller == orders_in.CALLER and left:
            (done,) = (await record(Work(here.account, (Group((left.pop(0),)),), PERSON))).outcomes
            assert isinstance(done, Accepted)
        return await record(work)

    def recorded(work: Work) -> Awaitable[Recorded]:
        return asyncio.ensure_future(late(work))

    here.inventory.record = recorded  # type: ignore[method-assign, assignment]


CASES = [
    pytest.param(line(1, 7), (Ship("order:1:X"),), "confirmed: 1@1 2h5s", id="edited upwards, shipped"),
    pytest.param(line(1, 7), (Release("order:1:X"),), "confirmed: 1@1 7h", id="edited upwards, released"),
    pytest.param(line(1, 5, c=2), (Ship("order:1:X"),), "shipped: 1@1 5s", id="cancelled, shipped"),
    pytest.param(line(1, 5, s=5), (Ship("order:1:X"),), "shipped: 1@1 5s", id="shipped, shipped"),
    pytest.param(
        line(1, 7),
        (Ship("order:1:X"), Return("order:1:X")),
        "confirmed: 1@1 2h5s5b",
        id="edited upwards, shipped and come back",
    ),
]


@pytest.mark.parametrize(("told", "others", "held"), CASES)
def test_it_comes_out_as_one_after_the_other(
    migrated_url: str, told: OrderLine, others: tuple[AnyCommand, ...], held: str
) -> None:
    async def go() -> None:
        async with open_market(migrated_url) as here:
            await here.take(order("X", 1, line(1, 5)))
            before_commits(here, *others)
            await here.take(order("X", 2, told))
            assert hold_text(await here.hold("X")) == held
            assert await here.incidents() == []

    asyncio.run(go())


def test_the_others_of_its_commit_are_taken_too(migrated_url: str) -> None:
    async def go() -> None:
        async with open_market(migrated_url) as here:
            await here.take(order("X", 1, line(1, 5)))
            before_commits(here, *(Ship("order:1:X", (Part(1, 1),)) for _ in range(4)))
            await here.take(order("V", 1, line(2, 1)), order("X", 2, line(1, 7)), order("W", 1, line(2, 2)))
            assert hold_text(await here.hold("X")) == "confirmed: 1@1 3h4s"
            assert await here.stock() == "1@1 6/3, 1@2 10/0, 2@1 10/3"
            assert await here.incidents() == []

    asyncio.run(go())
