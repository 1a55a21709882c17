"""A clock that was set back: what was noted in a time that is not yet keeps no channel from being told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from courier.town import FakeTime, Like, Town, play, until
from onhand.connectors.channel import Guard
from onhand.connectors.flow import Response
from onhand.courier.office import Beats
from onhand.orders_in import Polls
from onhand.settings import Settings
from onhand.store import drives

HOUR = 3600
STEP = 0.5
BUSY = Beats(look=0.25, lease=15.0, linger=5.0, rest=0.1, gather=0.03, again=60.0, grace=10.0)
OFTEN = Settings(sweep_seconds=60, poll_seconds=60)


def back(time: FakeTime, seconds: int = HOUR) -> None:
    """Set the clock back; who sleeps goes on sleeping for as long as before."""
    time._now -= seconds * 1_000_000
    time._sleepers = [(due - seconds * 1_000_000, over) for due, over in time._sleepers]


async def soon(town: Town, time: FakeTime, seconds: float, true: Callable[[], bool]) -> None:
    """See something come true before so much time has passed, which waits for a machine that is slow."""
    for _ in range(int(seconds / STEP)):
        await time.ahead(STEP)
        for _ in range(20):
            if true():
                return
            await asyncio.sleep(0.005)
    raise AssertionError(f"{town.stall.calls} {town.stall.stock} {town.status()}")


async def told(town: Town, time: FakeTime, listing: int, units: int) -> None:
    """Change what there is, and see the channel told within seconds."""
    await town.stock(listing, units)
    await soon(town, time, 10, lambda: town.stall.stock.get(f"1-{listing}") == units)


@pytest.mark.parametrize("linger", [0.0, 5.0, 100_000.0])
def test_a_change_is_told_at_once(slow_town: tuple[Town, FakeTime], linger: float) -> None:
    town, time = slow_town

    async def story(town: Town) -> None:
        async with town.driven(clock=time, beats=BUSY._replace(linger=linger)):
            await told(town, time, 1, 10)
            await time.ahead(1)
            back(time)
            await told(town, time, 1, 7)
            await told(town, time, 2, 7)
            back(time)
            await told(town, time, 1, 3)

    play(town, story)


async def asked(town: Town, time: FakeTime) -> None:
    """See the channel asked for its orders and for what it shows, within seconds."""
    await soon(town, time, 30, lambda: {"GET /orders", "GET /stock"} <= set(town.stall.calls))


def looked_at(town: Town) -> int:
    """When the last of its orders and of what it shows was noted."""
    status = town.status()
    return min(status.swept_at or 0, status.polled_at or 0)


@pytest.mark.parametrize("again", [False, True])
def test_orders_are_asked_for_and_the_channel_is_looked_at(
    slow_town: tuple[Town, FakeTime], again: bool
) -> None:
    """Also by a hub that is started after its clock was set right."""
    town, time = slow_town

    async def story(town: Town) -> None:
        options: dict[str, Any] = {"clock": time, "beats": BUSY, "settings": OFTEN}
        began = time.now()
        async with town.driven(orders=Polls(town.inventory), **options):
            await time.ahead(60, step=5.0)
            # Noted, too: else what is under way would be noted with the time after the jump.
            await soon(town, time, 30, lambda: looked_at(town) > began)
            if not again:
                back(time, 10 * HOUR)
                town.stall.calls.clear()
                await asked(town, time)
                return
        back(time, 10 * HOUR)
        town.stall.calls.clear()
        async with town.driven(orders=Polls(town.inventory), **options):
            await asked(town, time)

    play(town, story)


def test_the_lease_of_a_courier_that_died_lapses(slow_town: tuple[Town, FakeTime]) -> None:
    """And not only when the time has come that its clock showed."""
    town, time = slow_town

    async def story(town: Town) -> None:
        courier = town.courier(clock=time, beats=BUSY)
        await courier.start()
        await told(town, time, 1, 10)
        courier.kill()
        back(time)
        async with town.driven(clock=time, beats=BUSY):
            await told(town, time, 1, 7)

    play(town, story)


def test_a_channel_that_was_down_is_tried(slow_town: tuple[Town, FakeTime]) -> None:
    town, time = slow_town

    async def story(town: Town) -> None:
        town.stall.down = True
        async with town.driven(clock=time, beats=BUSY):
            await town.stock(1, 10)
            await time.ahead(60)
            assert town.status().open_until is not None
            town.stall.down = False
            back(time)
            await time.ahead(320, step=2.0)
            assert town.stall.stock == {"1-1": 10}

    play(town, story)


def test_what_was_put_off_is_told(slow_town: tuple[Town, FakeTime]) -> None:
    town, time = slow_town

    async def story(town: Town) -> None:
        town.stall.faults = [Response(429, {"retry-after": "20"})]
        async with town.driven(clock=time, beats=BUSY):
            await town.stock(1, 10)
            await until(lambda: town.stall.calls)
            back(time)
            await soon(town, time, 120, lambda: town.stall.stock == {"1-1": 10})

    play(town, story)


def test_what_the_channel_was_seen_to_show_counts(slow_town: tuple[Town, FakeTime]) -> None:
    """Compare-and-set goes by the newer of what it confirmed and what it showed: a confirmation from a time
    that is not yet must not hide every look behind it."""
    town, time = slow_town

    async def story(town: Town) -> None:
        town.stall.compare = True
        async with town.driven(Like(guard=Guard.COMPARE), clock=time, beats=BUSY):
            await told(town, time, 1, 10)
            back(time)
            town.stall.stock["1-1"] = 8
            await told(town, time, 1, 12)

    play(town, story)


def test_drift_is_found(slow_town: tuple[Town, FakeTime]) -> None:
    town, time = slow_town

    async def story(town: Town) -> None:
        async with town.driven(clock=time, beats=BUSY, settings=OFTEN):
            await told(town, time, 1, 10)
            back(time)
            town.stall.stock["1-1"] = 99
            await town.inventory.write(1, lambda c: drives.note(c, 1, 1, {"swept_at": 0}))
            await soon(town, time, 10, lambda: town.stall.stock["1-1"] == 10)

    play(town, story)
