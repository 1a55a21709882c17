"""A listing that its channel shows under another SKU is of another item from then on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from courier import bazaar
from courier.test_sweeping import sweep
from courier.town import Like, Town, play
from market import line, open_market, order


def test_a_sweep_finds_what_is_sold_there_now(town: Town) -> None:
    skus: dict[str, str | None] = {f"1-{n}": f"S{n}" for n in range(1, 21)}

    def pull(settings: Any, cursor: str | None) -> Any:
        page = yield from bazaar.pull(settings, cursor)
        return replace(page, seen=tuple(replace(one, sku=skus.get(one.ids["id"])) for one in page.seen))

    async def story(town: Town) -> None:
        for n in range(1, 6):
            await town.stock(n, 10 * n)
            # The fourth was bound to its item by hand, without a SKU.
            await town.change("listings", n, sku=None if n == 4 else f"S{n}")
        async with town.driven(Like(pull=pull)) as courier:
            await town.calm()
            skus.update({"1-1": "S2", "1-2": "S1", "1-3": "nobody knows", "1-4": "S5", "1-5": None})
            await sweep(town, courier, Like(pull=pull))
            await town.calm()
            assert town.drifts() == []
            await town.stock(2, 21)
            await town.calm()
        assert {n: town.stall.stock[f"1-{n}"] for n in range(1, 6)} == {1: 21, 2: 10, 3: 30, 4: 40, 5: 50}
        listed = town.sql("SELECT id, item, sku FROM listings WHERE id <= 5 ORDER BY id")
        assert listed == [(1, 2, "S2"), (2, 1, "S1"), (3, 3, "S3"), (4, 4, None), (5, 5, "S5")]

    play(town, story)


@pytest.mark.parametrize(
    ("kept", "sold", "stock"),
    [
        ("'A'", "A", "1@1 10/3, 1@2 10/0, 2@1 10/0"),
        ("'A'", "B", "1@1 10/0, 1@2 10/0, 2@1 10/3"),
        ("'A'", "nobody knows", "1@1 10/3, 1@2 10/0, 2@1 10/0"),
        ("'A'", None, "1@1 10/3, 1@2 10/0, 2@1 10/0"),
        ("NULL", "B", "1@1 10/3, 1@2 10/0, 2@1 10/0"),
    ],
)
def test_an_order_before_the_next_sweep_is_of_the_sku_that_it_names(
    migrated_url: str, kept: str, sold: str | None, stock: str
) -> None:
    async def go() -> None:
        async with open_market(migrated_url) as here:
            await here.run(
                f"UPDATE listings SET sku = {kept} WHERE id = 1",
                "UPDATE slots SET acknowledged = 10, acknowledged_at = 1 WHERE listing = 1",
            )
            await here.take(order("X", 10, line(1, 3, sku=sold)))
            assert await here.stock() == stock
            # What the channel lowered is the number of the listing that it sold by.
            assert await here.rows("SELECT acknowledged FROM slots WHERE listing = 1") == [(7,)]

    asyncio.run(go())
