"""What moves is told: soon, once for many changes, the last number wins, and nothing is lost on the way."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from courier import bazaar
from courier.town import QUICK, Like, Town, play, until
from onhand.connectors.auth import Wire
from onhand.connectors.flow import Flow, Target, Verdict
from onhand.courier.office import Beats


def test_a_change_is_told_and_settled(town: Town) -> None:
    async def story(town: Town) -> None:
        async with town.driven():
            await town.stock(3, 7)
            await town.calm()
        assert town.stall.stock == {"1-3": 7}
        assert town.slot(3) == (7, 7, None)
        assert town.sql("SELECT notes, parked FROM listings WHERE id = 3")[0][1] is None

    play(town, story)


def test_a_connector_is_told_when_its_numbers_were_computed(town: Town) -> None:
    at: list[int] = []

    def push(settings: Any, targets: Sequence[Target]) -> Flow[list[Verdict]]:
        at.extend(one.at for one in targets)
        return (yield from bazaar.push(settings, targets))

    async def story(town: Town) -> None:
        before = town.inventory.now()
        async with town.driven(Like(push=push)):
            await town.stock(3, 7)
            await town.calm()
        assert at
        assert all(before <= one <= town.inventory.now() for one in at)

    play(town, story)


def test_an_idle_hub_tells_within_a_quarter_of_a_second(town: Town) -> None:
    async def story(town: Town) -> None:
        async with town.driven():
            spent = []
            for round_ in range(8):
                began = time.monotonic()
                await town.stock(1, 10 + round_)
                await until(lambda: town.stall.stock.get("1-1") == 10 + round_)  # noqa: B023
                spent.append(time.monotonic() - began)
                await town.calm()
            assert sorted(spent)[4] < 0.2, spent

    play(town, story)


def test_what_another_process_marks_is_found(town: Town) -> None:
    async def story(town: Town) -> None:
        async with town.driven(beats=QUICK._replace(linger=30.0)):
            await town.stock(1, 1)
            await town.calm()
            town.inventory.marked = lambda marked: None
            await town.stock(1, 2)
            await until(lambda: town.stall.stock == {"1-1": 2}, 20.0)

    play(town, story)


def test_a_thousand_changes_go_in_few_pushes_and_the_last_wins(town: Town) -> None:
    async def story(town: Town) -> None:
        town.stall.latency = 0.02
        async with town.driven(beats=Beats()):
            await asyncio.gather(*(town.stock(1, units) for units in range(1, 1001)))
            await town.calm()
        assert town.stall.stock == {"1-1": 1000}
        assert len(town.sql("SELECT seq FROM movements")) == 1000
        assert len(town.stall.pushes) < 60

    play(town, story)


def test_stock_that_moves_while_a_request_is_under_way_is_told_again(town: Town) -> None:
    async def story(town: Town) -> None:
        async def sells(wire: Wire) -> None:
            town.stall.during = None
            await town.stock(1, 4)

        town.stall.during = sells
        async with town.driven():
            await town.stock(1, 9)
            await town.calm()
        assert [row["quantity"] for row in town.stall.said] == [9, 4]
        assert town.slot(1) == (4, 4, None)

    play(town, story)
