"""Listings of what nobody has counted here: their channel keeps its own number until somebody does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from courier.test_sweeping import sweep
from courier.town import Town, play, until
from onhand.outward import explaining, steering, watching
from onhand.outward.equipment import Refusal
from onhand.stock.model import Forget, SetInfinite
from onhand.stock.offering import Rules
from onhand.store import catalog, feeding, linking
from onhand.store.engine import reading
from onhand.work import Group, Work


def waiting(town: Town, number: int) -> Any:
    """Why a listing is not told, as `explain` has it."""
    with reading(town.store, 1) as connection:
        row = watching.listing(connection, 1, number)
        return explaining.explain(connection, 1, row, town.inventory.now())["waiting"]


async def mark(town: Town, *listings: int) -> None:
    """As an import, a rule that changes, and `onhand push --all` do."""
    marked = await town.inventory.write(1, lambda c: feeding.mark(c, 1, listings, town.inventory.now()))
    town.inventory.marked(marked)
    await until(lambda: town.waiting() == 0)


def test_a_shop_that_sells_is_not_emptied(town: Town) -> None:
    async def story(town: Town) -> None:
        town.stall.stock = {"1-1": 33, "1-2": 7}
        equipment: Any = SimpleNamespace(inventory=town.inventory, now=town.inventory.now)
        async with town.driven() as courier:
            await town.stock(2, 5)
            await mark(town, 1, 2)
            for _ in range(2):
                await sweep(town, courier)
                await town.calm()
            assert town.stall.stock == {"1-1": 33, "1-2": 5}
            assert [drift for drift in town.drifts() if drift[0] == 1] == []
            assert town.slot(1) == (None, None, 33)
            assert (waiting(town, 1), waiting(town, 2)) == (explaining.UNCOUNTED, None)
            with pytest.raises(Refusal, match=explaining.UNCOUNTED):
                await steering.push(equipment, 1, 1)
            await town.stock(1, 0)
            await town.calm()
            assert (town.stall.stock["1-1"], waiting(town, 1)) == (0, None)

    play(town, story)


@pytest.mark.parametrize("units", [None, 12])
def test_the_first_count_is_told(town: Town, units: int | None) -> None:
    async def story(town: Town) -> None:
        town.stall.stock = {"1-1": 33}
        async with town.driven():
            await mark(town, 1)
            if units is None:
                work = Work(1, (Group((SetInfinite(1, 1, True),)),), "test")
                await town.inventory.record(work)
            else:
                await town.stock(1, units)
            await town.calm()
            assert town.stall.stock["1-1"] == (999 if units is None else units)

    play(town, story)


def test_what_was_counted_elsewhere_or_forgotten_shows_0(town: Town) -> None:
    async def story(town: Town) -> None:
        town.stall.stock = {"1-1": 33, "1-2": 7}
        await town.stock(1, 4, location=2)
        await town.stock(2, 0)
        await town.inventory.record(Work(1, (Group((Forget(2, 1),)),), "test"))
        async with town.driven():
            await mark(town, 1, 2)
            assert town.stall.stock == {"1-1": 0, "1-2": 0}

    play(town, story)


def test_a_person_empties_it_all_the_same(town: Town) -> None:
    async def story(town: Town) -> None:
        town.stall.stock = {"1-1": 33, "1-2": 7, "1-3": 2}
        now = town.inventory.now()
        await town.inventory.write(1, lambda c: linking.set_rules(c, 1, 1, Rules(cap=0), now))
        await town.change("listings", 2, status="closed")
        await town.inventory.write(1, lambda c: linking.set_rules(c, 1, 3, Rules(cap=9), now))
        async with town.driven():
            await mark(town, 1, 2, 3)
            assert town.stall.stock == {"1-1": 0, "1-2": 0, "1-3": 2}

    play(town, story)


def test_a_kit_of_what_nobody_has_counted(town: Town) -> None:
    async def story(town: Town) -> None:
        town.stall.stock = {"1-1": 33}
        now = town.inventory.now()
        await town.inventory.write(1, lambda c: catalog.set_kit(c, 1, 1, {2: 2, 3: 2}, now))
        async with town.driven():
            await mark(town, 1)
            assert town.stall.stock == {"1-1": 33}
            await town.stock(2, 8)
            await town.calm()
            assert town.stall.stock["1-1"] == 0
            await town.stock(3, 5)
            await town.calm()
            assert town.stall.stock["1-1"] == 2

    play(town, story)
