"""Marketplacer's prices: whatever is written comes back as the same number, to the last digit."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onhand.dialects.marketplacer import prices
from onhand.dialects.marketplacer.prices import BadPrice


@pytest.mark.parametrize(
    ("literal", "text"),
    [
        ("500", "500"),
        ("500.0", "500"),
        ("500.00", "500"),
        ("27.38", "27.38"),
        ("21.990", "21.99"),
        ("0", "0"),
        ("0.0", "0"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("0e9999", "0"),
        ("0.01", "0.01"),
        ("0.10", "0.1"),
        ("1e2", "100"),
        ("1.5E+3", "1500"),
        ("15e-1", "1.5"),
        ("1e-20", "0.00000000000000000001"),
        ("0.1000000000000000055", "0.1000000000000000055"),
        ("999999999999.99999999999999999999", "999999999999.99999999999999999999"),
        ("9007199254740993e-4", "900719925474.0993"),
        ('"27.380"', "27.38"),
        ('"0500"', "500"),
        ('"0"', "0"),
        ('"12.00"', "12"),
    ],
)
def test_a_price_is_kept_exactly(literal: str, text: str) -> None:
    assert prices.exact(prices.decode(literal)) == text


@pytest.mark.parametrize(
    "literal",
    [
        "-1",
        "-0.01",
        "1000000000000",
        "1e12",
        "1e300",
        "1e999999999",
        "1e-999999999",
        "0e99999999999999999999",
        "1e99999999999999999999",
        "1e-21",
        "1" * 250,
        "true",
        "false",
        "[]",
        "{}",
        '""',
        '" 5"',
        '"5 "',
        '"1e2"',
        '"-5"',
        '".5"',
        '"5."',
        '"1,50"',
        '"NaN"',
        '"Infinity"',
        '"$5"',
        '"\\u0665"',
    ],
)
def test_what_is_no_price(literal: str) -> None:
    with pytest.raises(BadPrice):
        prices.exact(prices.decode(literal))


@given(st.integers(0, 10**32 - 1), st.integers(0, 20))
def test_any_price_comes_back_as_the_same_number(digits: int, behind: int) -> None:
    value = Decimal((0, tuple(map(int, str(digits))), -behind))
    if value >= 10**12:
        with pytest.raises(BadPrice):
            prices.exact(value)
        return
    text = prices.exact(prices.decode(f"{value:f}"))
    assert Decimal(text) == value
    assert text == prices.shortest(text)
    shown = prices.number(text)
    assert shown is not None
    assert Decimal(bytes(shown).decode()) == value


@pytest.mark.parametrize(
    ("stored", "number"),
    [(None, None), ("30", b"30.0"), ("27.380", b"27.38"), ("0.00", b"0.0"), ("free", None)],
)
def test_variants_show_prices_as_numbers(stored: str | None, number: bytes | None) -> None:
    made = prices.number(stored)
    assert (bytes(made) if made is not None else None) == number
