"""POST /changes and /transfers: one commit, all or none or each for itself, with every refusal's figures."""

from __future__ import annotations

from typing import Any

import pytest

from hubs import Call
from native_calls import EAST, GIFT, GIFT_SKU, LAMP, LAMP_SKU, MAIN, PREFIX, WEST, Api, adjust, codes, hold

MANY = 10_000
STALE = {"op": "set_available", "item": GIFT, "location": 1, "quantity": 4, "expected": 49}


def test_every_kind_of_change_in_one_commit(either: Api) -> None:
    body = either.change(
        {"op": "set_on_hand", "sku": LAMP_SKU, "location": "MAIN", "quantity": 8, "reason": "count"},
        {"op": "set_available", "item": LAMP, "location": EAST, "quantity": 5},
        adjust(-2, location="MAIN", reference="order-1"),
        {"op": "transfer", "sku": GIFT_SKU, "from": "MAIN", "to": "EAST", "quantity": 8},
        hold(3, ttl_seconds=60),
        {"op": "extend", "reference": "r", "expires_at": None},
        {"op": "confirm", "reference": "r"},
        {"op": "release", "reference": "r", "lines": [{"item": GIFT, "quantity": 1}]},
        {"op": "ship", "reference": "r"},
        {"op": "return", "reference": "r", "lines": [{"item": GIFT, "quantity": 1, "location": MAIN}]},
        {"op": "set_infinite", "item": LAMP, "location": WEST, "infinite": True},
        {"op": "forget", "item": LAMP, "location": "EAST"},
        adjust(0),
    )
    seqs = [(row["seq"], row["last_seq"]) for row in body["changes"]]
    first = seqs[0][0]
    spans = [(a - first, b - first) if a else None for a, b in seqs]
    assert spans == [
        (0, 0),
        (1, 1),
        (2, 2),
        (3, 4),
        (5, 5),
        None,
        None,
        (6, 6),
        (7, 7),
        (8, 8),
        (9, 9),
        (10, 10),
        None,
    ]
    assert (body["done"], body["refused"], body["as_of_seq"]) == (13, 0, first + 10)
    assert either.level(LAMP) == (8, 0)
    assert either.level(LAMP, EAST) is None
    assert either.level(GIFT) == (39, 0)
    assert [one["location"] for one in body["changes"][3]["levels"]] == [MAIN, EAST]
    later = either.get("/movements", params={"cursor": body["token"]})
    assert (later["data"], later["next_cursor"]) == ([], None)


def test_levels_are_shown_as_each_change_left_them(api: Api) -> None:
    rows = api.change(adjust(-1), adjust(-2), adjust(0))["changes"]
    assert [row["levels"][0]["on_hand"] for row in rows] == [49, 47, 47]


def test_a_refusal_undoes_all_and_says_which(either: Api) -> None:
    body = either.change(adjust(-1), adjust(-50), adjust(-1), status=409)
    assert codes(body) == ("insufficient_stock", ["/changes/1"])
    figures = {"item": GIFT, "location": MAIN, "wanted": 50, "available": 49, "on_hand": 49, "reserved": 0}
    assert figures.items() <= body["errors"][0].items()
    assert either.level(GIFT) == (50, 0)


def test_partial_does_what_it_can(either: Api) -> None:
    body = either.change(
        adjust(-1), adjust(-500), adjust(-1, sku="NO", item=None), adjust(-1, location="NOWHERE"), adjust(-2),
        mode="partial",
    )  # fmt: skip
    ends = [row.get("seq") or row["error"]["code"] for row in body["changes"]]
    first = ends[0]
    assert ends == [first, "insufficient_stock", "unknown_item", "unknown_location", first + 1]
    assert [row["error"]["pointer"] for row in body["changes"] if "error" in row] == [
        "/changes/1",
        "/changes/2/sku",
        "/changes/3/location",
    ]
    assert (body["done"], body["refused"]) == (2, 3)
    assert either.level(GIFT) == (47, 0)


