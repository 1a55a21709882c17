"""Where lines of orders reserve: at which of our locations, and which components of a kit."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from market import line, open_market, order
from onhand.connectors.flow import Order
from onhand.store import catalog, feeding, incidents


@pytest.mark.parametrize(
    ("bound", "own", "above", "stock"),
    [
        pytest.param(2, {}, {}, "1@1 10/0, 1@2 10/3, 2@1 10/0", id="bound to a location"),
        pytest.param(2, {"locations": [1]}, {}, "1@1 10/3, 1@2 10/0, 2@1 10/0", id="rules say more"),
        pytest.param(None, {"locations": [2, 1]}, {}, "1@1 10/0, 1@2 10/3, 2@1 10/0", id="in its order"),
        pytest.param(None, {}, {"places": {"a": [2]}}, "1@1 10/0, 1@2 10/3, 2@1 10/0", id="one place of two"),
        pytest.param(
            None,
            {},
            {"places": {"a": [2], "b": [1]}},
            "1@1 10/3, 1@2 10/0, 2@1 10/0",
            id="as the connection's",
        ),
        pytest.param(None, {}, {"places": {"a": []}}, "1@1 10/3, 1@2 10/0, 2@1 10/0", id="fed by nothing"),
    ],
)
def test_a_line_reserves_where_its_listing_is_fed(
    sqlite_url: str, bound: int | None, own: dict[str, Any], above: dict[str, Any], stock: str
) -> None:
    """Or the listing would go on to offer what was sold."""

    async def go() -> None:
        async with open_market(sqlite_url) as here:
            await here.run(
                f"UPDATE listings SET location = {bound or 'NULL'}, rules = '{json.dumps(own)}' WHERE id = 1",
                f"UPDATE connections SET rules = '{json.dumps(above)}' WHERE id = 1",
            )
            await here.inventory.write(here.account, lambda c: feeding.refeed(c, here.account, [1]))
            await here.take(order("X", 1, line(1, 3)))
            assert await here.stock() == stock

    asyncio.run(go())


@pytest.mark.parametrize(
    ("found", "stock", "waiting"),
    [
        pytest.param(
            order("X", 1, line(1, 3, location="east")),
            "1@1 10/0, 1@2 10/3, 2@1 10/0",
            False,
            id="named place",
        ),
        pytest.param(order("X", 1, line(1, 14)), "1@1 10/10, 1@2 10/4, 2@1 10/0", False, id="split"),
        pytest.param(
            order("X", 1, line(1, 3, location="nobody knows")),
            "1@1 10/3, 1@2 10/0, 2@1 10/0",
            False,
            id="a place that is not mapped",
        ),
        pytest.param(order("X", 1, line(3, 2)), "1@1 10/4, 1@2 10/0, 2@1 10/2", False, id="kit"),
        pytest.param(
            order("X", 1, line(1, 3, location="fba")),
            "1@1 10/0, 1@2 10/0, 2@1 10/0",
            False,
            id="the channel's own stock",
        ),
        pytest.param(order("X", 1, line(4, 3)), "1@1 10/0, 1@2 10/0, 2@1 10/0", True, id="untracked"),
        pytest.param(order("X", 1, line(9, 3)), "1@1 10/0, 1@2 10/0, 2@1 10/0", True, id="unknown"),
        pytest.param(
            order("X", 1, line(9, 3, sku="B")), "1@1 10/0, 1@2 10/0, 2@1 10/3", False, id="known by its SKU"
        ),
        pytest.param(
            order("X", 1, line(1, 3), holds=False), "1@1 10/0, 1@2 10/0, 2@1 10/0", False, id="unpaid"
        ),
    ],
)
def test_where_a_line_reserves(sqlite_url: str, found: Order, stock: str, waiting: bool) -> None:
    async def go() -> None:
        async with open_market(sqlite_url) as here:
            await here.take(found)
            assert await here.stock() == stock
            kept = await here.kept("X")
            assert kept is not None
            assert kept.waiting is waiting

    asyncio.run(go())


def test_kits_ship_and_come_back_whole(sqlite_url: str) -> None:
    async def go() -> None:
        async with open_market(sqlite_url) as here:
            await here.take(order("X", 1, line(3, 2)))
            await here.take(order("X", 2, line(3, 2, c=1, s=1)))
            assert await here.stock() == "1@1 8/0, 1@2 10/0, 2@1 9/0"
            await here.take(order("X", 3, line(3, 2, c=1, s=1, r=1)))
            assert await here.stock() == "1@1 10/0, 1@2 10/0, 2@1 10/0"

    asyncio.run(go())


def test_an_order_keeps_the_kit_of_which_a_part_has_left(sqlite_url: str) -> None:
    async def go() -> None:
        async with open_market(sqlite_url) as here:
            await here.take(order("X", 1, line(3, 2)), order("Y", 1, line(3, 1)))
            await here.take(order("X", 2, line(3, 2, s=1)))
            made_of = {1: 1}
            await here.inventory.write(
                here.account, lambda c: catalog.set_kit(c, here.account, 3, made_of, 1)
            )
            await here.take(order("X", 3, line(3, 3, s=1)), order("Y", 3, line(3, 2)))
            assert await here.stock() == "1@1 8/6, 1@2 10/0, 2@1 9/2"
            await here.take(order("X", 4, line(3, 3, s=3, r=3)), order("Y", 4, line(3, 2, s=2)))
            assert await here.stock() == "1@1 8/0, 1@2 10/0, 2@1 10/0"
            assert await here.of_kind(incidents.REFUSED) == []

    asyncio.run(go())
