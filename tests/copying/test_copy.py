"""A whole database goes to the other engine and back: every row, in one moment, or nothing at all."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from commands import onhand
from copying.whole import KEY, KEYED, ODD, Whole, rows
from onhand import settings
from onhand.office import moving
from onhand.office.moving import Watch, Wish
from onhand.seals import seals
from onhand.store import pieces, sealing
from onhand.store.engine import open_store, reading
from onhand.store.pieces import TABLES
from servers import serving
from stores import PostgresDatabases, SqliteDatabases


def test_there_and_back(
    made: Whole, postgres: PostgresDatabases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, back = postgres.empty(), tmp_path / "back.db"
    told = onhand("copy", "--db", made.db, "--to", there, "--json")
    assert told.code == 0, told.err
    assert (told.json["equal"], told.json["clean"], told.json["retired"]) == (True, True, False)
    kept = rows(made.db)
    # A new table needs a row here, so that nobody forgets that it must be copied, too.
    assert not [name for name, found in kept.items() if not found]
    assert {one["table"]: one["rows"] for one in told.json["tables"]} == {
        table.name: len(kept[table.name]) for table in TABLES
    }
    shown = onhand("copy", "--db", there, "--to", back)
    assert shown.code == 0, shown.err
    assert "DIFFERENT" not in shown.out
    assert "demo: " in shown.out
    assert "second: 0 movements, 0 levels: clean" in shown.out
    assert rows(back) == kept
    monkeypatch.setenv("ONHAND_SECRET_KEY_FILE", str(made.db.with_name("hub.db.key")))
    for db in (there, back):
        assert onhand("verify", "--db", db).code == 0
        ran = onhand("doctor", "--db", db)
        assert ran.code == 0, ran.out
    postgres.drop(there)


def test_the_same_engine(made: Whole, postgres: PostgresDatabases, sqlite: SqliteDatabases) -> None:
    for databases in (postgres, sqlite):
        first, second = databases.empty(), databases.empty()
        assert onhand("copy", "--db", made.db, "--to", first).code == 0
        ran = onhand("copy", "--db", first, "--to", second, "--json")
        assert (ran.code, ran.json["equal"]) == (0, True)


def test_a_hub_goes_on_from_the_copy(made: Whole, postgres: PostgresDatabases, tmp_path: Path) -> None:
    """Keys, answers, ids and secrets are those of before."""
    url = postgres.empty()
    assert "ONHAND_SECRET_KEY_FILE=" in onhand("copy", "--db", made.db, "--to", url).out
    key = str(made.db.with_name("hub.db.key"))
    with serving(url, folder=tmp_path, ONHAND_SECRET_KEY_FILE=key, ONHAND_COURIER="false") as hub:
        native = f"{hub.url}/api/v1"
        again = httpx2.post(f"{native}/changes", headers=made.native | {"Idempotency-Key": KEY}, json=KEYED)
        assert (again.status_code, again.text) == (200, made.answer)
        before = httpx2.get(f"{native}/items/sku:ODD", headers=made.native).json()
        assert before["name"] == ODD
        new = httpx2.post(f"{native}/items", headers=made.native, json={"sku": "NEW"})
        assert (new.status_code, new.json()["id"] > before["id"]) == (201, True)
        moved = httpx2.post(f"{native}/changes", headers=made.native, json=KEYED).json()
        assert moved["as_of_seq"] == rows(made.db)["accounts"][0][2] + 1
        treet = made.demo["treet"]
        listing = f"{hub.url}/treet/v1/listings/{treet['listings'][0]['id']}/inventory"
        answer = httpx2.put(listing, headers=treet["headers"], json={"items": []})
        assert answer.status_code < 500
        assert answer.status_code not in (401, 403, 404), answer.text
        assert hub.stop() == 0
    assert onhand("verify", "--db", url).code == 0
    assert onhand("accounts", "create", "third", "--db", url).code == 0
    opened = seals(settings.load({"ONHAND_DB": url, "ONHAND_SECRET_KEY_FILE": key}))
    store = open_store(url)
    with reading(store, 1) as connection:
        envelopes = sealing.envelopes(connection, 1)
    store.close()
    assert envelopes
    assert all(opened.open(1, link, envelope) for link, envelope in envelopes)
    postgres.drop(url)


def test_no_table_is_forgotten(migrated_url: str) -> None:
    """What the migrations make is what is copied."""
    store = open_store(migrated_url)
    query = (
        "SELECT name FROM sqlite_master WHERE type = 'table'"
        if store.sqlite
        else "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    )
    with reading(store) as connection:
        found = {row[0] for row in connection.exec_driver_sql(query)}
    store.close()
    assert found == {*(table.name for table in TABLES), "alembic_version"}


def test_memory_is_bounded_by_bytes(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows at a time where they are long, many where they are short, and none twice."""
    monkeypatch.setattr(pieces, "PIECE_BYTES", 10_000)
    long, short = "x" * 3_000, "y"
    with closing(sqlite3.connect(sqlite_url)) as connection, connection:
        connection.executemany(
            "INSERT INTO inbox VALUES (1, ?, 's', 'p', ?, 1)",
            [(number, long if number < 400 else short) for number in range(2_000)],
        )
    store = open_store(sqlite_url)
    inbox = next(table for table in TABLES if table.name == "inbox")
    with reading(store) as opened:
        sizes = [(len(part), part[0][1]) for part, _ in pieces.pieces(opened, inbox, 1)]
    store.close()
    assert sum(size for size, _ in sizes) == 2_000
    assert max(size for size, first in sizes if 100 <= first < 400) <= 3
    assert max(size for size, first in sizes if first >= 400) > 100


