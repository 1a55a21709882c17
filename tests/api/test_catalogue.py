"""Items, kits, sellers, locations, connections and listings."""

from __future__ import annotations

from typing import Any

import pytest

from hubs import Call
from native_calls import GIFT, LAMP_SKU, PREFIX, SHADE, SHADE_SKU, Api, adjust, codes

NEW = "0fc1a5e0-7d3b-4b6e-9a52-3d1f2c4b5a69"
"""The id of a listing that is not there yet."""

WHOLE = {
    "sku": "MUG-9",
    "name": "Mug",
    "parent": 21,
    "active": False,
    "price": "18.00",
    "cost": "5.6",
    "currency": "EUR",
    "barcodes": {"ean": "2000000000107"},
    "image_url": "https://images.example.com/mug.jpg",
    "measurements": {"length": 12, "weight": 0.38, "unit": "cm"},
    "tags": ["gift"],
    "categories": ["Tableware"],
}


def test_an_item_comes_back_as_it_was_given(either: Api) -> None:
    answer = either.ask("POST", "/items", WHOLE)
    assert answer.status_code == 201
    made = answer.json()
    assert WHOLE.items() <= made.items()
    assert answer.headers["location"] == f"{PREFIX}/items/{made['id']}"
    assert either.get(f"/items/{made['id']}") == either.get("/items/sku:MUG-9") == made
    changed = either.ask(
        "PATCH", "/items/sku:MUG-9", {"sku": None, "price": None, "tags": [], "name": "Cup"}
    ).json()
    assert (changed["sku"], changed["price"], changed["tags"], changed["name"]) == (None, None, [], "Cup")
    assert changed["cost"] == "5.6"
    assert either.ask("GET", "/items/sku:MUG-9").status_code == 404


@pytest.mark.parametrize(
    "sku", ["a/b", "ä ö%2F", "sku:sku", "☃", " lead", "UPPER", "upper", "a\nb", "x" * 255]
)
def test_skus_are_compared_byte_by_byte(api: Api, sku: str) -> None:
    made = api.post("/items", {"sku": sku}, 201)
    assert [row["id"] for row in api.get("/items", params={"sku": sku})["data"]] == [made["id"]]
    assert api.change(adjust(3, item=None, sku=sku))["changes"][0]["levels"][0]["item"] == made["id"]


def test_many_at_once(either: Api) -> None:
    rows = either.post("/items", {"items": [{"sku": f"N-{n}"} for n in range(300)]}, 201)["data"]
    assert [row["sku"] for row in rows] == [f"N-{n}" for n in range(300)]
    body = either.ask("POST", "/items", {"items": [{"sku": "N-1"}, {"sku": "NEW"}, {"sku": "NEW"}, {}, {}]})
    assert (body.status_code, codes(body)) == (409, ("sku_taken", ["/items/0/sku", "/items/2/sku"]))
    assert either.get("/items", params={"sku": "NEW"})["data"] == []


