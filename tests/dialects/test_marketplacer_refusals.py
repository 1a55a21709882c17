"""What Marketplacer refuses over HTTP: keys, media types, others' records, hostile input, too many calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from hubs import Hub, demo_hub
from marketplacer_calls import (
    BASE,
    BULB,
    LAMP,
    MEDIA_TYPE,
    MEMBERS,
    RECORD,
    RECORDS,
    SHADE,
    SINGLE,
    SKUS,
    STOCK,
    VARIANT,
    VARIANTS,
    bearer,
    call,
    delete,
    error,
    get,
    key,
    put,
    records,
    shown,
)
from onhand.dialects.marketplacer import setup
from onhand.sample import KeyWish
from onhand.settings import Settings
from onhand.store import catalog, channels, keys
from onhand.store.catalog import Seller

EVERY = [
    ("get", RECORDS, None),
    ("put", RECORDS, records({"count_on_hand": 1, "seller_id": 1})),
    ("delete", RECORD, None),
    ("get", MEMBERS, None),
    ("get", VARIANTS, None),
    ("get", VARIANT, None),
    ("put", VARIANT, {"data": {"attributes": {"count_on_hand": 1}}}),
    ("post", STOCK, {"count_on_hand": {"1": 1}}),
]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with demo_hub(tmp_path, "marketplacer") as running:
        yield running


def untouched(hub: Hub) -> bool:
    found = shown(get(hub, LAMP))
    return list(found) == [1] and found[1]["count_on_hand"] == 10 and found[1]["price"] == "500"


# --- who may ------------------------------------------------------------------------------------------

BAD_HEADERS: list[dict[str, Any]] = [
    {},
    {"Authorization": ""},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer "},
    {"Authorization": "Bearer ohm_wrong"},
    {"Authorization": "Basic b2htX3dyb25nOng="},
    {"Authorization": b"Bearer \xff\xfe"},
    {"Authorization": "Bearer \0"},
    {"MARKETPLACER-API-KEY": ""},
    {"MARKETPLACER-API-KEY": "ohm_wrong"},
    {"MARKETPLACER-API-KEY": b"\xff"},
]


@pytest.mark.parametrize("headers", BAD_HEADERS)
def test_bad_keys(hub: Hub, headers: dict[str, Any]) -> None:
    for method, template, body in EVERY:
        answer = call(hub, method, template, body, headers=headers, variant=LAMP, inventory=1)
        assert error(answer) == (401, None, "Unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
    # The key is looked at before anything else.
    assert call(hub, "put", RECORDS, b"{", headers=headers, variant="x").status_code == 401
    assert untouched(hub)


def fresh(hub: Hub, wish: KeyWish, **options: Any) -> str:
    def unit(connection: Connection) -> str:
        link = channels.links(connection, hub.account, "marketplacer")[0].id
        made = setup.add_key(connection, hub.account, link, hub.clock(), wish, **options)
        return str(made["api_key"])

    return hub.write(unit)


def test_a_key_expires(hub: Hub) -> None:
    secret = fresh(hub, KeyWish(), expires_at=hub.clock() + 1_000_000)
    assert call(hub, "get", RECORDS, headers=bearer(secret), variant=LAMP).status_code == 200
    hub.clock.ahead(2)
    assert call(hub, "get", RECORDS, headers=bearer(secret), variant=LAMP).status_code == 401


def test_a_revoked_principal_ends(hub: Hub) -> None:
    link = hub.read(lambda c: channels.links(c, hub.account, "marketplacer")[0].id)
    principal = f"marketplacer:connection:{link}:seller-2"
    assert hub.write(lambda c: keys.revoke(c, hub.account, principal, hub.clock())) == 1
    assert get(hub, LAMP, seller=2).status_code == 401
    assert get(hub, LAMP, seller=1).status_code == 200


def test_a_key_may_be_in_its_own_header(hub: Hub) -> None:
    mine = {"MARKETPLACER-API-KEY": key(hub, 2)}
    for extra in ({}, {"Authorization": "Basic eDp5"}, {"Authorization": f"Bearer {key(hub)}"}):
        answer = call(hub, "get", RECORDS, headers={**mine, **extra}, variant=LAMP)
        assert answer.status_code == 200
        assert call(hub, "get", MEMBERS, headers={**mine, **extra}).status_code == 403


def test_a_reading_key_reads(hub: Hub) -> None:
    headers = bearer(fresh(hub, KeyWish(scopes="read")))
    for method, template, body in EVERY:
        answer = call(hub, method, template, body, headers=headers, variant=LAMP, inventory=1)
        assert answer.status_code == (200 if method == "get" else 403)
    assert untouched(hub)


def test_a_seller_without_a_place_is_no_member(hub: Hub) -> None:
    hub.write(lambda c: catalog.add_seller(c, hub.account, Seller(9, "Nowhere"), hub.clock()))
    headers = bearer(fresh(hub, KeyWish(seller=9)))
    for method, template, body in EVERY:
        answer = call(hub, method, template, body, headers=headers, variant=LAMP, inventory=1)
        assert error(answer)[0] == 403
    assert error(put(hub, LAMP, records({"seller_id": 9})))[:2] == (422, "data/attributes/seller_id")
    members = call(hub, "get", MEMBERS).json()["data"]
    assert [one["attributes"]["seller_id"] for one in members] == [1, 2, 3]


def test_another_account_sees_its_own(hub: Hub) -> None:
    theirs = bearer(hub.another()["marketplacer"]["parent_key"])
    body = records({"seller_id": 1, "count_on_hand": 77})
    assert shown(call(hub, "put", RECORDS, body, headers=theirs, variant=LAMP))[1]["count_on_hand"] == 77
    assert untouched(hub)
    put(hub, LAMP, records({"seller_id": 2}))
    assert delete(hub, LAMP, 2).status_code == 204
    found = shown(call(hub, "get", RECORDS, headers=theirs, variant=LAMP))
    assert (list(found), found[1]["count_on_hand"]) == ([1], 77)


WISHES: list[tuple[KeyWish, bool]] = [
    (KeyWish(), True),
    (KeyWish(scopes="read", seller=2), True),
    (KeyWish(scopes="admin"), False),
    (KeyWish(scopes=""), False),
    (KeyWish(seller=12), False),
    (KeyWish(integration="shopify"), False),
]


@pytest.mark.parametrize(("wish", "fits"), WISHES)
def test_keys_for_the_operator(hub: Hub, wish: KeyWish, fits: bool) -> None:
    def unit(connection: Connection) -> dict[str, Any]:
        return setup.issue(connection, hub.account, hub.clock(), wish)

    if not fits:
        with pytest.raises(ValueError, match=r"marketplacer|seller"):
            hub.write(unit)
        return
    made = hub.write(unit)
    assert call(hub, "get", RECORDS, headers=bearer(made["api_key"]), variant=LAMP).status_code == 200


# --- what is sent -------------------------------------------------------------------------------------


@pytest.mark.parametrize("media", [None, "", "application/json", "text/plain", "application/vnd.api", "x"])
def test_other_media_types(hub: Hub, media: str | None) -> None:
    headers = bearer(key(hub), media or None)
    for method, template, body in EVERY:
        if body is None:
            continue
        answer = call(hub, method, template, body, headers=headers, variant=LAMP)
        assert error(answer) == (415, None, "Unsupported media type")
        detail = answer.json()["errors"][0]["detail"]
        assert detail.startswith(f"All requests must use the '{MEDIA_TYPE}' Content-Type. This request ")
        assert not media or detail.endswith(f"specified '{media}'.")
    assert untouched(hub)


def test_parameters_and_case_of_the_media_type(hub: Hub) -> None:
    for media in (f"{MEDIA_TYPE}; charset=utf-8", MEDIA_TYPE.upper(), f"{MEDIA_TYPE};ext=x"):
        headers = bearer(key(hub), media)
        body = records({"seller_id": 2, "count_on_hand": 1})
        assert call(hub, "put", RECORDS, body, headers=headers, variant=LAMP).status_code == 200


def test_lenience_is_a_setting(tmp_path: Path) -> None:
    with demo_hub(tmp_path, "marketplacer", settings=Settings(lenient_marketplacer=True)) as hub:
        body = records({"seller_id": 1, "count_on_hand": 1})
        headers = bearer(key(hub), "application/json")
        assert call(hub, "put", RECORDS, body, headers=headers, variant=LAMP).status_code == 200
        headers = bearer(key(hub), "text/plain")
        assert call(hub, "put", RECORDS, body, headers=headers, variant=LAMP).status_code == 415


GOOD = b'{"data":[{"attributes":{"seller_id":1,"count_on_hand":3}}]}'
HOSTILE = [
    (b"", 400),
    (b" ", 400),
    (b"{", 400),
    (b"{data: []}", 400),
    (b"\xff\xfe", 400),
    (b"\xef\xbb\xbf" + GOOD, 400),
    (GOOD + b"x", 400),
    (b'{"data":[{"attributes":{"seller_id":1,"count_on_hand":3,"count_on_hand":4}}]}', 400),
    (b'{"data":[],"data":[]}', 400),
    (b'{"data":[{"attributes":{"seller_id":1,"price":NaN}}]}', 400),
    (b'{"data":[{"attributes":{"seller_id":1,"price":1e999}}]}', 400),
    (b'{"data":[{"attributes":{"seller_id":1,"price":1e308}}]}', 422),
    (b'{"data":[{"attributes":{"seller_id":1,"price":1e-300}}]}', 422),
    (b'{"data":[{"attributes":{"seller_id":1,"price":-5}}]}', 422),
    (b'{"data":[{"attributes":{"seller_id":1,"price":%s}}]}' % (b"9" * 300), 400),
    (b'{"data":[{"attributes":{"seller_id":1,"fulfilment_provider":"\\u0000"}}]}', 400),
    (b'{"data":[{"attributes":{"seller_id":1,"fulfilment_provider":"\\ud800"}}]}', 400),
    (b"[" * 100_000, 400),
    (b'{"data":' + b"[" * 70 + b"]" * 70 + b"}", 400),
    (b"null", 422),
    (b"[]", 422),
    (b'"data"', 422),
    (b"{}", 422),
    (b'{"data":{}}', 422),
    (b'{"data":[]}', 422),
    (b'{"data":[{"attributes":{"count_on_hand":3}}]}', 422),
    (b'{"data":[{"attributes":{"seller_id":99,"count_on_hand":3}}]}', 422),
    (b'{"data":[{"attributes":{"seller_id":%s}}]}' % (b"9" * 40), 422),
    (b'{"data":[{"attributes":{"seller_id":1,"count_on_hand":3.0}}]}', 422),
    (b'{"data":[{"attributes":{"seller_id":1,"count_on_hand":-1}}]}', 422),
    (b'{"data":[{"attributes":{"seller_id":1,"count_on_hand":1000000000001}}]}', 422),
    (b'{"data":[{"attributes":{"seller_id":1,"count_on_hand":true}}]}', 422),
    (b'{"data":[' + GOOD[9:-2] + b',{"attributes":{"seller_id":2,"infinite":"no"}}]}', 422),
    (b'{"data":[' + GOOD[9:-2] + b',{"attributes":{"seller_id":99}}]}', 422),
    (b" " * (256 * 1024) + GOOD, 413),
]


@pytest.mark.parametrize(("body", "status"), HOSTILE)
def test_hostile_bodies_change_nothing(hub: Hub, body: bytes, status: int) -> None:
    assert error(put(hub, LAMP, body))[0] == status
    assert untouched(hub)


@pytest.mark.parametrize(
    "body", [b"{}", b'{"count_on_hand":{"2":1,"99":1}}', b'{"count_on_hand":{"2":1,"02":1}}']
)
def test_stock_of_many_is_all_or_none(hub: Hub, body: bytes) -> None:
    before = hub.levels(SKUS[SHADE])
    assert error(call(hub, "post", STOCK, body))[0] == 422
    assert hub.levels(SKUS[SHADE]) == before


IDS = ["0", "99", "-1", "x", "1.0", "01", "%00", "%31%00", "1%20", "%D9%A1", "9" * 30, "1%2F1", "%FF"]


@pytest.mark.parametrize("name", IDS)
def test_unknown_ids(hub: Hub, name: str) -> None:
    body = records({"seller_id": 1, "count_on_hand": 1})
    for method, template, sent in (("get", RECORDS, None), ("put", RECORDS, body), ("get", VARIANT, None)):
        answer = call(hub, method, template, sent, variant=name)
        assert error(answer) == (404, None, "Record not found")
    assert error(delete(hub, LAMP, name))[0] == 404
    assert error(delete(hub, name, 1))[0] == 404
    assert untouched(hub)


def test_a_variant_of_one_seller_has_no_inventories(hub: Hub) -> None:
    for seller in (None, 1, 2):
        assert error(get(hub, SINGLE, seller))[0] == 404
        assert error(put(hub, SINGLE, records({"seller_id": 1}), seller))[0] == 404
        assert error(delete(hub, SINGLE, 1, seller))[0] == 404


def test_a_kit_has_no_stock_of_its_own(hub: Hub) -> None:
    hub.write(lambda c: catalog.set_kit(c, hub.account, SHADE, {BULB: 2}, hub.clock()))
    before = hub.levels(SKUS[SHADE])
    assert error(put(hub, SHADE, records({"seller_id": 3, "price": 5})))[:2] == (422, "data")
    for count in (1, "INFINITE"):
        refused = error(call(hub, "post", STOCK, {"count_on_hand": {"3": 1, str(SHADE): count}}))
        assert refused[:2] == (422, f"count_on_hand/{SHADE}")
    assert hub.levels(SKUS[SHADE]) == before


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"/variants/{LAMP}/inventories"),
        ("PATCH", f"/variants/{LAMP}/inventories"),
        ("GET", f"/variants/{LAMP}/inventories/1"),
        ("DELETE", f"/variants/{LAMP}/inventories"),
        ("PATCH", "/variants/stock_on_hand"),
        ("DELETE", f"/variants/{SINGLE}"),
        ("GET", "/adverts"),
        ("GET", "/variants/1/2"),
        ("GET", ""),
    ],
)
def test_another_method_is_another_path(hub: Hub, method: str, path: str) -> None:
    answer = hub.client.request(method, BASE + path, headers=bearer(key(hub)))
    assert error(answer) == (404, None, "Record not found")
    assert untouched(hub)


def test_the_published_pace(tmp_path: Path) -> None:
    with demo_hub(tmp_path, "marketplacer", settings=Settings(limit_marketplacer=True)) as hub:
        theirs = bearer(hub.another()["marketplacer"]["parent_key"])
        stopped = hub.clock()
        hub.inventory.now = lambda: stopped
        assert {get(hub, LAMP).status_code for _ in range(50)} == {200}
        answer = get(hub, LAMP)
        assert error(answer) == (429, None, "Too many requests")
        assert answer.headers["retry-after"] == "1"
        assert get(hub, LAMP, seller=2).status_code == 200
        assert call(hub, "get", RECORDS, headers=theirs, variant=LAMP).status_code == 200
        hub.inventory.now = lambda: stopped + 1_000_000
        assert get(hub, LAMP).status_code == 200


def test_the_line_to_paste(hub: Hub) -> None:
    line = setup.curl(hub.section, hub.section["base_url"])
    words = line.split("'")
    body = json.loads(words[5])
    path = line.split(" ")[3].removeprefix("http://testserver/marketplacer")
    assert path == RECORDS.format(variant=SHADE)
    assert words[1] == f"Authorization: Bearer {key(hub)}"
    found = shown(put(hub, SHADE, body))
    assert found[1]["count_on_hand"] == 12
    assert found[3] == {"infinite": True, "seller_id": 3}