# --- what goes wrong --------------------------------------------------------------------------------

FOREIGN = "CREATE TABLE items (id INTEGER); INSERT INTO items VALUES (1)"
BEHIND_US = "UPDATE alembic_version SET version_num = '9999'"


def kept(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


@pytest.mark.parametrize(
    ("db", "to", "says"),
    [
        ("source", "source", "is both"),
        ("source", "itself", "is both"),
        ("source", "full", "it is not empty, there is something in accounts"),
        ("source", "foreign", "is another program's database: it has the tables items"),
        ("source", "newer", "newer than this onhand"),
        ("source", "text", "not a database"),
        ("source", "missing/new.db", "does not exist"),
        ("source", "", "is no database"),
        ("source", "mysql://here/db", "is no database"),
        ("source", "postgresql://me:secret@127.0.0.1:1/hub", "cannot open"),
        ("postgresql://me:secret@127.0.0.1:1/hub", "new", "cannot open"),
        ("nothing", "new", "there is no database at"),
        ("text", "new", "not a database"),
        ("newer", "new", "newer than this onhand"),
        ("empty", "new", "there is no account in it"),
        ("bare", "new", "the database is empty"),
        ("orphans", "new", "1 rows of counters belong to no account"),
        ("source", "folder", "is no file"),
    ],
)
def test_what_cannot_be_copied_is_said(
    source: Whole, sqlite_url: str, tmp_path: Path, db: str, to: str, says: str
) -> None:
    places = {
        name: tmp_path / f"{name}.db" for name in ("new", "full", "foreign", "newer", "text", "nothing")
    }
    places |= {"source": source.db, "empty": Path(sqlite_url), "folder": tmp_path}
    places |= {name: tmp_path / f"{name}.db" for name in ("bare", "itself", "orphans")}
    places["itself"].symlink_to(source.db)
    for name, script, start in (
        ("full", "", source.db),
        ("orphans", "INSERT INTO counters VALUES (77, 'items', 1)", source.db),
        ("foreign", FOREIGN, None),
        ("newer", BEHIND_US, sqlite_url),
        ("bare", "VACUUM", None),
    ):
        if start is not None:
            places[name].write_bytes(Path(start).read_bytes())
        with closing(sqlite3.connect(places[name])) as connection, connection:
            connection.executescript(script)
    places["text"].write_text("no database at all, but longer than a header " * 9)
    before = {name: kept(path) for name, path in places.items()}
    ran = onhand("copy", "--db", places.get(db, db), "--to", places.get(to, to))
    assert (ran.code, says in ran.err, "secret" in ran.err) == (1, True, False), ran.err
    assert {name: kept(path) for name, path in places.items()} == before
    assert not places["new"].exists()


def test_a_full_postgresql_is_refused(source: Whole, postgres: PostgresDatabases) -> None:
    url = postgres.empty()
    assert onhand("accounts", "create", "mine", "--db", url).code == 0
    ran = onhand("copy", "--db", source.db, "--to", url)
    assert (ran.code, "something in accounts" in ran.err) == (1, True), ran.err
    assert [one["name"] for one in onhand("accounts", "list", "--json", "--db", url).json] == ["mine"]


def test_a_nul_that_postgresql_cannot_keep(source: Whole, postgres_url: str) -> None:
    with closing(sqlite3.connect(source.db)) as connection, connection:
        connection.execute("UPDATE items SET name = ? WHERE id = 5", ("a\0b",))
    ran = onhand("copy", "--db", source.db, "--to", postgres_url)
    assert (ran.code, "cannot be copied" in ran.err, "NUL" in ran.err) == (1, True, True), ran.err
    assert onhand("accounts", "list", "--json", "--db", postgres_url).json == []


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_nothing_is_kept_of_a_copy_that_was_ended(
    source: Whole, postgres: PostgresDatabases, tmp_path: Path, engine: str
) -> None:
    class Enough(Exception):
        """As Ctrl-C."""

    done = []

    def step(rows: int) -> None:
        done.append(rows)
        if sum(done) > 300:
            raise Enough

    url = str(tmp_path / "new.db") if engine == "sqlite" else postgres.empty()
    here, there = settings.load({"ONHAND_DB": str(source.db)}), settings.load({"ONHAND_DB": url})
    with pytest.raises(Enough):
        moving.move(here, there, Wish(), Watch(done.append, step))
    assert not list(tmp_path.glob("new.db")) + list(tmp_path.glob("new.db-*"))
    assert onhand("copy", "--db", source.db, "--to", url).code == 0


SPOILED = [
    ("AFTER INSERT ON items BEGIN UPDATE items SET name = 'mine' WHERE id = 7; END", "items"),
    ("AFTER INSERT ON prices BEGIN DELETE FROM prices; END", "prices"),
]


@pytest.mark.parametrize(("trigger", "table"), SPOILED)
def test_a_copy_that_is_not_the_source_is_not_kept(
    source: Whole, sqlite_url: str, trigger: str, table: str
) -> None:
    with closing(sqlite3.connect(sqlite_url)) as connection, connection:
        connection.execute(f"CREATE TRIGGER spoil {trigger}")
    ran = onhand("copy", "--db", source.db, "--to", sqlite_url, "--retire", "--json")
    assert (ran.code, "nothing was kept" in ran.err) == (1, True), ran.err
    assert [one["table"] for one in ran.json["tables"] if not one["equal"]] == [table]
    assert onhand("accounts", "list", "--json", "--db", sqlite_url).json == []
    assert onhand("init", "--db", source.db).code == 0


def test_a_ledger_with_faults_is_copied_and_told(source: Whole, postgres: PostgresDatabases) -> None:
    with closing(sqlite3.connect(source.db)) as connection, connection:
        connection.execute("UPDATE levels SET on_hand = on_hand + 1 WHERE account = 1 AND item = 1")
    url = postgres.empty()
    ran = onhand("copy", "--db", source.db, "--to", url, "--retire", "--json")
    assert (ran.code, ran.json["equal"], ran.json["clean"], ran.json["retired"]) == (3, True, False, False)
    assert ran.json["accounts"][0]["faults"] == 1
    assert "not retired" in ran.err
    assert onhand("verify", "--db", url).code == 3
    assert onhand("init", "--db", source.db).code == 0
