"""Trackstar's reads over HTTP: pages, filters, warehouses, connections, write information."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from hubs import Hub, demo_hub
from onhand.dialects.trackstar.rules import RULES, Need
from onhand.stock.model import SetOnHand
from onhand.store import catalog, products
from onhand.store.channels import links
from trackstar_calls import DATE, faults, get, product, put, shop

IDS = [f"wix-{number}" for number in (*range(21, 31), 40)]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with demo_hub(tmp_path, "trackstar") as running:
        yield running


def found(hub: Hub, **query: Any) -> list[str]:
    """The ids that a query finds."""
    text = urlencode({name.replace("__", "[") + "]" * ("__" in name): value for name, value in query.items()})
    body = get(hub, shop(hub, "wix"), f"/cart/products?{text}").json()
    ids = [one["id"] for one in body["data"]]
    assert body["total_count"] == len(ids)
    return ids


@pytest.mark.parametrize("engine", ["SQLite", "PostgreSQL"])
def test_a_product_of_one_warehouse_is_the_same_alone(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    where = tmp_path if engine == "SQLite" else request.getfixturevalue("postgres_url")
    with demo_hub(where, "trackstar") as hub:
        at = shop(hub, "etsy")
        assert put(hub, at, at.body()).status_code == 200
        link = next(
            one for one in hub.read(lambda c: links(c, hub.account, "trackstar")) if one.integration == "etsy"
        )
        (place,) = link.locations
        rows = hub.read(lambda c: products.page(c, hub.account, link, (), 0, 100))
        names = [name for _, name in rows]
        all_at_once = hub.read(lambda c: products.products(c, hub.account, link.id, names))
        for name in [*names, "etsy-none"]:
            alone = hub.read(
                partial(products.product, account=hub.account, link=link.id, name=name, place=place)
            )
            assert alone == {one: found for one, found in all_at_once.items() if one == name}
        assert all_at_once[at.product].moved_at == max(one.moved_at for one in all_at_once.values())
        assert 0 in {one.moved_at for one in all_at_once.values()}
        assert {one.has_variants for one in all_at_once.values()} == {0, 1}
        assert any(one.parent for one in all_at_once.values())


# --- pages --------------------------------------------------------------------------------------------


def test_all_products_on_one_page(hub: Hub) -> None:
    body = get(hub, shop(hub, "wix"), "/cart/products").json()
    assert [one["id"] for one in body["data"]] == IDS
    assert (body["next_token"], body["total_count"]) == (None, 11)
    assert body["data"][1] == product(hub, shop(hub, "wix"))


@pytest.mark.parametrize("limit", [1, 4, 11, 12, 1000])
def test_pages(hub: Hub, limit: int) -> None:
    at, seen, token = shop(hub, "wix"), [], ""
    for _ in range(11 // limit + 2):
        path = f"/cart/products?limit={limit}&sku[nin]=SHIRT-LINEN" + (
            f"&page_token={token}" if token else ""
        )
        body = get(hub, at, path).json()
        assert body["total_count"] == 10
        assert len(body["data"]) <= limit
        seen += [one["id"] for one in body["data"]]
        token = body["next_token"]
        if token is None:
            break
    assert seen == [name for name in IDS if name != "wix-21"]


@pytest.mark.parametrize("path", ["/cart/products", "/cart/warehouses", "/connections"])
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=1.0", "limit"),
        ("limit=", "limit"),
        ("limit=99999999999999999999999", "limit"),
        ("limit=%D9%A1", "limit"),
        ("limit=1&limit=2", "limit"),
        ("page_token=", "page_token"),
        ("page_token=xyz", "page_token"),
        ("page_token=%00", "page_token"),
        ("page_token=YWZ0ZXI6LTE%3D", "page_token"),
        ("page_token=YWZ0ZXI6OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "page_token"),
        ("colour=red", "colour"),
        ("[gt]=1", "[gt]"),
        ("limit[gt]=1", "limit[gt]"),
    ],
)
def test_bad_pages(hub: Hub, path: str, query: str, field: str) -> None:
    assert list(faults(get(hub, shop(hub, "wix"), f"{path}?{query}"), "query")) == [field]


# --- filters ------------------------------------------------------------------------------------------


def test_filters_by_name(hub: Hub) -> None:
    assert found(hub, sku="SHIRT-LINEN-S") == ["wix-22"]
    assert found(hub, sku__eq="shirt-linen-s") == []
    assert found(hub, sku__in="SHIRT-LINEN-S,GIFT-CARD-BOX,none") == ["wix-22", "wix-40"]
    assert found(hub, sku__nin="SHIRT-LINEN-S") == [name for name in IDS if name != "wix-22"]
    assert found(hub, ids="wix-23,wix-22,wix-23,etsy-22") == ["wix-22", "wix-23"]
    # With ids everything else is ignored.
    assert found(hub, ids__in="wix-40", sku="SHIRT-LINEN-S", limit=1) == ["wix-40"]


def test_an_item_without_a_sku(hub: Hub) -> None:
    hub.write(lambda c: catalog.change_item(c, hub.account, 22, {"sku": None, "name": None}, hub.clock()))
    assert "wix-22" in found(hub, sku__nin="SHIRT-LINEN-M")
    one = product(hub, shop(hub, "wix"), "wix-22")
    assert (one["sku"], one["name"]) == (None, "wix-22")


OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "eq": operator.eq,
    "neq": operator.ne,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "in": operator.eq,
    "nin": operator.ne,
}


@pytest.mark.parametrize("field", ["created_date", "updated_date", "trackstar_updated_date"])
def test_filters_by_date(hub: Hub, field: str) -> None:
    hub.clock.ahead(10)
    hub.record(SetOnHand(22, 2, 3))
    rows = get(hub, shop(hub, "wix"), "/cart/products").json()["data"]
    dates = {one["id"]: one[field] for one in rows}
    for at in sorted(set(dates.values())):
        for op, holds in OPERATORS.items():
            expected = [name for name, date in dates.items() if holds(date, at)]
            assert found(hub, **{f"{field}__{op}": at}) == expected, (op, at)
        assert found(hub, **{field: at}) == [name for name, date in dates.items() if date == at]
    every = ",".join(dict.fromkeys(["2001-01-01T00:00:00Z", *dates.values()]))
    assert found(hub, **{f"{field}__in": every}) == IDS
    assert found(hub, **{f"{field}__nin": every}) == []


def test_updated_date_finds_what_has_moved(hub: Hub) -> None:
    before = product(hub, shop(hub, "wix"))["updated_date"]
    hub.clock.ahead(10)
    hub.record(SetOnHand(22, 2, 3))
    # Stock that the connection does not sell from is not its business.
    hub.record(SetOnHand(23, 3, 3))
    assert found(hub, updated_date__gt=before) == ["wix-22"]
    moved = product(hub, shop(hub, "wix"))["updated_date"]
    assert found(hub, updated_date=moved) == ["wix-22"]
    assert found(hub, updated_date__lt=moved, created_date__lt=moved) == [x for x in IDS if x != "wix-22"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("created_date[gt]=yesterday", "Not a valid datetime."),
        ("created_date=2030-01-01", "Not a valid datetime."),
        ("created_date=2030-01-01T00:00:00", "Not a valid datetime."),
        ("updated_date[in]=2030-01-01T00:00:00Z,x", "Not a valid datetime."),
        ("created_date=", "Shorter than minimum length 1."),
        ("created_date[like]=x", "Unknown filter operator."),
        ("sku[gt]=x", "Unknown filter operator."),
        ("ids[nin]=x", "Unknown filter operator."),
        ("ids=" + ",".join("x" * 101), "Longer than maximum length 100."),
        ("sku[in]=a,,b", "Shorter than minimum length 1."),
        ("sku=%00", "Not a valid string."),
        ("name=x", "Unknown field."),
    ],
)
def test_bad_filters(hub: Hub, query: str, words: str) -> None:
    answer = get(hub, shop(hub, "wix"), f"/cart/products?{query}")
    assert faults(answer, "query") == {query.partition("=")[0]: [words]}


# --- warehouses and connections -----------------------------------------------------------------------


def test_warehouses(hub: Hub) -> None:
    at = shop(hub, "wix")
    body = get(hub, at, "/cart/warehouses").json()
    assert [(one["id"], one["name"]) for one in body["data"]] == [("wix-wh-1", "MAIN"), ("wix-wh-2", "EAST")]
    assert (body["next_token"], body["total_count"]) == (None, 2)
    assert get(hub, at, "/cart/warehouses/wix-wh-2").json()["data"] == body["data"][1]
    pages = get(hub, at, "/cart/warehouses?limit=1").json()
    rest = get(hub, at, f"/cart/warehouses?limit=1&page_token={pages['next_token']}").json()
    assert pages["data"] + rest["data"] == body["data"]
    assert rest["next_token"] is None
    missing = get(hub, at, "/cart/warehouses/3")
    assert (missing.status_code, missing.json()) == (
        404,
        {"error": "Warehouse not found", "origin": "trackstar", "id": "3"},
    )


def test_connections_need_the_api_key_alone(hub: Hub) -> None:
    at = shop(hub, "wix")
    key = {"x-trackstar-api-key": at.headers["x-trackstar-api-key"]}
    body = get(hub, at, "/connections", key).json()
    assert [one["integration_name"] for one in body["data"]] == list(RULES)
    assert body["total_count"] == 17
    for one in body["data"]:
        assert DATE.fullmatch(one["created_at"])
        assert get(hub, at, f"/connections/{one['connection_id']}", key).json()["data"] == one
    for name in ("999", "01", "x", "%00"):
        missing = get(hub, at, f"/connections/{name}", key)
        assert (missing.status_code, missing.json()["error"]) == (404, "Connection not found")
    other = hub.another()["trackstar"]
    answer = get(hub, at, "/connections?limit=3", {"x-trackstar-api-key": other["api_key"]}).json()
    assert len(answer["data"]) == 3
    assert answer["next_token"]


@pytest.mark.parametrize("name", RULES)
def test_write_information(hub: Hub, name: str) -> None:
    at, rule = shop(hub, name), RULES[name]
    key = {"x-trackstar-api-key": at.headers["x-trackstar-api-key"]}
    for headers, warehouses in (
        (key, ["N/A - Connect an account to see options"]),
        (at.headers, at.warehouses),
    ):
        (info,) = get(hub, at, f"/integrations/cart/{name}/write-info", headers).json()["data"]
        fields = info["write_operations"][0]["integration_specific_fields"]
        assert info["display_name"] == rule.title
        assert fields["required_fields"] == list(rule.required)
        assert fields["properties"]["adjustment_type"]["enum"] == list(rule.modes)
        if rule.warehouse is Need.ABSENT:
            assert "warehouse_id" not in fields["properties"]
        else:
            assert fields["properties"]["warehouse_id"]["enum"] == warehouses


def test_write_information_of_others(hub: Hub) -> None:
    at = shop(hub, "wix")
    assert get(hub, at, "/integrations/cart/shipbob/write-info").json()["id"] == "shipbob"
    answer = get(hub, at, "/integrations/cart/ebay/write-info")
    assert faults(answer, "headers") == {"x-trackstar-access-token": ["The connection is one of wix."]}
    wrong = at.headers | {"x-trackstar-access-token": "wrong"}
    assert get(hub, at, "/integrations/cart/wix/write-info", wrong).status_code == 401
    other = hub.client.get("/trackstar/integrations/wms/wix/write-info", headers=at.headers)
    assert other.status_code == 404
