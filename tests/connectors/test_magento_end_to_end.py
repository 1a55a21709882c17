"""Magento against a fake shop: pushing beside reservations, the queue, looking, orders, faults."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connectors.account import Account
from connectors.account import stocked as filled
from connectors.driver import answer, run, settings_of, talk, target
from fakes.common import Faults
from fakes.magento import EXAMPLE, Fake
from onhand.connectors import magento
from onhand.connectors.channel import (
    Secret,
)
from onhand.connectors.flow import (
    Accepted,
    Failed,
    Later,
    Place,
    Rejected,
    Response,
    Target,
    Unsure,
    Whole,
)

SETTINGS = settings_of(magento, **EXAMPLE.settings)
ACCOUNT = Account(magento, SETTINGS, lambda fake: fake.nonces.clear())
push, pulled, polled = ACCOUNT.push, ACCOUNT.pulled, ACCOUNT.polled


def stocked(count: int = 3, **more: Any) -> Fake:
    return filled(Fake(**more), count)


def told(number: int, offer: int, source: str | None = "default", **slot: Any) -> Target:
    return target(number, offer, EXAMPLE.ids(number), source, **slot)


def test_a_push_shows() -> None:
    fake = stocked()
    verdicts = push(fake, told(1, 4), told(2, 0), told(3, 7, "north"))
    assert all(isinstance(verdict, Accepted) for verdict in verdicts)
    assert [fake.shown(f"SKU-{n}") for n in (1, 2, 3)] == [4, 0, 17]
    assert fake.items["SKU-2", "default"] == [0, 0]


def test_an_open_order_is_not_taken_off_twice_and_can_be_shipped() -> None:
    fake = stocked(1)
    name = fake.sell("SKU-1", 3)
    push(fake, told(1, 7, committed=3))
    assert fake.shown("SKU-1") == 7
    fake.ship(name)
    assert fake.items["SKU-1", "default"] == [7, 1]
    fake.nonces.clear()
    push(fake, told(1, 7))
    assert fake.shown("SKU-1") == 7


def test_what_lies_in_another_website_s_stock_is_not_added_to_its_own_number_again_and_again() -> None:
    fake = stocked(1, stocks={"base": ("default", "old"), "uk": ("north",)})
    fake.stock(1, 20, "north")
    fake.stock(1, 50, "old")
    fake.sell("SKU-1", 2)
    for _ in range(3):
        (seen,) = pulled(fake)
        open_there = {shown.location: shown.committed for shown in seen.shown}
        assert open_there == {"default": 2, "north": 0, "old": 0}
        push(
            fake,
            *(told(1, n, place, committed=open_there[place]) for n, place in ((8, "default"), (20, "north"))),
        )
        assert (fake.shown("SKU-1"), fake.shown("SKU-1", "uk")) == (8, 20)


def test_a_typo_leaves_no_orphan() -> None:
    fake = stocked(1)
    verdicts = push(fake, Target(1, {}, told(1, 4).slots, "key", sku="SKU-l"), target(1, 4, {}, "default"))
    assert [type(verdict) for verdict in verdicts] == [Rejected, Accepted]
    assert set(fake.items) == {("SKU-1", "default")}


def test_a_shop_with_a_limit_on_its_input() -> None:
    fake = stocked(50, most_items=20)
    assert {type(verdict) for verdict in push(fake, *(told(n, n) for n in range(1, 51)))} == {Accepted}
    assert [fake.shown(f"SKU-{n}") for n in (1, 21, 50)] == [1, 21, 50]


def test_a_source_that_is_not_there_refuses_the_whole() -> None:
    fake = stocked(2)
    assert [type(verdict) for verdict in push(fake, told(1, 4), told(2, 4, "moon"))] == [Whole, Whole]
    assert fake.shown("SKU-1") == 10


def test_through_the_queue() -> None:
    bulk = settings_of(magento, **EXAMPLE.settings, bulk=True)
    fake = stocked(3, bad_in_queue={"SKU-2": 2, "SKU-3": 3})
    verdicts = push(fake, *(told(n, 4) for n in (1, 2, 3)), settings=bulk)
    assert [type(verdict) for verdict in verdicts] == [Accepted, Later, Rejected]
    assert [fake.shown(f"SKU-{n}") for n in (1, 2, 3)] == [4, 10, 10]


def test_the_cloud_service() -> None:
    values = {
        "url": "https://na1.api.commerce.adobe.com/tenant1",
        "auth": "ims",
        "client_id": "client-1",
        "client_secret": "ims-secret-55e0",
        "organisation": "org-1@AdobeOrg",
        "bulk": True,
    }
    cloud = settings_of(magento, **values)
    fake = stocked(1, settings=values)
    with pytest.raises(Failed) as failed:
        talk(magento.check(cloud), magento, cloud, fake)
    assert failed.value.login
    fresh = talk(magento.tokens(cloud), magento, cloud, fake)
    cloud = msgspec.structs.replace(cloud, access_token=Secret(fresh["access_token"]))
    assert [type(verdict) for verdict in push(fake, told(1, 4), settings=cloud)] == [Accepted]
    assert fake.shown("SKU-1") == 4


def test_a_shop_without_sources() -> None:
    legacy = settings_of(magento, **EXAMPLE.settings, stock="stock_item")
    fake = stocked(2, legacy=True)
    fake.sell("SKU-1", 3)
    assert pulled(fake, legacy)[0].shown[0].quantity == 7
    push(fake, told(1, 6, None, committed=3), told(2, 0, None), settings=legacy)
    assert [fake.shown(f"SKU-{n}") for n in (1, 2)] == [6, 0]
    fake.nonces.clear()
    words = talk(magento.check(legacy), magento, legacy, fake)
    assert words == "https://shop.example with one stock item for a product"


@pytest.mark.parametrize("no_export", [False, True])
def test_pages_of_products(no_export: bool) -> None:
    fake = stocked(120, no_export=no_export)
    fake.stock(121, 5, sku="A, B/C")
    fake.stock(122, 5, type_id="configurable")
    fake.stock(9, 4, "north")
    fake.edit("SKU-9", 77)
    fake.sell("SKU-9", 7)
    fake.products[4]["status"] = 2
    seen = {each.sku: each for each in pulled(fake)}
    assert len(seen) == 121
    assert [(s.location, s.quantity, s.committed) for s in seen["SKU-9"].shown] == [
        ("default", 70, 7),
        ("north", 4, 0),
    ]
    assert seen["A, B/C"].shown[0].quantity == 5
    assert not seen["SKU-5"].active


def test_places() -> None:
    fake = stocked()
    places = talk(magento.places(SETTINGS), magento, SETTINGS, fake)
    assert places == [Place("default", "Default", default=True), Place("north", "North")]
    fake.nonces.clear()
    assert talk(magento.check(SETTINGS), magento, SETTINGS, fake) == "https://shop.example with 3 sources"


def test_orders_open_ones_first_then_what_changed() -> None:
    fake = stocked(1)
    first, second = fake.sell("SKU-1", 1), fake.sell("SKU-1", 2)
    fake.ship(first)
    (order,), cursor = polled(fake, None)
    assert (order.id, order.lines[0].ordered, order.lines[0].ids) == (second, 2, {"product_id": "1"})
    fake.touch(second, state="canceled")
    found, cursor = polled(fake, "2026-11-22T00:02:00Z")
    assert [(each.id, each.lines[0].shipped, each.lines[0].cancelled) for each in found] == [
        (first, 1, 0),
        (second, 0, 2),
    ]
    assert cursor == "2026-11-22T00:02:00Z"


@pytest.mark.parametrize("alike", [False, True])
def test_no_order_is_lost_when_one_changes_between_pages(alike: bool) -> None:
    fake = stocked(1)
    names = [fake.sell("SKU-1", 1) for _ in range(200)]
    if alike:
        for order in fake.orders:
            order["updated_at"] = fake.orders[0]["updated_at"]
    first = talk(magento.orders(SETTINGS, "2026-11-22T00:00:00Z"), magento, SETTINGS, fake)
    assert first.more
    fake.touch(names[0])
    rest, _ = polled(fake, first.cursor)
    assert {order.id for order in (*first.orders, *rest)} == set(names)


def test_orders_of_one_second_come_on_their_pages_in_one_order() -> None:
    fake = stocked(1)
    names = [fake.sell("SKU-1", 1) for _ in range(250)]
    for order in fake.orders:
        order["updated_at"] = fake.orders[0]["updated_at"]
    found, _ = polled(fake, "2026-11-22T00:00:00Z")
    assert {order.id for order in found} == set(names)


def test_orders_are_read_again_by_their_ids() -> None:
    fake = stocked(1)
    names = [fake.sell("SKU-1", 1) for _ in range(130)]
    fake.ship(names[3])
    del fake.orders[120], fake.orders[7]
    again = talk(magento.reread(SETTINGS, [*names, "x", "9999"]), magento, SETTINGS, fake)
    assert again.gone == (names[7], names[120], "9999")
    shipped = {order.id: order.lines[0].shipped for order in again.orders}
    assert shipped == {name: int(name == names[3]) for name in names if name not in (names[7], names[120])}


@pytest.mark.parametrize(
    "said",
    [
        answer("<html>", 404),
        answer({"message": "Request does not match any route."}, 404),
        answer({"message": "The consumer isn't authorized to access %resources."}, 401),
        answer({"entity_id": 8, "items": []}),
        answer([]),
        answer("", 200),
    ],
)
def test_an_order_is_not_gone_because_something_else_fails(said: Response) -> None:
    with pytest.raises(Failed):
        run(magento.reread(SETTINGS, ["7"]), [answer({"items": [], "total_count": 0}), said])


@pytest.mark.parametrize(
    ("faults", "kind", "shown"),
    [(Faults(throttle=1), Later, 10), (Faults(fail=1), Later, 10), (Faults(lose=1), Unsure, 4)],
)
def test_faults(faults: Faults, kind: type, shown: int) -> None:
    fake = stocked(1)
    fake.faults = faults
    assert [type(verdict) for verdict in push(fake, told(1, 4))] == [kind]
    assert fake.shown("SKU-1") == shown
    fake.nonces.clear()
    push(fake, told(1, 4))
    assert fake.shown("SKU-1") == 4


def test_a_wrong_secret_is_a_matter_of_login() -> None:
    wrong = settings_of(magento, **{**EXAMPLE.settings, "access_secret": "mage-access-wrong"})
    with pytest.raises(Failed) as failed:
        talk(magento.check(wrong), magento, wrong, stocked())
    assert failed.value.login
    assert "isn't authorized to access" in failed.value.words
