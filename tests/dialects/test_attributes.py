"""What our own API tells of an item or a listing is what the API that reads it goes by, at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import trackstar_calls
from dialects.flipkart_wire import LISTINGS, bearer, conforms, post, update
from hubs import Hub, demo_hub
from marketplacer_calls import LAMP, VARIANT, VARIANTS, call, error, get, put, records
from native_calls import Api, admin


@pytest.fixture
def hub(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Hub]:
    name, _, engine = request.param.partition(" on ")
    where = request.getfixturevalue("postgres_url") if engine else tmp_path
    with demo_hub(where, name, "native") as one:
        yield one


def tell(api: Api, path: str, attributes: dict[str, Any]) -> None:
    answer = api.ask("PATCH", path, {"attributes": attributes})
    assert answer.status_code == 200, answer.text


def listing(api: Api, name: str) -> str:
    """The path of the listing of this external id."""
    rows = api.get("/listings", params={"limit": 1000})["data"]
    return next(f"/listings/{row['id']}" for row in rows if row["external_id"] == name)


def variants(hub: Hub, query: str = "", seller: int | None = None) -> list[int]:
    answer = call(hub, "get", VARIANTS, query=query, seller=seller)
    return [one["id"] for one in answer.json()["data"]]


@pytest.mark.parametrize("hub", ["marketplacer", "marketplacer on postgresql"], indirect=True)
def test_a_variant_becomes_that_of_one_seller_and_is_shared_again(hub: Hub) -> None:
    api, body = admin(hub), records({"count_on_hand": 7, "seller_id": 2})
    assert put(hub, LAMP, body).status_code == 200
    before = get(hub, LAMP).json()
    tell(api, f"/items/{LAMP}", {"marketplacer": {"multi_store": False}})
    assert error(put(hub, LAMP, body))[0] == error(get(hub, LAMP))[0] == 404
    assert call(hub, "get", VARIANT, variant=LAMP, seller=2).status_code == 404
    assert (LAMP in variants(hub), LAMP in variants(hub, seller=2)) == (True, False)
    shown = call(hub, "get", VARIANT, variant=LAMP).json()["data"][0]["attributes"]
    assert shown["count_on_hand"] == 10
    for again in (True, None):
        tell(api, f"/items/{LAMP}", {"marketplacer": {"multi_store": again}})
        assert get(hub, LAMP).json() == before
        assert put(hub, LAMP, body).status_code == 200
        assert LAMP in variants(hub, seller=2)


@pytest.mark.parametrize("hub", ["marketplacer", "marketplacer on postgresql"], indirect=True)
@pytest.mark.parametrize("name", ["E-1", "0", "false", "null", 'a"b\\', "\x01\n☃ 𝄞", "x" * 255])
def test_a_variant_is_found_by_its_external_id(hub: Hub, name: str) -> None:
    api = admin(hub)
    tell(api, f"/items/{LAMP}", {"marketplacer": {"external_id": name, "notes": f"{name} "}})
    shown = call(hub, "get", VARIANT, variant=LAMP).json()["data"][0]["attributes"]
    assert (shown["external_id"], shown["notes"]) == (name, f"{name} ")
    asked = {"external_id": name}
    headers = {"Authorization": f"Bearer {hub.section['parent_key']}"}
    found = hub.client.get(f"/marketplacer{VARIANTS}", params=asked, headers=headers).json()["data"]
    assert [one["id"] for one in found] == [LAMP]
    tell(api, f"/items/{LAMP}", {"marketplacer": {"external_id": None}})
    assert variants(hub, "?external_id=E-1") == []


@pytest.mark.parametrize("hub", ["marketplacer"], indirect=True)
def test_a_variant_is_listed_by_a_number(hub: Hub) -> None:
    api, before = admin(hub), variants(hub)
    link = next(row["id"] for row in api.get("/connections")["data"] if row["channel"] == "marketplacer")
    asked = {"connection": link, "item": LAMP}
    for name in ("abc", "007", "0", "-1", "1.0", " 7", "7\n", "٧", "1" * 19):
        refused = api.ask("POST", "/listings", asked | {"external_id": name})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/external_id"), name
    api.post("/listings", asked | {"external_id": "9" * 18}, 201)
    assert variants(hub) == [*before, 10**18 - 1]


@pytest.mark.parametrize("hub", ["flipkart", "flipkart on postgresql"], indirect=True)
def test_a_flipkart_listing_says_what_it_was_told(hub: Hub) -> None:
    api, known = admin(hub), hub.section["skus"][0]
    headers, sku = bearer(hub), known["sku"]
    link = next(row["id"] for row in api.get("/connections")["data"] if row["channel"] == "flipkart")
    told: dict[str, Any] = {
        "product_id": "MUGABCDEFGHIJKLM",
        "listing_id": "LSTMUG",
        "price": {"mrp": 10**12, "selling_price": 0, "currency": "INR"},
        "listing_status": "ACTIVE",
        "fulfillment_profile": "FBF_LITE",
        "archived_status": "NONE",
    }
    asked = {"connection": link, "external_id": "NEW", "sku": "GIFT-CARD-BOX"}
    api.post("/listings", asked | {"attributes": {"flipkart": told}}, 201)
    for name in ("NEW", sku):
        tell(api, listing(api, name), {"flipkart": told})
        answer = hub.client.get(LISTINGS + name, headers=headers)
        assert conforms(answer, "Listings")
        assert told.items() <= answer.json()["available"][name].items()

    def status(product_id: str) -> dict[str, Any]:
        answer = post(hub, {sku: update(known | {"product_id": product_id}, 7)}, headers)
        assert conforms(answer, "UpdateResponse")
        found: dict[str, Any] = answer.json()[sku]
        return found

    assert status(known["product_id"])["attribute_errors"][0]["code"] == 2005
    assert status(told["product_id"]) == {"status": "SUCCESS"}
    for field, value, code in [("listing_status", "INACTIVE", 3001), ("archived_status", "ARCHIVED", 3002)]:
        tell(api, listing(api, sku), {"flipkart": {field: value}})
        warned = status(told["product_id"])
        assert (warned["status"], [one["code"] for one in warned["errors"]]) == ("WARNING", [code])
        tell(api, listing(api, sku), {"flipkart": {field: None}})
    tell(api, listing(api, sku), {"flipkart": None})
    assert status("ANYTHINGATALL") == {"status": "SUCCESS"}
    assert conforms(hub.client.get(LISTINGS + sku, headers=headers), "Listings")


@pytest.mark.parametrize("hub", ["trackstar", "trackstar on postgresql"], indirect=True)
def test_a_trackstar_product_says_what_it_was_told(hub: Hub) -> None:
    api, shop = admin(hub), trackstar_calls.shop(hub, "shopify")
    told = {
        "external_system_url": "https://shop.example.com/1",
        "trackstar_tags": ["gift", "new"],
        "additional_fields": {"colour": "oat"},
    }

    def product() -> dict[str, Any]:
        found = trackstar_calls.get(hub, shop, f"/cart/products/{shop.product}").json()
        body: dict[str, Any] = found["data"]
        return body

    before = product()
    tell(api, listing(api, shop.product), {"trackstar": told})
    assert told.items() <= product().items()
    tell(api, listing(api, shop.product), {"trackstar": dict.fromkeys(told)})
    assert {name: product()[name] for name in told} == {name: before[name] for name in told}
