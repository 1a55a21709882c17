"""onhand import and export: bad lines are said, nothing is half applied, what goes out comes in again."""

from __future__ import annotations

import csv
import gzip
import json
import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from commands import numbers, onhand, started, write
from onhand.office import sheets
from onhand.store import catalog
from onhand.store.catalog import Location
from onhand.store.engine import open_store, set_account

HEADER = "sku,location,on_hand"


@pytest.fixture
def shop(sqlite_url: str, tmp_path: Path) -> str:
    """A SQLite database with one account, and 5 of A and 7 of B at main."""
    assert onhand("accounts", "create", "shop", "--db", sqlite_url).code == 0
    stock = write(tmp_path / "stock.csv", HEADER, "A,main,5", "B,main,7")
    assert onhand("import", stock, "--create", "--db", sqlite_url).code == 0
    return sqlite_url


def bring(db: str, file: Path, *words: object, code: int = 0) -> dict[str, Any]:
    ran = onhand("import", file, "--db", db, "--json", *words)
    assert ran.code == code, ran.err
    told: dict[str, Any] = ran.json
    return told


def seq(db: str) -> int:
    return int(onhand("levels", "--db", db, "--json").json["seq"])


def test_on_each_engine(migrated_url: str, tmp_path: Path) -> None:
    onhand("accounts", "create", "shop", "--db", migrated_url)
    file = write(
        tmp_path / "s.csv",
        "reference,Location,note,SKU,on_hand,available,infinite,reason",
        "r1,main,x,A,5,,,counted",
        "r2,main,x,B,,7,false,",
        ",main,x,C,0,,true,",
    )
    told = bring(migrated_url, file, "--create")
    assert (told["rows"], told["changed"], told["unchanged"], told["new_items"]) == (3, 3, 0, 3)
    assert numbers(migrated_url) == {("A", "main"): 5, ("B", "main"): 7, ("C", "main"): 0}
    last = onhand("history", "A", "--db", migrated_url, "--json").json[0]
    assert (last["reason"], last["reference"], last["caller"]) == ("counted", "r1", "onhand:import")
    before = seq(migrated_url)
    told = bring(migrated_url, file)
    assert (told["changed"], told["unchanged"], told["new_items"]) == (0, 3, 0)
    assert seq(migrated_url) == before


BAD = [
    ("X,main,1", "there is no item with the sku 'X'"),
    ("a,main,1", "there is no item with the sku 'a'"),
    ("A,Main,1", "there is no location named 'Main'"),
    ("A,main,", "on_hand is empty"),
    ("A,main,-1", "no whole number from 0"),
    ("A,main,1.5", "no whole number from 0"),
    ("A,main,1e3", "no whole number from 0"),
    ("A,main,1000000000001", "no whole number from 0"),
    (",main,1", "sku has 1 to 255"),
    ("A,,1", "location is empty"),
    ("A,main", "2 cells where the header has 3"),
    ("A,main,1,1", "4 cells where the header has 3"),
    ("A,main,\0", "NUL"),
    ('"A,main,1', "not CSV"),
    ("B,main,3", "'B' at 'main' was in line 2 already"),
]


@pytest.mark.parametrize(("row", "why"), BAD)
def test_one_bad_line_and_nothing_is_changed(shop: str, tmp_path: Path, row: str, why: str) -> None:
    file = write(tmp_path / "bad.csv", HEADER, "B,main,2", row)
    before = seq(shop)
    told = bring(shop, file, code=1)
    assert (told["applied"], told["rows"], [one["line"] for one in told["bad"]]) == (False, 2, [3])
    assert why in told["bad"][0]["why"]
    assert seq(shop) == before
    ran = onhand("import", file, "--db", shop)
    assert "onhand: line 3: " in ran.err
    assert "nothing was changed" in ran.err


def test_all_bad_lines_are_told_and_the_others_applied_if_wanted(shop: str, tmp_path: Path) -> None:
    file = write(tmp_path / "bad.csv", HEADER, "B,main,2", *(row for row, _ in BAD))
    assert len(bring(shop, file, "--dry-run", code=3)["bad"]) == len(BAD)
    assert numbers(shop)["B", "main"] == 7
    told = bring(shop, file, "--skip-bad", code=3)
    assert (told["applied"], told["changed"], len(told["bad"])) == (True, 1, len(BAD))
    assert numbers(shop) == {("A", "main"): 5, ("B", "main"): 2}


@pytest.mark.parametrize("sku", [" X", "X ", "X\u200b", "X\u0007"])
def test_no_item_is_made_of_what_looks_like_a_slip(shop: str, tmp_path: Path, sku: str) -> None:
    file = write(tmp_path / "s.csv", HEADER, f"{sku},main,1")
    told = bring(shop, file, "--create", code=1)
    assert "no item is made of" in told["bad"][0]["why"]
    assert bring(shop, file, "--create", "--any-sku")["new_items"] == 1
    assert numbers(shop)[sku, "main"] == 1
    assert onhand("import", file, "--any-sku", "--db", shop).code == 2