def test_pages(api: Api) -> None:
    seen, params = [], {"limit": 9}
    while True:
        body = api.get("/items", params=params)
        seen += [row["id"] for row in body["data"]]
        if body["next_cursor"] is None:
            break
        params["cursor"] = body["next_cursor"]
    assert seen == list(range(1, 41))
    some = {"sku": [LAMP_SKU, "NO", SHADE_SKU], "limit": 1}
    first = api.get("/items", params=some)
    assert [row["id"] for row in first["data"]] == [1]
    assert [
        row["id"] for row in api.get("/items", params=some | {"cursor": first["next_cursor"]})["data"]
    ] == [2]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"sku": ""}, "/sku"),
        ({"sku": "x" * 256}, "/sku"),
        ({"sku": 5}, "/sku"),
        ({"price": 18}, "/price"),
        ({"price": "18,00"}, "/price"),
        ({"price": "1.50\n"}, "/price"),
        ({"price": "-1"}, "/price"),
        ({"currency": "euro"}, "/currency"),
        ({"active": 1}, "/active"),
        ({"active": None}, "/active"),
        ({"tags": "gift"}, "/tags"),
        ({"tags": [1]}, "/tags/0"),
        ({"barcodes": {"ean": 1}}, "/barcodes"),
        ({"measurements": {"length": [1]}}, "/measurements"),
        ({"measurements": {"length": -1}}, "/measurements"),
        ({"measurements": {"length": 1e300}}, "/measurements"),
        ({"id": 7}, "/id"),
        ({"kit": True}, "/kit"),
        ({"components": [{"item": GIFT, "quantity": 0}]}, "/components/0/quantity"),
        ({"components": [{"quantity": 1}]}, "/components/0"),
        ({"items": []}, "/items"),
        ({"items": [{}], "sku": "x"}, "/sku"),
    ],
)
def test_items_that_are_not_taken(api: Api, body: dict[str, Any], pointer: str) -> None:
    answer = api.ask("POST", "/items", body)
    assert (answer.status_code, codes(answer)) == (422, ("invalid_body", [pointer]))


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"sku": LAMP_SKU}, 409, "sku_taken"),
        ({"parent": 999}, 404, "unknown_item"),
        ({"components": [{"item": 999, "quantity": 1}]}, 404, "unknown_item"),
        ({"components": [{"sku": "NO", "quantity": 1}]}, 404, "unknown_item"),
        ({"components": [{"item": GIFT, "quantity": 1}] * 2}, 409, "not_allowed"),
        ({"items": [{"sku": "FINE"}, {"sku": LAMP_SKU}]}, 409, "sku_taken"),
    ],
)
def test_items_that_cannot_be(either: Api, body: dict[str, Any], status: int, code: str) -> None:
    answer = either.ask("POST", "/items", body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert len(either.get("/items", params={"limit": 100})["data"]) == 40


def test_kits(api: Api) -> None:
    kit = api.post("/items", {"sku": "KIT", "components": [{"sku": SHADE_SKU, "quantity": 2}]}, 201)
    assert (kit["kit"], kit["components"]) == (True, [{"item": SHADE, "sku": SHADE_SKU, "quantity": 2}])
    nested = api.ask("POST", "/items", {"components": [{"item": kit["id"], "quantity": 1}]})
    stocked = api.ask("PATCH", f"/items/{GIFT}", {"components": [{"item": SHADE, "quantity": 1}]})
    used = api.ask("PATCH", f"/items/{SHADE}", {"components": [{"item": GIFT, "quantity": 1}]})
    itself = api.ask("PATCH", "/items/sku:KIT", {"components": [{"sku": "KIT", "quantity": 1}]})
    assert {answer.json()["code"] for answer in (nested, stocked, used, itself)} == {"not_allowed"}
    plain = api.ask("PATCH", "/items/sku:KIT", {"components": []}).json()
    assert (plain["kit"], plain["components"]) == (False, [])


def test_a_sku_is_given_once(either: Api) -> None:
    sent = {"headers": {"Authorization": f"Bearer {either.key}"}, "json": {"sku": "RACE"}}
    answers = either.hub.together([Call("POST", f"{PREFIX}/items", sent)] * 8)
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7


def test_changing_to_a_taken_sku(either: Api) -> None:
    answer = either.ask("PATCH", f"/items/{GIFT}", {"sku": LAMP_SKU})
    assert (answer.status_code, codes(answer)) == (409, ("sku_taken", ["/sku"]))
    same = either.ask("PATCH", "/items/1", {"sku": LAMP_SKU})
    assert same.status_code == 200
    own = either.ask("PATCH", f"/items/{GIFT}", {"parent": GIFT})
    assert own.json()["code"] == "not_allowed"


# --- sellers and locations -------------------------------------------------------------------------


def test_sellers_and_locations(either: Api) -> None:
    seller = either.post("/sellers", {"name": "North"}, 201)
    place = either.post("/locations", {"name": "NORTH", "seller": seller["id"]}, 201)
    assert either.get(f"/sellers/{seller['id']}")["default_location"] == place["id"]
    own = either.post("/locations", {"name": "SHELF", "kind": "held"}, 201)
    assert (own["seller"], own["kind"]) == (1, "held")
    changed = either.ask("PATCH", "/locations/name:SHELF", {"name": "BENCH", "active": False}).json()
    assert changed == own | {"name": "BENCH", "active": False} == either.get(f"/locations/{own['id']}")
    for theirs in (own["id"], "BENCH", "none", 999):
        other = either.ask("PATCH", f"/sellers/{seller['id']}", {"default_location": theirs})
        assert codes(other) == ("unknown_location", ["/default_location"])
    cleared = either.ask("PATCH", f"/sellers/{seller['id']}", {"default_location": None, "name": "N"}).json()
    assert (cleared["default_location"], cleared["name"]) == (None, "N")
    named = either.ask("PATCH", f"/sellers/{seller['id']}", {"default_location": "NORTH"}).json()
    assert named["default_location"] == place["id"]
    assert [row["name"] for row in either.get("/locations")["data"]] == [
        "MAIN",
        "EAST",
        "WEST",
        "NORTH",
        "BENCH",
    ]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/locations", {"name": "MAIN"}, 409, "name_taken"),
        ("PATCH", "/locations/2", {"name": "MAIN"}, 409, "name_taken"),
        ("PATCH", "/locations/2", {"name": "EAST"}, 200, None),
        ("PATCH", "/locations/2", {}, 200, None),
        ("PATCH", "/locations/2", {"seller": 1}, 422, "invalid_body"),
        ("PATCH", "/locations/9", {"active": False}, 404, "unknown_location"),
        ("POST", "/locations", {"name": " "}, 422, "invalid_body"),
        ("POST", "/locations", {"name": "X", "kind": "shop"}, 422, "invalid_body"),
        ("POST", "/locations", {"name": "X", "seller": 9}, 404, "unknown_seller"),
        ("POST", "/sellers", {}, 422, "invalid_body"),
        ("PATCH", "/sellers/9", {"name": "X"}, 404, "unknown_seller"),
        ("PATCH", "/sellers/x", {"name": "X"}, 404, "unknown_seller"),
    ],
)
def test_places_that_cannot_be(
    either: Api, method: str, path: str, body: dict[str, Any], status: int, code: str | None
) -> None:
    answer = either.ask(method, path, body)
    assert (answer.status_code, answer.json().get("code")) == (status, code)


