"""onhand simulate: the same seed gives the same table, times come from the file where it has them."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from commands import onhand, write
from onhand.inventory import Inventory
from onhand.stock.offering import Rules
from onhand.store import catalog, channels, linking
from onhand.store.catalog import Item
from onhand.store.channels import Link, Listing
from onhand.store.engine import open_store

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
    assert (found["days"], found["untimed"]) == (2.0, 1)
    assert "1 orders have no time that can be read" in (said := onhand("simulate", file).err)
    assert "(the first: 'soon')" in said


def test_times_that_can_all_be_read_are_no_matter_for_words(tmp_path: Path) -> None:
    lines = ("1,10001,1,2026-11-22", "1,10001,2,", "2,POST,1,")
    file = write(tmp_path / "orders.csv", f"{HEADER},OrderDate", *lines)
    ran = onhand("simulate", file, "--json")
    assert (ran.code, ran.err, ran.json["untimed"]) == (0, "", 0)


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
    assert ran.code == (2 if "is a number from" in said else 1)
    assert said in ran.err


def test_a_file_without_orders_is_no_fault(tmp_path: Path) -> None:
    found = told(write(tmp_path / "orders.csv", HEADER))
    assert [way["sold"] for way in found["ways"]] == [0, 0, 0]


# --- the rules of a connection --------------------------------------------------------------------------


@pytest.fixture
def hub(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A hub with a connection that holds back 2, and more of one SKU."""
    monkeypatch.setenv("ONHAND_DB", sqlite_url)
    assert onhand("accounts", "create", "shop").code == 0

    def make(connection: Connection) -> None:
        items = [Item(1, sku="10001"), Item(2, sku="10002")]
        catalog.add_items(connection, 1, items, 1)
        channels.add_link(connection, 1, Link(1, "sandbox", "Our shop", connector=True), 1)
        linking.change(connection, 1, 1, {"rules": Rules(buffer=2, poll=20)})
        made = [channels.add_listing(connection, 1, Listing(0, 1, f"v{at}", at), 1).id for at in (1, 2)]
        linking.set_rules(connection, 1, made[0], Rules(cap=3), 1)

    async def write() -> None:
        store = open_store(sqlite_url)
        inventory = Inventory(store)
        inventory.start()
        await inventory.write(1, make)
        await inventory.stop()
        store.close()

    asyncio.run(write())
    return sqlite_url


def test_the_rules_of_a_connection_and_of_its_listings(orders: Path, hub: str) -> None:
    words = (orders, "--days", 2, "--supply", 60)
    plain, buffered = told(*words), told(*words, "--rules", '{"buffer": 2, "poll": 20}')
    found = told(*words, "--connection", "Our shop")
    assert found["connection"] == "Our shop"
    assert plain["connection"] is None
    way = found["ways"][2]
    assert (way["rules"], way["own_rules"]) == ({"buffer": 2, "poll": 20}, 1)
    assert way["lost"] > buffered["ways"][2]["lost"] > plain["ways"][2]["lost"]
    assert way["lag_p50"] < plain["ways"][2]["lag_p50"]
    assert found["ways"][:2] == plain["ways"][:2]
    over = told(*words, "--connection", 1, "--rules", '{"buffer": 0, "cap": 1000}')["ways"][2]
    assert over["rules"] == {"buffer": 0, "cap": 1000, "poll": 20}
    ran = onhand("simulate", *words, "--connection", "sandbox", "--db", hub)
    assert "onhand has the rules of connection Our shop, and its own for 1 SKUs" in ran.out


def test_a_connection_that_is_not_there(orders: Path, hub: str, tmp_path: Path) -> None:
    ran = onhand("simulate", orders, "--connection", "other")
    assert (ran.code, "there are: 1 (Our shop)" in ran.err) == (1, True)
    ran = onhand("simulate", orders, "--connection", "other", "--db", tmp_path / "none.db")
    assert ran.code == 1 and "Traceback" not in ran.err
