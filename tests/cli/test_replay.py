"""onhand replay: what becomes of each kind of line, once for ever, and the proof that nothing is lost."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from commands import numbers, onhand, write
from stores import SqliteDatabases

HEADER = "InvoiceNo,StockCode,Description,Quantity"
STORY = (
    HEADER,
    "1,10001,cup,6",
    "1,10002A,plate,2",
    "1,10001,cup,1",
    "1,POST,postage,1",
    "2,10001,cup,3",  # 3 are left: this is the last order that fits
    "3,10001,cup,1",  # refused
    "3,10002A,plate,1",  # and this with it: all or nothing
    "C1,10001,cup,-2",
    "4,10001,cup,2",  # fits again
    "5,10002A,broken,-3",
    "6,10002A,broken,-9",  # does not fit
    "7,10002a,another plate,4",  # codes are compared as printed
    "8,10003,nothing,0",
    "2,10002a,cup,1",  # belongs to order 2, wherever it stands
)
TOLD = {
    "orders": 5,
    "lines": 14,
    "orders_shipped": 4,
    "units_shipped": 6 + 2 + 1 + 3 + 1 + 2 + 4,
    "refused": 1,
    "returned": 2,
    "returns_refused": 0,
    "lost": 3,
    "losses_refused": 1,
    "conflicts": 0,
    "skipped": 2,
    "bad_lines": 0,
    "units_left": 10 * 3 - 19 + 2 - 3,
    "opening": 0,
    "received": 30,
    "other": 0,
    "skus": 3,
    "conserved": True,
    "faults": [],
    "interrupted": False,
}


@pytest.fixture
def shop(sqlite_url: str) -> str:
    """A SQLite database with one account."""
    assert onhand("accounts", "create", "shop", "--db", sqlite_url).code == 0
    return sqlite_url


def replay(db: str, file: Path, *words: object, code: int = 0) -> dict[str, Any]:
    ran = onhand("replay", file, "--db", db, "--json", *words)
    assert ran.code == code, ran.err
    told: dict[str, Any] = ran.json
    return told


def has(told: dict[str, Any], **wanted: object) -> None:
    assert {name: told[name] for name in wanted} == wanted


def test_the_story_twice_on_each_engine(migrated_url: str, tmp_path: Path) -> None:
    onhand("accounts", "create", "shop", "--db", migrated_url)
    file = write(tmp_path / "orders.csv", *STORY)
    first = replay(migrated_url, file, "--stock", 10)
    has(first, **TOLD, done_before=0)
    assert {one["invoice"]: one["why"] for one in first["not_done"]} == {
        "3": "1 of 10001 asked for, 0 available",
        "6": "9 of 10002A asked for, 5 available",
    }
    seq = onhand("levels", "--db", migrated_url, "--json").json["seq"]
    again = replay(migrated_url, file, "--stock", 10)
    has(again, **TOLD, done_before=8)
    assert again["not_done"] == first["not_done"]
    assert onhand("levels", "--db", migrated_url, "--json").json["seq"] == seq
    assert numbers(migrated_url) == {("10001", "main"): 0, ("10002A", "main"): 5, ("10002a", "main"): 5}
    assert onhand("verify", "--db", migrated_url).code == 0


def test_the_table_for_people(shop: str, tmp_path: Path) -> None:
    file = write(tmp_path / "orders.csv", *STORY, "9,10001,cup,x")
    ran = onhand("replay", file, "--db", shop, "--stock", 10)
    assert ran.code == 3
    rows = {" ".join(row[:-1]): row[-1] for row in map(str.split, ran.out.splitlines()) if row}
    assert {"orders": "5", "units shipped": "19", "refused": "1", "returned": "2"}.items() <= rows.items()
    assert {"lines": "15", "lost": "3", "skipped": "2", "units left": "10"}.items() <= rows.items()
    assert "0 opening + 30 received - 19 shipped + 2 returned - 3 lost = 10 left" in ran.out
    assert "holds for each of 3 SKUs" in ran.out
    assert "line 16: Quantity 'x' is no whole number" in ran.err


def test_an_order_in_the_ledger(shop: str, tmp_path: Path) -> None:
    replay(shop, write(tmp_path / "orders.csv", HEADER, "77,10001,cup,4", "C8,10001,cup,-1"), "--stock", 9)
    told = onhand("history", "10001", "--db", shop, "--json").json
    facts = [(one["kind"], one["on_hand"], one["reserved"], one["reason"], one["reference"]) for one in told]
    assert facts[:3] == [
        ("adjusted", 1, 0, "returned", "invoice C8"),
        ("shipped", -4, -4, None, "invoice 77"),
        ("reserved", 0, 4, None, "invoice 77"),
    ]
    assert facts[3][:4] == ("adjusted", 9, 0, "received")
    assert {one["caller"] for one in told} == {"onhand:replay"}


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("9,10001,cup", "3 cells where the header has 4"),
        ("9,10001,cup,1,1", "5 cells where the header has 4"),
        ("9,10001,cup,", "Quantity ''"),
        ("9,10001,cup,1.0", "Quantity '1.0'"),
        ("9,10001,cup,1_0", "Quantity '1_0'"),
        ("9,10001,cup,٣", "Quantity '٣'"),
        ("9,10001,cup,1000000000001", "Quantity '1000000000001'"),
        (f"9,10001,cup,{'9' * 5000}", "Quantity '999"),
        (",10001,cup,1", "InvoiceNo has 1 to"),
        (f"{'9' * 201},10001,cup,1", "InvoiceNo has 1 to"),
        (f"9,{'1' * 256},cup,1", "StockCode has more than 255"),
        ("9,10001\0,cup,1", "NUL"),
        ('9,10001,"cup,1', "not CSV"),
    ],
)
def test_a_bad_line_is_counted_and_costs_itself_alone(shop: str, tmp_path: Path, row: str, why: str) -> None:
    file = write(tmp_path / "orders.csv", HEADER, "1,10001,cup,1", row, "2,10001,cup,1")
    told = replay(shop, file, "--stock", 5, code=3)
    has(told, bad_lines=1, lines=3, orders=2, orders_shipped=2, units_left=3, conserved=True)
    assert told["bad"][0]["line"] == 3
    assert why in told["bad"][0]["why"]


def test_without_stock_orders_are_refused_and_returns_are_not(shop: str, tmp_path: Path) -> None:
    file = write(tmp_path / "orders.csv", HEADER, "1,10001,cup,1", "C2,10001,cup,-1", "3,10001,cup,1")
    has(replay(shop, file), refused=1, orders_shipped=1, returned=1, units_left=0, opening=0)
    # A refusal stays one, although it would fit now.
    onhand("import", write(tmp_path / "s.csv", "sku,location,on_hand", "10001,main,5"), "--db", shop)
    has(replay(shop, file), refused=1, orders_shipped=1, units_left=5, other=5, conserved=True)


def test_the_same_invoice_in_another_file(shop: str, tmp_path: Path) -> None:
    first = write(tmp_path / "1.csv", HEADER, "1,10001,cup,1", "1,10002,plate,2", "C2,10001,cup,-1")
    same = write(tmp_path / "2.csv", "Quantity,StockCode,InvoiceNo", "2,10002,1", "1,10001,1", "3,10002,5")
    other = write(tmp_path / "3.csv", HEADER, "1,10001,cup,2", "C2,10001,cup,-2", "6,10001,cup,1")
    replay(shop, first, "--stock", 10)
    has(replay(shop, same), done_before=1, conflicts=0, units_shipped=6, conserved=True)
    told = replay(shop, other, code=3)
    has(told, conflicts=2, orders_shipped=1, units_shipped=1, returned=0, conserved=True)
    assert [one["invoice"] for one in told["not_done"]] == ["1", "C2"]
    assert numbers(shop) == {("10001", "main"): 9, ("10002", "main"): 5}


def test_stock_is_given_once_a_file(shop: str, tmp_path: Path) -> None:
    file = write(tmp_path / "1.csv", HEADER, "1,10001,cup,1")
    has(replay(shop, file, "--stock", 10), received=10, units_left=9)
    has(replay(shop, file, "--stock", 10), received=10, units_left=9)
    has(replay(shop, file, "--stock", 99, code=3), units_left=9, conflicts=1)
    assert "another number of units before" in onhand("replay", file, "--stock", 99, "--db", shop).err
    longer = write(tmp_path / "2.csv", HEADER, "1,10001,cup,1", "2,10001,cup,1")
    has(replay(shop, longer, "--stock", 10), units_left=18, done_before=1, conserved=True)


def test_what_others_do_meanwhile_is_told_apart(shop: str, tmp_path: Path) -> None:
    file = write(tmp_path / "1.csv", HEADER, "1,10001,cup,2")
    replay(shop, file, "--stock", 10)
    onhand("import", write(tmp_path / "s.csv", "sku,location,on_hand", "10001,main,100"), "--db", shop)
    has(replay(shop, file, "--stock", 10), units_shipped=2, other=92, units_left=100, conserved=True)


def test_at_a_location_that_is_named(sqlite: SqliteDatabases, tmp_path: Path) -> None:
    db = sqlite.empty()
    assert onhand("demo", "--db", db, "--json", tmp_path / "demo.json").code == 0
    file = write(tmp_path / "1.csv", HEADER, "1,10001,cup,2")
    has(replay(db, file, "--stock", 5, "--location", "WEST"), location="WEST", units_left=3)
    # Elsewhere it is another order, and an invoice is one order for ever.
    has(replay(db, file, "--location", "EAST", code=3), conflicts=1, units_left=0)
    assert numbers(db)["10001", "WEST"] == 3


def test_a_kit_ships_as_its_parts_and_infinite_stock_without_end(shop: str, tmp_path: Path) -> None:
    stock = write(
        tmp_path / "s.csv",
        "sku,location,on_hand,infinite",
        "10001,main,9,",
        "10002,main,5,true",
        "10003,main,0,",
    )
    onhand("import", stock, "--create", "--db", shop)
    with closing(sqlite3.connect(shop)) as raw, raw:
        raw.execute(
            "INSERT INTO items (account, id, sku, kit, created_at, updated_at) VALUES (1,9,'20000',1,0,0)"
        )
        raw.execute("INSERT INTO kit_components (account, kit, component, quantity) VALUES (1, 9, 1, 2)")
    file = write(
        tmp_path / "1.csv",
        HEADER,
        "1,20000,set,3",
        "2,10002,endless,700",
        "3,10002,lost,-4",
        "4,20000,lost,-1",
        "C5,20000,back,-1",
    )
    told = replay(shop, file)
    has(told, orders_shipped=2, units_shipped=706, losses_refused=1, returns_refused=1, conserved=True)
    assert numbers(shop) == {("10001", "main"): 3, ("10002", "main"): 5, ("10003", "main"): 0}
    has(replay(shop, file), orders_shipped=2, units_shipped=706, conserved=True)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("UPDATE levels SET on_hand = on_hand + 1", "10001: 0 + 10 received - 4 shipped"),
        ("UPDATE movements SET on_hand = -3 WHERE kind = 'shipped'", "does not follow from the one before"),
        (
            "UPDATE movements SET reference = 'invoice 2' WHERE kind = 'shipped'",
            "order of invoice 1: 4 units were answered for, the ledger has 0",
        ),
    ],
)
def test_the_proof_comes_from_the_ledger(shop: str, tmp_path: Path, damage: str, words: str) -> None:
    file = write(tmp_path / "1.csv", HEADER, "1,10001,cup,4")
    replay(shop, file, "--stock", 10)
    with closing(sqlite3.connect(shop)) as raw, raw:
        raw.execute(damage)
    told = replay(shop, file, "--stock", 10, code=3)
    assert told["conserved"] is False
    assert any(words in fault for fault in told["faults"]), told["faults"]
    assert "DOES NOT HOLD" in onhand("replay", file, "--db", shop, "--stock", 10).out


def test_answers_that_are_no_longer_kept(shop: str, tmp_path: Path) -> None:
    file = write(tmp_path / "orders.csv", *STORY)
    replay(shop, file, "--stock", 10)
    with closing(sqlite3.connect(shop)) as raw, raw:
        raw.execute("UPDATE idempotency SET body = NULL, headers = NULL")
    has(replay(shop, file, "--stock", 10), **TOLD)
    with closing(sqlite3.connect(shop)) as raw, raw:
        raw.execute("UPDATE movements SET reserved = 0, reference = '' WHERE reference = 'invoice 4'")
    assert replay(shop, file, "--stock", 10, code=3)["faults"]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ((), "is empty"),
        (("InvoiceNo,Quantity", "1,1"), "no column StockCode: its header is invoiceno, quantity"),
        (("InvoiceNo;StockCode;Quantity", "1;10001;1"), "has semicolons between its columns"),
    ],
)
def test_a_file_that_is_none(shop: str, tmp_path: Path, lines: tuple[str, ...], words: str) -> None:
    ran = onhand("replay", write(tmp_path / "1.csv", *lines), "--db", shop)
    assert (ran.code, ran.out) == (1, "")
    assert words in ran.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["{dir}/none.csv"], 1, "No such file"),
        (["{dir}"], 1, "Is a directory"),
        (["{file}", "--location", "nowhere"], 1, "no location named 'nowhere'; there is main"),
        (["{file}", "--account", "nobody"], 1, "no account named 'nobody'"),
        (["{file}", "--db", "{dir}/none.db"], 1, "there is no database at"),
        (["{file}", "--db", "{file}"], 1, "is not a database"),
        (["{file}", "--stock", "-1"], 2, "--stock is a number from 0"),
        (["{file}", "--stock", "x"], 2, "--stock"),
    ],
)
def test_mistakes_are_said_in_words(
    shop: str, tmp_path: Path, words: list[str], code: int, said: str
) -> None:
    file = write(tmp_path / "1.csv", HEADER, "1,10001,cup,4")
    filled = [word.format(dir=tmp_path, file=file) for word in words]
    db = [] if "--db" in filled else ["--db", shop]
    ran = onhand("replay", *filled, *db)
    assert ran.code == code
    assert said in ran.err
    assert "Traceback" not in ran.err
