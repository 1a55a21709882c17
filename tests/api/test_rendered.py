"""Levels are remembered as they are answered, on SQLite: it is what would be answered without."""

from __future__ import annotations

import asyncio
import random
import threading
from typing import Any

import pytest
from sqlalchemy import Connection

from level_reader import SECOND, Reader, command, reading, rename
from onhand.api import rendered
from onhand.stock.model import Adjust, Extend, SetOnHand
from onhand.store import onestep
from shops import PATIENCE_SECONDS, Shop
from transcript import hold, want

QUERIES = (
    *(f"/levels?limit={limit}" for limit in (1, 2, 4, 100)),
    *(f"/levels?limit={limit}&location={at}" for limit in (2, 50) for at in (1, 2)),
    "/levels?limit=3&location=name:place%203",
    *(f"/levels/{item}/{at}" for item in (1, 2, 3) for at in (1, 2)),
    "/levels/sku:SKU-4/name:place%202",
)


async def walked(reader: Reader, path: str) -> list[Any]:
    """The answers of a path: all pages of a list."""
    found = [await reader.get(path)]
    while path.startswith("/levels?") and (more := found[-1][2]["next_cursor"]):
        found.append(await reader.get(f"{path}&cursor={more}"))
    return found


@pytest.mark.parametrize("seed", range(8))
def test_what_is_remembered_is_what_is_there(shop: Shop, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """After each of many commands all is answered as by a hub that was just started."""
    dice = random.Random(seed)
    if seed % 4 == 3:  # so that it begins anew again and again
        monkeypatch.setattr(rendered, "FOLLOWED_LIMIT", 2)
        monkeypatch.setattr(rendered, "PAGES_LIMIT", 3)
        monkeypatch.setattr(rendered, "LIMIT", 30)

    async def play() -> None:
        async with reading(shop) as warm:
            await warm.inventory.record(shop.work(*(SetOnHand(item, 1, 20) for item in range(1, 5))))
            for _ in range(60):
                for _ in range(dice.choice((0, 2, 2, 5))):
                    work = shop.work(*(command(dice, shop.now) for _ in range(dice.choice((1, 1, 2)))))
                    await warm.inventory.record(work)
                shop.now += dice.choice((1, 1, 60 * SECOND))
                cold = warm.anew()
                for path in dice.sample(QUERIES, 4):
                    assert await walked(warm, path) == await walked(cold, path), path

    asyncio.run(play())
    assert len(shop.history()) > 30
    shop.check()


def test_names_are_new_at_once(shop: Shop) -> None:
    async def play() -> None:
        async with reading(shop) as api:
            await api.inventory.record(shop.work(SetOnHand(1, 1, 5), SetOnHand(2, 1, 5)))
            for sku in ("A", "B"):
                await api.inventory.write(1, rename(1, sku))
                for _ in range(2):
                    _, row = await api.level(1, 1)
                    _, rows, _ = await api.page("limit=10")
                    assert row is not None
                    assert [row["sku"], *(one["sku"] for one in rows)] == [sku, sku, "SKU-2"]

    asyncio.run(play())


def test_an_extension_shows_though_nothing_moves(shop: Shop) -> None:
    async def play() -> None:
        async with reading(shop) as api:
            await api.inventory.record(shop.work(SetOnHand(1, 1, 5), hold("h", want(1, 2))))

            async def expiries() -> list[str | None]:
                _, row = await api.level(1, 1)
                _, rows, _ = await api.page("limit=10")
                assert row is not None
                return [row["next_expiry"], rows[0]["next_expiry"]]

            assert await expiries() == [None, None]
            await api.inventory.record(shop.work(Extend("h", shop.now + SECOND)))
            first = await expiries()
            assert None not in first
            shop.now += 2 * SECOND
            seq, row = await api.level(1, 1)
            assert row is not None
            assert (seq, row["reserved"], row["next_expiry"]) == (2, 0, None)
            assert (await api.page("limit=10"))[1] == [row]

    asyncio.run(play())


def test_nothing_is_asked_of_what_did_not_move(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        async with reading(shop) as api:
            await api.inventory.record(shop.work(SetOnHand(1, 1, 5), SetOnHand(2, 1, 5)))
            paths = ("/levels/1/1", "/levels?limit=1", "/levels?limit=9")
            first = [await api.get(path) for path in paths]
            assert [await api.get(path) for path in paths] == first

            async def nothing(*_: object, **__: object) -> None:
                raise AssertionError

            with monkeypatch.context() as patch:
                patch.setattr(api.inventory, "read", nothing)
                again = [await api.get(path) for path in paths]
                tag = first[0][1][b"etag"].decode()
                assert (await api.get("/levels/1/1", if_none_match=tag))[0] == 304
            assert again == first

    asyncio.run(play())


@pytest.mark.parametrize("committed", [False, True])
def test_while_a_commit_is_under_way_the_file_is_asked(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    """What is decided and not committed is seen by nobody, and what is committed by everybody at once."""
    there, go = threading.Event(), threading.Event()
    do = onestep.do

    def slowly(connection: Connection, what: onestep.Deed) -> None:
        if committed:
            do(connection, what)
        there.set()
        assert go.wait(PATIENCE_SECONDS)
        if not committed:
            do(connection, what)

    async def play() -> None:
        async with reading(shop) as api:
            inventory = api.inventory
            await inventory.record(shop.work(SetOnHand(1, 1, 5)))
            first = await api.level(1, 1)
            assert (inventory.settled(1), first[0]) == ((1, shop.now), 1)
            assert await api.level(1, 1) == first
            monkeypatch.setattr(onestep, "do", slowly)
            work = asyncio.ensure_future(inventory.record(shop.work(Adjust(1, 1, 1))))
            await asyncio.to_thread(there.wait, PATIENCE_SECONDS)
            assert inventory.settled(1) is None
            seq, row = await api.level(1, 1)
            pages = [await api.page("limit=5") for _ in range(3)]
            go.set()
            await work
            now = 2 if committed else 1
            assert row is not None
            assert (seq, row["on_hand"]) == (now, 4 + now)
            assert pages == [(now, [row], None)] * 3
            assert inventory.settled(1) == (2, shop.now)
            assert (await api.level(1, 1))[0] == 2

    asyncio.run(play())
