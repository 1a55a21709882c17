"""onhand levels, history and verify: what they show of now and of the past, and how they end."""

from __future__ import annotations

import re
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from commands import onhand, write
from stores import SqliteDatabases


@pytest.fixture
def shop(sqlite_url: str, tmp_path: Path) -> str:
    """A SQLite database where A was 5, then 9 at main, and B is 7."""
    onhand("accounts", "create", "shop", "--db", sqlite_url)
    for at, lines in enumerate((["A,main,5", "B,main,7"], ["A,main,9"])):
        file = write(
            tmp_path / f"{at}.csv", "sku,location,on_hand,reason", *(f"{line},why {at}" for line in lines)
        )
        assert onhand("import", file, "--create", "--db", sqlite_url).code == 0
        time.sleep(0.01)
    return sqlite_url


def shown(db: str, *words: object) -> list[tuple[str, int]]:
    ran = onhand("levels", *words, "--json", "--db", db)
    assert ran.code == 0, ran.err
    return [(one["sku"], one["on_hand"]) for one in ran.json["levels"]]


def test_levels_now(shop: str) -> None:
    assert onhand("levels", "A", "--json", "--db", shop).json == {
        "seq": 3,
        "at": None,
        "levels": [
            {
                "sku": "A",
                "location": "main",
                "on_hand": 9,
                "reserved": 0,
                "available": 9,
                "infinite": False,
                "version": 2,
            }
        ],
        "more": False,
    }
    assert shown(shop) == [("A", 9), ("B", 7)]
    assert shown(shop, "B", "A", "--location", "main") == [("A", 9), ("B", 7)]
    table = onhand("levels", "--db", shop).out.splitlines()
    assert table[0].split() == ["sku", "location", "on_hand", "reserved", "available", "infinite", "version"]
    assert table[1].split() == ["A", "main", "9", "0", "9", "False", "2"]


def test_levels_are_limited_and_say_so(shop: str) -> None:
    told = onhand("levels", "--limit", 1, "--json", "--db", shop).json
    assert (len(told["levels"]), told["more"]) == (1, True)
    for words in (("--limit", 1), ("--limit", 1, "--json")):
        assert "there are more" in onhand("levels", *words, "--db", shop).err
    assert shown(shop, "--limit", 0) == [("A", 9), ("B", 7)]


def test_levels_as_of(shop: str) -> None:
    assert shown(shop, "--seq", 0) == []
    assert shown(shop, "--seq", 1) == [("A", 5)]
    assert shown(shop, "--seq", 2) == [("A", 5), ("B", 7)]
    assert shown(shop, "A", "--seq", 3) == [("A", 9)]
    moments = {one["seq"]: one["recorded_at"] for one in onhand("history", "A", "--db", shop, "--json").json}
    assert shown(shop, "--at", moments[1]) == [("A", 5), ("B", 7)]
    assert shown(shop, "--at", moments[3]) == [("A", 9), ("B", 7)]
    earlier = datetime.fromisoformat(moments[1]) - timedelta(microseconds=1)
    assert shown(shop, "--at", earlier.isoformat()) == []
    elsewhere = datetime.fromisoformat(moments[1]).astimezone(timezone(timedelta(hours=-7)))
    assert shown(shop, "--at", elsewhere.isoformat()) == [("A", 5), ("B", 7)]
    bare = datetime.fromisoformat(moments[1]).astimezone(UTC).replace(tzinfo=None)
    assert shown(shop, "A", "--at", bare.isoformat(sep=" ")) == [("A", 5)]
    assert onhand("levels", "--at", moments[1], "--json", "--db", shop).json["at"] == moments[1]


def test_history_is_newest_first(shop: str) -> None:
    told = onhand("history", "A", "--json", "--db", shop).json
    assert [(one["seq"], one["on_hand"], one["on_hand_after"], one["reason"]) for one in told] == [
        (3, 4, 9, "why 1"),
        (1, 5, 5, "why 0"),
    ]
    cut = onhand("history", "A", "--limit", 1, "--json", "--db", shop)
    assert ([one["seq"] for one in cut.json], "these are the newest 1" in cut.err) == ([3], True)
    table = onhand("history", "A", "--location", "main", "--db", shop).out
    assert "+4 = 9" in table
    assert "onhand:import" in table


