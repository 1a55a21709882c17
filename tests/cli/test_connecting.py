"""Connecting that is killed in the middle and gone on with, and connections that are removed."""

from __future__ import annotations

import asyncio
import importlib
import json
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commands import numbers, onhand, started, write
from onhand.cli import frame
from onhand.office import door
from servers import start

outward_shop = importlib.import_module("outward.shop")


@pytest.fixture(scope="module")
def shop() -> Iterator[Any]:
    with outward_shop.shop() as running:
        yield running


@pytest.fixture
def db(shop: Any, tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ONHAND_DB", sqlite_url)
    monkeypatch.setenv("ONHAND_ALLOW_PRIVATE_CHANNELS", "true")
    monkeypatch.chdir(tmp_path)
    said("accounts", "create", "shop")
    write(tmp_path / "stock.csv", "sku,location,on_hand", "SB-APRON-S,main,7", "SB-APRON-M,main,3")
    said("import", "stock.csv", "--create")
    (tmp_path / "settings.json").write_text(json.dumps(shop.settings))
    return sqlite_url


def said(*words: object, code: int = 0) -> str:
    """What a command said."""
    done = onhand(*words)
    assert done.code == code, (words, done.code, done.out, done.err)
    return done.out + done.err


def told(*words: object, code: int = 0) -> Any:
    """What a command said to programs."""
    done = onhand(*words, "--json")
    assert done.code == code, (words, done.code, done.out, done.err)
    return json.loads(done.out)


def connect(*words: str) -> dict[str, Any]:
    """Connect the shop; some of its listings match nothing."""
    found: dict[str, Any] = told("connect", "sandbox", "--settings", "settings.json", *words, code=3)
    return found


def count(db: str, text: str) -> int:
    """The number that a query gives."""
    with sqlite3.connect(f"file:{db}?mode=ro", uri=True) as database:
        return int(database.execute(text).fetchone()[0])


AT_FIRST = "SELECT COUNT(*) FROM connections WHERE connector = 1"
"""Before the channel has answered."""
AT_LISTINGS = "SELECT COUNT(*) FROM connections WHERE connector = 1 AND rules != '{}'"
"""Before the listings are in."""


@pytest.mark.parametrize(
    ("point", "number", "says"),
    [
        (AT_FIRST, signal.SIGKILL, ""),
        (AT_LISTINGS, signal.SIGKILL, ""),
        (AT_LISTINGS, signal.SIGINT, "the same command goes on from here"),
    ],
)
def test_a_killed_connect_is_gone_on_with(
    db: str, shop: Any, point: str, number: signal.Signals, says: str
) -> None:
    shop.ask("/faults", {"delay": 0.5})
    try:
        first = started("connect", "sandbox", "--settings", "settings.json", "--name", "First")
        ends = time.monotonic() + 30
        while not count(db, point):
            assert time.monotonic() < ends and first.poll() is None
            time.sleep(0.01)
        first.send_signal(number)
        assert says in first.communicate()[1]
    finally:
        shop.ask("/faults", {"delay": 0})
    goes_on()


def test_one_that_is_interrupted_at_once_leaves_nothing(db: str, shop: Any) -> None:
    shop.ask("/faults", {"delay": 0.1})
    try:
        first = started("connect", "sandbox", "--settings", "settings.json")
        ends = time.monotonic() + 30
        while not count(db, AT_FIRST):
            assert time.monotonic() < ends and first.poll() is None
            time.sleep(0.001)
        first.send_signal(signal.SIGINT)
        first.communicate()
    finally:
        shop.ask("/faults", {"delay": 0})
    assert first.returncode == 130
    assert remains(db) == {}
    assert connect()["resumed"] is False


def test_one_that_was_stopped_behind_its_listings_is_gone_on_with(db: str, shop: Any) -> None:
    async def begin() -> None:
        async with door.writing(frame.load(db)) as way:
            asked = {"channel": "sandbox", "values": shop.settings, "name": "First"}
            made = await way.ask("connect_begin", account=1, **asked)
            await way.ask("connect_page", account=1, link=made["connection"])

    asyncio.run(begin())
    assert goes_on()["known"] > 0


def goes_on() -> dict[str, Any]:
    """The next connect finishes what was begun; what it did."""
    (left,) = told("connections")
    assert (left["paused"], left["unfinished"]) == (True, True)
    assert "'onhand disconnect 1' removes it" in said("connections")
    done = connect("--name", "Our shop", "--rule", "buffer=1")
    assert (done["connection"], done["resumed"]) == (left["id"], True)
    assert done["created"] + done["known"] == 2
    (whole,) = told("connections")
    assert (whole["name"], whole["paused"], whole["unfinished"]) == ("Our shop", False, False)
    assert whole["rules"]["buffer"] == 1
    assert "0 wait to be told" in said("push", "--all", "Our shop")
    assert "connected already" in said("connect", "sandbox", "--settings", "settings.json", code=1)
    assert len(told("connections")) == 1
    return done


def test_another_shop_is_another_connection(db: str, shop: Any) -> None:
    with sqlite3.connect(db) as database:
        first = connect("--paused")["connection"]
        assert told("connections")[0]["unfinished"] is False
        database.execute("UPDATE connections SET unfinished = 1")
    with outward_shop.shop() as other:
        Path("other.json").write_text(json.dumps(other.settings))
        second = told("connect", "sandbox", "--settings", "other.json", code=3)
    assert (second["connection"], second["resumed"]) == (first + 1, False)
    assert [one["unfinished"] for one in told("connections")] == [True, False]
    assert told("connect", "sandbox", "--again", first, code=3)["known"] == 2
    assert [(one["unfinished"], one["paused"]) for one in told("connections")] == [(False, False)] * 2


def test_what_fails_to_be_gone_on_with_stays(db: str, shop: Any) -> None:
    connect("--paused")
    with sqlite3.connect(db) as database:
        database.execute("UPDATE connections SET unfinished = 1")
    said("connect", "sandbox", "--settings", "settings.json", "--feed", "nowhere=main", code=1)
    (left,) = told("connections")
    assert left["unfinished"] and len(told("listings")) == 2
    assert connect()["known"] == 2


# --- removed --------------------------------------------------------------------------------------------

EVERYTHING = ("listings", "slots", "feeds", "outbox", "drifts", "orders", "drives", "external_ids")


def remains(db: str) -> dict[str, int]:
    """What is left of connections in the tables."""
    found = {table: count(db, f"SELECT COUNT(*) FROM {table}") for table in EVERYTHING}
    found["connections"] = count(db, "SELECT COUNT(*) FROM connections WHERE connector = 1")
    return {table: rows for table, rows in found.items() if rows}


def sold(shop: Any) -> str:
    """An order on the channel."""
    answer = shop.ask("/sell", {"sku": "SB-APRON-S", "units": 2})
    return str(answer["id"])


def reserved() -> int:
    """Units of the apron that are held."""
    (level,) = [one for one in told("levels")["levels"] if one["sku"] == "SB-APRON-S"]
    return int(level["reserved"])


def wait(holds: Any) -> None:
    ends = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.05)


