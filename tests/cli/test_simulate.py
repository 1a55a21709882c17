"""onhand simulate: the same seed gives the same table, times come from the file where it has them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from commands import onhand, write

HEADER = "InvoiceNo,StockCode,Quantity"


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    """A few hundred orders of few SKUs."""
    lots = random.Random(5)
    lines = [f"{n},1000{lots.randrange(4)},{lots.randrange(1, 6)}" for n in range(400)]
    return write(tmp_path / "orders.csv", HEADER, *lines, "C900,10001,-2", "901,10002,-1", "902,POST,1")


def told(*words: object) -> dict[str, Any]:
    ran = onhand("simulate", *words, "--json")
    assert ran.code == 0, ran.err
    found: dict[str, Any] = ran.json
    return found


def test_the_same_seed_gives_the_same_result(orders: Path) -> None:
    first = told(orders, "--seed", 4, "--days", 2, "--supply", 60)
    assert (
        first
        == told(orders, "--seed", 4, "--days", 2, "--supply", 60)
        != told(orders, "--seed", 5, "--days", 2, "--supply", 60)
    )
    assert (first["seed"], first["days"], first["orders"]) == (4, 2.0, 400)
    bare, buffered, onhand_ = first["ways"]
    assert bare["oversold"] > onhand_["oversold"]
    assert buffered["oversold"] <= bare["oversold"]
    assert buffered["lost"] > bare["lost"]
    assert bare["lag_p50"] > onhand_["lag_p50"] > 0
    for way in first["ways"]:
        assert way["sold"] + way["oversold"] + way["lost"] + way["none_left"] == first["units"]


def test_a_person_reads_a_table_and_what_was_assumed(orders: Path) -> None:
    ran = onhand("simulate", orders, "--days", 2, "--supply", 60)
    assert ran.code == 0
    assert "oversold units" in ran.out
    assert "onhand as configured" in ran.out
    assert "seed 1" in ran.out
    assert "a Poisson process" in ran.out
    assert "a poll every 60 s" in ran.out


def test_rules_are_those_of_the_hub(orders: Path) -> None:
    plain = told(orders, "--days", 2, "--supply", 60)["ways"][2]
    careful = told(orders, "--days", 2, "--supply", 60, "--rules", '{"buffer": 4}')["ways"][2]
    assert careful["rules"] == {"buffer": 4}
    assert careful["lost"] > plain["lost"]


def test_times_come_from_a_column(tmp_path: Path) -> None:
    file = write(
        tmp_path / "orders.csv",
        f"{HEADER},InvoiceDate",
        "2,10001,1,2026-11-22T12:00:00",
        "1,10001,1,11/20/2026 12:00",
        "3,10001,1,soon",
    )
    found = told(file)
    assert found["spread"] == "column InvoiceDate"
    assert found["days"] == 2.0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--rules", "{"), "--rules"),
        (("--rules", '{"buffr": 1}'), "buffr"),
        (("--days", "0"), "--days is a number from"),
        (("--days", "nan"), "--days is a number from"),
        (("--sync", "0"), "--sync is a number from"),
        (("--buffer", "-1"), "--buffer is a number from"),
        (("--time-column", "when"), "has no column when"),
        (("--time-column", "Quantity"), "holds no time"),
    ],
)
def test_what_is_wrong_is_said_in_words(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    file = write(tmp_path / "orders.csv", HEADER, "1,10001,xx")
    ran = onhand("simulate", file, *words)
    assert ran.code == 1
    assert said in ran.err


def test_a_file_without_orders_is_no_fault(tmp_path: Path) -> None:
    found = told(write(tmp_path / "orders.csv", HEADER))
    assert [way["sold"] for way in found["ways"]] == [0, 0, 0]
