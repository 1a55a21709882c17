"""Marketplacer's bodies without HTTP: what a request asks for, how records, pages and errors are shown."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from msgspec import UNSET

from onhand.dialects.marketplacer import errors, prices, rendering, schema, variants
from onhand.dialects.marketplacer.errors import Problem
from onhand.dialects.marketplacer.rendering import Record
from onhand.dialects.marketplacer.schema import Wish
from onhand.dialects.marketplacer.variants import Page
from onhand.stock.model import (
    Closed,
    Forbidden,
    Forget,
    Insufficient,
    Level,
    SetInfinite,
    SetOnHand,
    Stale,
    TooLarge,
    Undone,
    Unknown,
)
from onhand.work import PutDetail, PutPrice

# --- what a request asks for --------------------------------------------------------------------------


def read(*attributes: object) -> list[Wish]:
    raw = json.dumps({"data": [{"attributes": one} for one in attributes]})
    return schema.wishes(prices.decode(raw))


@pytest.mark.parametrize(
    ("attributes", "wish"),
    [
        ({}, Wish()),
        ({"count_on_hand": 0}, Wish(count=0)),
        ({"count_on_hand": 10**12}, Wish(count=10**12)),
        ({"infinite": True, "seller_id": 3}, Wish(3, infinite=True)),
        ({"seller_id": "3"}, Wish(3)),
        ({"seller_id": None}, Wish()),
        ({"price": 27.38, "sale_price": None}, Wish(price="27.38", sale_price=None)),
        ({"price": "27.380"}, Wish(price="27.38")),
        ({"fulfilment_provider": "fulfilio"}, Wish(provider="fulfilio")),
        ({"fulfilment_provider": None}, Wish(provider=None)),
        ({"color": "red", "id": []}, Wish()),
    ],
)
def test_an_element(attributes: dict[str, Any], wish: Wish) -> None:
    assert read(attributes) == [wish]


BAD: dict[str, list[object]] = {
    "count_on_hand": [-1, 10**12 + 1, 10**200, 1.0, 1.5, "5", True, None, [], {}],
    "infinite": [None, 0, 1, "true", []],
    "seller_id": [0, -1, 1.0, True, "", "x", "-1", "1" * 19, [], {}],
    "price": [-1, "x", True, [], {}, 10**12],
    "sale_price": [-0.01, "", False],
    "fulfilment_provider": ["", "x" * 256, 5, [], True],
}
BAD_COUNTS: list[object] = [
    -1,
    1.0,
    Decimal("1.5"),
    "OTHER",
    "INF",
    "infinite",
    "2",
    True,
    None,
    [],
    10**12 + 1,
]


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in BAD for value in BAD[name]])
def test_a_bad_attribute_is_named(name: str, value: object) -> None:
    with pytest.raises(Problem) as raised:
        read({name: value})
    assert (raised.value.status, raised.value.source) == (422, f"data/attributes/{name}")


@pytest.mark.parametrize(
    ("body", "source"),
    [
        (None, "data"),
        ([], "data"),
        (5, "data"),
        ("data", "data"),
        ({}, "data"),
        ({"data": None}, "data"),
        ({"data": {}}, "data"),
        ({"data": {"attributes": {}}}, "data"),
        ({"data": []}, "data"),
        ({"data": [5]}, "data"),
        ({"data": [[]]}, "data"),
        ({"data": [{}]}, "data/attributes"),
        ({"data": [{"attributes": []}]}, "data/attributes"),
        ({"data": [{"attributes": None}]}, "data/attributes"),
        ({"data": [{"type": "variants", "attributes": {}}]}, "data/type"),
        ({"data": [{"type": None, "attributes": {}}]}, "data/type"),
    ],
)
def test_a_bad_body_is_refused(body: object, source: str) -> None:
    with pytest.raises(Problem) as raised:
        schema.wishes(body)
    assert (raised.value.status, raised.value.source) == (422, source)


def test_an_error_says_which_of_several() -> None:
    with pytest.raises(Problem, match=r"\(inventory 2 of 3\)$"):
        read({}, {"infinite": 1}, {})


def test_the_last_word_about_a_seller_stands() -> None:
    asked = [Wish(2, count=1), Wish(1, count=2), Wish(2, count=3)]
    assert schema.by_seller(asked, {1: 1, 2: 2}, None) == {2: Wish(2, count=3), 1: Wish(1, count=2)}
    assert list(schema.by_seller(asked, {1: 1, 2: 2}, None)) == [2, 1]


def test_a_member_speaks_for_itself_with_its_last_element() -> None:
    asked = [Wish(3, count=1), Wish(2, count=3)]
    assert schema.by_seller(asked, {1: 1}, 1) == {1: Wish(2, count=3)}


@pytest.mark.parametrize("seller", [None, 9])
def test_the_parent_names_members(seller: int | None) -> None:
    with pytest.raises(Problem) as raised:
        schema.by_seller([Wish(1), Wish(seller)], {1: 1}, None)
    assert (raised.value.status, raised.value.source) == (422, "data/attributes/seller_id")


NEW = SetOnHand(5, 2, 0, only_absent=True)


@pytest.mark.parametrize(
    ("wish", "commands"),
    [
        (Wish(), [NEW]),
        (Wish(count=7), [SetOnHand(5, 2, 7)]),
        (Wish(infinite=False), [NEW, SetInfinite(5, 2, False)]),
        (Wish(infinite=True), [SetInfinite(5, 2, True)]),
        (Wish(count=7, infinite=True), [SetOnHand(5, 2, 7), SetInfinite(5, 2, True)]),
        (Wish(count=7, infinite=False), [SetOnHand(5, 2, 7), SetInfinite(5, 2, False)]),
    ],
)
def test_commands(wish: Wish, commands: list[object]) -> None:
    assert schema.commands(wish, 5, 2) == commands


PROVIDER = PutDetail("marketplacer", "inventory", 5, 2, '{"fulfilment_provider":"x"}')


@pytest.mark.parametrize(
    ("wish", "companions"),
    [
        (Wish(count=7), []),
        (Wish(price="5"), [PutPrice(5, 2, "5")]),
        (Wish(sale_price=None), [PutPrice(5, 2, UNSET, None)]),
        (Wish(price="5", sale_price="4"), [PutPrice(5, 2, "5", "4")]),
        (Wish(provider="x"), [PROVIDER]),
        (Wish(provider=None), [PutDetail("marketplacer", "inventory", 5, 2, None)]),
    ],
)
def test_companions(wish: Wish, companions: list[object]) -> None:
    assert schema.companions(wish, 5, 2) == companions


def test_a_record_goes_with_its_prices() -> None:
    commands, also = schema.removal(5, 2, 3)
    assert commands == (Forget(5, 3),)
    assert also == (
        PutPrice(5, 2, None, None, None),
        PutDetail("marketplacer", "inventory", 5, 2, None),
    )


@pytest.mark.parametrize(
    ("refusal", "status", "source"),
    [
        (Unknown("level", "1@1"), 404, None),
        (Unknown("item", "1"), 404, None),
        (TooLarge(10**13), 422, "data/attributes/count_on_hand"),
        (Forbidden("3 units are reserved here"), 422, "data"),
        (Stale(1, 1, 2, 3), 422, "data"),
        (Insufficient(1, 1, 2, 1, 1, 0), 422, "data"),
        (Closed(1), 422, "data"),
        (Undone(), 422, "data"),
    ],
)
def test_refusals(refusal: Any, status: int, source: str | None) -> None:
    problem = schema.refused(refusal, "7")
    assert (problem.status, problem.source) == (status, source)


# --- stock of many ------------------------------------------------------------------------------------


def test_stock_of_many() -> None:
    asked = schema.stock({"count_on_hand": {"123": 2, "456": 0, "789": "INFINITE"}})
    assert asked == {"123": 2, "456": 0, "789": None}
    assert schema.stock_answer(asked) == {"count_on_hand": {"123": 2, "456": 0, "789": "INFINITE"}}
    assert schema.stock_commands(2, 5, 1) == (SetOnHand(5, 1, 2), SetInfinite(5, 1, False))
    assert schema.stock_commands(None, 5, 1) == (SetInfinite(5, 1, True),)


@pytest.mark.parametrize(
    ("body", "source"),
    [
        (None, "count_on_hand"),
        ([], "count_on_hand"),
        ({}, "count_on_hand"),
        ({"count_on_hand": {}}, "count_on_hand"),
        ({"count_on_hand": []}, "count_on_hand"),
        ({"count_on_hand": {str(n): 1 for n in range(5001)}}, "count_on_hand"),
        *(({"count_on_hand": {"1": 1, "2": value}}, "count_on_hand/2") for value in BAD_COUNTS),
    ],
)
def test_bad_stock_of_many(body: object, source: str) -> None:
    with pytest.raises(Problem) as raised:
        schema.stock(body)
    assert (raised.value.status, raised.value.source) == (422, source)


# --- answers ------------------------------------------------------------------------------------------

FINITE, ENDLESS = Level(7, present=True), Level(7, infinite=True, present=True)


@pytest.mark.parametrize(
    ("record", "attributes"),
    [
        (
            Record(1, 2, FINITE),
            '{"count_on_hand":7,"price":null,"sale_price":null,"infinite":false,"seller_id":2}',
        ),
        (
            Record(1, 2, Level(-3, present=True), "500.00", None),
            '{"count_on_hand":0,"price":"500","sale_price":null,"infinite":false,"seller_id":2}',
        ),
        (Record(1, 2, ENDLESS), '{"infinite":true,"seller_id":2}'),
        (
            Record(1, 2, ENDLESS, None, "4.5"),
            '{"price":null,"sale_price":"4.5","infinite":true,"seller_id":2}',
        ),
        (
            Record(1, 2, ENDLESS, provider="x"),
            '{"infinite":true,"seller_id":2,"fulfilment_provider":"x"}',
        ),
    ],
)
def test_a_record_is_shown(record: Record, attributes: str) -> None:
    body = json.dumps(rendering.inventories([record]), separators=(",", ":"))
    assert body == f'{{"data":[{{"id":1,"type":"inventories","attributes":{attributes}}}]}}'


def test_records_are_shown_by_id() -> None:
    shown = rendering.inventories([Record(3, 1, FINITE), Record(1, 2, FINITE), Record(2, 3, FINITE)])
    assert [one["id"] for one in shown["data"]] == [1, 2, 3]


@pytest.mark.parametrize(
    ("number", "size", "page"),
    [
        (None, None, Page(1, 50)),
        ("3", "10", Page(3, 10)),
        ("1", "501", Page(1, 500)),
        ("1000000000", "1000000000", Page(10**9, 500)),
    ],
)
def test_pages(number: str | None, size: str | None, page: Page) -> None:
    assert variants.page(number, size) == page


@pytest.mark.parametrize("text", ["0", "-1", "", "x", "1.5", "1000000001", "9" * 30, "٣", " 1"])
def test_bad_pages(text: str) -> None:
    for number, size, source in ((text, None, "page[number]"), (None, text, "page[size]")):
        with pytest.raises(Problem) as raised:
            variants.page(number, size)
        assert (raised.value.status, raised.value.source) == (400, source)


@pytest.mark.parametrize(("total", "last"), [(0, 1), (1, 1), (50, 1), (51, 2), (500, 10)])
def test_the_last_page(total: int, last: int) -> None:
    assert variants.last(Page(1, 50), total) == last


@pytest.mark.parametrize(
    ("status", "title", "symbol"),
    [
        (400, "Bad request", "bad_request"),
        (401, "Unauthorized", "unauthorized"),
        (403, "Forbidden", "forbidden"),
        (404, "Record not found", "not_found"),
        (408, "Request timeout", "request_timeout"),
        (413, "Payload too large", "payload_too_large"),
        (415, "Unsupported media type", "unsupported_media_type"),
        (422, "Validation error", "resource_invalid"),
        (429, "Too many requests", "too_many_requests"),
        (500, "Internal server error", "internal_server_error"),
        (503, "Service unavailable", "service_unavailable"),
        (599, "Error", "error"),
    ],
)
def test_errors(status: int, title: str, symbol: str) -> None:
    (one,) = errors.body(status, "Words.", "data")["errors"]
    assert one == {
        "title": title,
        "detail": "Words.",
        "id": None,
        "href": None,
        "code": status,
        "source": "data",
        "links": None,
        "status": symbol,
    }
