"""Trackstar's credentials and connections as an operator asks for them, and the warehouses they come with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hubs import Hub, demo_hub
from onhand.dialects.trackstar import setup
from onhand.dialects.trackstar.rules import RULES, Need
from onhand.sample import KeyWish
from onhand.store import accounts, catalog
from onhand.store.catalog import Location, Seller
from trackstar_calls import get, put, shop


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with demo_hub(tmp_path, "trackstar") as running:
        yield running


def account(hub: Hub, *places: Location) -> int:
    """An account with these locations, and nothing else."""

    def unit(connection: Any) -> int:
        number: int = accounts.add(connection, "fresh", hub.clock()).id
        seller = catalog.add_seller(connection, number, Seller(0, "fresh", own=True), hub.clock())
        for one in places:
            new = Location(0, one.name, seller.id, one.kind, one.active)
            catalog.add_location(connection, number, new, hub.clock())
        return number

    return hub.write(unit, 0)


def issued(hub: Hub, number: int, wish: KeyWish) -> dict[str, str]:
    """The headers of a client that was given what the operator asked for."""
    made = hub.write(lambda c: setup.issue(c, number, hub.clock(), wish), number)
    return {"x-trackstar-api-key": made["api_key"], "x-trackstar-access-token": made["access_token"]}


def warehouses(hub: Hub, headers: dict[str, str]) -> list[tuple[str, str]]:
    rows = get(hub, shop(hub, "wix"), "/cart/warehouses", headers).json()["data"]
    return [(one["id"], one["name"]) for one in rows]


@pytest.mark.parametrize("name", RULES)
def test_a_new_connection_has_the_locations_that_sell(hub: Hub, name: str) -> None:
    places = [
        Location(0, "damaged", 0, "held"),
        Location(0, "main", 0),
        Location(0, "closed", 0, active=False),
        Location(0, "abroad", 0, "mirrored"),
        Location(0, "east", 0),
    ]
    found = warehouses(hub, issued(hub, account(hub, *places), KeyWish(integration=name)))
    first = "DEFAULT" if name == "amazon" else "2"
    expected = [(first, "main"), ("5", "east")]
    assert found == (expected[:1] if RULES[name].warehouse is Need.ABSENT else expected)


def test_the_operator_says_which_locations_a_connection_has(hub: Hub) -> None:
    number = account(hub, *(Location(0, name, 0) for name in ("main", "east", "outlet")))
    first = issued(hub, number, KeyWish(integration="ebay", locations=("east", "main", "east")))
    assert warehouses(hub, first) == [("2", "east"), ("1", "main")]
    second = issued(hub, number, KeyWish(integration="ebay", locations=("outlet", "east")))
    assert warehouses(hub, first) == warehouses(hub, second) == [("3", "outlet"), ("2", "east")]
    # Another token alone changes nothing.
    assert warehouses(hub, issued(hub, number, KeyWish(integration="ebay"))) == warehouses(hub, first)
    amazon = issued(hub, number, KeyWish(integration="amazon", locations=("east", "main")))
    issued(hub, number, KeyWish(integration="amazon", locations=("main", "east", "outlet")))
    assert warehouses(hub, amazon) == [("1", "main"), ("DEFAULT", "east"), ("3", "outlet")]


def test_a_demo_connection_gets_another_warehouse(hub: Hub) -> None:
    at = shop(hub, "wix")
    names = [one.name for one in hub.read(lambda c: catalog.locations(c, hub.account))]
    issued(hub, hub.account, KeyWish(integration="wix", locations=tuple(names)))
    assert [name for name, _ in warehouses(hub, at.headers)] == ["wix-wh-1", "wix-wh-2", "3"]
    answer = put(hub, at, at.body("exact", 7, warehouse_id="3"))
    assert answer.json()["data"]["inventory_by_warehouse_id"] == {"wix-wh-1": 42, "wix-wh-2": 10, "3": 7}


@pytest.mark.parametrize(
    ("integration", "locations", "words"),
    [
        ("ebay", ("nowhere",), "no active location for stock is named 'nowhere'; there are main, east"),
        ("ebay", ("damaged",), "no active location for stock is named 'damaged'"),
        ("etsy", ("main", "east"), "a connection of etsy has one warehouse"),
        ("shipbob", ("main",), "no integration is named 'shipbob'"),
    ],
)
def test_locations_that_cannot_be(hub: Hub, integration: str, locations: tuple[str, ...], words: str) -> None:
    number = account(
        hub, *(Location(0, name, 0) for name in ("main", "east")), Location(0, "damaged", 0, "held")
    )
    if integration == "etsy":
        issued(hub, number, KeyWish(integration=integration))
    with pytest.raises(ValueError, match=words):
        issued(hub, number, KeyWish(integration=integration, locations=locations))
