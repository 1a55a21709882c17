"""Trackstar's pure parts: the rules, bodies to commands, refusals to errors, times and numbers."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from onhand.dialects.trackstar import moments, rendering, schema
from onhand.dialects.trackstar.rules import KNOWN, RULES
from onhand.dialects.trackstar.schema import Change, Site
from onhand.stock.model import (
    Adjust,
    AnyRefusal,
    Closed,
    Forbidden,
    Insufficient,
    SetAvailable,
    Stale,
    TooLarge,
    Undone,
    Unknown,
)

SITE = Site({"a": 7, "b": 8}, None)
NOW = 1_700_000_000_000_000
REASONS = {"bigcommerce": 5, "shopify": 17}

# integration: modes, whether warehouse_id is needed (None: not known), what else
PUBLISHED: dict[str, tuple[str, bool | None, str]] = {
    "base": ("increase decrease", True, ""),
    "amazon": ("increase decrease exact", True, ""),
    "bigcommerce": ("increase decrease", True, "reason"),
    "ebay": ("increase decrease exact", False, ""),
    "etsy": ("increase decrease", None, ""),
    "faire": ("increase decrease", None, ""),
    "magento": ("increase decrease exact", False, ""),
    "mirakl": ("exact", False, ""),
    "nuorder": ("increase decrease", True, ""),
    "overstock": ("exact", True, ""),
    "sandbox": ("increase decrease", None, ""),
    "shopify": ("increase decrease exact", True, "reason"),
    "squarespace": ("increase decrease exact", None, ""),
    "tiktok": ("increase decrease exact", True, "shop_id"),
    "walmart": ("increase decrease exact", False, ""),
    "wix": ("increase decrease exact", False, ""),
    "woocommerce": ("increase decrease exact", None, ""),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_rules_are_the_published_ones(name: str) -> None:
    modes, needed, more = PUBLISHED[name]
    rule = RULES[name]
    assert " ".join(rule.modes) == modes
    expected = ["adjustment_type", "quantity", *more.split(), *(["warehouse_id"] if needed else [])]
    assert list(rule.required) == expected
    assert ("warehouse_id" in rule.optional) == (needed is False)
    assert ("future_date" in rule.optional) == (name == "nuorder")
    assert len(rule.reasons) == REASONS.get(name, 0)
    assert rule.open == (name == "base")


def test_there_are_no_other_rules() -> None:
    assert list(RULES) == list(PUBLISHED)
    assert {"adjustment_type", "quantity", "warehouse_id", "reason", "shop_id", "future_date"} == KNOWN


@pytest.mark.parametrize(
    ("mode", "command"),
    [
        ("increase", Adjust(1, 8, 5)),
        ("decrease", Adjust(1, 8, -5)),
        ("exact", SetAvailable(1, 8, 5)),
    ],
)
def test_modes_become_commands(mode: str, command: object) -> None:
    body = {"adjustment_type": mode, "quantity": 5, "warehouse_id": "b"}
    change = schema.read_change(body, RULES["wix"], SITE, False, NOW)
    assert isinstance(change, Change)
    assert schema.command(change, 1) == command


def test_a_reason_goes_into_the_ledger() -> None:
    body = {"adjustment_type": "exact", "quantity": 0, "warehouse_id": "a", "reason": "damaged"}
    change = schema.read_change(body, RULES["shopify"], SITE, False, NOW)
    assert isinstance(change, Change)
    assert schema.command(change, 1) == SetAvailable(1, 7, 0, reason="damaged")
    assert (change.extras, change.due, change.unused) == ({"reason": "damaged"}, None, ())


@pytest.mark.parametrize(
    ("date", "due"),
    [
        ("2030-01-01T00:00:00Z", 1_893_456_000_000_000),
        ("2030-01-01T01:00:00.5+01:00", 1_893_456_000_500_000),
        ("2023-11-14T22:13:20Z", None),
        ("2023-11-14T22:13:21Z", NOW + 1_000_000),
        ("0001-01-01T00:00:00+23:59", None),
        ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
    ],
)
def test_dates_ahead_are_kept(date: str, due: int | None) -> None:
    body = {"adjustment_type": "increase", "quantity": 1, "warehouse_id": "a", "future_date": date}
    change = schema.read_change(body, RULES["nuorder"], SITE, False, NOW)
    assert isinstance(change, Change)
    assert change.due == due


@pytest.mark.parametrize(("length", "words"), [(255, None), (256, "Longer than maximum length 255.")])
def test_the_shop_of_a_connection_that_names_none_has_an_end(length: int, words: str | None) -> None:
    body = {"adjustment_type": "exact", "quantity": 1, "warehouse_id": "a", "shop_id": "7" * length}
    found = schema.read_change(body, RULES["tiktok"], SITE, False, NOW)
    assert found == {"shop_id": [words]} if words else isinstance(found, Change)


def test_a_connection_without_warehouses() -> None:
    body = {"adjustment_type": "exact", "quantity": 1}
    words = {"warehouse_id": ["The connection has no warehouse."]}
    assert schema.read_change(body, RULES["mirakl"], Site({}, None), False, NOW) == words
    lines = {"line_items": [{"product_id": "x", "quantity": 1}]}
    found = schema.read_batch(lines, RULES["mirakl"], Site({}, None), False)
    assert found == {"line_items.0.warehouse_id": words["warehouse_id"]}


def test_a_long_enumeration_is_cut() -> None:
    site = Site({f"w{number}": number for number in range(500)}, None)
    body = {"adjustment_type": "exact", "quantity": 1, "warehouse_id": "x"}
    found = schema.read_change(body, RULES["mirakl"], site, False, NOW)
    assert isinstance(found, dict)
    assert found["warehouse_id"][0].endswith("w99, ....")


REFUSALS: list[tuple[AnyRefusal, int, str, str | None]] = [
    (Insufficient(1, 7, 5, 3, 4, 1), 422, "integration", "quantity"),
    (TooLarge(10**13), 422, "integration", "quantity"),
    (Unknown("item", "1"), 404, "trackstar", None),
    (Unknown("location", "7"), 422, "integration", None),
    (Forbidden("a mirrored location is written by its channel alone"), 422, "integration", "product_id"),
    (Stale(1, 7, 1, 2), 422, "integration", None),
    (Closed(1), 422, "integration", None),
    (Undone(), 422, "integration", None),
]


@pytest.mark.parametrize(("refusal", "status", "origin", "field"), REFUSALS)
def test_refusals(refusal: AnyRefusal, status: int, origin: str, field: str | None) -> None:
    answer = schema.refused(refusal, "shopify-22")
    assert (answer.status, answer.body["origin"]) == (status, origin)
    assert answer.body["error"][0].isupper()
    assert answer.body.get("id") == ("shopify-22" if status == 404 else None)
    assert list(answer.body.get("detail", {"json": {}})["json"]) == ([field] if field else [])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2030-01-01",
        "2030-01-01 00:00:00Z",
        "2030-01-01T00:00:00",
        "2030-01-01T00:00Z",
        "2030-13-01T00:00:00Z",
        "2030-02-30T00:00:00Z",
        "2030-01-01T24:00:00Z",
        "2030-01-01T00:60:00Z",
        "2030-01-01T00:00:61Z",
        "2030-01-01T00:00:00+24:00",
        "2030-01-01T00:00:00+0100",
        "0000-01-01T00:00:00Z",
        "٢٠٣٠-01-01T00:00:00Z",
        "2030-01-01T00:00:00Z\n",
        "9999-12-31T23:59:60Z",
        "9999-12-31T23:59:59-00:01",
    ],
)
def test_what_is_no_moment(text: str) -> None:
    assert moments.parse(text) is None


@pytest.mark.parametrize("text", ["1970-01-01T00:00:00Z", "2022-01-02T05:05:05Z", "9999-12-31T23:59:59Z"])
def test_moments_go_both_ways(text: str) -> None:
    micros = moments.parse(text)
    assert micros is not None
    assert moments.show(micros + 999_999) == text
    assert moments.parse(text.lower().replace("z", "-00:00")) == micros


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("10", b"10"),
        ("500.00", b"500.00"),
        ("0.1", b"0.1"),
        ("123456789012345678901234567890.12", b"123456789012345678901234567890.12"),
        ("1E+3", b"1000"),
        ("-0.5", b"-0.5"),
        ("NaN", b"null"),
        ("Infinity", b"null"),
        ("1E+1000000", b"null"),
        ("ten", b"null"),
        ("", b"null"),
        (None, b"null"),
    ],
)
def test_prices_keep_their_digits(text: str | None, shown: bytes) -> None:
    found: Any = rendering.number(text)
    assert msgspec.json.encode(found) == shown


@pytest.mark.parametrize(
    ("kept", "shown"),
    [
        ({}, b"[null,null,null,cm,null,kg]"),
        (
            {"length": "32", "width": "2.50", "unit": "mm", "weight": "240", "weight_unit": "g"},
            b"[3.2,0.25,null,cm,0.24,kg]",
        ),
        (
            {"length": "1", "height": "2", "unit": "in", "weight": "3", "weight_unit": "lb"},
            b"[1,null,2,in,3,lb]",
        ),
        ({"length": "1", "unit": "ft", "weight": "3"}, b"[null,null,null,cm,null,kg]"),
    ],
)
def test_measurements_have_units_that_the_published_enumeration_has(
    kept: dict[str, str], shown: bytes
) -> None:
    found = rendering._measurements(kept)
    assert msgspec.json.encode(msgspec.structs.astuple(found)).replace(b'"', b"") == shown
