"""Trackstar on both databases: each integration's write, its replay, the filters, and hostile text."""

from __future__ import annotations

import pytest

from hubs import Hub, demo_hub
from onhand.dialects.trackstar import setup
from onhand.dialects.trackstar.rules import RULES
from onhand.sample import KeyWish
from trackstar_calls import BATCH, call, get, product, put, shop


@pytest.mark.parametrize("check", ["writes", "reads", "races"])
def test_the_same_on_both(db_url: str, check: str) -> None:
    with demo_hub(db_url, "trackstar") as hub:
        {"writes": writes, "reads": reads, "races": races}[check](hub)


def writes(hub: Hub) -> None:
    for name, rule in RULES.items():
        at = shop(hub, name)
        body = at.body(rule.modes[0], 3)
        first, again = put(hub, at, body, key="k-1"), put(hub, at, body, key="k-1")
        assert (first.status_code, first.content) == (200, again.content)
        assert first.json()["data"] == product(hub, at)
        lines = [{"product_id": at.product, "quantity": 7, "warehouse_id": at.warehouses[0]}]
        answer = put(hub, at, {"line_items": lines}, path=BATCH)
        assert answer.json()["data"][0]["inventory_by_warehouse_id"][at.warehouses[0]] == 7
    ahead = shop(hub, "nuorder").body(future_date="2030-01-01T00:00:00Z")
    assert put(hub, shop(hub, "nuorder"), ahead).status_code == 200


def reads(hub: Hub) -> None:
    at = shop(hub, "wix")
    hub.clock.ahead(5)
    date = put(hub, at, at.body()).json()["data"]["updated_date"]
    for query, many in {
        f"updated_date[gte]={date}": 1,
        f"updated_date[lt]={date}": 10,
        f"created_date[nin]={date}&sku[nin]=SHIRT-LINEN": 10,
        "ids=wix-22,wix-40,x": 2,
        "limit=3": 11,
    }.items():
        assert get(hub, at, f"/cart/products?{query}").json()["total_count"] == many
    assert get(hub, at, "/cart/products?sku=%00").status_code == 422
    for path in ("/cart/products/%00", "/cart/warehouses/%00", "/connections/%00"):
        assert get(hub, at, path).status_code == 404
    assert put(hub, at, at.body(), product="%00").status_code == 404
    wish = KeyWish(integration="wix", locations=("WEST", "MAIN"))
    hub.write(lambda c: setup.issue(c, hub.account, hub.clock(), wish))
    assert list(product(hub, at)["inventory_by_warehouse_id"]) == ["3", "wix-wh-1"]


def races(hub: Hub) -> None:
    at = shop(hub, "wix")
    answers = hub.together([call(at, at.body("decrease", 2)) for _ in range(40)])
    assert sorted(answer.status_code for answer in answers) == [200] * 21 + [422] * 19
    keyed = hub.together([call(at, at.body(quantity=3), key="k-1") for _ in range(20)])
    assert len({answer.content for answer in keyed}) == 1
    assert hub.levels(at.sku)["MAIN"].on_hand == 3
