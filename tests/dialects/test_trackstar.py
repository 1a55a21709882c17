"""Trackstar over HTTP: adjustments of every integration, the product in the answer, plans."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import Connection

from hubs import Hub, demo_hub
from onhand.dialects.trackstar import setup
from onhand.dialects.trackstar.rules import RULES, Need
from onhand.stock.model import Line, Reserve, SetInfinite, SetOnHand
from onhand.store import catalog, levels, requests
from trackstar_calls import CONTRACT, Shop, call, faults, get, product, put, shop

FIRST = 22
PUBLISHED_KEYS = [
    "active",
    "additional_fields",
    "categories",
    "created_date",
    "external_system_url",
    "gtin",
    "id",
    "image_url",
    "inventory",
    "inventory_by_warehouse_id",
    "is_kit",
    "measurements",
    "name",
    "parent_product_id",
    "price",
    "sku",
    "tags",
    "trackstar_created_date",
    "trackstar_tags",
    "trackstar_updated_date",
    "unit_cost",
    "updated_date",
]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with demo_hub(tmp_path, "trackstar") as running:
        yield running


# --- every integration --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RULES)
def test_every_mode_of_every_integration(hub: Hub, name: str) -> None:
    at = shop(hub, name)
    before = product(hub, at)["inventory_by_warehouse_id"][at.warehouses[0]]
    expected = {"increase": before + 3, "decrease": before - 3, "exact": 3}
    for mode, left in expected.items():
        answer = put(hub, at, at.body(mode, 3))
        if mode not in RULES[name].modes:
            words = f"Must be one of: {', '.join(RULES[name].modes)}."
            assert faults(answer) == {"adjustment_type": [words]}
            continue
        body = answer.json()
        assert (answer.status_code, body["id"], body["unused_fields"]) == (200, at.product, [])
        assert body["data"]["inventory_by_warehouse_id"][at.warehouses[0]] == left
        assert body["data"] == product(hub, at)
        hub.record(SetOnHand(FIRST, 1, before))
    assert hub.levels(at.sku)["MAIN"].on_hand == before


@pytest.mark.parametrize("name", RULES)
def test_required_fields(hub: Hub, name: str) -> None:
    at = shop(hub, name)
    mode = RULES[name].modes[0]
    for field in RULES[name].required:
        short = {key: value for key, value in at.body(mode).items() if key != field}
        assert faults(put(hub, at, short)) == {field: ["Missing data for required field."]}
    missing = {field: ["Missing data for required field."] for field in RULES[name].required}
    assert faults(put(hub, at, {})) == missing


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.reasons])
def test_every_reason(hub: Hub, name: str) -> None:
    at = shop(hub, name)
    for reason in RULES[name].reasons:
        assert put(hub, at, at.body(reason=reason)).status_code == 200
        (last,) = hub.read(lambda c: levels.history(c, hub.account, (FIRST, 1), limit=1))
        assert last.reason == reason
        assert last.context == f'{{"connection":{_link(last.caller)},"reason":"{reason}"}}'
    words = f"Must be one of: {', '.join(RULES[name].reasons)}."
    assert faults(put(hub, at, at.body(reason="gift"))) == {"reason": [words]}


def _link(caller: str) -> str:
    prefix, _, number = caller.rpartition(":")
    assert prefix == "trackstar:connection"
    return number


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.warehouse is Need.OPTIONAL])
@pytest.mark.parametrize("mode", ["increase", "exact"])
def test_an_absent_warehouse_is_the_first(hub: Hub, name: str, mode: str) -> None:
    at = shop(hub, name)
    if mode in RULES[name].modes:
        body = at.body(mode, 70)
        assert "warehouse_id" not in body
        data = put(hub, at, body).json()["data"]
        expected = {"increase": {"MAIN": 112, "EAST": 10}, "exact": {"MAIN": 70, "EAST": 10}}[mode]
        assert {key: level.on_hand for key, level in hub.levels(at.sku).items()} == expected
        assert data["inventory"] == sum(expected.values())
        second = put(hub, at, at.body(mode, 1, warehouse_id=at.warehouses[1])).json()["data"]
        assert second["inventory_by_warehouse_id"][at.warehouses[0]] == expected["MAIN"]


def test_tiktok_knows_its_shop(hub: Hub) -> None:
    at = shop(hub, "tiktok")
    assert put(hub, at, at.body()).status_code == 200
    assert faults(put(hub, at, at.body(shop_id="another"))) == {"shop_id": [f"Must be one of: {at.shop_id}."]}


def test_amazon_has_the_published_warehouse(hub: Hub) -> None:
    at = shop(hub, "amazon")
    answer = put(hub, at, {"adjustment_type": "increase", "quantity": 1, "warehouse_id": "DEFAULT"})
    assert answer.json()["data"]["inventory_by_warehouse_id"] == {"DEFAULT": 43}
    words = {"warehouse_id": ["Must be one of: DEFAULT."]}
    assert faults(put(hub, at, at.body(warehouse_id="amazon-wh-1"))) == words


# --- ids with a slash -------------------------------------------------------------------------------------


def named(hub: Hub, at: Shop, name: str) -> None:
    """Call a product of a connection by another id."""

    def unit(connection: Connection) -> None:
        statement = "UPDATE listings SET external_id = ? WHERE external_id = ?"
        connection.exec_driver_sql(statement, (name, at.product))

    hub.write(unit)


@pytest.mark.parametrize("name", ["sku/17", "/", "a//b", "../x", "\ufdd0"])
def test_a_product_whose_id_has_a_slash(hub: Hub, name: str) -> None:
    at = shop(hub, "mirakl")
    named(hub, at, name)
    escaped = quote(name, safe="")
    answer = put(hub, at, at.body("exact", 5), product=escaped, key="k-1")
    assert answer.json()["data"]["id"] == name
    assert get(hub, at, f"/cart/products/{escaped}").json()["data"]["id"] == name
    again = put(hub, at, at.body("exact", 5), product=escaped.replace("%2F", "%2f"), key="k-1")
    assert (again.content, again.headers["idempotent-replayed"]) == (answer.content, "true")


def test_an_escaped_slash_parts_no_segments(hub: Hub) -> None:
    at = shop(hub, "mirakl")
    for path in ("/cart%2Fproducts", f"/cart/products/{at.product}%2Fadjust-inventory", "/cart/products%2F"):
        assert hub.client.get(f"/trackstar{path}", headers=at.headers).status_code == 404
    named(hub, at, "a/b")
    assert hub.client.get("/trackstar/cart/products/a/b", headers=at.headers).status_code == 404


# --- fields of others ---------------------------------------------------------------------------------


def test_a_field_of_another_integration_is_named_as_unused(hub: Hub) -> None:
    at = shop(hub, "etsy")
    body = at.body(warehouse_id="any", reason=5, shop_id=["x"], future_date="soon")
    answer = put(hub, at, body)
    assert answer.status_code == 200
    assert answer.json()["unused_fields"] == ["warehouse_id", "reason", "shop_id", "future_date"]
    assert faults(put(hub, at, at.body(colour="red"))) == {"colour": ["Unknown field."]}
    # An unused field must still hold a value.
    assert faults(put(hub, at, at.body(reason=None))) == {"reason": ["Field may not be null."]}


def test_the_base_schema_accepts_anything(hub: Hub) -> None:
    at = shop(hub, "base")
    answer = put(hub, at, at.body(colour="red", reason="gift", more={"deep": [1]}))
    assert answer.json()["unused_fields"] == ["colour", "reason", "more"]
    assert faults(put(hub, at, at.body(colour=""))) == {"colour": ["Shorter than minimum length 1."]}


# --- the product --------------------------------------------------------------------------------------


def test_the_whole_product_is_answered(hub: Hub) -> None:
    at = shop(hub, "shopify")
    answer = put(hub, at, at.body(quantity=5))
    data = answer.json()["data"]
    assert sorted(data) == PUBLISHED_KEYS
    moments = {key: data.pop(key) for key in list(data) if key.endswith("_date")}
    assert moments["created_date"] <= moments["updated_date"] == moments["trackstar_updated_date"]
    assert data == {
        "id": "shopify-22",
        "name": "Linen Shirt S",
        "sku": "SHIRT-LINEN-S",
        "gtin": "02000000002200",
        "parent_product_id": "shopify-21",
        "is_kit": False,
        "active": True,
        "image_url": "https://images.example.com/shirt-linen-s.jpg",
        "price": 69.00,
        "unit_cost": 22.40,
        "inventory": 57,
        "inventory_by_warehouse_id": {"shopify-wh-1": 47, "shopify-wh-2": 10},
        "measurements": {
            "length": 32,
            "width": 25,
            "height": 3,
            "unit": "cm",
            "weight": 0.24,
            "weight_unit": "kg",
        },
        "tags": ["summer"],
        "categories": ["Shirts"],
        "external_system_url": None,
        "trackstar_tags": [],
        "additional_fields": {},
    }
    # The price leaves with the digits that were kept.
    assert b'"price":69.00,"unit_cost":22.40,' in answer.content


def test_updated_date_follows_the_stock_whoever_moves_it(hub: Hub) -> None:
    at = shop(hub, "wix")
    seen = [product(hub, at)["updated_date"]]
    hub.clock.ahead(5)
    assert put(hub, at, at.body("exact", 42)).json()["data"]["updated_date"] == seen[0]
    seen.append(put(hub, at, at.body("exact", 41)).json()["data"]["updated_date"])
    hub.clock.ahead(5)
    hub.record(SetOnHand(FIRST, 2, 3))
    seen.append(product(hub, at)["updated_date"])
    assert seen == sorted(set(seen))


def test_what_is_reserved_is_not_sold_again(hub: Hub) -> None:
    at = shop(hub, "shopify")
    hub.record(Reserve("order-1", (Line(FIRST, 40, (1,)),)))
    assert product(hub, at)["inventory_by_warehouse_id"][at.warehouses[0]] == 2
    answer = put(hub, at, at.body("decrease", 3))
    assert (answer.status_code, answer.json()) == (
        422,
        {
            "error": "Cannot decrease by 3: 2 available",
            "origin": "integration",
            "detail": {"json": {"quantity": ["Cannot decrease by 3: 2 available."]}},
        },
    )
    # What can be sold is set, and what was promised stays promised.
    put(hub, at, at.body("exact", 7))
    level = hub.levels(at.sku)["MAIN"]
    assert (level.on_hand, level.reserved, level.shown) == (47, 40, 7)


def test_endless_stock_has_no_number(hub: Hub) -> None:
    at = shop(hub, "wix")
    hub.record(SetInfinite(FIRST, 1, True))
    data = put(hub, at, at.body("decrease", 1000)).json()["data"]
    assert (data["inventory"], data["inventory_by_warehouse_id"]) == (None, {"wix-wh-2": 10})


def test_parents_are_not_adjusted(hub: Hub) -> None:
    at = shop(hub, "shopify")
    lone = shop(hub, "shopify", product=4)
    for name in ("shopify-21", f"{lone.product}-parent"):
        parent = product(hub, at, name)
        assert parent["parent_product_id"] == parent["id"] == name
        assert (parent["inventory"], parent["inventory_by_warehouse_id"]) == (None, {})
        words = ["A parent product has no inventory of its own: adjust its variants."]
        assert faults(put(hub, at, at.body(), product=name)) == {"product_id": words}
    assert product(hub, lone)["parent_product_id"] == f"{lone.product}-parent"
    assert product(hub, at)["parent_product_id"] == "shopify-21"


def test_one_ledger_behind_all_connections(hub: Hub) -> None:
    wix, etsy = shop(hub, "wix", product=9), shop(hub, "etsy", product=9)
    assert wix.sku == etsy.sku
    put(hub, wix, wix.body("exact", 5))
    put(hub, etsy, etsy.body("decrease", 2))
    assert product(hub, wix)["inventory_by_warehouse_id"]["wix-wh-1"] == 3


def test_many_at_once_sell_what_there_is_and_no_more(hub: Hub) -> None:
    at = shop(hub, "walmart")
    answers = hub.together([call(at, at.body("decrease", 1)) for _ in range(64)])
    assert sorted(answer.status_code for answer in answers) == [200] * 42 + [422] * 22
    assert hub.levels(at.sku)["MAIN"].on_hand == 0
    left = sorted(
        answer.json()["data"]["inventory_by_warehouse_id"]["walmart-wh-1"]
        for answer in answers
        if answer.status_code == 200
    )
    assert left == list(range(42))


# --- NuORDER's future ---------------------------------------------------------------------------------


def test_a_future_change_waits_until_it_is_due(hub: Hub) -> None:
    at = shop(hub, "nuorder")
    body = at.body(quantity=8, future_date="2030-01-01T00:00:00Z")
    before = product(hub, at)
    answers = [put(hub, at, body, key="delivery-1") for _ in range(2)]
    assert [answer.json()["data"] for answer in answers] == [before, before]
    assert answers[0].json()["unused_fields"] == []
    assert product(hub, at)["inventory"] == 52
    hub.clock.ahead(20 * 365 * 24 * 3600)
    deadline = time.monotonic() + 5
    while product(hub, at)["inventory"] == 52 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert product(hub, at)["inventory"] == 60
    (last,) = hub.read(lambda c: levels.history(c, hub.account, (FIRST, 1), limit=1))
    assert '"future_date":"2030-01-01T00:00:00Z"' in (last.context or "")


def test_a_future_change_of_a_kit_is_refused_at_once(hub: Hub) -> None:
    at = shop(hub, "nuorder")
    hub.write(lambda c: catalog.set_kit(c, hub.account, FIRST, {23: 2}, hub.clock()))
    now = put(hub, at, at.body(quantity=8))
    body = at.body(quantity=8, future_date="2030-01-01T00:00:00Z")
    for key in (None, "delivery-1", "delivery-1"):
        planned = put(hub, at, body, key=key)
        assert (planned.status_code, planned.content) == (422, now.content)
    assert not hub.read(lambda c: requests.plans(c, hub.account))


def test_a_past_date_is_now(hub: Hub) -> None:
    at = shop(hub, "nuorder")
    answer = put(hub, at, at.body(quantity=8, future_date="2020-01-01T00:00:00+05:30"))
    assert answer.json()["data"]["inventory"] == 60
    words = {"future_date": ["Not a valid datetime."]}
    late = "9999-12-31T23:59:59-00:01"
    for wrong in ("2030-01-01", "2030-02-30T00:00:00Z", "soon", 5, "2030-01-01T00:00:00", late):
        assert faults(put(hub, at, at.body(future_date=wrong))) == words


# --- the contract -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RULES)
def test_the_contract_knows_each_body(hub: Hub, name: str) -> None:
    at = shop(hub, name)
    rule = RULES[name]
    for mode in rule.modes:
        assert CONTRACT.accepts("put", "/cart/products/{product_id}/adjust-inventory", at.body(mode))
    schema = CONTRACT.document["components"]["schemas"]
    found = next(one for one in schema.values() if one.get("title") == rule.title)
    assert tuple(found["required"]) == rule.required
    assert tuple(found["properties"]["adjustment_type"]["enum"]) == rule.modes
    assert tuple(found["properties"].get("reason", {}).get("enum", ())) == rule.reasons


def test_the_line_to_paste_works(hub: Hub) -> None:
    _, _, verb, url, *options = shlex.split(setup.curl(hub.section, "/trackstar"))
    headers = dict(text.split(": ", 1) for flag, text in pairs(options) if flag == "-H")
    (body,) = (text for flag, text in pairs(options) if flag == "-d")
    answer = hub.client.request(verb, url, headers=headers, content=body)
    assert verb == "PUT"
    assert answer.json()["data"]["inventory"] == 53


def pairs(words: list[str]) -> list[tuple[str, str]]:
    return list(zip(words[::2], words[1::2], strict=True))