def test_partial_with_nothing_that_can_be_done(api: Api) -> None:
    body = api.change(adjust(1, sku="NO", item=None), mode="partial")
    assert (body["done"], body["refused"]) == (0, 1)


def test_all_that_is_not_there_is_named_at_once(api: Api) -> None:
    body = api.change(adjust(1, sku="NO", item=None), adjust(1), adjust(1, location="NOWHERE"), status=404)
    assert codes(body) == ("unknown_item", ["/changes/0/sku", "/changes/2/location"])


def test_ten_thousand_in_one_request(api: Api) -> None:
    body = api.change(*[adjust(1)] * MANY)
    assert (body["done"], len(body["changes"])) == (MANY, MANY)
    assert api.level(GIFT) == (50 + MANY, 0)
    assert codes(api.ask("POST", "/changes", {"changes": [adjust(1)] * (MANY + 1)})) == (
        "invalid_body",
        ["/changes"],
    )
    assert api.level(GIFT) == (50 + MANY, 0)


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        (adjust(-51), 409, "insufficient_stock"),
        (adjust(10**12), 422, "quantity_out_of_range"),
        (adjust(1, item=9999), 404, "unknown_item"),
        (adjust(1, location=9999), 404, "unknown_location"),
        (adjust(1, item=None, sku="lamp-brass-40"), 404, "unknown_item"),
        (adjust(1, location="main"), 404, "unknown_location"),
        (STALE, 409, "stale_quantity"),
        ({"op": "forget", "item": GIFT, "location": 3}, 404, "unknown_level"),
        ({"op": "transfer", "item": GIFT, "from": 1, "to": 2, "quantity": 51}, 409, "insufficient_stock"),
        ({"op": "ship", "reference": "none"}, 404, "unknown_reservation"),
        ({"op": "confirm", "reference": "none"}, 404, "unknown_reservation"),
        (hold(51), 409, "insufficient_stock"),
        (hold(1, expires_at="2001-01-01T00:00:00Z"), 409, "moment_out_of_range"),
    ],
)  # fmt: skip
def test_refusals(api: Api, change: dict[str, Any], status: int, code: str) -> None:
    body = api.change(change, status=status)
    assert body["code"] == code
    assert body["errors"][0]["code"] == code
    assert body["errors"][0]["pointer"].startswith("/changes/0")
    assert api.level(GIFT) == (50, 0)
    assert api.get("/reservations")["data"] == []


def test_floor_on_hand_takes_what_is_promised(api: Api) -> None:
    api.change(hold(45))
    assert api.change(adjust(-6), status=409)["errors"][0]["available"] == 5
    api.change(adjust(-6, floor="on_hand", reason="broken"))
    assert api.level(GIFT) == (44, 45)
    oversold = api.get("/verify")
    assert (oversold["clean"], [one["found"] for one in oversold["oversold"]]) == (True, [44])


# --- what is no request at all ------------------------------------------------------------------------


JSON: tuple[int, str, list[str]] = (400, "invalid_json", [])
BAD = [
    (b"", *JSON),
    (b"{", *JSON),
    (b"[]", 422, "invalid_body", [""]),
    (b"null", 422, "invalid_body", [""]),
    (b'{"changes": [], "changes": []}', *JSON),
    (b'{"changes": [{"op": "adjust", "item": 1, "location": 1, "delta": 1, "delta": 2}]}', *JSON),
    (b'{"changes": [{"op": "adjust", "sku": "a\\u0000", "location": 1}]}', *JSON),
    (b'{"changes": [{"op": "adjust", "sku": "\\ud800", "location": 1}]}', *JSON),
    (b'{"changes": [{"op": "adjust", "sku": "\xff", "location": 1}]}', *JSON),
    (b'\xef\xbb\xbf{"changes": []}', *JSON),
    (b'{"changes": [NaN]}', *JSON),
    (b'{"changes": ' + b"[" * 100 + b"]" * 100 + b"}", *JSON),
    (b'{"changes": []}', 422, "invalid_body", ["/changes"]),
    (b'{"changes": {}}', 422, "invalid_body", ["/changes"]),
    (b'{"changes": [1]}', 422, "invalid_body", ["/changes/0"]),
    (b'{"changes": [{}]}', 422, "invalid_body", ["/changes/0"]),
    (b'{"changes": [{"op": "steal"}]}', 422, "invalid_body", ["/changes/0/op"]),
    (b'{"changes": [], "mode": "both"}', 422, "invalid_body", None),
    (b'{"changes": [], "extra": 1}', 422, "invalid_body", None),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "status", "code", "pointers"), BAD)
