"""Levels with reserved units are remembered as they are answered, too: until a hold is changed or ends."""

from __future__ import annotations

import asyncio
import random
import threading
from typing import Any

import pytest
from sqlalchemy import Connection

from level_reader import SECOND, Reader, reading
from onhand import transact
from onhand.api import rendered
from onhand.api.schema import shown
from onhand.stock.model import Adjust, AnyCommand, Confirm, Extend, Release, SetOnHand, Ship
from onhand.store import shelf
from onhand.store.sql import direct
from onhand.work import Group, Work
from shops import PATIENCE_SECONDS, Shop
from transcript import hold, want

ITEMS = range(1, 7)
FAR = 1_000_000 * SECOND
PATHS = (
    *(f"/levels/{item}/1" for item in ITEMS),
    *(f"/levels?limit={limit}" for limit in (2, 5, 50)),
    "/levels?limit=9&location=1",
)


async def reserved(shop: Shop, api: Reader, until: int | None) -> None:
    """Twenty units of each item, one of them held under the item's number."""
    await api.inventory.record(shop.work(*(SetOnHand(item, 1, 20) for item in ITEMS)))
    await api.inventory.record(shop.works(*(Group((hold(str(i), want(i, 1), until=until),)) for i in ITEMS)))


def looks(api: Reader, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Grows with every look at the file."""
    found: list[object] = []
    read = api.inventory.read

    def counted(account: int, query: Any, **options: Any) -> Any:
        found.append(query)
        return read(account, query, **options)

    monkeypatch.setattr(api.inventory, "read", counted)
    return found


def command(dice: random.Random, now: int) -> AnyCommand:
    """Most of these concern holds, and half of those move nothing."""
    item, name = dice.choice(ITEMS), str(dice.choice(ITEMS))
    ends = now + dice.choice((5, 5, 30, 300)) * SECOND
    kind = dice.randrange(12)
    if kind < 3:
        lines = [want(one, 1) for one in {item, dice.choice(ITEMS)}]
        return hold(name, *lines, until=dice.choice((None, ends, ends)))
    if kind < 8:
        return Extend(name, dice.choice((None, ends, ends, ends)))
    others = (Confirm(name), Release(name), Ship(name), Adjust(item, 1, 1))
    return others[kind - 8]


def clock(shop: Shop) -> Work:
    """What the clock does where holds are due, with or without units to write off."""
    return shop.works(watch=tuple((item, 1) for item in ITEMS))


@pytest.mark.parametrize("seed", range(10))
def test_what_is_remembered_of_holds_is_what_is_there(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """After each of many commands all is answered as by a hub that was just started."""
    dice = random.Random(seed)
    if seed % 4 == 3:  # so that it begins anew again and again
        monkeypatch.setattr(shelf, "ALTERED_LIMIT", 1)
        monkeypatch.setattr(rendered, "LIMIT", 20)

    async def play() -> None:
        async with reading(shop) as warm:
            await reserved(shop, warm, None)
            for turn in range(80):
                some = [shop.work(command(dice, shop.now)) for _ in range(dice.choice((0, 1, 1, 4)))]
                if dice.random() < 0.2:
                    some.append(clock(shop))
                await asyncio.gather(*map(warm.inventory.record, some))
                shop.now += dice.choice((1, 1, SECOND, 4 * SECOND, 40 * SECOND))
                back = dice.choice((0, 0, 3 * SECOND)) if turn % 9 == 8 else 0
                shop.now -= back
                cold = warm.anew()
                for path in dice.sample(PATHS, 5):
                    assert await warm.get(path) == await cold.get(path), path
                shop.now += back

    asyncio.run(play())
    shop.check()


def test_nothing_is_asked_of_reserved_levels(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the first hold ends, and but for levels of which one is changed."""

    async def play() -> None:
        async with reading(shop) as api:
            await reserved(shop, api, shop.now + 10 * SECOND)
            await api.inventory.record(shop.work(Confirm("2"), Extend("3", shop.now + 20 * SECOND)))
            for _ in range(2):
                first = [await api.get(path) for path in PATHS]
            found = looks(api, monkeypatch)
            shop.now += 10 * SECOND - 1
            assert [await api.get(path) for path in PATHS] == first
            assert found == []
            await api.inventory.record(shop.work(Extend("1", shop.now + 1)))
            await api.inventory.record(shop.work(Extend("1", shop.now)))
            again = [await api.get(path) for path in PATHS]
            assert again == [await api.anew().get(path) for path in PATHS]
            assert again[1:6] == first[1:6]

    asyncio.run(play())


def test_only_what_was_altered_is_read_anew(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        async with reading(shop) as api:
            await reserved(shop, api, shop.now + FAR)
            before = [await api.get(path) for path in PATHS]
            await api.inventory.record(shop.work(Extend("1", shop.now + SECOND)))
            found = looks(api, monkeypatch)
            one = (await api.get("/levels/1/1"))[2]["next_expiry"]
            assert one < before[0][2]["next_expiry"]
            assert len(found) == 1
            assert [await api.get(path) for path in PATHS[1:6]] == before[1:6]
            assert len(found) == 1
            shop.now += SECOND
            assert (await api.level(1, 1))[1] == (await api.anew().level(1, 1))[1]
            assert [await api.get(path) for path in PATHS[1:6]] == before[1:6]

    asyncio.run(play())


@pytest.mark.parametrize("back", [1, 5 * SECOND, 15 * SECOND])
def test_time_goes_by_and_back(shop: Shop, back: int) -> None:
    """A hold counts until its moment, and again should the clock be set back behind it."""

    async def play() -> None:
        async with reading(shop) as api:
            ends = shop.now + 10 * SECOND
            await reserved(shop, api, ends)
            await api.inventory.record(shop.work(hold("later", want(1, 2), until=ends + 10 * SECOND)))
            last = ends + 10 * SECOND
            for now, units in ((ends - 1, 3), (ends, 2), (ends - back, 3), (last, 0), (ends, 2)):
                shop.now = now
                for _ in range(2):
                    seq, row = await api.level(1, 1)
                    assert row is not None
                    assert row["reserved"] == units
                    assert (await api.page("limit=50"))[1][0] == row
                    assert (seq, row) == await api.anew().level(1, 1)

    asyncio.run(play())


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("moving", [False, True])
def test_while_an_extension_is_under_way_the_file_is_asked(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, committed: bool, moving: bool
) -> None:
    """What is read meanwhile is answered, and not kept as what there is behind the commit."""
    there, go = threading.Event(), threading.Event()

    def slowly(connection: Connection, text: str) -> None:
        if text == "COMMIT" and not committed:
            there.set()
            assert go.wait(PATIENCE_SECONDS)
        direct(connection, text)
        if text == "COMMIT" and committed:
            there.set()
            assert go.wait(PATIENCE_SECONDS)

    async def play() -> None:
        async with reading(shop) as api:
            inventory = api.inventory
            await reserved(shop, api, shop.now + FAR)
            before = [await api.get(path) for path in PATHS for _ in range(2)][::2]
            monkeypatch.setattr(transact, "direct", slowly)
            more = (Adjust(2, 1, 1),) if moving else ()
            job = asyncio.ensure_future(inventory.record(shop.work(Extend("1", shop.now + SECOND), *more)))
            await asyncio.to_thread(there.wait, PATIENCE_SECONDS)
            assert inventory.settled(1) is None
            for _ in range(3):
                meanwhile = [await api.get(path) for path in PATHS]
                assert (meanwhile == before) is not committed
            go.set()
            await job
            monkeypatch.setattr(transact, "direct", direct)
            after = [await api.get(path) for path in PATHS]
            assert after == [await api.anew().get(path) for path in PATHS] != before
            assert (meanwhile == after) is committed
            assert inventory.settled(1) is not None

    asyncio.run(play())


class Race:
    """Holds whose ends come nearer and nearer, and the nearest that anybody has seen or was told of each."""

    def __init__(self, shop: Shop, api: Reader) -> None:
        self.shop = shop
        self.api = api
        self.ends = dict.fromkeys(ITEMS, "9999")
        self.writing = True
        self.seen = 0

    def saw(self, row: dict[str, Any]) -> None:
        """Nobody sees an end that is later than what somebody has seen before, or than was acknowledged."""
        assert row["next_expiry"] <= self.ends[row["item"]]
        self.ends[row["item"]] = row["next_expiry"]
        self.seen += 1

    async def read(self, item: int, limit: int = 0) -> None:
        """One level, or a page."""
        if limit:
            _, rows, _ = await self.api.page(f"limit={limit}&location=1")
        else:
            rows = [one for one in [(await self.api.level(item, 1))[1]] if one is not None]
        for row in rows:
            self.saw(row)

    async def reader(self, number: int) -> None:
        """Reads until nobody writes any more."""
        dice = random.Random(number)
        while self.writing:
            await self.read(dice.choice(ITEMS), dice.choice((0, 0, 3, 50)))
            await asyncio.sleep(dice.choice((0, 0, 0.001)))

    async def writer(self, number: int, items: tuple[int, int]) -> None:
        """Has holds end sooner, alone or with much else, and sometimes in vain; and reads what it wrote."""
        dice = random.Random(number)
        inventory, shop = self.api.inventory, self.shop
        for turn in range(1, 50):
            item, ends = dice.choice(items), shop.now + FAR - turn * SECOND
            kind = dice.randrange(6)
            groups = [Group((Extend(str(item), ends),))]
            if kind == 0:
                with pytest.raises(ValueError, match="not now"):
                    await inventory.write(1, undone(shop, Extend(str(item), shop.now + SECOND)))
            elif kind == 1:  # too much for the event loop
                groups += [Group((Adjust(7, 2, 1),))] * 1_100
            elif kind == 2:
                groups.append(Group((Adjust(item, 1, 1),)))
            await inventory.record(shop.works(*groups))
            _, row = await self.api.level(item, 1)
            assert row is not None
            self.saw(row)
            assert row["next_expiry"] == shown(ends)
            await asyncio.sleep(dice.choice((0, 0.002)))


def undone(shop: Shop, extension: Extend) -> Any:
    """A unit that extends a hold and then fails."""

    def unit(connection: Connection) -> None:
        shop.decide(connection, shop.work(extension))
        raise ValueError("not now")

    return unit


@pytest.mark.parametrize("seed", range(4))
def test_reads_race_writers_that_change_holds(shop: Shop, seed: int) -> None:
    async def play() -> None:
        async with reading(shop) as api:
            await reserved(shop, api, shop.now + FAR)
            race = Race(shop, api)
            readers = [asyncio.create_task(race.reader(seed * 100 + number)) for number in range(4)]
            pairs = ((1, 2), (3, 4), (5, 6))
            writers = [race.writer(seed * 100 + 50 + number, pair) for number, pair in enumerate(pairs)]
            try:
                await asyncio.gather(*writers)
            finally:
                race.writing = False
            await asyncio.gather(*readers)
            assert race.seen > 200

    asyncio.run(play())
    shop.check()
