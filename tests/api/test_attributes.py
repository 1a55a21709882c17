"""What one published API alone is told of an item or a listing: merged, shown, or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from hubs import Call, demo_hub
from native_calls import GIFT, GIFT_SKU, LAMP, PREFIX, Api, admin, codes
from onhand.store import catalog, channels
from side_by_side import beside

ITEM = {"marketplacer": {"multi_store": False, "external_id": "E-1", "notes": "fragile"}}
PRICE = {"mrp": 500, "selling_price": 450, "currency": "INR"}
LISTING = {
    "flipkart": {
        "product_id": "MUGABCDEFGHIJ",
        "listing_id": "LST1",
        "price": PRICE,
        "listing_status": "INACTIVE",
        "fulfillment_profile": "FBF",
        "archived_status": "ARCHIVED",
    }
}
TRACKSTAR = {
    "trackstar": {
        "external_system_url": "https://shop.example.com/mug",
        "trackstar_tags": ["gift"],
        "additional_fields": {"colour": "oat"},
    }
}


@pytest.fixture
def shop(db_url: str) -> Iterator[Api]:
    """A caller of a hub that has connections of three APIs."""
    with demo_hub(db_url, "native", "flipkart", "treet", "trackstar") as running:
        yield admin(running)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Api]:
    """The same on SQLite alone."""
    with demo_hub(tmp_path, "native", "flipkart", "treet", "trackstar") as running:
        yield admin(running)


def link(api: Api, channel: str) -> int:
    rows = api.get("/connections")["data"]
    return next(int(row["id"]) for row in rows if row["channel"] == channel)


def listing(api: Api, channel: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = api.get("/listings", params={"connection": link(api, channel)})["data"]
    return rows[0]


def told(api: Api, path: str, attributes: Any) -> Any:
    """What is kept after a change, which is what is shown afterwards."""
    answer = api.ask("PATCH", path, {"attributes": attributes})
    assert answer.status_code == 200, answer.text
    assert api.get(path) == answer.json()
    return answer.json()["attributes"]


@pytest.mark.parametrize("many", [False, True])
def test_an_item_is_made_with_attributes(either: Api, many: bool) -> None:
    asked = {"sku": "MUG-9", "attributes": ITEM}
    made = either.post("/items", {"items": [asked]} if many else asked, 201)
    assert (made["data"][0] if many else made)["attributes"] == ITEM
    assert either.get("/items", params={"sku": "MUG-9"})["data"][0]["attributes"] == ITEM


def test_what_is_left_out_of_an_item_stays_and_null_forgets(either: Api) -> None:
    path = f"/items/{LAMP}"
    assert either.get(path)["attributes"] == {}
    assert told(either, path, {"marketplacer": {"notes": None}}) == {}
    assert told(either, path, ITEM) == ITEM
    assert told(either, path, {}) == ITEM
    assert either.ask("PATCH", path, {"name": "Lamp"}).json()["attributes"] == ITEM
    some = {"marketplacer": {"external_id": "E-2", "notes": None}}
    assert told(either, path, some) == {"marketplacer": {"multi_store": False, "external_id": "E-2"}}
    none = {"marketplacer": {"external_id": None, "multi_store": None}}
    assert told(either, path, none) == {}
    assert told(either, path, ITEM) == ITEM
    assert told(either, path, {"marketplacer": None}) == {}


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        (None, "/attributes"),
        ([], "/attributes"),
        ({"treet": {}}, "/attributes/treet"),
        ({"flipkart": {}}, "/attributes/flipkart"),
        ({"marketplacer": []}, "/attributes/marketplacer"),
        ({"marketplacer": {"price": "1"}}, "/attributes/marketplacer/price"),
        ({"marketplacer": {"multi_store": 0}}, "/attributes/marketplacer/multi_store"),
        ({"marketplacer": {"multi_store": "false"}}, "/attributes/marketplacer/multi_store"),
        ({"marketplacer": {"external_id": 7}}, "/attributes/marketplacer/external_id"),
        ({"marketplacer": {"external_id": ""}}, "/attributes/marketplacer/external_id"),
        ({"marketplacer": {"external_id": "x" * 256}}, "/attributes/marketplacer/external_id"),
        ({"marketplacer": {"notes": "x" * 2049}}, "/attributes/marketplacer/notes"),
        ({"marketplacer": {"notes": {"a": "b"}}}, "/attributes/marketplacer/notes"),
    ],
)
def test_item_attributes_that_cannot_be(api: Api, attributes: Any, pointer: str) -> None:
    before = api.get(f"/items/{GIFT}")
    answer = api.ask("PATCH", f"/items/{GIFT}", {"name": "New", "attributes": attributes})
    assert (answer.status_code, codes(answer)) == (422, ("invalid_body", [pointer]))
    answer = api.ask("POST", "/items", {"items": [{}, {"attributes": attributes}]})
    assert (answer.status_code, codes(answer)) == (422, ("invalid_body", [f"/items/1{pointer}"]))
    assert api.get(f"/items/{GIFT}") == before


@pytest.mark.parametrize("text", [rb"\u0000", rb"\ud800", b"\0", b"\xff"])
def test_text_that_no_value_may_hold(api: Api, text: bytes) -> None:
    content = b'{"attributes": {"marketplacer": {"notes": "a' + text + b'b"}}}'
    answer = api.ask("PATCH", f"/items/{GIFT}", content=content)
    assert (answer.status_code, codes(answer)[0]) == (400, "invalid_json")
    assert api.get(f"/items/{GIFT}")["attributes"] == {}


@pytest.mark.parametrize(("channel", "attributes"), [("flipkart", LISTING), ("trackstar", TRACKSTAR)])
def test_a_listing_is_made_with_attributes(shop: Api, channel: str, attributes: dict[str, Any]) -> None:
    asked = {"connection": link(shop, channel), "external_id": "NEW", "sku": GIFT_SKU}
    made = shop.post("/listings", asked | {"attributes": attributes}, 201)
    assert made["attributes"] == attributes
    assert shop.get(f"/listings/{made['id']}") == made
    rows = shop.get("/listings", params={"connection": asked["connection"]})["data"]
    assert rows[-1] == made
    assert told(shop, f"/listings/{made['id']}", {channel: None}) == {}


def test_what_is_left_out_of_a_listing_stays_and_null_forgets(shop: Api) -> None:
    one = listing(shop, "flipkart")
    path, kept = f"/listings/{one['id']}", one["attributes"]["flipkart"]
    assert set(kept) == {"product_id", "price"}
    closed = shop.ask("PATCH", path, {"status": "closed"}).json()
    assert (closed["status"], closed["attributes"]) == ("closed", one["attributes"])
    both = {"status": "open", "attributes": {"flipkart": {"price": PRICE, "listing_status": "ACTIVE"}}}
    opened = shop.ask("PATCH", path, both).json()
    now = kept | {"price": PRICE, "listing_status": "ACTIVE"}
    assert (opened["status"], opened["attributes"]) == ("open", {"flipkart": now})
    assert opened["updated_at"] > one["updated_at"]
    assert told(shop, path, {"flipkart": {"price": None, "listing_status": None}}) == {
        "flipkart": {"product_id": kept["product_id"]}
    }
    assert shop.ask("PATCH", path, {}).json() == shop.get(path)


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        (None, "/attributes"),
        ({"marketplacer": {}}, "/attributes/marketplacer"),
        ({"trackstar": {"trackstar_tags": []}}, "/attributes/trackstar"),
        ({"trackstar": None}, "/attributes/trackstar"),
        ({"flipkart": {"sku": "x"}}, "/attributes/flipkart/sku"),
        ({"flipkart": {"product_id": "x" * 12}}, "/attributes/flipkart/product_id"),
        ({"flipkart": {"product_id": "x" * 17}}, "/attributes/flipkart/product_id"),
        ({"flipkart": {"product_id": 1234567890123}}, "/attributes/flipkart/product_id"),
        ({"flipkart": {"listing_id": ""}}, "/attributes/flipkart/listing_id"),
        ({"flipkart": {"listing_status": "OPEN"}}, "/attributes/flipkart/listing_status"),
        ({"flipkart": {"archived_status": True}}, "/attributes/flipkart/archived_status"),
        ({"flipkart": {"fulfillment_profile": "SELF"}}, "/attributes/flipkart/fulfillment_profile"),
        ({"flipkart": {"price": 5}}, "/attributes/flipkart/price"),
        ({"flipkart": {"price": {"mrp": 5, "currency": "INR"}}}, "/attributes/flipkart/price"),
        ({"flipkart": {"price": PRICE | {"nlc": 1}}}, "/attributes/flipkart/price/nlc"),
        ({"flipkart": {"price": PRICE | {"mrp": -1}}}, "/attributes/flipkart/price/mrp"),
        ({"flipkart": {"price": PRICE | {"mrp": 5.0}}}, "/attributes/flipkart/price/mrp"),
        ({"flipkart": {"price": PRICE | {"mrp": True}}}, "/attributes/flipkart/price/mrp"),
        ({"flipkart": {"price": PRICE | {"mrp": 10**12 + 1}}}, "/attributes/flipkart/price/mrp"),
        (
            {"flipkart": {"price": PRICE | {"selling_price": None}}},
            "/attributes/flipkart/price/selling_price",
        ),
        ({"flipkart": {"price": PRICE | {"currency": "inr"}}}, "/attributes/flipkart/price/currency"),
        ({"flipkart": {"price": PRICE | {"currency": "INR\n"}}}, "/attributes/flipkart/price/currency"),
    ],
)
def test_listing_attributes_that_cannot_be(small: Api, attributes: Any, pointer: str) -> None:
    one = listing(small, "flipkart")
    path = f"/listings/{one['id']}"
    answer = small.ask("PATCH", path, {"status": "closed", "attributes": attributes})
    assert (answer.status_code, codes(answer)) == (422, ("invalid_body", [pointer]))
    assert small.get(path) == one
    asked = {"connection": one["connection"], "external_id": "NEW", "item": GIFT, "attributes": attributes}
    answer = small.ask("POST", "/listings", asked)
    assert (answer.status_code, codes(answer)) == (422, ("invalid_body", [pointer]))


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        ({"flipkart": {}}, "/attributes/flipkart"),
        ({"trackstar": {"external_system_url": "x" * 2049}}, "/attributes/trackstar/external_system_url"),
        ({"trackstar": {"trackstar_tags": "gift"}}, "/attributes/trackstar/trackstar_tags"),
        ({"trackstar": {"trackstar_tags": [{"a": "b"}]}}, "/attributes/trackstar/trackstar_tags/0"),
        ({"trackstar": {"trackstar_tags": ["x"] * 101}}, "/attributes/trackstar/trackstar_tags"),
        ({"trackstar": {"additional_fields": []}}, "/attributes/trackstar/additional_fields"),
        ({"trackstar": {"additional_fields": {"": "x"}}}, "/attributes/trackstar/additional_fields"),
    ],
)
def test_trackstar_attributes_that_cannot_be(small: Api, attributes: Any, pointer: str) -> None:
    path = f"/listings/{listing(small, 'trackstar')['id']}"
    answer = small.ask("PATCH", path, {"attributes": attributes})
    assert (answer.status_code, codes(answer)) == (422, ("invalid_body", [pointer]))


def test_an_api_that_is_told_nothing(small: Api) -> None:
    one = listing(small, "treet")
    assert one["attributes"] == {}
    assert told(small, f"/listings/{one['id']}", {}) == {}
    answer = small.ask("PATCH", f"/listings/{one['id']}", {"attributes": LISTING})
    assert (answer.status_code, codes(answer)) == (422, ("invalid_body", ["/attributes/flipkart"]))


def test_a_seller_tells_an_item_nothing(api: Api) -> None:
    answer = api.caller(seller=2).ask("PATCH", f"/items/{GIFT}", {"attributes": ITEM})
    assert (answer.status_code, answer.json()["code"]) == (403, "seller_bound")


def change_item(connection: Connection, account: int) -> None:
    catalog.change_item(connection, account, LAMP, {"attributes": {"marketplacer": {"notes": "b"}}}, 1)


def change_listing(connection: Connection, account: int) -> None:
    one = next(one for one in channels.listings(connection, account) if "product_id" in one.attributes)
    fields = {"attributes": {"product_id": "P" * 13}}
    channels.change_listing(connection, account, one.id, fields, 1)


@pytest.mark.parametrize(
    ("name", "other", "ours", "both"),
    [
        ("items", change_item, {"external_id": "a"}, {"external_id": "a", "notes": "b"}),
        ("listings", change_listing, {"listing_id": "a"}, {"listing_id": "a", "product_id": "P" * 13}),
    ],
)
def test_two_hubs_that_tell_different_things(
    postgres_url: str, name: str, other: Callable[[Connection, int], None], ours: Any, both: Any
) -> None:
    """Whoever comes second keeps what the first has told, though it began before that was committed."""
    with demo_hub(postgres_url, "native", "flipkart") as hub:
        api = admin(hub)
        path, dialect = f"/items/{LAMP}", "marketplacer"
        if name == "listings":
            path, dialect = f"/listings/{listing(api, 'flipkart')['id']}", "flipkart"
        headers, body = {"Authorization": f"Bearer {api.key}"}, {"attributes": {dialect: ours}}
        asked = Call("PATCH", PREFIX + path, {"json": body, "headers": headers})
        assert beside(hub, postgres_url, lambda c: other(c, hub.account), asked).status_code == 200
        assert api.get(path)["attributes"] == {dialect: both}
