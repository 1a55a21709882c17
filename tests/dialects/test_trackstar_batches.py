"""Trackstar's batches over HTTP: done whole or not at all, and what two lines may say of one item."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hubs import Hub, demo_hub
from onhand.stock.model import Line, Reserve
from onhand.store import channels
from onhand.store.channels import Listing
from trackstar_calls import BATCH, faults, product, put, shop


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with demo_hub(tmp_path, "trackstar") as running:
        yield running


def line(name: str, quantity: Any, warehouse: str | None = None, **more: Any) -> dict[str, Any]:
    place = {} if warehouse is None else {"warehouse_id": warehouse}
    return {"product_id": name, "quantity": quantity, **place, **more}


def test_a_batch_sets_every_line(hub: Hub) -> None:
    at = shop(hub, "bigcommerce")
    first, second = at.warehouses
    lines = [
        line("bigcommerce-22", 5, first),
        line("bigcommerce-23", 0, second, reason="sold"),
        line("bigcommerce-22", 6, second),
    ]
    answer = put(hub, at, {"line_items": lines}, path=BATCH)
    assert answer.status_code == 200
    assert list(answer.json()) == ["data", "unused_fields"]
    assert answer.json()["unused_fields"] == ["reason"]
    found = {one["id"]: one["inventory_by_warehouse_id"] for one in answer.json()["data"]}
    assert found == {"bigcommerce-22": {first: 5, second: 6}, "bigcommerce-23": {first: 43, second: 0}}
    assert answer.json()["data"][0] == product(hub, at)


def test_a_batch_is_done_whole_or_not_at_all(hub: Hub) -> None:
    at = shop(hub, "mirakl")
    good = line("mirakl-22", 1)
    unknown = put(hub, at, {"line_items": [good, line("mirakl-99", 1)]}, path=BATCH)
    assert (unknown.status_code, unknown.json()["id"]) == (404, "mirakl-99")
    parent = put(hub, at, {"line_items": [good, line("mirakl-21", 1)]}, path=BATCH)
    assert list(faults(parent)) == ["line_items.1.product_id"]
    hub.record(Reserve("order-1", (Line(23, 1, (1,)),)))
    high = put(hub, at, {"line_items": [good, line("mirakl-23", 10**12)]}, path=BATCH)
    assert (high.status_code, high.json()["origin"]) == (422, "integration")
    assert list(high.json()["detail"]["json"]) == ["line_items.1.quantity"]
    assert hub.levels(at.sku)["MAIN"].on_hand == 42


def test_two_products_of_one_item_do_not_contradict_each_other(hub: Hub) -> None:
    at = shop(hub, "bigcommerce")
    links = hub.read(lambda c: channels.links(c, hub.account, "trackstar"))
    listing = Listing(0, next(one.id for one in links if one.integration == at.name), "alias", 22)
    hub.write(lambda c: channels.add_listing(c, hub.account, listing, hub.clock()))
    before = hub.levels(at.sku)
    wanted = [("bigcommerce-22", 5, 0), ("alias", 9, 0), ("alias", 9, 1), ("bigcommerce-22", 8, 1)]
    lines = [line(name, units, at.warehouses[place]) for name, units, place in wanted]
    words = ["An earlier line has another quantity for the same item and warehouse."]
    assert faults(put(hub, at, {"line_items": lines}, path=BATCH)) == {
        "line_items.1.product_id": words,
        "line_items.3.product_id": words,
    }
    assert hub.levels(at.sku) == before
    # What says the same is no contradiction, and what it answers is true.
    same = [one | {"quantity": 7} for one in lines]
    answer = put(hub, at, {"line_items": same}, path=BATCH)
    found = {one["id"]: one["inventory_by_warehouse_id"] for one in answer.json()["data"]}
    assert found == dict.fromkeys(("bigcommerce-22", "alias"), dict.fromkeys(at.warehouses, 7))
