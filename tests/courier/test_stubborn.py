"""A channel that turns calls away: it is not asked again at once, and `explain` says when it is."""

from __future__ import annotations

import asyncio

import pytest

from courier.stall import reply
from courier.town import FakeTime, Town, play, until
from onhand.courier.office import Beats
from onhand.outward import watching
from onhand.outward.explaining import UNCOUNTED, explain
from onhand.store.engine import reading


@pytest.mark.parametrize("after", ["0", "-3", "nan", "soon"])
def test_a_throttle_of_no_seconds_is_no_leave_to_go_on(town: Town, after: str) -> None:
    async def story(town: Town) -> None:
        town.stall.faults = [reply(429, {"words": "slow down"}, retry_after=after)] * 10_000
        async with town.driven():
            await town.stock(1, 10)
            await asyncio.sleep(1.5)
            assert len(town.stall.calls) <= 10, len(town.stall.calls)
            town.stall.faults = []

    play(town, story)


def test_what_is_put_off_is_explained_by_the_time_of_its_next_try(town: Town) -> None:
    def why(number: int) -> str | None:
        with reading(town.store, 1) as connection:
            row = watching.listing(connection, 1, number)
            found = explain(connection, 1, row, town.inventory.now())["waiting"]
        return None if found is None else str(found)

    async def story(town: Town) -> None:
        town.stall.faults = [reply(429, {"words": "enough for today"}, retry_after="3600")]
        async with town.driven():
            await town.stock(1, 10)
            await until(lambda: town.sql("SELECT 1 FROM outbox WHERE attempts = 1"))
        assert "enough for today" in str(why(1)) and "told again at 20" in str(why(1))
        assert why(2) == UNCOUNTED

    play(town, story)


def test_how_long_a_channel_was_down_is_not_held_against_its_listings(
    slow_town: tuple[Town, FakeTime],
) -> None:
    """It is back, and throttles: what it turns away is told again soon, however often that had failed."""
    town, time = slow_town
    beats = Beats(look=0.5, lease=3600.0, linger=100_000.0, rest=0.01, gather=0.01, again=1.0, grace=1.0)

    async def story(town: Town) -> None:
        town.stall.down = True
        async with town.driven(clock=time, beats=beats):
            await town.stock(1, 10)
            await time.ahead(1500, step=5)
            assert town.sql("SELECT 1 FROM outbox WHERE attempts >= 7")
            town.stall.down = False
            town.stall.faults = [reply(429, {"words": "slow down"}) for _ in range(4)]
            while len(town.stall.faults) == 4:
                await time.ahead(5)
            await time.ahead(30)
            assert town.stall.stock == {"1-1": 10}

    play(town, story)