def test_a_dry_run_counts_and_changes_nothing(shop: str, tmp_path: Path) -> None:
    file = write(tmp_path / "s.csv", HEADER, "A,main,5", "B,main,8", "C,main,1")
    before = seq(shop)
    told = bring(shop, file, "--dry-run", "--create")
    assert (told["changed"], told["unchanged"], told["new_items"], told["applied"]) == (2, 1, 1, False)
    assert seq(shop) == before
    assert onhand("levels", "C", "--db", shop).code == 1
    assert "dry run" in onhand("import", file, "--db", shop, "--create", "--dry-run").out


def test_available_counts_what_is_promised_on_top(shop: str, tmp_path: Path) -> None:
    with closing(sqlite3.connect(shop)) as raw, raw:
        raw.execute("INSERT INTO reservations VALUES (1, 'r', 'me', 1, NULL, 0, 0)")
        raw.execute("INSERT INTO reservation_lines VALUES (1, 'r', 0, 1, 1, 2, 0, 0, 0, 0, NULL, 1, NULL)")
        raw.execute("UPDATE levels SET reserved = 2 WHERE item = 1")
    told = bring(shop, write(tmp_path / "s.csv", "sku,location,available", "A,main,3", "B,main,3"))
    assert (told["changed"], told["unchanged"]) == (1, 1)
    assert numbers(shop) == {("A", "main"): 5, ("B", "main"): 3}


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("UPDATE locations SET kind = 'mirrored'", "mirrored location"),
        ("UPDATE items SET kit = 1", "is a kit"),
    ],
)
def test_what_takes_no_stock_is_a_bad_line(shop: str, tmp_path: Path, kind: str, why: str) -> None:
    with closing(sqlite3.connect(shop)) as raw, raw:
        raw.execute(kind)
    told = bring(shop, write(tmp_path / "s.csv", HEADER, "A,main,3"), code=1)
    assert why in told["bad"][0]["why"]


def test_a_file_that_came_to_its_end_may_be_imported_again(shop: str, tmp_path: Path) -> None:
    file, other = (write(tmp_path / f"{n}.csv", HEADER, f"A,main,{n}") for n in (20, 30))
    for one, units in ((file, 20), (other, 30), (file, 20)):
        assert bring(shop, one)["changed"] == 1
        assert numbers(shop)["A", "main"] == units


def test_a_chunk_that_was_applied_is_not_applied_again(shop: str, tmp_path: Path) -> None:
    """As after a kill between the last chunk and the end of the run."""
    file = write(tmp_path / "s.csv", HEADER, "A,main,20")
    assert bring(shop, file)["changed"] == 1
    with closing(sqlite3.connect(shop)) as raw, raw:
        scope = f"import:{sheets.digest(file)}"
        raw.execute("DELETE FROM idempotency WHERE scope = ? AND key = '1:end'", (scope,))
    bring(shop, write(tmp_path / "sold.csv", HEADER, "A,main,19"))
    # What was sold since stays sold: the chunk's own answer comes back.
    assert bring(shop, file)["changed"] == 1
    assert numbers(shop)["A", "main"] == 19
    assert bring(shop, file)["changed"] == 1
    assert numbers(shop)["A", "main"] == 20


def test_killed_in_the_middle(shop: str, tmp_path: Path) -> None:
    rows = [f"S{number},main,{number % 90}" for number in range(20_000)]
    file = write(tmp_path / "big.csv", HEADER, *rows)
    process = started("import", file, "--create", "--db", shop)
    with closing(sqlite3.connect(f"file:{shop}?mode=ro", uri=True)) as raw:
        while raw.execute("SELECT MAX(seq) FROM movements").fetchone()[0] < 2_000:
            assert process.poll() is None, process.communicate()
            time.sleep(0.005)
    process.kill()
    assert process.wait(60) == -signal.SIGKILL
    process.communicate()
    told = bring(shop, file, "--create")
    assert (told["changed"], told["bad"]) == (20_000, [])
    assert 2_000 <= told["done_before"] < 20_000 and told["done_before"] % 500 == 0
    assert seq(shop) == 20_002
    assert len(numbers(shop)) == 20_002


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ((), "is empty"),
        (("sku,on_hand", "A,1"), "no column location"),
        (("location,on_hand", "main,1"), "no column sku"),
        (("sku,location,qty", "A,main,1"), "nor a column available: its header is sku, location, qty"),
        (("sku;location;on_hand", "A;main;1"), "has semicolons between its columns: save it with commas"),
        (("sku\tlocation\ton_hand", "A\tmain\t1"), "has tabs between its columns: save it with commas"),
        (("sku,location,on_hand,sku", "A,main,1,A"), "two columns named sku"),
    ],
)
def test_a_file_that_is_none(shop: str, tmp_path: Path, lines: tuple[str, ...], words: str) -> None:
    ran = onhand("import", write(tmp_path / "x.csv", *lines), "--db", shop)
    assert (ran.code, ran.out) == (1, "")
    assert words in ran.err


