"""Marketplacer over HTTP: the published requests and answers, merging, ids, one ledger, races."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from hubs import Call, Hub, demo_hub
from marketplacer_calls import (
    BASE,
    BULB,
    FIG,
    LAMP,
    SHADE,
    SINGLE,
    SKUS,
    bearer,
    delete,
    error,
    get,
    key,
    put,
    records,
    shown,
)
from onhand.stock.model import Adjust, Forget, Line, Reserve, SetOnHand


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with demo_hub(tmp_path, "marketplacer") as running:
        yield running


@pytest.fixture
def any_hub(db_url: str, tmp_path: Path) -> Iterator[Hub]:
    """A hub on SQLite, and one on PostgreSQL."""
    with demo_hub(db_url, "marketplacer") as running:
        yield running


# --- what is published --------------------------------------------------------------------------------

FIRST = (
    '{"id":1,"type":"inventories","attributes":'
    '{"count_on_hand":%s,"price":"%s","sale_price":"%s","infinite":false,"seller_id":1}}'
)
SECOND = (
    '{"id":2,"type":"inventories","attributes":'
    '{"count_on_hand":15,"price":null,"sale_price":null,"infinite":false,"seller_id":2}}'
)
THIRD = '{"id":3,"type":"inventories","attributes":{"infinite":true,"seller_id":3}}'


def data(*found: str) -> str:
    return f'{{"data":[{",".join(found)}]}}'


def test_the_published_examples(any_hub: Hub) -> None:
    hub = any_hub
    before = get(hub, LAMP)
    assert before.status_code == 200
    assert before.headers["content-type"] == "application/vnd.api+json"
    assert before.text == data(FIRST % (10, "500", "450"))

    parent = b"""{
      "data": [{
        "type": "inventories",
        "attributes": {"count_on_hand": 10, "price": 500, "sale_price": 450, "seller_id": 1}
      }, {
        "type": "inventories",
        "attributes": {"count_on_hand": 15, "seller_id": 2}
      }, {
        "type": "inventories",
        "attributes": {"infinite": true, "seller_id": 3}
      }]
    }"""
    answer = put(hub, LAMP, parent)
    assert answer.status_code == 200
    assert answer.text == data(FIRST % (10, "500", "450"), SECOND, THIRD)

    member = b"""{"data": [{"attributes":
      {"count_on_hand": 22, "price": 27.38, "sale_price": 21.99, "infinite": false}}]}"""
    answer = put(hub, LAMP, member, seller=1)
    assert answer.status_code == 200
    assert answer.text == data(FIRST % (22, "27.38", "21.99"), SECOND, THIRD)

    gone = delete(hub, LAMP, 1)
    assert (gone.status_code, gone.content) == (204, b"")
    assert get(hub, LAMP).text == data(SECOND, THIRD)
    levels = hub.levels(SKUS[LAMP])
    assert "MAIN" not in levels
    assert levels["EAST"].on_hand == 15
    assert levels["WEST"].infinite


def test_the_demo_starts_as_promised(hub: Hub) -> None:
    section = hub.section
    assert [one["seller_id"] for one in section["members"]] == [1, 2, 3]
    assert len(section["variants"]) >= 5
    assert section["variants"][0] == {"id": 1, "sku": SKUS[LAMP]}
    assert SINGLE not in [one["id"] for one in section["variants"]]


# --- merging ------------------------------------------------------------------------------------------


def test_what_is_left_out_stays(hub: Hub) -> None:
    put(hub, SHADE, records({"seller_id": 3, "count_on_hand": 4, "price": 64, "sale_price": "59.90"}))
    steps: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"count_on_hand": 5}, {"count_on_hand": 5, "price": "64", "sale_price": "59.9"}),
        ({"price": 65.5}, {"count_on_hand": 5, "price": "65.5", "sale_price": "59.9"}),
        ({"sale_price": None}, {"count_on_hand": 5, "price": "65.5", "sale_price": None}),
        ({}, {"count_on_hand": 5, "price": "65.5", "sale_price": None}),
        ({"price": None}, {"count_on_hand": 5, "price": None, "sale_price": None}),
    ]
    for change, state in steps:
        expected = {**state, "infinite": False, "seller_id": 3}
        assert shown(put(hub, SHADE, records({"seller_id": 3, **change})))[3] == expected
        assert shown(get(hub, SHADE))[3] == expected


@pytest.mark.parametrize("change", [{}, {"infinite": False}, {"price": 5}])
def test_a_new_inventory_starts_at_zero(hub: Hub, change: dict[str, Any]) -> None:
    assert 3 not in shown(get(hub, SHADE))
    assert shown(put(hub, SHADE, records({"seller_id": 3, **change})))[3]["count_on_hand"] == 0
    put(hub, SHADE, records({"seller_id": 3, "count_on_hand": 8}))
    assert shown(put(hub, SHADE, records({"seller_id": 3, **change})))[3]["count_on_hand"] == 8


def test_a_number_is_kept_under_infinite(hub: Hub) -> None:
    body = records({"seller_id": 3, "count_on_hand": 6, "infinite": True})
    assert shown(put(hub, SHADE, body))[3] == {"infinite": True, "seller_id": 3}
    body = records({"seller_id": 3, "price": 2})
    assert shown(put(hub, SHADE, body))[3] == {
        "price": "2",
        "sale_price": None,
        "infinite": True,
        "seller_id": 3,
    }
    assert shown(put(hub, SHADE, records({"seller_id": 3, "infinite": False})))[3]["count_on_hand"] == 6


def test_a_fulfilment_provider_is_kept(hub: Hub) -> None:
    body = records({"seller_id": 3, "fulfilment_provider": "fulfilio"})
    assert list(shown(put(hub, SHADE, body))[3])[-1] == "fulfilment_provider"
    assert shown(put(hub, SHADE, records({"seller_id": 3})))[3]["fulfilment_provider"] == "fulfilio"
    body = records({"seller_id": 3, "fulfilment_provider": None})
    assert "fulfilment_provider" not in shown(put(hub, SHADE, body))[3]
    assert "fulfilment_provider" not in shown(get(hub, SHADE))[3]


def test_prices_are_exact(hub: Hub) -> None:
    price = b"123456789012.12345678901234567890"
    body = b'{"data":[{"attributes":{"seller_id":3,"price":%b,"sale_price":1e-2}}]}' % price
    found = shown(put(hub, SHADE, body))[3]
    assert (found["price"], found["sale_price"]) == ("123456789012.1234567890123456789", "0.01")


def test_sellers_that_are_not_named_stay(hub: Hub) -> None:
    before = shown(get(hub, SHADE))
    after = shown(put(hub, SHADE, records({"seller_id": "3", "count_on_hand": 1})))
    assert {seller: after[seller] for seller in before} == before


def test_the_last_element_counts(hub: Hub) -> None:
    twice = records({"seller_id": 2, "count_on_hand": 1}, {"seller_id": 2, "count_on_hand": 2})
    assert shown(put(hub, SHADE, twice))[2]["count_on_hand"] == 2
    body = records({"seller_id": 3, "count_on_hand": 7}, {"seller_id": 1, "count_on_hand": 8})
    found = shown(put(hub, SHADE, body, seller=2))
    assert (found[2]["count_on_hand"], found[1]["count_on_hand"]) == (8, 22)
    assert 3 not in found


def test_sending_again_changes_nothing(hub: Hub) -> None:
    body = records({"seller_id": 2, "count_on_hand": 3, "price": 5}, {"seller_id": 3, "infinite": True})
    first = put(hub, SHADE, body)
    levels = hub.levels(SKUS[SHADE])
    assert put(hub, SHADE, body).text == first.text
    assert hub.levels(SKUS[SHADE]) == levels


# --- deleting -----------------------------------------------------------------------------------------


def test_absent_is_not_zero(hub: Hub) -> None:
    put(hub, LAMP, records({"seller_id": 1, "count_on_hand": 0, "fulfilment_provider": "x"}))
    assert shown(get(hub, LAMP))[1]["count_on_hand"] == 0
    assert delete(hub, LAMP, 1).status_code == 204
    assert shown(get(hub, LAMP)) == {}
    assert error(delete(hub, LAMP, 1)) == (404, None, "Record not found")
    again = put(hub, LAMP, records({"seller_id": 1})).json()["data"][0]
    assert again == {
        "id": 1,
        "type": "inventories",
        "attributes": {
            "count_on_hand": 0,
            "price": None,
            "sale_price": None,
            "infinite": False,
            "seller_id": 1,
        },
    }


def test_reserved_units_keep_an_inventory(hub: Hub) -> None:
    hub.record(Reserve("order-1", (Line(LAMP, 3, (1,)),)))
    assert error(delete(hub, LAMP, 1))[:2] == (422, "data")
    found = shown(get(hub, LAMP))[1]
    assert (found["count_on_hand"], found["price"]) == (10, "500")


def test_a_member_deletes_its_own(hub: Hub) -> None:
    put(hub, LAMP, records({"seller_id": 2, "count_on_hand": 1}))
    assert error(delete(hub, LAMP, 1, seller=2))[0] == 404
    assert error(delete(hub, SHADE, 2, seller=2))[0] == 404
    assert delete(hub, LAMP, 2, seller=2).status_code == 204
    assert list(shown(get(hub, LAMP))) == [1]


# --- ids, and the ledger below ------------------------------------------------------------------------


def numbers(answer: httpx2.Response) -> dict[int, int]:
    return {one["attributes"]["seller_id"]: one["id"] for one in answer.json()["data"]}


def test_levels_of_other_doors_get_ids_and_keep_them(any_hub: Hub) -> None:
    hub = any_hub
    first = numbers(get(hub, SHADE))
    assert sorted(first) == [1, 2]
    hub.record(SetOnHand(SHADE, 3, 9))
    second = numbers(get(hub, SHADE, seller=2))
    assert {seller: second[seller] for seller in first} == first
    assert numbers(put(hub, SHADE, records({"seller_id": 3}))) == second
    others = numbers(get(hub, BULB))
    assert not set(others.values()) & set(second.values())
    assert min((*others.values(), *second.values())) > 3


def test_ids_are_given_in_the_order_of_the_request(hub: Hub) -> None:
    hub.record(Forget(BULB, 1), Forget(BULB, 2))
    body = records(*({"seller_id": seller} for seller in (3, 1, 2)))
    answer = put(hub, BULB, body).json()["data"]
    assert [one["attributes"]["seller_id"] for one in answer] == [3, 1, 2]
    assert [one["id"] for one in answer] == [4, 5, 6]


def test_the_number_is_what_is_on_hand(hub: Hub) -> None:
    hub.record(Reserve("order-1", (Line(LAMP, 3, (1,)),)))
    assert shown(get(hub, LAMP))[1]["count_on_hand"] == 10
    hub.record(Adjust(LAMP, 1, -2))
    assert shown(get(hub, LAMP))[1]["count_on_hand"] == 8
    put(hub, LAMP, records({"count_on_hand": 2}), seller=1)
    level = hub.levels(SKUS[LAMP])["MAIN"]
    assert (level.on_hand, level.reserved) == (2, 3)


def one_call(hub: Hub, method: str, path: str, body: Any = None, seller: int | None = None) -> Call:
    return Call(method, f"{BASE}{path}", {"headers": bearer(key(hub, seller)), "json": body})


def test_two_at_once_lose_nothing(any_hub: Hub) -> None:
    hub, path = any_hub, f"/variants/{FIG}/inventories"
    changes: list[dict[str, Any]] = [
        {"price": 7},
        {"sale_price": 6},
        {"fulfilment_provider": "x"},
        {"count_on_hand": 5},
        {},
        {"infinite": False},
    ]
    calls = [one_call(hub, "PUT", path, records(change), 3) for change in changes * 3]
    calls += [one_call(hub, "GET", path) for _ in range(6)]
    answers = hub.together(calls)
    assert [answer.status_code for answer in answers] == [200] * len(calls)
    found = shown(get(hub, FIG))[3]
    assert found == {
        "count_on_hand": 5,
        "price": "7",
        "sale_price": "6",
        "infinite": False,
        "seller_id": 3,
        "fulfilment_provider": "x",
    }
    ids = {numbers(answer).get(3) for answer in answers} - {None}
    assert len(ids) == 1
    assert len(set(numbers(answers[-1]).values())) == len(answers[-1].json()["data"])


def test_only_one_of_two_deletes_it(any_hub: Hub) -> None:
    calls = [one_call(any_hub, "DELETE", f"/variants/{LAMP}/inventories/1") for _ in range(8)]
    answers = sorted(answer.status_code for answer in any_hub.together(calls))
    assert answers == [204] + [404] * 7
