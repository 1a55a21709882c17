"""How many requests of a connection may be under way at once, whoever sends them."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from courier.town import ITEMS, PATIENCE, Like, Town, play, until
from onhand import orders_in
from onhand.connectors.auth import Wire
from onhand.store import drives


@pytest.mark.parametrize("parallel", [1, 2])
def test_no_more_than_the_channel_can_bear(town: Town, parallel: int) -> None:
    async def story(town: Town) -> None:
        under_way, most = 0, 0
        full = asyncio.Event()

        async def during(wire: Wire) -> None:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            if under_way == parallel:
                full.set()
            with contextlib.suppress(TimeoutError):  # the first ones wait for as many as there may be
                await asyncio.wait_for(full.wait(), PATIENCE)
            await asyncio.sleep(0.01)

        async def after(wire: Wire) -> None:
            nonlocal under_way
            under_way -= 1

        town.stall.during, town.stall.after = during, after
        module = Like(parallel=parallel, batch=2)
        async with town.driven(module, orders=orders_in.Polls(town.inventory)):
            for item in range(1, ITEMS + 1):
                await town.stock(item, item)
            await town.inventory.write(1, lambda c: drives.note(c, 1, 1, {"swept_at": 0, "polled_at": 0}))
            await town.calm()
            await until(lambda: town.status().swept_at and town.status().polled_at)
        assert most == parallel
        assert len(town.stall.pushes) >= ITEMS // 2
        assert {"GET /stock", "GET /orders"} <= set(town.stall.calls)

    play(town, story)


def test_who_waits_for_a_place_has_reckoned_nothing_yet(town: Town) -> None:
    """A number is what it is when it is sent, and not when somebody began to wait in line with it."""

    async def story(town: Town) -> None:
        asked, go_on = asyncio.Event(), asyncio.Event()

        async def during(wire: Wire) -> None:
            asked.set()
            await go_on.wait()

        town.stall.during = during
        async with town.driven(Like(parallel=1, batch=1)):
            await town.stock(1, 1)
            await asked.wait()
            await town.stock(2, 5)
            await asyncio.sleep(0.2)  # time enough for another lane to claim it
            await town.stock(2, 3)
            go_on.set()
            await town.calm()
        assert [(one["id"], one["quantity"]) for push in town.stall.pushes for one in push] == [
            ("1-1", 1),
            ("1-2", 3),
        ]

    play(town, story)


def test_a_channel_that_is_told_all_the_time_is_looked_at_and_polled(town: Town) -> None:
    """While numbers are under way, too: on a busy day they always are."""

    async def story(town: Town) -> None:
        asked, go_on = asyncio.Event(), asyncio.Event()

        async def during(wire: Wire) -> None:
            if wire.method != "GET":
                asked.set()
                await go_on.wait()

        town.stall.during = during
        async with town.driven(orders=orders_in.Polls(town.inventory)):
            await town.stock(1, 1)
            await asked.wait()
            await town.inventory.write(1, lambda c: drives.note(c, 1, 1, {"swept_at": 0, "polled_at": 0}))
            await until(lambda: {"GET /stock", "GET /orders"} <= set(town.stall.calls))
            assert town.stall.stock.get("1-1") is None, "the push is still under way"
            go_on.set()
            await town.calm()

    play(town, story)


def test_a_token_that_has_ended_is_replaced_where_one_request_is_allowed(town: Town) -> None:
    """Who waits for the token must not hold the only place that its refresh needs."""

    async def story(town: Town) -> None:
        town.stall.token = "t-other"
        async with town.driven(Like(parallel=1)):
            await town.stock(1, 5)
            await until(lambda: town.stall.stock.get("1-1") == 5)
        assert town.stall.refreshed == 1

    play(town, story)