@pytest.mark.parametrize(("reading", "code", "applied"), [(1, 1, False), (2, 3, True)])
def test_a_file_that_is_changed_while_it_is_read(
    shop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reading: int, code: int, applied: bool
) -> None:
    """Lines that nobody checked are not applied as if they had been."""
    file = write(tmp_path / "s.csv", HEADER, "A,main,1")
    before, digest, readings = seq(shop), sheets.digest, iter(range(1, 9))

    def changing(path: Path) -> str:
        found = digest(path)
        if next(readings) == reading:
            write(file, HEADER, "A,main,2", "A,main,3", "B,nowhere,9")
        return found

    monkeypatch.setattr(sheets, "digest", changing)
    ran = onhand("import", file, "--skip-bad", "--db", shop)
    assert (ran.code, f"{file} was changed while it was" in ran.err) == (code, True)
    assert numbers(shop)["B", "main"] == 7
    assert (seq(shop) > before) == applied
    monkeypatch.setattr(sheets, "digest", digest)
    told = bring(shop, file, "--skip-bad", code=3)
    assert ([one["line"] for one in told["bad"]], told["file_changed"]) == ([3, 4], False)
    assert numbers(shop)["A", "main"] == 2


@pytest.mark.parametrize("command", ["import", "replay", "simulate"])
def test_a_pipe_cannot_be_read_more_than_once(shop: str, tmp_path: Path, command: str) -> None:
    os.mkfifo(pipe := tmp_path / "pipe")
    writer = os.open(pipe, os.O_RDWR)
    os.write(writer, f"{HEADER}\n".encode())
    ran = onhand(command, pipe, "--db", shop)
    os.close(writer)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(f"onhand: {pipe} can be read only once")


@pytest.mark.parametrize("name", ["out.csv", "out.csv.gz"])
def test_what_goes_out_comes_in_again(shop: str, tmp_path: Path, name: str) -> None:
    odd = ['"C,3"', '"say ""x"""', "é", "=1+1", "-"]
    rows = [f"{sku},main,{at},{'true' if at == 2 else ''}" for at, sku in enumerate(odd)]
    bring(shop, write(tmp_path / "odd.csv", HEADER + ",infinite", *rows), "--create")
    out = tmp_path / name
    ran = onhand("export", out, "--db", shop)
    assert ran.out == f"wrote 7 levels to {out}\n"
    assert [one.name for one in tmp_path.glob("*.part")] == []
    before = onhand("levels", "--db", shop, "--json").json
    told = bring(shop, out)
    assert (told["rows"], told["unchanged"], told["bad"]) == (7, 7, [])
    other = tmp_path / "other.db"
    onhand("accounts", "create", "copy", "--db", other)
    assert bring(str(other), out, "--create")["changed"] == 7
    after = onhand("levels", "--db", other, "--json").json
    kept = [[{**one, "version": 0} for one in told["levels"]] for told in (before, after)]
    assert kept[0] == kept[1]


ODD = ["a,b", 'say "x"', '"', "line\nfeed", "cr\rhere", "crlf\r\nx", "\r", "\n", " ", " lead"]
ODD += ["\ufeffbom", "u\u2028x", "\x1cfs", "\x85nel", "\x07bell", "tab\tx", "=1+1", "007", "☕é", "x" * 255]


def made(db: str, names: list[str]) -> None:
    """Make an item and a location of each name."""
    store = open_store(db)
    with store.writer.begin() as connection:
        set_account(connection, 1)
        seller = catalog.sellers(connection, 1)[0].id
        catalog.ensure_items(connection, 1, names, 1)
        for name in names:
            catalog.add_location(connection, 1, Location(0, name, seller), 1)
    store.close()


