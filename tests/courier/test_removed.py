"""A connection that is removed, and made anew, while a number is on its way to it."""

import asyncio

import pytest
from structlog.testing import capture_logs

from courier import bazaar
from courier.town import QUICK, Town, connect, play, until
from onhand.connectors.auth import Wire
from onhand.outward.equipment import Equipment
from onhand.outward.leaving import leave
from onhand.settings import Settings


@pytest.mark.parametrize("answers", [True, False], ids=["it answers", "it never does"])
def test_a_push_under_way_ends_before_its_connection_is_gone(town: Town, answers: bool) -> None:
    async def story(town: Town) -> None:
        asked, go_on = asyncio.Event(), asyncio.Event()

        async def during(wire: Wire) -> None:
            asked.set()
            await go_on.wait()

        town.stall.during = during
        equipment = Equipment(town.inventory, Settings(), modules=[bazaar], transport=town.stall)
        async with town.driven(beats=QUICK._replace(grace=0.6)):
            await town.stock(1, 5)
            await asked.wait()
            leaving = asyncio.create_task(leave(equipment, 1, 1))
            await asyncio.sleep(0.3)
            assert not leaving.done(), "somebody drives it"
            assert town.sql("SELECT COUNT(*) FROM connections WHERE id = 1") == [(1,)]
            if answers:
                go_on.set()
            assert (await leaving).done
            for table in ("connections", "listings", "outbox", "slots", "drives"):
                assert town.sql(f"SELECT COUNT(*) FROM {table}") == [(0,)], table
            assert town.stall.stock == ({"1-1": 5} if answers else {})

            go_on.set()
            await asyncio.sleep(0.1)
            link = await town.inventory.write(1, lambda c: connect(c, 2, name="again"))
            assert link != 1
            await town.stock(1, 4)
            await until(lambda: town.stall.stock.get(f"{link}-1") == 4)
            assert town.stall.stock.get("1-1") == (5 if answers else None), "the old one is told nothing more"

    with capture_logs() as logged:
        play(town, story)
    assert [one for one in logged if one["log_level"] in ("error", "critical")] == []
