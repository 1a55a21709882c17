"""Reading what channels say: paths, counts and times, of every wrong type too; requests that hide secrets."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.driver import answer
from onhand.connectors.auth import render
from onhand.connectors.channel import (
    Secret,
)
from onhand.connectors.flow import (
    Failed,
    Request,
    Response,
    retry_after,
)
from onhand.connectors.reading import at, iso, moment, need_rows, need_text, rows, said_at, text, units, whole

TREE = {"a": {"b": [{"c": 3}, None, "x"]}, "n": None, "s": "", "t": True}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ((), TREE),
        (("a", "b", 0, "c"), 3),
        (("a", "b", -1), "x"),
        (("a", "b", 3), None),
        (("a", 0), None),
        (("a", "b", "c"), None),
        (("n", "x"), None),
        (("t", "x"), None),
    ],
)
def test_a_path_leads_somewhere_or_nowhere(path: tuple[Any, ...], found: Any) -> None:
    assert at(TREE, *path) == found


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3),
        (-3, -3),
        (3.0, 3),
        ("3", 3),
        ("-3", -3),
        (True, None),
        (3.5, None),
        (float("nan"), None),
        (float("inf"), None),
        (10**18 - 1, 10**18 - 1),
        (2**63, 10**18),
        (-(10**30), -(10**18)),
        (1e300, 10**18),
        ("", None),
        ("--3", None),
        ("3.0", None),
        ("٣", None),
        ("9" * 20, None),
        ([3], None),
        (None, None),
    ],
)
def test_whole_numbers(value: Any, number: int | None) -> None:
    assert whole(value) == number
    assert units(value) == max(0, number or 0)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("x", "x"),
        (7, "7"),
        (2**63, str(2**63)),
        ("", None),
        (True, None),
        (1.5, None),
        ({}, None),
        (None, None),
    ],
)
def test_texts(value: Any, words: str | None) -> None:
    assert text({"v": value}, "v") == words
    if words is None:
        with pytest.raises(Failed) as failed:
            need_text({"v": value}, "v")
        assert failed.value.retry


def test_rows_are_objects_and_a_missing_list_is_not_an_empty_one() -> None:
    assert rows({"r": [{"a": 1}, 3, None, []]}, "r") == [{"a": 1}]
    assert rows({"r": {}}, "r") == []
    assert need_rows({"r": []}, "r") == []
    missing: tuple[Any, ...] = ({}, {"r": None}, {"r": {}}, None, "x")
    for wrong in missing:
        with pytest.raises(Failed):
            need_rows(wrong, "r")


@pytest.mark.parametrize(
    ("words", "micros"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000),
        ("1970-01-01T00:00:01", 1_000_000),
        ("1970-01-01T02:00:00.5+02:00", 500_000),
        ("2026-11-22T00:00:00.123456Z", 1_795_305_600_123_456),
        ("yesterday", None),
        ("", None),
        (17, None),
        ("0001-01-01T00:00:00+23:59", -62_135_683_140_000_000),
    ],
)
def test_moments(words: Any, micros: int | None) -> None:
    assert moment(words) == micros


def test_a_moment_goes_round_in_whole_seconds() -> None:
    assert iso(1_795_305_600_999_999) == "2026-11-22T00:00:00Z"
    assert moment(iso(1_795_305_600_000_000)) == 1_795_305_600_000_000
    assert [iso(-1), iso(10**30)] == ["1970-01-01T00:00:00Z", "9999-12-31T00:00:00Z"]


@pytest.mark.parametrize(
    ("date", "micros"),
    [
        ("Sun, 22 Nov 2026 00:00:00 GMT", 1_795_305_600_000_000),
        ("Sun, 22 Nov 2026 00:00:00 -0000", 1_795_305_600_000_000),
        ("Sun, 22 Nov 2026 00:00:00 +99999999999999999999", None),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 253_402_387_139_000_000),
        ("yesterday", None),
        ("", None),
    ],
)
def test_the_channel_s_clock(date: str, micros: int | None) -> None:
    assert said_at(answer("", date=date)) == micros
    assert said_at(Response(200)) is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("1.5", 1.5), ("-1", 0.0), ("nan", 0.0), ("inf", 86_400.0), ("soon", None), ("", None)],
)
def test_retry_after_is_bounded(header: str, seconds: float | None) -> None:
    assert retry_after(answer("", 429, retry_after=header)) == seconds


def test_secrets_are_revealed_on_the_wire_and_nowhere_before() -> None:
    hidden = Secret("marker-1")
    requests = [
        Request("POST", "/t", form=(("secret", hidden), ("grant", "x y"))),
        Request("POST", "/t", json={"secret": hidden}),
        Request("GET", "/t", query=(("secret", hidden),), headers=(("X-Key", hidden),)),
    ]
    form, json, query = (render("https://a.example/", request) for request in requests)
    assert form.body == b"secret=marker-1&grant=x+y"
    assert json.body == b'{"secret":"marker-1"}'
    assert (query.target, query.headers["X-Key"]) == ("https://a.example/t?secret=marker-1", "marker-1")
    assert "marker-1" not in repr([requests, form, json, query])
