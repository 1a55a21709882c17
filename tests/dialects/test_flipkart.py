"""The Flipkart dialect over HTTP: published requests, what goes wrong, and what it leaves in the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dialects.flipkart_wire import LISTINGS, ROOT, UPDATE, bearer, conforms, post, update
from hubs import Call, Hub, demo_hub
from onhand.stock.model import Line, Reserve, SetInfinite
from onhand.store import catalog, channels

NO_LISTING = {"severity": "ERROR", "code": 1001, "description": "No listing exists for the given SKU"}
SUCCESS = {"status": "SUCCESS"}


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with demo_hub(tmp_path, "flipkart") as one:
        yield one


def shown(hub: Hub, sku: str) -> dict[str, int]:
    return {name: level.shown for name, level in hub.levels(sku).items()}


def attributes(hub: Hub, sku: str, **told: str) -> None:
    """Tell something about a demo listing."""
    link = hub.read(lambda c: channels.links(c, hub.account, "flipkart"))[0].id
    one = hub.read(lambda c: channels.listings_by_external(c, hub.account, link, [sku]))[sku]
    fields = {"attributes": one.attributes | told}
    assert hub.write(lambda c: channels.change_listing(c, hub.account, one.id, fields, 1))


def locations(hub: Hub, sku: str) -> list[dict[str, Any]]:
    answer = hub.client.get(LISTINGS + sku, headers=bearer(hub))
    assert answer.status_code == 200
    assert conforms(answer, "Listings")
    found: list[dict[str, Any]] = answer.json()["available"][sku]["locations"]
    return found


@pytest.mark.parametrize("prefix", ["", "/sellers"])
def test_the_published_example(hub: Hub, prefix: str) -> None:
    good, bad = hub.section["skus"][:2]
    gone = {"product_id": "SHTABCDEFGH12345", "locations": [{"id": good["locations"][0], "inventory": 1}]}
    body = {good["sku"]: update(good, 7), "SKU-GONE": gone, bad["sku"]: update(bad, -1)}
    answer = post(hub, body, path=f"{ROOT}{prefix}/listings/v3/update/inventory")
    assert answer.status_code == 200
    assert conforms(answer, "UpdateResponse")
    fault = {
        "severity": "ERROR",
        "code": 2001,
        "description": "must be a non-negative integer",
        "attribute": "inventory",
        "path": "locations[0].inventory",
    }
    assert answer.text == json.dumps(
        {
            good["sku"]: SUCCESS,
            "SKU-GONE": {"status": "FAILURE", "errors": [NO_LISTING]},
            bad["sku"]: {"status": "FAILURE", "attribute_errors": [fault]},
        },
        separators=(",", ":"),
    )
    assert shown(hub, good["sku"]) == {"MAIN": 7, "EAST": 10}
    assert shown(hub, bad["sku"])["MAIN"] != 1


def test_a_sku_is_changed_at_all_its_locations_or_at_none(hub: Hub) -> None:
    first, second = hub.section["skus"][:2]
    before = shown(hub, first["sku"])
    broken = update(first, 1)
    broken["locations"].append({"id": "LOC" + "0" * 32, "inventory": 1})
    answer = post(hub, {first["sku"]: broken, second["sku"]: update(second, 3, 4)})
    assert [one["status"] for one in answer.json().values()] == ["FAILURE", "SUCCESS"]
    assert shown(hub, first["sku"]) == before
    assert shown(hub, second["sku"]) == {"MAIN": 3, "EAST": 4}


def test_what_is_reserved_comes_on_top(hub: Hub) -> None:
    known = hub.section["skus"][0]
    item = hub.read(lambda c: catalog.items_by_sku(c, hub.account, [known["sku"]]))[known["sku"]].id
    hub.record(Reserve("order-1", (Line(item, 2, (1,)),)))
    assert post(hub, {known["sku"]: update(known, 7)}).json() == {known["sku"]: SUCCESS}
    level = hub.levels(known["sku"])["MAIN"]
    assert (level.on_hand, level.reserved, level.shown) == (9, 2, 7)


def test_a_level_that_would_be_too_large_fails_its_sku_alone(hub: Hub) -> None:
    first, second = hub.section["skus"][:2]
    item = hub.read(lambda c: catalog.items_by_sku(c, hub.account, [first["sku"]]))[first["sku"]].id
    hub.record(Reserve("order-1", (Line(item, 2, (1,)),)))
    answer = post(hub, {first["sku"]: update(first, 10**12, 5), second["sku"]: update(second, 3)})
    assert conforms(answer, "UpdateResponse")
    assert answer.json()[second["sku"]] == SUCCESS
    [fault] = answer.json()[first["sku"]]["attribute_errors"]
    assert (fault["code"], fault["path"]) == (2012, "locations[0].inventory")
    assert shown(hub, first["sku"])["EAST"] == 10


def test_the_same_request_twice_moves_nothing_twice(hub: Hub) -> None:
    known = hub.section["skus"][0]
    body = {known["sku"]: update(known, 7, 8)}
    answers = [post(hub, body).json() for _ in range(2)]
    assert answers == [{known["sku"]: SUCCESS}] * 2
    assert [level.version for level in hub.levels(known["sku"]).values()] == [2, 2]


def test_two_at_once_leave_one_of_them_whole(hub: Hub) -> None:
    known, headers = hub.section["skus"][0], bearer(hub)
    bodies = [{known["sku"]: update(known, units, units)} for units in range(1, 21)]
    calls = [Call("POST", UPDATE, {"json": body, "headers": headers}) for body in bodies]
    assert [answer.json() for answer in hub.together(calls)] == [{known["sku"]: SUCCESS}] * 20
    assert len(set(shown(hub, known["sku"]).values())) == 1


@pytest.mark.parametrize(
    ("told", "codes"),
    [
        ({"listing_status": "INACTIVE"}, [3001]),
        ({"archived_status": "ARCHIVED"}, [3002]),
        ({"listing_status": "INACTIVE", "archived_status": "ARCHIVED"}, [3001, 3002]),
    ],
)
def test_a_listing_that_is_not_live_is_changed_with_a_warning(
    hub: Hub, told: dict[str, str], codes: list[int]
) -> None:
    known = hub.section["skus"][0]
    attributes(hub, known["sku"], **told)
    answer = post(hub, {known["sku"]: update(known, 3)})
    assert conforms(answer, "UpdateResponse")
    change = answer.json()[known["sku"]]
    assert change["status"] == "WARNING"
    assert [(one["severity"], one["code"]) for one in change["errors"]] == [("WARNING", c) for c in codes]
    assert shown(hub, known["sku"])["MAIN"] == 3


def test_a_listing_that_is_closed_in_the_hub_is_inactive(hub: Hub) -> None:
    known = hub.section["skus"][0]
    link = hub.read(lambda c: channels.links(c, hub.account, "flipkart"))[0].id
    one = hub.read(lambda c: channels.listings_by_external(c, hub.account, link, [known["sku"]]))[
        known["sku"]
    ]
    hub.write(lambda c: channels.change_listing(c, hub.account, one.id, {"status": "closed"}, 1))
    assert post(hub, {known["sku"]: update(known, 3)}).json()[known["sku"]]["errors"][0]["code"] == 3001
    shown_now = hub.client.get(LISTINGS + known["sku"], headers=bearer(hub)).json()["available"]
    assert shown_now[known["sku"]]["listing_status"] == "INACTIVE"


def test_a_number_for_stock_without_end_is_kept_with_a_warning(hub: Hub) -> None:
    known, other = hub.section["skus"][:2]
    item = hub.read(lambda c: catalog.items_by_sku(c, hub.account, [known["sku"]]))[known["sku"]].id
    hub.record(SetInfinite(item, 1, True))
    # The second time nothing moves any more, and it is as odd as the first.
    for _ in range(2):
        answer = post(hub, {known["sku"]: update(known, 0, 4), other["sku"]: update(other, 3)})
        assert conforms(answer, "UpdateResponse")
        change = answer.json()[known["sku"]]
        assert change.keys() == {"status", "errors"}
        assert (change["status"], [(one["severity"], one["code"]) for one in change["errors"]]) == (
            "WARNING",
            [("WARNING", 3003)],
        )
        assert known["locations"][0] in change["errors"][0]["description"]
        assert answer.json()[other["sku"]] == SUCCESS
        assert [one["inventory"] for one in locations(hub, known["sku"])] == [999, 4]
    quiet = update(known)
    quiet["locations"] = [{"id": known["locations"][0], "status": "DISABLED"}]
    assert post(hub, {known["sku"]: quiet}).json() == {known["sku"]: SUCCESS}


@pytest.mark.parametrize("obstacle", ["kit", "mirrored"])
def test_what_the_ledger_does_not_allow_fails_its_sku_alone(hub: Hub, obstacle: str) -> None:
    first, second = hub.section["skus"][:2]
    item = hub.read(lambda c: catalog.items_by_sku(c, hub.account, [first["sku"]]))[first["sku"]].id
    if obstacle == "kit":
        hub.write(lambda c: catalog.set_kit(c, hub.account, item, {1: 2}, 1))
    else:
        hub.write(lambda c: catalog.change(c, "location", hub.account, 2, {"kind": "mirrored"}))
    before = hub.levels(first["sku"])
    answer = post(hub, {first["sku"]: update(first, 3, 4), second["sku"]: update(second, 3)})
    assert conforms(answer, "UpdateResponse")
    assert answer.json()[second["sku"]] == SUCCESS
    assert answer.json()[first["sku"]]["errors"][0]["code"] == 1003
    assert hub.levels(first["sku"]) == before


def test_a_location_is_enabled_by_an_update_and_disabled_on_request(hub: Hub) -> None:
    shared = next(one for one in hub.section["skus"] if one["sku"] == "GIFT-CARD-BOX")
    main, east = hub.section["skus"][0]["locations"]
    assert locations(hub, shared["sku"]) == [{"id": main, "status": "ENABLED", "inventory": 50}]

    def send(*spots: dict[str, Any]) -> list[dict[str, Any]]:
        body = {shared["sku"]: {"product_id": shared["product_id"], "locations": list(spots)}}
        assert post(hub, body).json() == {shared["sku"]: SUCCESS}
        return locations(hub, shared["sku"])

    both = send({"id": east, "inventory": 4}, {"id": main, "inventory": 50, "status": "DISABLED"})
    assert both == [
        {"id": main, "status": "DISABLED", "inventory": 50},
        {"id": east, "status": "ENABLED", "inventory": 4},
    ]
    quiet = {"id": east, "inventory": None, "status": "DISABLED", "pending_inventory": 6}
    assert send(quiet)[1] == {"id": east, "status": "DISABLED", "inventory": 4, "pending_inventory": 6}
    assert send({"id": main, "inventory": 1, "status": None})[0] == {
        "id": main,
        "status": "ENABLED",
        "inventory": 1,
    }
    assert send({"id": east, "inventory": 5})[1]["pending_inventory"] == 6


def test_two_listings_of_one_item_share_its_number_and_nothing_else(hub: Hub) -> None:
    known = hub.section["skus"][0]
    link = hub.read(lambda c: channels.links(c, hub.account, "flipkart"))[0].id
    item = hub.read(lambda c: catalog.items_by_sku(c, hub.account, [known["sku"]]))[known["sku"]].id
    hub.write(lambda c: channels.add_listing(c, hub.account, channels.Listing(0, link, "ALIAS", item), 1))
    before = locations(hub, known["sku"])
    quiet = update(known, 3, status="DISABLED", pending_inventory=9)
    assert post(hub, {"ALIAS": quiet}).json() == {"ALIAS": SUCCESS}
    assert locations(hub, "ALIAS")[0] == {
        "id": known["locations"][0],
        "status": "DISABLED",
        "inventory": 3,
        "pending_inventory": 9,
    }
    assert locations(hub, known["sku"]) == [before[0] | {"inventory": 3}, before[1]]
    # In one request each says of itself what it says, and the last number is the item's.
    both = {known["sku"]: update(known, 5, status="DISABLED"), "ALIAS": update(known, 6)}
    assert post(hub, both).json() == {known["sku"]: SUCCESS, "ALIAS": SUCCESS}
    found = [locations(hub, sku)[0] for sku in (known["sku"], "ALIAS")]
    assert [(one["status"], one["inventory"]) for one in found] == [("DISABLED", 6), ("ENABLED", 6)]


def test_a_sku_named_errors_is_a_sku(hub: Hub) -> None:
    link = hub.read(lambda c: channels.links(c, hub.account, "flipkart"))[0].id
    listing = channels.Listing(0, link, "errors", 13, attributes={"product_id": "P" * 13})
    hub.write(lambda c: channels.add_listing(c, hub.account, listing, 1))
    known = hub.section["skus"][0] | {"product_id": "P" * 13}
    answer = post(hub, {"errors": update(known, 2)})
    assert (answer.status_code, answer.json()) == (200, {"errors": SUCCESS})


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", 4001),
        (b"   ", 4001),
        (b"{", 4001),
        (b'{"A":5}x', 4001),
        (b'{"A":NaN}', 4001),
        (b"\xef\xbb\xbf{}", 4001),
        (b'{"A\xff":5}', 4001),
        (b'{"A\\u0000":5}', 4001),
        (b'{"\\ud800":5}', 4001),
        (b"[" * 100_000, 4001),
        (b"[]", 4002),
        (b"null", 4002),
        (b"5", 4002),
        (b'"A"', 4002),
        (b"[{}]", 4002),
        (b"{}", 4003),
        (json.dumps(dict.fromkeys("ABCDEFGHIJK")).encode(), 4004),
        (b'{"A":5,"A":5}', 4006),
        (b'{"A":{"locations":[],"locations":[]}}', 4006),
    ],
)
def test_a_request_that_cannot_be_read_does_nothing(hub: Hub, body: bytes, code: int) -> None:
    answer = post(hub, body)
    assert answer.status_code == 400
    assert conforms(answer, "ErrorResponse")
    assert [one["code"] for one in answer.json()["errors"]] == [code]


def test_eleven_skus_do_nothing_at_all_and_ten_do(hub: Hub) -> None:
    known = hub.section["skus"][0]
    before = shown(hub, known["sku"])
    others = {f"NOT-OURS-{n}": update(known, 1) for n in range(10)}
    answer = post(hub, {known["sku"]: update(known, 1)} | others)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, 4004)
    assert shown(hub, known["sku"]) == before
    others.popitem()
    answer = post(hub, {known["sku"]: update(known, 1)} | others)
    assert [one["status"] for one in answer.json().values()] == ["SUCCESS", *["FAILURE"] * 9]


@pytest.mark.parametrize(
    "sku", ["", " ", "KETTLE-STEEL-12 ", "kettle-steel-12", "x" * 100_000, "é\u2028\U0001f9c3", "'--"]
)
def test_skus_that_nobody_has(hub: Hub, sku: str) -> None:
    answer = post(hub, {sku: update(hub.section["skus"][0], 1)})
    assert answer.json() == {sku: {"status": "FAILURE", "errors": [NO_LISTING]}}


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 200),
        ("APPLICATION/JSON;charset=utf-8", 200),
        ("application/vnd.flipkart+json", 200),
        ("text/plain", 400),
        ("application/x-www-form-urlencoded", 400),
        ("", 400),
    ],
)
def test_the_media_type_must_be_json(hub: Hub, kind: str, status: int) -> None:
    answer = post(hub, {"NOT-OURS": 1}, bearer(hub) | {"Content-Type": kind})
    assert answer.status_code == status
    assert answer.json().get("errors", [{"code": 4005}])[0]["code"] == 4005


def test_a_body_that_is_too_long(hub: Hub) -> None:
    answer = post(hub, b" " * (256 * 1024 + 1))
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (413, 4130)
    assert conforms(answer, "ErrorResponse")


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/listings/v3/update/inventory", 405, "POST"),
        ("PUT", "/sellers/listings/v3/update/inventory", 405, "POST"),
        ("POST", "/listings/v3/KETTLE-STEEL-12", 405, "GET, HEAD"),
        ("DELETE", "/oauth-service/oauth/token", 405, "GET, HEAD, POST"),
        ("DELETE", "/sellers/listings/v3/KETTLE-STEEL-12,A%2FB", 405, "GET, HEAD"),
        ("GET", "/listings/v3/update/price", 404, None),
        # What cannot be a list of SKUs is no path with any method.
        ("POST", "/listings/v3/update/price", 404, None),
        ("POST", "/sellers/listings/v3/update/inventory/", 404, None),
        ("POST", "/listings/v3/", 404, None),
        ("GET", "/listings/v3/", 404, None),
        ("GET", "/listings/v3", 404, None),
        ("POST", "/sellers/sellers/listings/v3/update/inventory", 404, None),
        ("GET", "/", 404, None),
    ],
)
def test_paths_and_methods_that_are_not_there(
    hub: Hub, method: str, path: str, status: int, allow: str | None
) -> None:
    answer = hub.client.request(method, ROOT + path, headers=bearer(hub))
    assert answer.status_code == status
    assert conforms(answer, "ErrorResponse")
    assert answer.json()["errors"][0]["code"] == status * 10
    assert answer.headers.get("allow") == allow


@pytest.mark.parametrize("comma", [",", "%2C", "%2c"])
@pytest.mark.parametrize("prefix", ["", "/sellers"])
def test_listings_are_shown_by_sku(hub: Hub, comma: str, prefix: str) -> None:
    known = hub.section["skus"][0]
    wanted = comma.join([known["sku"], "NOT-OURS", "", "A%2FB"])
    answer = hub.client.get(f"{ROOT}{prefix}/listings/v3/{wanted}", headers=bearer(hub))
    assert answer.status_code == 200
    assert conforms(answer, "Listings")
    main, east = known["locations"]
    assert answer.json() == {
        "available": {
            known["sku"]: {
                "listing_id": f"LST{known['product_id']}000001",
                "product_id": known["product_id"],
                "price": {"mrp": 2299, "selling_price": 2069, "currency": "INR"},
                "listing_status": "ACTIVE",
                "fulfillment_profile": "NON_FBF",
                "archived_status": "NONE",
                "locations": [
                    {"id": main, "status": "ENABLED", "inventory": 33},
                    {"id": east, "status": "ENABLED", "inventory": 10},
                ],
            }
        },
        "unavailable": ["NOT-OURS", "A/B"],
        "invalid": [""],
    }


def test_eleven_listings_are_too_many(hub: Hub) -> None:
    answer = hub.client.get(LISTINGS + ",".join("ABCDEFGHIJK"), headers=bearer(hub))
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, 4004)


def test_a_listing_that_was_never_told_anything_is_shown_all_the_same(hub: Hub) -> None:
    link = hub.read(lambda c: channels.links(c, hub.account, "flipkart"))[0].id
    hub.write(lambda c: channels.add_listing(c, hub.account, channels.Listing(0, link, "bare", 1), 1))
    answer = hub.client.get(LISTINGS + "bare", headers=bearer(hub))
    assert conforms(answer, "Listings")
    bare = answer.json()["available"]["bare"]
    assert bare["price"] == {"mrp": 500, "selling_price": 500, "currency": "USD"}
    # What it shows is what a client sends back.
    place = {"id": bare["locations"][0]["id"], "inventory": 10}
    body = {"bare": {"product_id": bare["product_id"], "locations": [place]}}
    assert post(hub, body).json() == {"bare": SUCCESS}
    assert [(one["status"], one["inventory"]) for one in bare["locations"]] == [("ENABLED", 10)]
