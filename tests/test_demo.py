"""The demo account: made once, found again, its credentials kept while they match, else issued anew."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import pytest

from hubs import BASE_URL, setups
from onhand import demo, merchandise
from onhand.auth import check
from onhand.demo import DemoFailed
from onhand.inventory import Inventory
from onhand.sample import SHARED
from onhand.stock.model import Adjust
from onhand.store import accounts, catalog, levels
from onhand.store.engine import Store, open_store
from onhand.work import Group, Recorded, Work
from side_by_side import behind

T = TypeVar("T")
SETUPS = setups(["treet"])
LEVELS = 36 * 2 + 3


@pytest.fixture
def store(migrated_url: str) -> Iterator[Store]:
    opened = open_store(migrated_url)
    yield opened
    opened.close()


def with_inventory(store: Store, job: Callable[[Inventory], Awaitable[T]]) -> T:
    async def run() -> T:
        inventory = Inventory(store)
        inventory.start()
        try:
            return await job(inventory)
        finally:
            await inventory.stop()

    return asyncio.run(run())


def created(store: Store, **options: Any) -> dict[str, Any]:
    base: str = options.pop("base_url", BASE_URL)
    return with_inventory(store, lambda inventory: demo.create(inventory, base, SETUPS, **options))


def stock(store: Store) -> dict[tuple[int, int], int]:
    async def look(inventory: Inventory) -> dict[tuple[int, int], int]:
        found = await inventory.read(1, lambda c: levels.page(c, 1, (0, 0), 1000, inventory.now()))
        return {place: level.on_hand for place, level in found.items()}

    return with_inventory(store, look)


def test_the_world(store: Store) -> None:
    made = created(store)
    assert made["base_url"] == BASE_URL
    assert made["treet"]["base_url"] == f"{BASE_URL}/treet"
    sample = with_inventory(store, lambda i: i.read(1, lambda c: demo.sample(c, 1)))
    assert len(sample.items) == 40
    assert [(one.id, one.name, one.seller) for one in sample.locations] == [
        (1, "MAIN", 1),
        (2, "EAST", 2),
        (3, "WEST", 3),
    ]
    assert [(one.id, one.own, one.default_location) for one in sample.sellers] == [
        (1, True, 1),
        (2, False, 2),
        (3, False, 3),
    ]
    assert [item.id for item in sample.items.values() if item.parent == 21] == [22, 23, 24]
    assert [item.id for item in sample.block(7, 12)] == [7, 8, 9, 10, 11, 12, SHARED]


def test_the_opening_stock(store: Store) -> None:
    created(store)
    found = stock(store)
    by_item = {n: {at: units for (item, at), units in found.items() if item == n} for n in range(1, 41)}
    assert by_item[1] == {1: 10}
    assert by_item[7] == {1: 5}
    assert by_item[21] == {}
    assert by_item[SHARED] == {1: 50}
    assert by_item[8] == {1: 28, 2: 10}
    assert by_item[39] == {1: 59, 2: 10}


def test_what_is_kept_is_given_back(store: Store) -> None:
    first = created(store)
    kept = json.loads(json.dumps(first))
    assert created(store, kept=kept) == first
    elsewhere = created(store, kept=kept, base_url="http://127.0.0.1:9")
    assert elsewhere["treet"] == first["treet"] | {"base_url": "http://127.0.0.1:9/treet"}
    assert len(stock(store)) == LEVELS


def account_behind(store: Store, headers: dict[str, str]) -> int | None:
    client, key = headers.values()
    caller = with_inventory(store, lambda i: i.read(0, lambda c: check(c, "treet", client, key, i.now())))
    return caller.account if caller else None


@pytest.mark.parametrize(
    "kept",
    [None, {}, {"base_url": BASE_URL}, {"treet": 5}, {"treet": {"headers": {}, "listings": []}}],
)
def test_otherwise_credentials_are_issued_anew(store: Store, kept: dict[str, Any] | None) -> None:
    first = created(store)
    again = created(store, kept=kept)
    assert again["treet"]["headers"] != first["treet"]["headers"]
    assert again["treet"]["listings"] == first["treet"]["listings"]
    for made in (first, again):
        assert account_behind(store, made["treet"]["headers"]) == 1


def test_the_stock_is_recorded_although_the_hub_was_killed_before(store: Store) -> None:
    async def half(inventory: Inventory) -> None:
        await inventory.write(0, lambda c: demo.ensure(c, demo.ACCOUNT, SETUPS, inventory.now()))

    with_inventory(store, half)
    assert stock(store) == {}
    created(store)
    assert stock(store)[7, 1] == 5
    assert len(stock(store)) == LEVELS


def test_what_is_sold_while_the_demo_is_made_twice_stays_sold(store: Store) -> None:
    async def sold_in_between(inventory: Inventory) -> None:
        record, ends = inventory.record, asyncio.Event()
        works: list[Work] = []

        async def late(work: Work) -> Recorded:
            works.append(work)
            if len(works) == 2:
                await ends.wait()
            return await record(work)

        inventory.record = lambda work: asyncio.ensure_future(late(work))  # type: ignore[method-assign]
        first, second = (
            asyncio.ensure_future(demo.create(inventory, BASE_URL, SETUPS, name="demo")) for _ in range(2)
        )
        await first
        await record(Work(1, (Group((Adjust(SHARED, 1, -5),)),), "native:1"))
        ends.set()
        await second
        assert len(works) == 2

    with_inventory(store, sold_in_between)
    assert stock(store)[SHARED, 1] == 45
    assert len(with_inventory(store, lambda i: i.read(1, lambda c: levels.movements(c, 1)))) == LEVELS + 1


def test_two_processes_make_it_at_once(postgres_url: str) -> None:
    one, two = open_store(postgres_url), open_store(postgres_url)

    async def both(inventory: Inventory) -> dict[str, Any]:
        other = Inventory(two)
        other.start()
        try:
            ensure = partial(demo.ensure, name="demo", setups=SETUPS, now=other.now())
            return await behind(other, 0, ensure, partial(demo.create, inventory, BASE_URL, SETUPS))
        finally:
            await other.stop()

    try:
        assert with_inventory(one, both)["treet"]["base_url"] == f"{BASE_URL}/treet"
        assert len(stock(one)) == LEVELS
    finally:
        one.close()
        two.close()


def test_an_account_of_this_name_that_is_somebody_elses(store: Store) -> None:
    with_inventory(store, lambda i: i.write(0, lambda c: accounts.add(c, demo.ACCOUNT, i.now())))
    with pytest.raises(DemoFailed, match="the demo did not make it"):
        created(store)
    assert with_inventory(store, lambda i: i.read(1, lambda c: catalog.count_items(c, 1))) == 0


def test_beside_other_accounts(store: Store) -> None:
    with_inventory(store, lambda i: i.write(0, lambda c: accounts.add(c, "shop", i.now())))
    assert created(store)["treet"]["listings"][0]["availableInventory"] == 5
    assert stock(store) == {}


def test_merchandise() -> None:
    items = [merchandise.item(number) for number in range(1, 41)]
    assert len({item.sku for item in items}) == 40
    for item in items:
        digits = [int(digit) for digit in item.barcodes["ean"]]
        assert len(digits) == 13
        assert (sum(digits[::2]) + 3 * sum(digits[1::2])) % 10 == 0