def test_a_connection_is_forgotten_with_all_that_is_of_it(db: str) -> None:
    connect("--name", "Our shop")
    said("push", "--all", "Our shop")
    assert "say --yes" in said("disconnect", "Our shop", code=1)
    assert told("connections")[0]["paused"] is False
    done = told("disconnect", "Our shop", "--yes")
    assert (done["name"], done["listings"], done["done"]) == ("Our shop", 2, True)
    assert remains(db) == {}
    assert numbers(db) == {("SB-APRON-S", "main"): 7, ("SB-APRON-M", "main"): 3}
    assert "clean" in said("verify")
    assert "no connection" in said("disconnect", "Our shop", "--yes", code=1)
    assert connect()["connection"] == done["connection"] + 1


@pytest.mark.parametrize(("orders", "left"), [("release", 0), ("keep", 2)])
def test_units_that_its_orders_hold(db: str, shop: Any, orders: str, left: int) -> None:
    running = start(Path(db), ONHAND_ALLOW_PRIVATE_CHANNELS="true", ONHAND_POLL_SECONDS="1")
    try:
        connect("--name", "Our shop")
        order = sold(shop)
        wait(lambda: reserved() == 2)
        assert "orders of it hold 2 units" in said("disconnect", "Our shop", "--yes", code=1)
        assert told("connections")[0]["paused"] is False
        assert "release" in said("disconnect", "Our shop", "--yes", "--orders", "drop", code=1)
        done = told("disconnect", "Our shop", "--yes", "--orders", orders)
        assert (done["orders"] >= 1, done["released"]) == (True, 1 if orders == "release" else 0)
        assert reserved() == left
        assert remains(db) == {}
    finally:
        running.stop()
        shop.ask(f"/orders/{order}/cancel", {})
    assert "clean" in said("verify")
    notes = " ".join(connect("--paused")["notes"])
    assert (f"order:{done['connection']}:{order}" in notes) is (orders == "keep")
