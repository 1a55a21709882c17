"""A channel that turns calls away and names no seconds, or none that count, is not asked again at once."""

from __future__ import annotations

import asyncio

import pytest

from courier.stall import reply
from courier.town import Town, play


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
