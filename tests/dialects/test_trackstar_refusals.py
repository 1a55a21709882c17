"""What Trackstar refuses over HTTP: credentials, rights, limits, hostile input, and in which order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from hubs import Call, Hub, demo_hub
from onhand.auth import READ, WRITE
from onhand.dialects.trackstar import setup
from onhand.sample import KeyWish
from onhand.settings import Settings
from onhand.stock.model import SetOnHand
from onhand.store import catalog, channels, keys
from onhand.store.channels import Listing
from trackstar_calls import BATCH, call, checked, faults, get, product, put, shop

KEY, TOKEN = "x-trackstar-api-key", "x-trackstar-access-token"
NO_KEY = {"error": "Invalid API key", "origin": "trackstar"}
NO_TOKEN = {"error": "Invalid access token", "origin": "trackstar"}
MISSING = "Missing data for required field."


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with demo_hub(tmp_path, "trackstar") as running:
        yield running


# --- who may ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "body"),
    [
        ({KEY: None}, NO_KEY),
        ({KEY: ""}, NO_KEY),
        ({KEY: "wrong"}, NO_KEY),
        ({KEY: b"\xff\xfe"}, NO_KEY),
        ({KEY: "token"}, NO_KEY),
        ({TOKEN: None}, NO_TOKEN),
        ({TOKEN: ""}, NO_TOKEN),
        ({TOKEN: "wrong"}, NO_TOKEN),
        ({TOKEN: "key"}, NO_TOKEN),
        ({KEY: "wrong", TOKEN: "wrong"}, NO_KEY),
    ],
)
def test_bad_credentials(hub: Hub, change: dict[str, Any], body: dict[str, str]) -> None:
    at = shop(hub, "shopify")
    swapped = {"token": at.headers[TOKEN], "key": at.headers[KEY]}
    merged = at.headers | {name: swapped.get(value, value) for name, value in change.items()}
    headers: Any = {name: value for name, value in merged.items() if value is not None}
    answers = [put(hub, at, at.body(), headers=headers), get(hub, at, "/cart/products", headers)]
    # Credentials are looked at before anything else.
    answers.append(put(hub, at, b"{", headers=headers, product="nothing"))
    answers.append(get(hub, at, "/cart/products?limit=x", headers))
    assert [(answer.status_code, answer.json()) for answer in answers] == [(401, body)] * 4
    assert hub.levels(at.sku)["MAIN"].on_hand == 42


def test_another_organisation(hub: Hub) -> None:
    at, other = shop(hub, "shopify"), shop(hub, "shopify", hub.another()["trackstar"])
    for key, token in ((at, other), (other, at)):
        headers = {KEY: key.headers[KEY], TOKEN: token.headers[TOKEN]}
        answer = put(hub, at, at.body(), headers=headers)
        assert (answer.status_code, answer.json()) == (401, NO_TOKEN)
    put(hub, other, other.body("exact", 1))
    assert hub.levels(at.sku)["MAIN"].on_hand == 42


def test_another_connection_of_the_organisation(hub: Hub) -> None:
    at, other = shop(hub, "shopify"), shop(hub, "wix")
    answer = put(hub, at, at.body(), product=other.product)
    assert (answer.status_code, answer.json()) == (
        404,
        {"error": "Product not found", "origin": "trackstar", "id": other.product},
    )
    words = ["Must be one of: shopify-wh-1, shopify-wh-2."]
    assert faults(put(hub, at, at.body(warehouse_id="wix-wh-1"))) == {"warehouse_id": words}
    assert get(hub, at, f"/cart/products/{other.product}").status_code == 404
    assert get(hub, at, "/cart/warehouses/wix-wh-1").json()["id"] == "wix-wh-1"


def credential(hub: Hub, link: int | None, scopes: str = WRITE, **options: Any) -> str:
    def unit(connection: Connection) -> str:
        return setup.credential(connection, hub.account, link, hub.clock(), scopes, **options)

    return hub.write(unit)


def number(hub: Hub, name: str) -> int:
    found = hub.read(lambda c: channels.links(c, hub.account, "trackstar"))
    return next(link.id for link in found if link.integration == name)


def test_a_key_that_only_reads(hub: Hub) -> None:
    at = shop(hub, "shopify")
    headers = at.headers | {KEY: credential(hub, None, READ)}
    assert get(hub, at, "/cart/products", headers).status_code == 200
    for answer in (put(hub, at, b"{", headers=headers), put(hub, at, {}, headers=headers, path=BATCH)):
        assert answer.status_code == 403
        assert answer.json()["error"] == "adjust_inventory is disabled: the API key is read only"


def test_expired_and_revoked_credentials(hub: Hub) -> None:
    at = shop(hub, "shopify")
    until = hub.clock() + 10_000_000
    short = credential(hub, None, expires_at=until)
    token = credential(hub, number(hub, "shopify"), expires_at=until)
    assert get(hub, at, "/cart/warehouses", at.headers | {KEY: short, TOKEN: token}).status_code == 200
    hub.clock.ahead(10)
    assert get(hub, at, "/connections", {KEY: short}).json() == NO_KEY
    assert get(hub, at, "/cart/warehouses", at.headers | {TOKEN: token}).json() == NO_TOKEN
    principal = setup.principal(number(hub, "shopify"))
    hub.write(lambda c: keys.revoke(c, hub.account, principal, hub.clock()))
    assert put(hub, at, at.body()).json() == NO_TOKEN
    assert put(hub, shop(hub, "wix"), shop(hub, "wix").body()).status_code == 200


def test_keys_on_request(hub: Hub) -> None:
    def make(wish: KeyWish) -> dict[str, Any]:
        return hub.write(lambda c: setup.issue(c, hub.account, hub.clock(), wish))

    at = shop(hub, "wix")
    made = make(KeyWish(integration="wix"))
    assert made["principal"] == setup.principal(number(hub, "wix"))
    headers = {KEY: made["api_key"], TOKEN: made["access_token"]}
    assert put(hub, at, at.body(), headers=headers).status_code == 200
    assert make(KeyWish("read"))["principal"] == "trackstar:organisation"
    for wish in (KeyWish("admin"), KeyWish(""), KeyWish(seller=1), KeyWish(integration="shipbob")):
        with pytest.raises(ValueError, match=r"Trackstar|integration"):
            make(wish)
    with pytest.raises(ValueError, match="one warehouse"):
        hub.write(lambda c: setup.connect(c, hub.account, "etsy", [("a", 1), ("b", 2)], hub.clock()))


# --- bodies -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"\xef\xbb\xbf{}",
        b'{"quantity": 1, "quantity": 2}',
        b'{"quantity": NaN}',
        b'{"warehouse_id": "\\u0000"}',
        b'{"warehouse_id": "\\ud800"}',
        b"[" * 100_000,
    ],
)
def test_what_is_not_json(hub: Hub, body: bytes) -> None:
    at = shop(hub, "shopify")
    for answer in (put(hub, at, body), put(hub, at, body, path=BATCH)):
        assert answer.status_code == 400
        assert answer.json()["origin"] == "trackstar"
        assert list(answer.json()["detail"]["json"]) == ["_schema"]


@pytest.mark.parametrize("body", [b"[]", b"null", b"5", b'"text"', b"true"])
def test_what_is_no_object(hub: Hub, body: bytes) -> None:
    at = shop(hub, "shopify")
    for answer in (put(hub, at, body), put(hub, at, body, path=BATCH)):
        assert faults(answer) == {"_schema": ["Invalid input type."]}


@pytest.mark.parametrize(
    ("quantity", "words"),
    [
        ("5", "Not a valid integer."),
        (1.0, "Not a valid integer."),
        (1.5, "Not a valid integer."),
        (True, "Not a valid integer."),
        ([1], "Not a valid integer."),
        ({}, "Not a valid integer."),
        (-1, "Must be greater than or equal to 0."),
        (10**12 + 1, "Must be less than or equal to 1000000000000."),
        (10**30, "Must be less than or equal to 1000000000000."),
        (None, "Field may not be null."),
        ("", "Shorter than minimum length 1."),
        ("none", "The words none and null are not values."),
    ],
)
def test_bad_quantities(hub: Hub, quantity: Any, words: str) -> None:
    at = shop(hub, "shopify")
    assert faults(put(hub, at, at.body(quantity=quantity))) == {"quantity": [words]}
    lines = {"line_items": [{"product_id": at.product, "quantity": quantity, "warehouse_id": "shopify-wh-1"}]}
    assert faults(put(hub, at, lines, path=BATCH)) == {"line_items.0.quantity": [words]}


@pytest.mark.parametrize("field", ["adjustment_type", "quantity", "warehouse_id", "shop_id", "extra"])
@pytest.mark.parametrize("value", [None, "", "none", "None", "null", "NULL"])
def test_no_field_is_void(hub: Hub, field: str, value: Any) -> None:
    at = shop(hub, "tiktok")
    assert list(faults(put(hub, at, at.body() | {field: value}))) == [field]


def test_every_fault_is_told_at_once(hub: Hub) -> None:
    at = shop(hub, "shopify")
    body = {"adjustment_type": 5, "quantity": -1, "warehouse_id": ["x"], "colour": "red"}
    assert faults(put(hub, at, body)) == {
        "adjustment_type": ["Not a valid string."],
        "quantity": ["Must be greater than or equal to 0."],
        "warehouse_id": ["Not a valid string."],
        "colour": ["Unknown field."],
        "reason": [MISSING],
    }


@pytest.mark.parametrize(
    ("lines", "field", "words"),
    [
        (None, "line_items", "Field may not be null."),
        ({}, "line_items", "Not a valid list."),
        ([], "line_items", "Length must be between 1 and 1000."),
        ([{}] * 1001, "line_items", "Length must be between 1 and 1000."),
        ([5], "line_items.0._schema", "Invalid input type."),
        ([{"quantity": 1, "warehouse_id": "shopify-wh-1"}], "line_items.0.product_id", MISSING),
        ([{"quantity": 1, "product_id": "shopify-22"}], "line_items.0.warehouse_id", MISSING),
    ],
)
def test_bad_batches(hub: Hub, lines: Any, field: str, words: str) -> None:
    at = shop(hub, "shopify")
    assert faults(put(hub, at, {"line_items": lines}, path=BATCH)) == {field: [words]}


def test_a_batch_does_not_contradict_itself(hub: Hub) -> None:
    at = shop(hub, "mirakl")
    lines = [{"product_id": at.product, "quantity": number} for number in (1, 2)]
    words = ["An earlier line has the same product and warehouse."]
    assert faults(put(hub, at, {"line_items": lines}, path=BATCH)) == {"line_items.1.product_id": words}


@pytest.mark.parametrize(
    ("name", "field", "value", "words"),
    [
        ("wix", "adjustment_type", "increase", "Must be one of: exact."),
        ("base", "adjustment_type", "decrease", "Must be one of: exact."),
        ("mirakl", "adjustment_type", 5, "Not a valid string."),
        (
            "nuorder",
            "future_date",
            "2030-01-01T00:00:00Z",
            "A batch is made at once: plan one product at a time.",
        ),
        ("tiktok", "shop_id", "another", "Must be one of: shop-7495001."),
    ],
)
def test_a_batch_does_nothing_else_than_it_says(
    hub: Hub, name: str, field: str, value: Any, words: str
) -> None:
    at = shop(hub, name)
    line = {"product_id": at.product, "quantity": 5, "warehouse_id": at.warehouses[0]}
    assert faults(put(hub, at, {"line_items": [{**line, field: value}]}, path=BATCH)) == {
        f"line_items.0.{field}": [words]
    }
    assert faults(put(hub, at, {"line_items": [line], field: value}, path=BATCH)) == {field: [words]}
    for above in ("quantity", "warehouse_id"):
        answer = put(hub, at, {"line_items": [line], above: line[above]}, path=BATCH)
        assert faults(answer) == {above: ["Say it in each line."]}
    assert hub.levels(at.sku)["MAIN"].on_hand == 42
    # What says the same, and what another integration knows, is accepted and not used.
    same = {"adjustment_type": "exact", "reason": "sold"}
    answer = put(hub, at, {"line_items": [{**line, **same}]}, path=BATCH)
    assert answer.json()["unused_fields"] == ["adjustment_type", "reason"]


@pytest.mark.parametrize("media", ["text/plain", "application/xml", "", "multipart/form-data; boundary=x"])
def test_other_media_types(hub: Hub, media: str) -> None:
    at = shop(hub, "shopify")
    headers = at.headers | {"Content-Type": media}
    assert put(hub, at, json.dumps(at.body()).encode(), headers=headers).status_code == 415


def test_too_long_a_body(hub: Hub) -> None:
    at = shop(hub, "base")
    assert put(hub, at, at.body(more="x" * 300_000)).status_code == 413


@pytest.mark.parametrize(
    "name", ["%00", "%2e%2e", "%ff", "x" * 3000, "shopify-22%00", "-parent", "🧦", "1 OR 1"]
)
def test_odd_product_ids(hub: Hub, name: str) -> None:
    at = shop(hub, "shopify")
    answers = [put(hub, at, at.body(), product=name), get(hub, at, f"/cart/products/{name}")]
    assert [answer.status_code for answer in answers] == [404, 404]


# --- order --------------------------------------------------------------------------------------------


def test_the_body_is_checked_before_the_product(hub: Hub) -> None:
    at = shop(hub, "shopify")
    assert "quantity" in faults(put(hub, at, at.body(quantity=-1), product="nothing"))
    assert put(hub, at, at.body(), product="nothing").json() == {
        "error": "Product not found",
        "origin": "trackstar",
        "id": "nothing",
    }


def test_unknown_paths_and_methods(hub: Hub) -> None:
    found = hub.client.get("/trackstar/cart/orders")
    assert (found.status_code, found.json()) == (404, {"error": "Not found", "origin": "trackstar"})
    found = hub.client.post("/trackstar/cart/products")
    assert (found.status_code, found.json()["error"]) == (405, "Method not allowed")
    assert "GET" in found.headers["allow"]
    assert len(found.headers["x-request-id"]) == 32


# --- what the ledger refuses --------------------------------------------------------------------------


def test_a_kit_is_not_adjusted(hub: Hub) -> None:
    at = shop(hub, "wix")
    hub.write(lambda c: catalog.set_kit(c, hub.account, 22, {23: 2}, hub.clock()))
    answer = put(hub, at, at.body())
    assert (answer.status_code, answer.json()["origin"]) == (422, "integration")
    assert answer.json()["error"].startswith("A kit has no stock")
    assert list(answer.json()["detail"]["json"]) == ["product_id"]
    assert (product(hub, at)["is_kit"], product(hub, at)["inventory"]) == (True, None)
    lines = [{"product_id": f"wix-{item}", "quantity": 5} for item in (23, 22)]
    answer = put(hub, at, {"line_items": lines}, path=BATCH)
    assert list(answer.json()["detail"]["json"]) == ["line_items.1.product_id"]


def test_no_level_grows_without_bound(hub: Hub) -> None:
    at = shop(hub, "wix")
    hub.record(SetOnHand(22, 1, 10**12))
    answer = put(hub, at, at.body(quantity=1))
    assert (answer.status_code, answer.json()["origin"]) == (422, "integration")
    assert hub.levels(at.sku)["MAIN"].on_hand == 10**12


def test_a_closed_listing_is_not_active(hub: Hub) -> None:
    at = shop(hub, "wix")
    link = number(hub, "wix")
    new = Listing(0, link, "gone", 25, status="closed", attributes={"trackstar_tags": ["old"]})
    hub.write(lambda c: channels.add_listing(c, hub.account, new, hub.clock()))
    assert product(hub, at, "gone")["active"] is False
    assert product(hub, at, "gone")["trackstar_tags"] == ["old"]
    assert put(hub, at, at.body(), product="gone").status_code == 200


# --- settings -----------------------------------------------------------------------------------------


def test_strict_mode_refuses_fields_of_others(tmp_path: Path) -> None:
    with demo_hub(tmp_path, "trackstar", settings=Settings(strict_trackstar=True)) as hub:
        at, base = shop(hub, "etsy"), shop(hub, "base")
        unknown = {"warehouse_id": ["Unknown field."], "colour": ["Unknown field."]}
        assert faults(put(hub, at, at.body(warehouse_id="x", colour="red"))) == unknown
        assert put(hub, base, base.body(shop_id="x", colour="red")).status_code == 200


def test_published_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with demo_hub(tmp_path, "trackstar", settings=Settings(limit_trackstar=True)) as hub:
        # No time passes, however long the machine takes: nothing of what is used up comes back.
        still = hub.clock()
        monkeypatch.setattr(hub.inventory, "now", lambda: still)
        at, other = shop(hub, "shopify"), shop(hub, "wix")
        look = Call("GET", "/trackstar/cart/warehouses", {"headers": at.headers})
        reads = [checked("get", "/cart/warehouses", answer) for answer in hub.together([look] * 30)]
        refused = [answer for answer in reads if answer.status_code == 429]
        assert [answer.status_code for answer in reads].count(200) == 10
        assert refused[0].json() == {"error": "Rate limit exceeded", "origin": "trackstar"}
        assert refused[0].headers["retry-after"] == "1"
        for answer in (reads[0], refused[0]):
            assert answer.headers["x-ratelimit-limit"] == "10"
            assert int(answer.headers["x-ratelimit-reset"]) >= still // 1_000_000
        assert reads[0].headers["x-ratelimit-remaining"] == "9"
        # Another token, and writes, have windows of their own.
        assert get(hub, other, "/cart/warehouses").status_code == 200
        writes = hub.together([call(at, at.body("exact", 1)) for _ in range(60)])
        assert [answer.status_code for answer in writes].count(200) == 50
        assert writes[0].headers["x-ratelimit-limit"] == "50"
        still += 2_000_000
        assert get(hub, at, "/cart/warehouses").status_code == 200


def test_no_limits_without_the_setting(hub: Hub) -> None:
    at = shop(hub, "shopify")
    answers = [get(hub, at, "/cart/warehouses") for _ in range(15)]
    assert {answer.status_code for answer in answers} == {200}
    assert "x-ratelimit-limit" not in answers[0].headers
