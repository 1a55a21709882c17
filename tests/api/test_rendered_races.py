"""Reads of levels race writers of all kinds."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection

from level_reader import Past, Reader, command, reading, rename
from onhand.stock.model import Adjust, SetOnHand
from onhand.work import Group
from shops import Shop


def undone(shop: Shop) -> Callable[[Connection], None]:
    """A unit that moves levels and then fails."""

    def unit(connection: Connection) -> None:
        shop.decide(connection, shop.work(Adjust(1, 1, 1), Adjust(2, 1, 1)))
        raise ValueError("not now")

    return unit


class Race:
    """What was seen, and the highest number that anybody has seen or was given."""

    def __init__(self, shop: Shop, api: Reader) -> None:
        self.shop = shop
        self.api = api
        self.latest = 0
        self.writing = True
        self.seen: list[tuple[int, list[dict[str, Any]]]] = []
        self.whole: list[tuple[int, list[dict[str, Any]], int]] = []

    def saw(self, seq: int, rows: list[dict[str, Any]]) -> None:
        """Nobody sees less than anybody before, or than was acknowledged."""
        assert seq >= self.latest
        self.latest = seq
        self.seen.append((seq, rows))

    async def read(self, dice: random.Random) -> None:
        """Any of the reads."""
        kind = dice.randrange(4)
        if kind == 0:
            at = dice.choice((1, 2, 3))
            seq, rows, more = await self.api.page(f"limit=50&location={at}")
            assert more is None
            self.saw(seq, rows)
            self.whole.append((seq, rows, at))
        elif kind == 1:
            seq, rows, _ = await self.api.page(f"limit={dice.choice((2, 100))}")
            self.saw(seq, rows)
        else:
            seq, row = await self.api.level(dice.randint(1, 6), dice.choice((1, 2, 3)))
            if row is not None:
                self.saw(seq, [row])

    async def write(self, dice: random.Random, turn: str) -> None:
        """Any of the writes; what it was told counts as seen."""
        kind, inventory, shop = dice.randrange(12), self.api.inventory, self.shop
        if kind == 0:
            await inventory.write(1, rename(dice.randint(1, 6), f"R-{turn}"))
        elif kind == 1:
            with pytest.raises(ValueError, match="not now"):
                await inventory.write(1, undone(shop))
        elif kind == 2:
            some = [shop.work(command(dice, shop.now)) for _ in range(5)]
            await asyncio.gather(*map(inventory.record, some))
        else:
            work = shop.work(command(dice, shop.now))
            if kind == 3:  # too much for the event loop
                work = shop.works(*(Group((Adjust(1, 1, 1),)),) * 1_100)
            self.latest = max(self.latest, (await inventory.record(work)).seq)
            await self.read(dice)

    async def reader(self, number: int) -> None:
        """Reads until nobody writes any more."""
        dice = random.Random(number)
        while self.writing:
            await self.read(dice)
            await asyncio.sleep(dice.choice((0, 0, 0.001)))

    async def writer(self, number: int) -> None:
        """Writes, and reads what it wrote."""
        dice = random.Random(number)
        for turn in range(60):
            await self.write(dice, f"{number}-{turn}")
            await asyncio.sleep(dice.choice((0, 0.002)))


@pytest.mark.parametrize("seed", range(4))
def test_reads_race_writers_of_all_kinds(shop: Shop, seed: int) -> None:
    """Every answer is the ledger as of its own number, no number is lower than one that somebody has seen
    before, and who wrote reads it."""

    async def play() -> Race:
        async with reading(shop) as api:
            race = Race(shop, api)
            await api.inventory.record(shop.work(*(SetOnHand(item, 1, 20) for item in range(1, 7))))
            readers = [asyncio.create_task(race.reader(seed * 100 + number)) for number in range(4)]
            await asyncio.gather(*(race.writer(seed * 100 + 50 + number) for number in range(3)))
            race.writing = False
            await asyncio.gather(*readers)
            return race

    race = asyncio.run(play())
    past = Past(shop)
    assert len(race.seen) > 200
    for seq, rows in race.seen:
        assert all(past.holds(seq, row) for row in rows)
    for seq, rows, at in race.whole:
        assert [(row["item"], row["location"]) for row in rows] == past.places(seq, at)
    shop.check()