def test_any_name_goes_out_and_comes_in_again(migrated_url: str, tmp_path: Path) -> None:
    """Items and locations of such names are made over the API; what is written of them is read as it was."""
    onhand("accounts", "create", "shop", "--db", migrated_url)
    made(migrated_url, ODD)
    file = tmp_path / "odd.csv"
    with file.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream, quoting=csv.QUOTE_ALL)
        rows.writerow(["sku", "location", "on_hand", "infinite", "reason"])
        rows.writerows([[one, one, at, "true" if at % 2 else "", one] for at, one in enumerate(ODD)])
    told = bring(migrated_url, file)
    assert (told["changed"], told["bad"]) == (len(ODD), [])
    first, second = tmp_path / "1.csv", tmp_path / "2.csv.gz"
    assert onhand("export", first, "--db", migrated_url).code == 0
    with first.open(encoding="utf-8", newline="") as stream:
        found = {row["sku"]: (row["location"], row["on_hand"]) for row in csv.DictReader(stream)}
    assert found == {one: (one, str(at)) for at, one in enumerate(ODD)}
    assert bring(migrated_url, first)["unchanged"] == len(ODD)
    assert onhand("export", second, "--db", migrated_url).code == 0
    assert gzip.decompress(second.read_bytes()) == first.read_bytes()
    assert first.read_bytes().count(b"\n") == len(ODD) + 1 + sum(one.count("\n") * 2 for one in ODD)
    journal = tmp_path / "journal.csv"
    assert onhand("export", journal, "--movements", "--db", migrated_url).code == 0
    with journal.open(encoding="utf-8", newline="") as stream:
        assert [row["reason"] for row in csv.DictReader(stream) if row["kind"] == "counted"] == ODD


def test_export_to_standard_output_as_json_lines(shop: str) -> None:
    found = [json.loads(line) for line in onhand("export", "-", "--json", "--db", shop).out.splitlines()]
    assert found[0] == {
        "sku": "A",
        "location": "main",
        "on_hand": 5,
        "reserved": 0,
        "available": 5,
        "infinite": False,
    }
    assert len(found) == 2
    assert (
        onhand("export", "-", "--location", "main", "--db", shop).out.splitlines()[2] == "B,main,7,0,7,false"
    )


def test_levels_without_a_sku_are_left_out_and_said(shop: str) -> None:
    with closing(sqlite3.connect(shop)) as raw, raw:
        raw.execute("UPDATE items SET sku = NULL WHERE id = 1")
    ran = onhand("export", "-", "--db", shop)
    assert len(ran.out.splitlines()) == 2
    assert "1 levels of items without a sku were left out" in ran.err


def test_what_only_a_channel_writes_is_left_out_so_that_the_rest_comes_in_again(
    shop: str, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(shop)) as raw, raw:
        raw.execute(
            "INSERT INTO locations (account, id, name, kind, seller, active, created_at)"
            " SELECT account, 2, 'theirs', 'mirrored', seller, active, created_at FROM locations"
        )
        raw.execute("INSERT INTO levels VALUES (1, 1, 2, 9, 0, 0, 1, 1, NULL)")
    out = tmp_path / "levels.csv"
    ran = onhand("export", out, "--db", shop)
    assert ran.out == f"wrote 2 levels to {out}\n"
    assert ran.err.startswith("onhand: 1 levels at mirrored locations were left out; --mirrored has them")
    assert bring(shop, out)["unchanged"] == 2
    for words in (["--mirrored"], ["--location", "theirs"]):
        ran = onhand("export", "-", *words, "--db", shop)
        assert ("A,theirs,9,0,9,false" in ran.out.splitlines(), ran.err) == (True, "")


def test_the_journal(shop: str, tmp_path: Path) -> None:
    out = tmp_path / "journal.csv.gz"
    assert onhand("export", out, "--movements", "--db", shop).out == f"wrote 2 movements to {out}\n"
    with gzip.open(out, "rt", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["seq"], row["sku"], row["kind"], row["on_hand_after"]) for row in rows] == [
        ("1", "A", "counted", "5"),
        ("2", "B", "counted", "7"),
    ]
    assert rows[0]["recorded_at"].endswith("Z")
    later = onhand("export", "-", "--movements", "--after", 1, "--json", "--db", shop).out
    assert [json.loads(line)["seq"] for line in later.splitlines()] == [2]
    nothing_new = onhand("export", "-", "--movements", "--after", 2, "--json", "--db", shop)
    assert (nothing_new.code, nothing_new.out) == (0, "")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["{dir}"], 1, "it is a folder"),
        (["{dir}/none/x.csv"], 1, "lies in none"),
        (["-", "--location", "nowhere"], 1, "no location named"),
        (["-", "--movements", "--location", "main"], 2, "does not go with"),
        (["-", "--after", "1"], 2, "is for the journal"),
        (["-", "--movements", "--after", "3"], 1, "last movement is number 2; 3 is ahead of it"),
        (["-", "--movements", "--after", str(10**30)], 1, "last movement is number 2"),
        (["-", "--db", "{dir}/none.db"], 1, "there is no database"),
    ],
)
def test_export_mistakes(shop: str, tmp_path: Path, words: list[str], code: int, said: str) -> None:
    filled = [word.format(dir=tmp_path) for word in words]
    ran = onhand("export", *filled, *([] if "--db" in filled else ["--db", shop]))
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err