def test_history_over_all_locations_in_order(sqlite: SqliteDatabases, tmp_path: Path) -> None:
    db = sqlite.empty()
    onhand("demo", "--db", db, "--json", tmp_path / "demo.json")
    for at in range(3):
        rows = (f"NEW,{name},{at + 1}" for name in ("WEST", "MAIN", "EAST"))
        onhand("import", write(tmp_path / f"{at}.csv", "sku,location,on_hand", *rows), "--create", "--db", db)
    told = onhand("history", "NEW", "--json", "--db", db).json
    assert [one["seq"] for one in told] == sorted((one["seq"] for one in told), reverse=True)
    assert [one["location"] for one in told] == ["EAST", "MAIN", "WEST"] * 3
    assert len(onhand("history", "NEW", "--location", "EAST", "--json", "--db", db).json) == 3
    assert len(onhand("history", "NEW", "--limit", 4, "--json", "--db", db).json) == 4


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["levels", "X"], 1, "no item with the sku 'X'"),
        (["levels", "a"], 1, "no item with the sku 'a'"),
        (["levels", "--location", "x"], 1, "no location named 'x'; there is main"),
        (["levels", "--seq", "4"], 1, "last movement is number 3"),
        (["levels", "--seq", "-1"], 2, "--seq"),
        (["levels", "--at", "yesterday"], 2, "is no time"),
        (["levels", "--at", "2999-01-01"], 1, "ahead of now"),
        (["levels", "--at", "2024-01-01", "--seq", "1"], 2, "use one"),
        (["levels", "--account", "x"], 1, "no account named 'x'"),
        (["history", "X"], 1, "no item with the sku 'X'"),
        (["history"], 2, "sku"),
        (["verify", "--account", "x"], 1, "no account named 'x'"),
    ],
)
def test_mistakes_are_said_in_words(shop: str, words: list[str], code: int, said: str) -> None:
    ran = onhand(*words, "--db", shop)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err


@pytest.mark.parametrize("command", [["levels"], ["history", "A"], ["verify"], ["export", "-"]])
@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        ("DELETE FROM alembic_version", "run 'onhand init'"),
        ("UPDATE alembic_version SET version_num = '9999'", "newer than this onhand"),
    ],
)
def test_databases_that_are_not_ready(sqlite_url: str, command: list[str], prepare: str, said: str) -> None:
    with closing(sqlite3.connect(sqlite_url)) as raw, raw:
        raw.execute(prepare)
    ran = onhand(*command, "--db", sqlite_url)
    assert (ran.code, ran.out) == (1, "")
    assert said in ran.err


@pytest.mark.parametrize(
    ("command", "code"), [(["levels"], 1), (["history", "A"], 1), (["verify"], 0), (["export", "-"], 1)]
)
def test_a_database_without_an_account(sqlite_url: str, command: list[str], code: int) -> None:
    ran = onhand(*command, "--db", sqlite_url)
    assert ran.code == code
    assert "there is no account yet" in ran.err


def test_times_of_accounts_and_keys_are_written_as_everywhere(shop: str) -> None:
    onhand("accounts", "create", "new", "--db", shop)
    onhand("keys", "create", "native", "--account", "new", "--db", shop)
    ended = onhand("keys", "revoke", "native:1", "--account", "new", "--db", shop, "--json")
    assert ended.json == {"principal": "native:1", "revoked": 1}
    old, new = onhand("accounts", "list", "--json", "--db", shop).json
    key = onhand("keys", "list", "--account", "new", "--json", "--db", shop).json[0]
    for told in (old["created_at"], old["recorded_at"], key["created_at"], key["revoked_at"]):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", told)
    assert (new["recorded_at"], key["expires_at"]) == (None, None)
    assert key["revoked_at"] in onhand("keys", "list", "--account", "new", "--db", shop).out


def test_verify(shop: str) -> None:
    onhand("accounts", "create", "other", "--db", shop)
    assert onhand("verify", "--db", shop).out.splitlines() == [
        "shop: 3 movements, 2 levels, 0 reservations: clean, 0 oversold",
        "other: 0 movements, 0 levels, 0 reservations: clean, 0 oversold",
    ]
    with closing(sqlite3.connect(shop)) as raw, raw:
        raw.execute("UPDATE levels SET on_hand = 8 WHERE item = 1")
    ran = onhand("verify", "--db", shop)
    assert ran.code == 3
    assert "shop: level: on_hand should be 9 and is 8 (sku A, at main, movement 3)" in ran.out
    told = onhand("verify", "--account", "shop", "--json", "--db", shop)
    assert (told.code, told.json["clean"]) == (3, False)
    assert told.json["accounts"][0]["faults"][0]["sku"] == "A"
    assert onhand("verify", "--account", "other", "--db", shop).code == 0


def test_oversold_is_shown_and_no_fault(shop: str, tmp_path: Path) -> None:
    with closing(sqlite3.connect(shop)) as raw, raw:
        raw.execute("INSERT INTO reservations VALUES (1, 'r', 'me', 1, NULL, 0, 0)")
        raw.execute("INSERT INTO reservation_lines VALUES (1, 'r', 0, 1, 1, 99, 0, 0, 0, 0, NULL, 1, NULL)")
        raw.execute("UPDATE levels SET reserved = 99, version = 3 WHERE item = 1")
        raw.execute(
            "INSERT INTO movements SELECT account, 4, item, location, 3, 'reserved', 0, 99, 9, 99, 0, 1,"
            " NULL, 'r', 'me', NULL, recorded_at, recorded_at FROM movements WHERE seq = 3"
        )
        raw.execute("UPDATE accounts SET seq = 4")
    told = onhand("verify", "--json", "--db", shop)
    assert (told.code, told.json["clean"]) == (0, True)
    assert [one["sku"] for one in told.json["accounts"][0]["oversold"]] == ["A"]
