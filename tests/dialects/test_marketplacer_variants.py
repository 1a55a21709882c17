"""Marketplacer's neighbours of the inventories: members, variants and their pages, stock of many variants."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from hubs import Hub, demo_hub
from marketplacer_calls import (
    BASE,
    BULB,
    FIG,
    LAMP,
    MEMBERS,
    SHADE,
    SINGLE,
    SKUS,
    STOCK,
    VARIANT,
    VARIANTS,
    bearer,
    call,
    error,
    get,
    key,
    put,
    records,
    shown,
)
from onhand import demo
from onhand.dialects.marketplacer import setup
from onhand.stock.model import SetInfinite
from onhand.store import catalog, channels
from onhand.store.channels import Listing
from onhand.work import Group, PutPrice, Work


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with demo_hub(tmp_path, "marketplacer") as running:
        yield running


@pytest.fixture
def any_hub(db_url: str) -> Iterator[Hub]:
    """A hub on SQLite, and one on PostgreSQL."""
    with demo_hub(db_url, "marketplacer") as running:
        yield running


def listed(hub: Hub, query: str = "", seller: int | None = None) -> list[int]:
    answer = call(hub, "get", VARIANTS, query=query, seller=seller)
    assert answer.status_code == 200
    return [one["id"] for one in answer.json()["data"]]


def variant(hub: Hub, number: int, seller: int | None = None) -> dict[str, Any]:
    found: dict[str, Any] = call(hub, "get", VARIANT, variant=number, seller=seller).json()["data"][0]
    return found


def test_the_members(hub: Hub) -> None:
    answer = call(hub, "get", MEMBERS)
    assert answer.json()["data"][1] == {
        "id": 2,
        "type": "multi_store_memberships",
        "attributes": {"seller_id": 2, "seller_name": "Eastside Living"},
    }
    assert error(call(hub, "get", MEMBERS, seller=2)) == (403, None, "Forbidden")


# --- reading variants ---------------------------------------------------------------------------------


def test_what_is_listed_can_be_asked_for(hub: Hub) -> None:
    """Whoever made the listing: one whose id is no number of this wire is no variant, and harms nothing."""

    def add(connection: Any) -> None:
        link = channels.links(connection, hub.account, "marketplacer")[0].id
        for name in ("abc", "0901", "0", "902"):
            channels.add_listing(connection, hub.account, Listing(0, link, name, LAMP), 1)

    hub.write(add)
    assert listed(hub)[-1] == 902
    for number in listed(hub):
        assert variant(hub, number)["id"] == number
    for name in ("0901", "901", "0"):
        assert call(hub, "get", VARIANT, variant=name).status_code == 404
    section = hub.write(lambda c: setup.section(c, demo.sample(c, hub.account), 1))
    assert [one["id"] for one in section["variants"]] == [1, 2, 3, 4, 5, 40, 902]


def test_a_variant(hub: Hub) -> None:
    answer = call(hub, "get", VARIANT, variant=LAMP)
    assert answer.text == (
        '{"links":{"self":"http://testserver/marketplacer/api/v2/client/variants/1"},'
        '"data":[{"id":1,"type":"variants","attributes":'
        '{"count_on_hand":10,"sku":"LAMP-BRASS-40","barcode":"02000000000107","price":500.0,"sale_price":null,'
        '"ean":"2000000000107","upc":null,"external_id":null,"infinite":false,"notes":null},'
        '"relationships":{"option_values":{"data":[]}}}],"included":[]}'
    )
    body = call(hub, "get", VARIANT, variant=LAMP, query="?include=option_values,shipping_parcel").json()
    assert body["links"]["self"].endswith("/variants/1")
    assert body["included"] == [
        {
            "type": "shipping_parcels",
            "id": 1,
            "weight": 1850,
            "width": 22,
            "length": 22,
            "depth": 48,
            "mass_unit": "g",
            "distance_unit": "cm",
        }
    ]


def test_a_shared_variant_has_what_its_members_have(hub: Hub) -> None:
    put(hub, SHADE, records({"seller_id": 1, "count_on_hand": 3}, {"seller_id": 2, "count_on_hand": 4}))
    put(hub, SHADE, records({"seller_id": 3, "count_on_hand": 90, "infinite": True, "price": 1}))
    shown_now = variant(hub, SHADE, seller=2)["attributes"]
    assert (shown_now["count_on_hand"], shown_now["infinite"], shown_now["price"]) == (7, True, 64.0)


def test_a_single_variant_has_what_its_owner_has(hub: Hub) -> None:
    group = Group((), also=(PutPrice(SINGLE, 1, "27.380", "9.9"),))
    hub.run(hub.inventory.record, Work(hub.account, (group,), "test"))
    found = variant(hub, SINGLE)["attributes"]
    assert (found["count_on_hand"], found["price"], found["sale_price"]) == (26, 27.38, 9.9)
    assert variant(hub, SINGLE, seller=1)["attributes"] == found
    assert call(hub, "get", VARIANT, variant=SINGLE, seller=2).status_code == 404
    hub.record(SetInfinite(SINGLE, 2, True))
    assert variant(hub, SINGLE)["attributes"]["infinite"] is False


def test_the_list_in_pages(hub: Hub) -> None:
    assert listed(hub) == [1, 2, 3, 4, 5, 6, 40]
    assert listed(hub, seller=1) == [1, 2, 3, 4, 5, 6, 40]
    assert listed(hub, seller=2) == [1, 2, 3, 4, 5, 40]
    seen, query = [], "?page[size]=3&sort=x"
    while query:
        body = call(hub, "get", VARIANTS, query=query).json()
        seen += [one["id"] for one in body["data"]]
        assert body["links"]["first"] == (
            f"http://testserver{BASE}/variants?sort=x&page%5Bnumber%5D=1&page%5Bsize%5D=3"
        )
        assert body["links"]["last"].endswith("page%5Bnumber%5D=3&page%5Bsize%5D=3")
        query = body["links"].get("next", "").partition("variants")[2]
    assert seen == [1, 2, 3, 4, 5, 6, 40]
    beyond = call(hub, "get", VARIANTS, query="?page[number]=9").json()
    assert (beyond["data"], list(beyond["links"])) == ([], ["first", "last"])


@pytest.mark.parametrize(
    ("spoken", "begins"),
    [
        ("https", "https://testserver/"),
        ("HTTPS, http", "https://testserver/"),
        ("http", "http://testserver/"),
    ],
)
def test_links_behind_a_proxy_that_speaks_tls(hub: Hub, spoken: str, begins: str) -> None:
    head = bearer(key(hub)) | {"X-Forwarded-Proto": spoken}
    one = call(hub, "get", VARIANT, variant=LAMP, headers=head).json()
    many = call(hub, "get", VARIANTS, query="?page[size]=3", headers=head).json()
    for link in (one["links"]["self"], *many["links"].values()):
        assert link.startswith(begins + BASE.strip("/"))


def update(hub: Hub, name: object, attributes: object, seller: int | None = None) -> httpx2.Response:
    body = {"data": {"type": "variants", "attributes": attributes}}
    return call(hub, "put", VARIANT, body, variant=name, seller=seller)


def test_the_stock_of_a_variant_of_one_seller(any_hub: Hub) -> None:
    hub = any_hub
    own = variant(hub, SINGLE)["attributes"]["price"]
    rest = {"sku": "OTHER", "barcode": None, "seller_id": 2, "notes": 5}
    answer = update(hub, SINGLE, {"count_on_hand": 7, "price": 27.38, "sale_price": "19.90", **rest})
    assert answer.json() == call(hub, "get", VARIANT, variant=SINGLE).json()
    wanted = {"count_on_hand": 7, "price": 27.38, "sale_price": 19.9, "infinite": False, "sku": SKUS[SINGLE]}
    assert variant(hub, SINGLE)["attributes"].items() >= wanted.items()
    steps: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"infinite": True, "price": None}, {"infinite": True, "price": own, "sale_price": 19.9}),
        ({"infinite": False}, {"infinite": False, "count_on_hand": 7}),
        ({"count_on_hand": 0}, {"count_on_hand": 0}),
        ({"sku": "OTHER"}, {"sku": SKUS[SINGLE], "count_on_hand": 0}),
    ]
    for asked, told in steps:
        assert update(hub, SINGLE, asked, seller=1).json()["data"][0]["attributes"].items() >= told.items()
    assert {name: level.on_hand for name, level in hub.levels(SKUS[SINGLE]).items()} == {
        "MAIN": 0,
        "EAST": 10,
    }


def test_a_variant_that_is_not_set_directly(hub: Hub) -> None:
    before = call(hub, "get", VARIANTS).text
    words = "The stock of a variant of several sellers is set by its inventories"
    for seller in (None, 2):
        assert error(update(hub, LAMP, {"count_on_hand": 7}, seller=seller))[:2] == (422, "data")
    assert words in update(hub, LAMP, {"count_on_hand": 7}).text
    assert update(hub, SINGLE, {"count_on_hand": 7}, seller=2).status_code == 404
    assert update(hub, 999, {"count_on_hand": 7}).status_code == 404
    bad: dict[str, list[Any]] = {"count_on_hand": [-1, "7", None], "infinite": [1], "price": [-1, "x"]}
    for name, values in bad.items():
        for value in values:
            assert error(update(hub, SINGLE, {name: value}))[:2] == (422, f"data/attributes/{name}")
    assert error(update(hub, SINGLE, None))[:2] == (422, "data/attributes")
    for data, source in (([], "data"), ({"type": "inventories", "attributes": {}}, "data/type")):
        assert error(call(hub, "put", VARIANT, {"data": data}, variant=SINGLE))[:2] == (422, source)
    assert call(hub, "get", VARIANTS).text == before


@pytest.mark.parametrize("name", ["name", "id", "", "sku][", "filter[sku]", "\n"])
def test_a_filter_that_there_is_not_is_no_list_of_everything(hub: Hub, name: str) -> None:
    answer = call(hub, "get", VARIANTS, query=f"?filter[{quote(name)}]=9")
    assert (answer.status_code, answer.json()["errors"][0]["source"]) == (400, "filter")


def test_filters(any_hub: Hub) -> None:
    hub = any_hub
    attributes = {"marketplacer": {"external_id": "FIG/9", "notes": "fragile"}}
    hub.write(lambda c: catalog.change_item(c, hub.account, FIG, {"attributes": attributes}, hub.clock()))
    cases = {
        "?sku=BULB-E27-4W": [BULB],
        "?sku=bulb-e27-4w": [],
        "?sku=": [],
        "?sku=%00": [],
        "?sku=%FF": [],
        "?sku='%20OR%201=1": [],
        "?barcode=2000000000305": [BULB],
        "?barcode=02000000000305": [BULB],
        "?barcode=305": [],
        "?external_id=FIG/9": [FIG],
        "?external_id=FIG": [],
        "?external_id=FIG/9&sku=CANDLE-FIG-220": [FIG],
        "?external_id=FIG/9&sku=BULB-E27-4W": [],
        "?sku=TIMER-COPPER": [SINGLE],
        "?sku=MUG-STONE-OAT": [],
        "?filter[sku]=BULB-E27-4W": [BULB],
        "?filter%5Bexternal_id%5D=FIG/9&sku=BULB-E27-4W": [],
    }
    assert {query: listed(hub, query) for query in cases} == cases
    assert listed(hub, "?sku=TIMER-COPPER", seller=2) == []
    assert call(hub, "get", VARIANTS, query="?sku=none").text == '{"data":[]}'
    found = variant(hub, FIG)["attributes"]
    assert (found["external_id"], found["notes"]) == ("FIG/9", "fragile")


@pytest.mark.parametrize("query", ["?page[number]=0", "?page[size]=x", "?page[size]=-1", "?page[number]="])
def test_bad_pages(hub: Hub, query: str) -> None:
    assert error(call(hub, "get", VARIANTS, query=query))[0] == 400


# --- stock of many ------------------------------------------------------------------------------------


def test_stock_of_many(hub: Hub) -> None:
    answer = call(hub, "post", STOCK, {"count_on_hand": {"2": 7, "3": "INFINITE", "6": 0}})
    assert (answer.status_code, answer.text) == (201, '{"count_on_hand":{"2":7,"3":"INFINITE","6":0}}')
    assert shown(get(hub, SHADE))[1]["count_on_hand"] == 7
    assert shown(get(hub, BULB))[1] == {"infinite": True, "seller_id": 1}
    assert variant(hub, SINGLE)["attributes"]["count_on_hand"] == 0
    call(hub, "post", STOCK, {"count_on_hand": {"3": 5}})
    assert shown(get(hub, BULB))[1]["count_on_hand"] == 5


def test_two_variants_of_one_item_do_not_contradict_each_other(hub: Hub) -> None:
    link = hub.read(lambda c: channels.links(c, hub.account, "marketplacer"))[0].id
    hub.write(lambda c: channels.add_listing(c, hub.account, Listing(0, link, "202", SHADE), hub.clock()))
    before = shown(get(hub, SHADE))
    for other in (9, "INFINITE"):
        answer = call(hub, "post", STOCK, {"count_on_hand": {"2": 7, "3": 1, "202": other}})
        assert error(answer) == (422, "count_on_hand/202", "Validation error")
        assert "differs from that of variant 2" in answer.text
    assert shown(get(hub, SHADE)) == before
    answer = call(hub, "post", STOCK, {"count_on_hand": {"2": 7, "202": 7}})
    assert (answer.status_code, answer.text) == (201, '{"count_on_hand":{"2":7,"202":7}}')
    assert shown(get(hub, SHADE))[1]["count_on_hand"] == 7


def test_a_member_sets_its_own_stock_of_many(hub: Hub) -> None:
    before = shown(get(hub, SHADE))
    assert call(hub, "post", STOCK, {"count_on_hand": {"2": 7, "4": 8}}, seller=3).status_code == 201
    assert shown(get(hub, SHADE)) == {**before, 3: {**before[2], "count_on_hand": 7, "seller_id": 3}}
    assert hub.levels(SKUS[FIG])["WEST"].on_hand == 8
    answer = call(hub, "post", STOCK, {"count_on_hand": {"2": 1, "6": 1}}, seller=3)
    assert error(answer) == (422, "count_on_hand/6", "Validation error")
    assert shown(get(hub, SHADE))[3]["count_on_hand"] == 7
