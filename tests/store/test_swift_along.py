"""Prices and details are written with a small batch on SQLite, in the same statement."""

from __future__ import annotations

import pytest

from onhand.stock.model import Adjust, SetOnHand
from onhand.work import Group, PutDetail, PutPrice, Work
from shops import Shop
from swift_door import Door

pytestmark = pytest.mark.parametrize("kinds", ["sqlite"], indirect=True, scope="module")

PRICES = "SELECT item, price, sale_price, currency FROM prices ORDER BY item"
DETAILS = "SELECT dialect, kind, item, other, body FROM details ORDER BY dialect, item, other"


def test_prices_and_details_go_along(shop: Shop, door: Door) -> None:
    door.fill(SetOnHand(1, 1, 5))
    kept = [("a", "place", 1, 2, "{}"), ("b", "place", 1, 2, '{"x":1}')]
    details = [PutDetail(*row) for row in (("a", "place", 1, 1, "{}"), *kept)]
    door.say(Adjust(1, 1, 1), also=(PutPrice(1, 1, "1.00", currency="EUR"), *details))
    assert shop.sql(PRICES) == [(1, "1.00", None, "EUR")]
    assert shop.sql(DETAILS) == [("a", "place", 1, 1, "{}"), *kept]
    # What is not said of a price stays; a detail without a body goes; nothing but these is written, too.
    door.say(also=(PutPrice(1, 1, sale_price="0.50"), PutPrice(2, 1), PutDetail("a", "place", 1, 1, None)))
    assert shop.sql(PRICES) == [(1, "1.00", "0.50", "EUR")]
    assert shop.sql(DETAILS) == kept
    # Those of a group that is refused are not; of two words about one thing the last one counts.
    refused = Group((Adjust(1, 1, -99),), also=(PutPrice(1, 1, "9.00"), PutDetail("b", "place", 1, 2, "{}")))
    first = Group((Adjust(1, 1, 1),), also=(PutPrice(1, 1, None, "3"),))
    last = Group((Adjust(1, 1, 1),), also=(PutPrice(1, 1, sale_price="4"),))
    door.batch(Work(1, (first, refused), "me"), Work(1, (last,), "me"))
    assert shop.sql(PRICES) == [(1, None, "4", "EUR")]
    assert shop.sql(DETAILS) == kept
    assert door.swift == 3
    door.say(Adjust(1, 1, 1))
    assert door.swift == 4
    door.close()
    shop.check()


def test_parts_of_a_detail_are_put_along(shop: Shop, door: Door) -> None:
    def part(body: str, item: int = 1) -> PutDetail:
        return PutDetail("a", "place", item, 1, body, part=True)

    door.fill(SetOnHand(1, 1, 5))
    door.say(Adjust(1, 1, 1), also=(part('{"x":1}'), part('{"y":2}')))
    door.say(Adjust(1, 1, 1), also=(part('{"x":3}'), part('{"z":"0"}', 2)))
    assert shop.sql(DETAILS) == [("a", "place", 1, 1, '{"x":3,"y":2}'), ("a", "place", 2, 1, '{"z":"0"}')]
    door.ahead(
        [shop.work(Adjust(1, 1, 1), also=(part('{"y":4}'),))],
        [shop.work(Adjust(1, 1, -99), also=(part('{"x":"no"}'),)), shop.work(also=(part('{"n":5}'),))],
    )
    assert shop.sql(DETAILS)[0][-1] == '{"x":3,"y":4,"n":5}'
    gone = PutDetail("a", "place", 1, 1, None)
    door.say(also=(gone, part('{"x":6}'), part('{"y":7}')))
    assert shop.sql(DETAILS)[0][-1] == '{"x":6,"y":7}'
    door.say(also=(part('{"x":8}'), gone, PutDetail("a", "place", 2, 1, '{"x":9}'), part('{"y":1}', 2)))
    assert shop.sql(DETAILS) == [("a", "place", 2, 1, '{"x":9,"y":1}')]
    assert (door.swift, door.followed) == (6, 1)
    door.close()
    shop.check()
