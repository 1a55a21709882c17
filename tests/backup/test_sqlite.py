"""A SQLite file is copied while a hub writes it: the copy is whole, with all that was acknowledged before."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from backup.trading import trading
from commands import numbers, onhand
from onhand.store import catalog
from onhand.store.catalog import Location
from onhand.store.engine import open_store, set_account
from servers import demo_server, serving

START = 1_000_000
COPIES = 2
PAUSE_SECONDS = 0.3


def references(db: Path) -> set[str]:
    with closing(sqlite3.connect(db)) as connection:
        return {row[0] for row in connection.execute("SELECT reference FROM movements")}


def test_a_copy_while_a_hub_writes(tmp_path: Path) -> None:
    with demo_server(tmp_path) as (hub, demo), trading(hub, demo["native"]["api_key"]) as acknowledged:
        db = tmp_path / "hub.db"
        for number in range(COPIES):
            time.sleep(PAUSE_SECONDS)
            before = list(acknowledged)
            copy = tmp_path / f"copy{number}.db"
            ran = onhand("backup", copy, "--db", db)
            after = len(acknowledged)
            assert ran.code == 0, ran.err
            assert ": clean, " in ran.out
            kept = references(copy)
            assert set(before) <= kept
            assert len(kept & {f"r{at}" for at in range(after + 2)}) <= after + 1
            assert sorted(one.name for one in tmp_path.glob(f"{copy.name}*")) == [copy.name]
            assert copy.stat().st_mode & 0o077 == 0
        assert len(acknowledged) > len(before)
    # A hub serves from the copy, with the keys that were in it.
    with serving(copy) as other:
        answer = httpx2.get(
            f"{other.url}/api/v1/levels", headers={"Authorization": f"Bearer {demo['native']['api_key']}"}
        )
        assert answer.status_code == 200, answer.text
        assert other.stop() == 0
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_nobody_needs_to_serve(sqlite_url: str, tmp_path: Path) -> None:
    onhand("accounts", "create", "one", "--db", sqlite_url)
    told = onhand("backup", tmp_path / "copy.db", "--db", sqlite_url, "--json")
    assert (told.code, told.json["clean"]) == (0, True)
    assert onhand("backup", tmp_path / "fast.db", "--no-verify", "--db", sqlite_url).out.count("\n") == 1
    told = onhand("backup", tmp_path / "third.db", "--no-verify", "--json", "--db", sqlite_url)
    assert (told.code, told.json) == (0, {"clean": None, "accounts": []})


def test_before_an_upgrade_it_is_copied_and_not_verified(sqlite_url: str, tmp_path: Path) -> None:
    with closing(sqlite3.connect(sqlite_url)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    copy = tmp_path / "copy.db"
    ran = onhand("backup", copy, "--db", sqlite_url)
    assert (ran.code, ran.out) == (0, f"wrote {copy}\n")
    assert ran.err.startswith(f"onhand: {copy} is whole, and not verified: its tables are of version 0001, ")
    assert onhand("backup", tmp_path / "two.db", "--db", sqlite_url, "--json").json == {
        "clean": None,
        "accounts": [],
    }


@pytest.mark.parametrize(
    ("target", "db", "says"),
    [
        ("there.db", "hub.db", "is there already: a backup does not write over anything"),
        ("hub.db", "hub.db", "is there already"),
        ("missing/copy.db", "hub.db", "does not exist"),
        ("copy.db", "nothing.db", "there is no database at"),
        ("copy.db", "text.db", "not a database"),
        ("copy.db", "postgresql://me:secret@127.0.0.1:1/hub", "its own tools"),
    ],
)
def test_what_cannot_be_copied_is_said(
    sqlite_url: str, tmp_path: Path, target: str, db: str, says: str
) -> None:
    Path(sqlite_url).rename(tmp_path / "hub.db")
    (tmp_path / "there.db").write_text("mine")
    (tmp_path / "text.db").write_text("no database at all, but longer than a header " * 9)
    where = db if db.startswith("postgresql") else tmp_path / db
    ran = onhand("backup", tmp_path / target, "--db", where)
    assert (ran.code, says in ran.err, "secret" in ran.err) == (1, True, False), ran.err
    assert (tmp_path / "there.db").read_text() == "mine"
    assert not list(tmp_path.rglob("*.part"))
    assert not (tmp_path / "copy.db").exists()


def test_a_copy_that_does_not_agree_is_said(sqlite_url: str, tmp_path: Path) -> None:
    with demo_server(tmp_path, tmp_path / "hub.db") as (hub, _):
        assert hub.stop() == 0
    with closing(sqlite3.connect(tmp_path / "hub.db")) as connection, connection:
        connection.execute("UPDATE levels SET on_hand = on_hand + 1 WHERE item = 1")
    ran = onhand("backup", tmp_path / "copy.db", "--db", tmp_path / "hub.db")
    assert (ran.code, "FAULTS" in ran.out, (tmp_path / "copy.db").exists()) == (3, True, True)


@pytest.mark.parametrize("way", ["sqlite to postgresql", "postgresql to sqlite"])
def test_stock_moves_between_engines(sqlite_url: str, postgres_url: str, tmp_path: Path, way: str) -> None:
    """Exported while a hub serves, imported into the other engine: the numbers are the same, and verified."""
    here, there = (sqlite_url, postgres_url) if way.startswith("sqlite") else (postgres_url, sqlite_url)
    sheet = tmp_path / "stock.csv.gz"
    with demo_server(tmp_path, here) as (hub, _):
        assert onhand("export", sheet, "--db", here).code == 0
        assert hub.stop() == 0
    assert onhand("accounts", "create", "demo", "--db", there).code == 0
    opened_at(there, {place for _, place in numbers(here)})
    ran = onhand("import", sheet, "--create", "--db", there)
    assert ran.code == 0, ran.out + ran.err
    assert onhand("verify", "--db", there).code == 0
    assert numbers(there) == numbers(here)


def opened_at(db: str, names: set[str]) -> None:
    """Make the locations of the only account; an import makes items, but no locations."""
    store = open_store(db)
    with store.writer.begin() as connection:
        set_account(connection, 1)
        known = {one.name for one in catalog.locations(connection, 1)}
        seller = catalog.sellers(connection, 1)[0].id
        for name in sorted(names - known):
            catalog.add_location(connection, 1, Location(0, name, seller), START)
    store.close()
