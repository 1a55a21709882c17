"""Commands that are given the wrong database: told so, and nothing is made or changed."""

from __future__ import annotations

import resource
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from commands import onhand
from onhand.store.engine import head

WRITING: list[tuple[object, ...]] = [
    ("keys", "create", "native"),
    ("keys", "revoke", "native:1"),
    ("push", "1"),
    ("pull", "shop"),
    ("release", "1"),
    ("pause", "shop"),
    ("resume", "shop"),
    ("reconnect", "shop", "--set", "a=b"),
    ("disconnect", "shop", "--yes"),
    ("incidents", "close", "1"),
    ("secrets", "rotate"),
]


@pytest.mark.parametrize("words", WRITING, ids=lambda words: " ".join(words[:2]))
def test_a_mistyped_name_makes_no_database(words: tuple[object, ...], tmp_path: Path) -> None:
    mistyped = tmp_path / "shpo.db"
    ran = onhand(*words, "--db", mistyped)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"onhand: there is no database at {mistyped}: 'onhand init' makes one\n"
    assert not mistyped.exists()
    mistyped.touch()
    ran = onhand(*words, "--db", mistyped)
    assert (ran.code, "the database is empty" in ran.err) == (1, True)


@pytest.mark.parametrize(
    "words",
    [
        *WRITING,
        ("init",),
        ("init", "--dry-run"),
        ("demo",),
        ("accounts", "create", "a"),
        ("levels",),
        ("doctor",),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_the_database_of_another_program_is_left_as_it_is(words: tuple[object, ...], tmp_path: Path) -> None:
    other = tmp_path / "notes.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE notes (id INTEGER)")
    before = other.read_bytes()
    ran = onhand(*words, "--db", other)
    assert f"{other} is another program's database: it has the tables notes" in ran.err + ran.out
    assert (ran.code, other.read_bytes()) == (3 if words == ("doctor",) else 1, before)


def test_what_a_copier_of_the_log_keeps_is_no_other_program(tmp_path: Path) -> None:
    db = tmp_path / "new.db"
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("CREATE TABLE _litestream_seq (id INTEGER)")
    assert onhand("init", "--db", db).code == 0


@pytest.mark.parametrize("words", [("demo", "--json"), ("serve", "--port", 0, "--demo", "--demo-json")])
def test_credentials_that_cannot_be_written_are_not_made(words: tuple[object, ...], tmp_path: Path) -> None:
    db, file = tmp_path / "new.db", tmp_path / "nope" / "x.json"
    ran = onhand(*words, file, "--db", db)
    assert (ran.code, ran.out, db.exists()) == (1, "", False)
    assert ran.err == f"onhand: cannot write {file}: there is no folder {file.parent}\n"


def test_a_backup_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    ran = onhand("backup", tmp_path / "copy.db", "--db", tmp_path / "empty.db")
    assert (ran.code, ran.out) == (1, "")
    assert not (tmp_path / "copy.db").exists()


def test_init_says_when_there_is_nothing_to_do(tmp_path: Path) -> None:
    db = tmp_path / "new.db"
    db.touch()
    assert onhand("init", "--dry-run", "--db", db).out.endswith(
        f"has nothing, and would be brought to {head()}\n"
    )
    assert onhand("init", "--db", db).code == 0
    assert onhand("init", "--dry-run", "--db", db).out.endswith(
        f"is at schema {head()}: there is nothing to do\n"
    )


def test_init_and_retire_tell_programs(tmp_path: Path) -> None:
    db = tmp_path / "new.db"
    db.touch()
    told = {"database": str(db), "schema": None, "needed": head()}
    assert onhand("init", "--dry-run", "--db", db, "--json").json == told
    assert onhand("init", "--db", db, "--json").json == told | {"schema": head()}
    assert onhand("retire", "--db", db, "--json").json == {"database": str(db), "retired": True}
    assert onhand("retire", "--lift", "--db", db, "--json").json == {"database": str(db), "retired": False}


def test_a_database_that_belongs_to_somebody_else(tmp_path: Path) -> None:
    shop, name = tmp_path / "shop.db", tmp_path / "shop.db-wal"
    assert onhand("init", "--db", shop).code == 0
    name.mkdir()  # nobody may write it, root neither
    ran = onhand("levels", "--db", shop)
    assert ran.code == 1
    assert ran.err.startswith(
        f"onhand: cannot open {shop}: unable to open database file: this user has to own "
    )


def test_a_disk_without_room(tmp_path: Path) -> None:
    shop = tmp_path / "shop.db"
    assert onhand("init", "--db", shop).code == 0
    most, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        ran = onhand("levels", "--db", shop)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    words = "disk I/O error: the disk is full (df says so), or it is broken"
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(f"onhand: cannot open {shop}: {words}")
    assert onhand("verify", "--db", shop).code == 0, "nothing is left that keeps anybody out"