def test_a_mirrored_location_is_not_written_by_others(api: Api) -> None:
    place = api.post("/locations", {"name": "FBA", "kind": "mirrored"}, 201)["id"]
    body = api.change(adjust(1, location=place), status=409)
    assert codes(body) == ("not_allowed", ["/changes/0"])


# --- listings --------------------------------------------------------------------------------------


def test_listings(either: Api) -> None:
    link = either.get("/connections")["data"][0]
    assert (link["channel"], link["connector"]) == ("treet", False)
    asked = {"connection": link["id"], "external_id": NEW.upper(), "sku": LAMP_SKU, "location": "MAIN"}
    made = either.post("/listings", asked, 201)
    assert (made["status"], made["sku"], made["location"]) == ("open", LAMP_SKU, 1)
    # As its API knows it: named in lower case, and closing at 0.
    assert (made["external_id"], made["closes_at_zero"]) == (NEW, True)
    again = either.ask("POST", "/listings", asked)
    assert codes(again) == ("name_taken", ["/external_id"])
    rows = either.get("/listings", params={"connection": link["id"], "status": "open", "limit": 3})
    assert len(rows["data"]) == 3
    assert rows["next_cursor"] is not None
    assert either.get("/listings", params={"connection": 99})["data"] == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"connection": 99}, "unknown_connection"),
        ({"sku": "NO"}, "unknown_item"),
        ({"sku": None, "item": 99}, "unknown_item"),
        ({"location": 99}, "unknown_location"),
        ({"location": "NO"}, "unknown_location"),
        ({"external_id": ""}, "invalid_body"),
        ({"external_id": "new"}, "invalid_body"),
        ({"external_id": NEW.replace("-", "")}, "invalid_body"),
        ({"external_id": f"{{{NEW}}}"}, "invalid_body"),
        ({"location": None}, "invalid_body"),
        ({"closes_at_zero": 1}, "invalid_body"),
    ],
)
def test_listings_that_cannot_be(api: Api, change: dict[str, Any], code: str) -> None:
    asked = {"connection": 1, "external_id": NEW, "sku": LAMP_SKU, "location": "MAIN"} | change
    assert api.ask("POST", "/listings", asked).json()["code"] == code


def test_a_closed_listing_is_opened_again_here(api: Api) -> None:
    listing = next(row for row in api.get("/listings")["data"] if row["closes_at_zero"])
    api.ask("PUT", f"/levels/{listing['item']}/{listing['location']}", {"available": 0})
    path = f"/listings/{listing['id']}"
    assert api.get(path)["status"] == "closed"
    api.ask("PUT", f"/levels/{listing['item']}/{listing['location']}", {"available": 5})
    assert api.get(path)["status"] == "closed"
    assert api.ask("PATCH", path, {"status": "open"}).json()["status"] == "open"
    assert api.ask("PATCH", path, {"status": "gone"}).status_code == 422
    assert api.ask("PATCH", "/listings/999", {"status": "open"}).status_code == 404


# --- problems --------------------------------------------------------------------------------------


def test_problems_explain_themselves(api: Api) -> None:
    for row in api.get("/problems")["data"]:
        assert api.get(f"/problems/{row['code']}") == row
    problem = api.ask("GET", "/items/999").json()
    assert api.hub.client.get(problem["type"]).json()["title"] == problem["title"]
    assert api.ask("GET", "/problems/none").json()["code"] == "unknown_problem"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/items/", 404, "not_found"),
        ("GET", "", 404, "not_found"),
        ("DELETE", "/items", 405, "method_not_allowed"),
        ("TRACE", "/changes", 405, "method_not_allowed"),
        ("GET", "/changes", 405, "method_not_allowed"),
    ],
)
def test_paths_that_are_not_there(api: Api, method: str, path: str, status: int, code: str) -> None:
    answer = api.hub.client.request(method, PREFIX + path, headers={"Authorization": f"Bearer {api.key}"})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert ("allow" in answer.headers) == (status == 405)
