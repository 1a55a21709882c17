"""A courier that dies at any named point: another takes over by lease, and nothing is lost or doubled."""

import asyncio
import time
from typing import Any

import pytest

from courier import bazaar
from courier.town import QUICK, Like, Town, play, until
from onhand.connectors.channel import (
    Guard,
)
from onhand.connectors.flow import Accepted, Later, Request, Wait
from onhand.courier.office import Clock
from onhand.courier.ports import POINTS, Crash

SHORT = QUICK._replace(lease=0.4)


class Killer:
    """Kills the courier when it comes past a point for the nth time."""

    def __init__(self, point: str, times: int = 1) -> None:
        self.point, self.left = point, times

    def __call__(self, point: str) -> None:
        if point == self.point:
            self.left -= 1
            if self.left == 0:
                raise Crash


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("times", [1, 3])
def test_nothing_is_lost_or_doubled(town: Town, point: str, times: int) -> None:
    async def story(town: Town) -> None:
        town.stall.poisoned = {"1-7"}
        for item in range(1, 21):
            await town.stock(item, item)
        first = town.courier(
            Like(batch=8), beats=SHORT, probe=Killer(point, times), owner="first", sole=False
        )
        await first.start()
        await until(first.crashed.is_set)
        await town.stock(20, 99)
        async with town.driven(Like(batch=8), beats=SHORT, owner="second", sole=False):
            await town.calm()
        assert town.stall.stock == {f"1-{n}": n for n in range(1, 20) if n != 7} | {"1-20": 99}
        assert town.sql("SELECT id FROM listings WHERE parked IS NOT NULL") == [(7,)]
        for item in (1, 19):
            assert town.slot(item) == (item, item, None)
        keys = {(row["id"], row["quantity"]): row["key"] for row in town.stall.said}
        for row in town.stall.said:
            assert row["key"] == keys[row["id"], row["quantity"]]

    play(town, story)


def test_a_lease_is_one_couriers_alone(town: Town) -> None:
    async def story(town: Town) -> None:
        for item in range(1, 21):
            await town.stock(item, item)
        options = {"beats": SHORT, "sole": False}
        async with (
            town.driven(Like(batch=1), owner="first", **options),
            town.driven(Like(batch=1), owner="second", **options),
        ):
            await town.calm()
        assert len(town.stall.said) == 20

    play(town, story)


def test_one_that_lost_its_lease_settles_nothing(town: Town) -> None:
    async def story(town: Town) -> None:
        async def robbed(wire: object) -> None:
            town.stall.after = None
            until_ = town.inventory.now() + 500_000
            await town.inventory.write(
                1, lambda c: c.exec_driver_sql(f"UPDATE drives SET owner = 'thief', until = {until_}")
            )

        town.stall.after = robbed
        async with town.driven(beats=SHORT, sole=False):
            await town.stock(1, 5)
            await until(lambda: town.stall.stock == {"1-1": 5})
            await until(lambda: len(town.stall.said) == 2)
            await town.calm()
        assert town.slot(1) == (5, 5, None)

    play(town, story)


def test_a_delta_that_was_under_way_is_looked_at_first(town: Town) -> None:
    async def story(town: Town) -> None:
        module = Like(guard=Guard.DELTA)
        async with town.driven(module):
            await town.stock(1, 10)
            await town.calm()
        first = town.courier(module, beats=SHORT, probe=Killer("told"), sole=False)
        await first.start()
        await town.stock(1, 15)
        await until(first.crashed.is_set)
        assert [row["from"] for row in town.stall.said] == [None, 10]
        async with town.driven(module, beats=SHORT, sole=False):
            await town.calm()
        assert [row["from"] for row in town.stall.said] == [None, 10, None]

    play(town, story)


class Standing:
    """The clock of a courier that stands still at a point of its first push, until it is let go."""

    def __init__(self, town: Town) -> None:
        self.now = town.inventory.now
        self.still = asyncio.Event()
        self.going = asyncio.Event()
        self.going.set()

    def __call__(self, point: str) -> None:
        if point == "prepared" and not self.still.is_set():
            self.still.set()
            self.going.clear()

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        """As `ports.Clock`."""
        found = await Clock(self.now).wait(event, seconds)
        await self.going.wait()
        return found


@pytest.mark.parametrize("linger", [0.0, 5.0], ids=["gave it back", "has the lease"])
def test_one_that_stood_still_tells_nothing_old(town: Town, linger: float) -> None:
    def push(settings: Any, targets: Any) -> Any:
        yield Wait(0.01)
        return (yield from bazaar.push(settings, targets))

    async def story(town: Town) -> None:
        clock = Standing(town)
        first = town.courier(
            Like(push=push), beats=SHORT, probe=clock, clock=clock, owner="first", sole=False
        )
        await first.start()
        await town.stock(1, 10)
        await until(clock.still.is_set)
        await town.stock(1, 4)
        beats = SHORT._replace(linger=linger)
        async with town.driven(beats=beats, owner="second", sole=False):
            await until(lambda: town.stall.stock == {"1-1": 4})
            await town.calm()
            if not linger:
                await until(lambda: town.status().owner == "")
            clock.going.set()
            await asyncio.sleep(0.3)
        await first.stop()
        assert [row["quantity"] for row in town.stall.said] == [4]
        assert town.slot(1) == (4, 4, None)

    play(town, story)


def test_what_is_to_be_remembered_is_kept_before_it_is_told_again(town: Town) -> None:
    """A flow that must do harm notes first how to put it right, and goes on when the note is kept."""
    notes: list[dict[str, str]] = []

    def push(settings: Any, targets: Any) -> Any:
        notes.append(dict(targets[0].notes))
        yield Request("POST", "/stock", json=[])
        if not targets[0].notes:
            return [Later(target, "first things first", 0.01, {"rows": "[1]"}) for target in targets]
        return [Accepted(target, notes={"rows": ""}) for target in targets]

    async def story(town: Town) -> None:
        first = town.courier(Like(push=push), beats=SHORT, probe=Killer("told", 2), sole=False)
        await first.start()
        await town.stock(1, 5)
        await until(first.crashed.is_set)
        async with town.driven(Like(push=push), beats=SHORT, sole=False):
            await town.calm()
        assert notes == [{}, {"rows": "[1]"}, {"rows": "[1]"}]
        assert town.sql("SELECT notes FROM listings WHERE id = 1") == [("{}",)]

    play(town, story)


def test_who_is_told_to_stop_settles_what_was_sent(town: Town) -> None:
    async def story(town: Town) -> None:
        town.stall.latency = 0.3
        async with town.driven():
            await town.stock(1, 5)
            await until(lambda: town.stall.calls)
        assert town.waiting() == 0
        assert town.slot(1) == (5, 5, None)
        assert town.status().owner == ""

    play(town, story)


def test_who_is_told_to_stop_does_not_wait_for_a_slow_import(town: Town) -> None:
    def push(settings: Any, targets: Any) -> Any:
        yield Request("GET", "/me")
        yield Wait(3600)
        return []

    async def story(town: Town) -> None:
        began = time.monotonic()
        async with town.driven(Like(push=push)):
            await town.stock(1, 5)
            await until(lambda: town.stall.calls)
        assert time.monotonic() - began < 5
        assert town.waiting() == 1

    play(town, story)