def test_bodies_that_are_not_taken(
    api: Api, raw: bytes, status: int, code: str, pointers: list[str] | None
) -> None:
    answer = api.ask("POST", "/changes", content=raw)
    assert answer.status_code == status
    assert answer.json()["code"] == code
    if pointers is not None:
        assert codes(answer)[1] == pointers


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("delta", True),
        ("delta", 3.0),
        ("delta", "5"),
        ("delta", None),
        ("delta", 10**12 + 1),
        ("delta", -(10**12) - 1),
        ("delta", 2**80),
        ("delta", [1]),
        ("item", 0),
        ("item", -1),
        ("item", 2**63),
        ("item", True),
        ("item", "1"),
        ("location", 0),
        ("location", ""),
        ("location", True),
        ("location", None),
        ("location", "x" * 256),
        ("floor", "cellar"),
        ("reason", ""),
        ("reason", "x" * 513),
        ("reference", 7),
        ("sku", "both"),
        ("quantity", 1),
    ],
)
def test_fields_that_are_not_taken(api: Api, field: str, value: object) -> None:
    answer = api.ask("POST", "/changes", {"changes": [adjust(1), adjust(1) | {field: value}]})
    assert answer.status_code == 422
    code, pointers = codes(answer)
    assert code == "invalid_body"
    assert pointers in ([f"/changes/1/{field}"], ["/changes/1"])
    assert api.level(GIFT) == (50, 0)


def test_a_media_type_that_is_not_json(api: Api) -> None:
    answer = api.ask("POST", "/changes", content=b"{}", Content_Type="text/plain")
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_a_body_of_more_than_four_mebibytes(api: Api) -> None:
    answer = api.ask("POST", "/changes", content=b" " * (4 * 1024 * 1024 + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    answer = api.ask("POST", "/transfers", content=b" " * (256 * 1024 + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


# --- transfers and races ------------------------------------------------------------------------------------


def test_a_transfer(api: Api) -> None:
    body = api.post("/transfers", {"sku": GIFT_SKU, "from": "MAIN", "to": "WEST", "quantity": 7}, 201)
    assert [(one["location"], one["on_hand"]) for one in body["changes"][0]["levels"]] == [
        (MAIN, 43),
        (WEST, 7),
    ]
    short = api.ask("POST", "/transfers", {"item": GIFT, "from": WEST, "to": MAIN, "quantity": 8})
    assert codes(short) == ("insufficient_stock", [""])


def test_a_transfer_to_where_it_is_shows_the_level_once(api: Api) -> None:
    body = api.post("/transfers", {"item": GIFT, "from": MAIN, "to": MAIN, "quantity": 7}, 201)
    (done,) = body["changes"]
    assert (done["seq"], [(one["location"], one["on_hand"]) for one in done["levels"]]) == (
        None,
        [(MAIN, 50)],
    )


def test_the_last_fifty_are_sold_once(either: Api) -> None:
    sent = {"headers": {"Authorization": f"Bearer {either.key}"}, "json": {"changes": [adjust(-1)]}}
    answers = either.hub.together([Call("POST", f"{PREFIX}/changes", sent)] * 64)
    assert sorted(answer.status_code for answer in answers) == [200] * 50 + [409] * 14
    assert either.level(GIFT) == (0, 0)
    assert either.get("/verify")["clean"] is True
