"""Sellbrite over HTTP: warehouses, what other locations look like, and keys that see only some."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hubs import BASE_URL, Hub, demo_hub
from onhand.appliers import APPLIERS
from onhand.dialects.sellbrite import setup
from onhand.sample import KeyWish
from onhand.store import catalog
from onhand.store.catalog import Location
from sellbrite_calls import NOTEBOOK, PEN, UNKNOWN, call, open_incidents, put, record, shown, warehouse


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with demo_hub(tmp_path, "sellbrite", appliers=APPLIERS) as running:
        yield running


def listed(hub: Hub, **params: Any) -> list[Any]:
    found: list[Any] = call(hub, "GET", "/inventory", params=params).json()
    return found


def test_warehouses(hub: Hub) -> None:
    found = call(hub, "GET", "/warehouses/")
    assert [one["name"] for one in found.json()] == ["MAIN", "EAST", "WEST"]
    assert [one["uuid"] for one in found.json()] == hub.section["warehouses"]
    assert found.headers["total-pages"] == "1"
    second = call(hub, "GET", "/v1/warehouses", params={"limit": 2, "page": 2})
    assert ([one["name"] for one in second.json()], second.headers["total-pages"]) == (["WEST"], "2")


def test_a_warehouse_is_made_changed_and_used(hub: Hub) -> None:
    sent = {
        "name": "North",
        "email": "n@example.com",
        "city": "Portland",
        "region": "ME",
        "country_code": "US",
    }
    made = call(hub, "POST", "/warehouses", {"warehouse": sent})
    assert made.json()["message"] == "Warehouse successfully created."
    name = made.json()["warehouse_uuid"]
    path = f"/warehouses/{name}"
    changed = call(hub, "PUT", path, {"warehouse": {"city": "Bath", "region": None, "name": "Far North"}})
    assert (changed.status_code, changed.json()) == (200, {"message": "Warehouse successfully updated."})
    assert call(hub, "GET", "/warehouses").json()[-1] == {
        "uuid": name,
        "name": "Far North",
        "inventory_master": "Sellbrite",
        "address_1": None,
        "address_2": None,
        "city": "Bath",
        "state_region": None,
        "postal_code": None,
        "country_code": "US",
        "archived": False,
    }
    put(hub, {"sku": PEN, "warehouse_uuid": name, "on_hand": 4})
    assert [one["on_hand"] for one in listed(hub, warehouse_uuid=name)] == [4]


def test_bad_warehouses(hub: Hub) -> None:
    taken = call(hub, "POST", "/warehouses", {"warehouse": {"name": "MAIN"}})
    assert (taken.status_code, taken.json()) == (422, {"error": {"name": ["has already been taken"]}})
    bad = call(hub, "POST", "/warehouses", {"warehouse": {"name": "N", "email": "x"}})
    assert (bad.status_code, bad.json()) == (422, {"error": {"email": ["is invalid"]}})
    path = f"/warehouses/{warehouse(hub, 1)}"
    taken = call(hub, "PUT", path, {"warehouse": {"name": "MAIN"}})
    assert (taken.status_code, taken.json()) == (422, {"error": {"name": ["has already been taken"]}})
    for name in (UNKNOWN, "x", "%00", "%F0%9F%A6%86", "a" * 900):
        missing = call(hub, "PUT", f"/warehouses/{name}", {"warehouse": {"city": "Bath"}})
        assert (missing.status_code, missing.json()) == (404, {"error": "Warehouse not found"})
    bodies: tuple[Any, ...] = ({}, [], {"warehouse": []}, {"warehouse": None}, b"{")
    for body in bodies:
        assert call(hub, "POST", "/warehouses", body).status_code == 400


def test_locations_that_others_made(hub: Hub) -> None:
    """Every location that sells is a warehouse; held stock is none, a channel's own is Amazon's."""

    def make(c: Any) -> None:
        catalog.add_location(c, hub.account, Location(0, "NEW", 1), 1)
        catalog.add_location(c, hub.account, Location(0, "DAMAGED", 1, kind="held"), 1)
        catalog.add_location(c, hub.account, Location(0, "FBA", 1, kind="mirrored"), 1)

    hub.write(make)
    found = call(hub, "GET", "/warehouses").json()[3:]
    assert [(one["name"], one["inventory_master"]) for one in found] == [
        ("NEW", "Sellbrite"),
        ("FBA", "Amazon"),
    ]
    for one in found:
        put(hub, {"sku": PEN, "warehouse_uuid": one["uuid"], "on_hand": 4})
    assert [one["warehouse_uuid"] for one in listed(hub, sku=PEN)][2:] == [found[0]["uuid"]]
    assert "mirrored" in open_incidents(hub)[0].body["why"]


# --- keys ---------------------------------------------------------------------------------------------


def test_a_key_of_a_seller_sees_its_warehouses_alone(hub: Hub) -> None:
    made = hub.write(lambda c: setup.issue(c, hub.account, 1, KeyWish(seller=2)))
    who = (made["account_token"], made["secret_key"])
    assert [one["name"] for one in call(hub, "GET", "/warehouses", auth=who).json()] == ["EAST"]
    assert {one["warehouse_uuid"] for one in call(hub, "GET", "/inventory", auth=who).json()} == {
        warehouse(hub, 1)
    }
    assert put(hub, record(hub, on_hand=1), auth=who).status_code == 404
    assert put(hub, record(hub, at=1, on_hand=1), auth=who).status_code == 200
    assert call(hub, "PUT", f"/warehouses/{warehouse(hub)}", {"warehouse": {}}, auth=who).status_code == 404


def test_a_key_of_a_seller_sees_no_costs_but_its_own(hub: Hub) -> None:
    """As in our own API, what a product costs is the account's business."""
    made = hub.write(lambda c: setup.issue(c, hub.account, 1, KeyWish(seller=2)))
    who = (made["account_token"], made["secret_key"])
    put(hub, record(hub, PEN, 1, on_hand=1, cost="4.20"), auth=who)
    seen = {one["sku"]: one["cost"] for one in call(hub, "GET", "/inventory", auth=who).json()}
    assert {cost for sku, cost in seen.items() if sku != PEN} == {None}
    assert seen[PEN] == 4.2
    costs = {one["sku"]: one["cost"] for one in call(hub, "GET", "/inventory").json()}
    assert costs[NOTEBOOK] == 3.8


def test_the_line_to_paste_works(hub: Hub) -> None:
    line = setup.curl(hub.section, BASE_URL + "/sellbrite")
    body = line.partition(" -d '")[2].rstrip("'")
    assert call(hub, "PUT", "/v1/inventory", body.encode()).status_code == 200
    assert shown(hub, PEN) == (12, 0, 12)
