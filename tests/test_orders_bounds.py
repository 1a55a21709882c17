"""Orders as no channel should tell them: more than go in one message, and numbers beyond every limit."""

from __future__ import annotations

import asyncio

import pytest

from market import line, open_market, order
from onhand.connectors.flow import Order, OrderLine
from onhand.orders_in import NUMBER_LIMIT, ORDERS_IN_MESSAGE, TIME_LIMIT, state_of


def test_more_orders_than_go_in_one_message_come_in_their_order(migrated_url: str) -> None:
    """Also where a later one of them is the same order again."""
    count = 2 * ORDERS_IN_MESSAGE + 7
    told = [order(f"X{n}", n, line(1, 1)) for n in range(count)]

    async def go() -> None:
        async with open_market(migrated_url) as here:
            await here.set(1, 1, 1_000)
            await here.take(*told, order("X0", count, line(1, 1, c=1)))
            assert await here.rows("SELECT COUNT(*) FROM orders") == [(count,)]
            assert (await here.stock()).startswith(f"1@1 1000/{count - 1},")

    asyncio.run(go())


@pytest.mark.parametrize(
    ("updated", "kept"),
    [(2**80, TIME_LIMIT), (-(2**80), 0), (5, 5)],
    ids=["beyond the end", "before the beginning", "as it is"],
)
def test_an_impossible_time_of_change_is_brought_to_the_nearer_end(
    migrated_url: str, updated: int, kept: int
) -> None:
    async def go() -> None:
        async with open_market(migrated_url) as here:
            await here.take(Order("X", updated, (line(1, 2),)))
            found = await here.kept("X")
            assert found is not None and found.updated == kept

    asyncio.run(go())


@pytest.mark.parametrize(
    ("found", "ordered", "cancelled", "stock"),
    [
        pytest.param(line(1, 10**30, c=10**30), NUMBER_LIMIT, NUMBER_LIMIT, "1@1 10/0", id="huge"),
        pytest.param(line(1, -4, c=-9, s=-(10**30)), 0, 0, "1@1 10/0", id="below 0"),
        pytest.param(
            OrderLine("l\0ine", {"variant": "v\x001"}, "A\0", 2),
            2,
            0,
            "1@1 10/2",
            id="what no database keeps",
        ),
    ],
)
def test_counts_and_names_that_nobody_can_keep(
    migrated_url: str, found: OrderLine, ordered: int, cancelled: int, stock: str
) -> None:
    async def go() -> None:
        async with open_market(migrated_url) as here:
            await here.take(Order("X\0", 5, (found,), name="\0"))
            kept = await here.kept("X")
            assert kept is not None
            (told,) = [one.told for one in state_of(kept).lines]
            assert (told.ordered, told.cancelled) == (ordered, cancelled)
            assert (await here.stock()).startswith(stock)

    asyncio.run(go())
