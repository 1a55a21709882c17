"""A connection that is paused is told nothing from that commit on, and all that it missed when it goes on."""

from __future__ import annotations

import asyncio
from typing import Any

from courier.town import ITEMS, QUICK, Like, Town, play, until

SELDOM = QUICK._replace(look=30.0, linger=30.0)
"""A courier that does not look at the connection, or for other work, while a test runs."""


def test_a_paused_connection_is_silent(town: Town) -> None:
    async def story(town: Town) -> None:
        async with town.driven():
            await town.stock(1, 1)
            await town.calm()
            await town.change("connections", 1, paused=1)
            calls = len(town.stall.calls)
            await until(lambda: town.status().owner == "")
            await town.stock(1, 2)
            await town.stock(2, 2)
            await until(lambda: town.waiting() == 2)
            assert len(town.stall.calls) == calls
            await town.change("connections", 1, paused=0)
            await town.calm()
        assert town.stall.stock == {"1-1": 2, "1-2": 2}

    play(town, story)


def test_it_is_so_before_the_courier_has_read_of_it(town: Town) -> None:
    async def story(town: Town) -> None:
        reads = 0
        read = town.inventory.read

        def counted(*given: Any, **options: Any) -> Any:
            nonlocal reads
            reads += 1
            return read(*given, **options)

        async with town.driven(Like(batch=3), beats=SELDOM):
            await town.stock(1, 1)
            await town.calm()
            await town.change("connections", 1, paused=1)
            town.inventory.read = counted  # type: ignore[method-assign]
            for item in range(1, ITEMS + 1):
                await town.stock(item, 2)
            await asyncio.sleep(0.3)
            assert (town.status().owner != "", town.waiting()) == (True, ITEMS)
            assert town.stall.stock == {"1-1": 1}
            assert reads <= 4 * ITEMS, "it goes on looking"
            await town.change("connections", 1, paused=0)
            town.inventory.marked({(1, 1)})
            await town.calm()
        assert town.stall.stock == {f"1-{item}": 2 for item in range(1, ITEMS + 1)}

    play(town, story)
