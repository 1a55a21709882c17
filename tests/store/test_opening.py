"""Opening a database: its tables are the code's, its durability is read back, and accounts are walled off."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from onhand.store import integrity
from onhand.store.accounts import accounts as known
from onhand.store.accounts import add
from onhand.store.catalog import Taken
from onhand.store.engine import (
    DatabaseFailed,
    StoreError,
    WeakDurability,
    head,
    migrate,
    open_store,
    require_head,
    revision,
)
from onhand.store.outward import orders
from onhand.store.schema import OUTSIDE
from shops import START, Shop, opened
from stores import SERVER_VARIABLE, PostgresDatabases

METADATA = orders.metadata
GUARDED = sorted(set(METADATA.tables) - OUTSIDE)


# --- tables -------------------------------------------------------------------------------------------


def test_the_migrated_tables_are_the_codes(migrated_url: str) -> None:
    store = open_store(migrated_url)
    with store.reader.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    require_head(store)
    migrate(store)
    assert revision(store) == head()
    store.close()


@pytest.mark.parametrize("left", [None, b""])
def test_the_log_of_a_file_that_is_gone_is_kept(tmp_path: Path, left: bytes | None) -> None:
    """SQLite would take it for a remnant; it may hold what was acknowledged last."""
    path, log = tmp_path / "hub.db", tmp_path / "hub.db-wal"
    log.write_bytes(b"what was written last")
    if left is not None:
        path.write_bytes(left)
    with pytest.raises(StoreError, match=r"hub\.db-wal is what was written to it last"):
        open_store(str(path))
    assert log.read_bytes() == b"what was written last"
    assert path.exists() == (left is not None)
    log.unlink()
    open_store(str(path)).close()


def test_a_new_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    store = open_store(str(path))
    migrate(store)
    modes = {one.name: oct(one.stat().st_mode & 0o777) for one in tmp_path.iterdir()}
    assert modes == dict.fromkeys(("new.db", "new.db-wal", "new.db-shm"), "0o600")
    path.chmod(0o640)
    store.close()
    open_store(str(path)).close()
    assert path.stat().st_mode & 0o777 == 0o640  # what the operator says stands


def test_tables_are_strict_and_keyed_by_the_account(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    with store.reader.connect() as connection:
        rows = connection.exec_driver_sql("SELECT name, wr, strict FROM pragma_table_list").all()
    store.close()
    kinds = {row[0]: tuple(row[1:]) for row in rows if row[0] in METADATA.tables}
    assert kinds == dict.fromkeys(METADATA.tables, (1, 1)) | {"idempotency": (0, 1)}
    for name, table in METADATA.tables.items():
        first = next(iter(table.primary_key.columns)).name
        assert first == "account" or name in OUTSIDE, name


def test_an_empty_and_a_newer_database(db_url: str) -> None:
    store = open_store(db_url)
    assert revision(store) is None
    with pytest.raises(StoreError, match="empty"):
        require_head(store)
    migrate(store)
    with store.writer.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    for refuse, words in ((migrate, "newer"), (require_head, "9999")):
        with pytest.raises(StoreError, match=words):
            refuse(store)
    assert revision(store) == "9999"
    store.close()


def test_two_migrate_at_once(postgres: PostgresDatabases) -> None:
    url = postgres.empty()
    failures: list[Exception] = []

    def start() -> None:
        store = open_store(url)
        try:
            migrate(store)
        except Exception as error:  # noqa: BLE001 - a thread tells by what it leaves behind
            failures.append(error)
        finally:
            store.close()

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    store = open_store(url)
    assert revision(store) == head()
    store.close()
    postgres.drop(url)


# --- opening ------------------------------------------------------------------------------------------


def test_what_cannot_be_opened_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text(
        "no database at all, but longer than a header of one hundred bytes " * 4
    )
    cases = [
        (str(tmp_path / "missing" / "a.db"), "does not exist"),
        (str(tmp_path), "cannot open"),
        (str(tmp_path / "text.db"), "not a database"),
        ("postgresql://me:secret@127.0.0.1:1/nothing", "cannot open"),
    ]
    for url, words in cases:
        with pytest.raises(StoreError, match=words) as caught:
            open_store(url)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cannot_hold_every_text_is_refused(
    postgres: PostgresDatabases, encoding: str
) -> None:
    url = postgres.empty(f"template0 ENCODING {encoding} LOCALE 'C'")
    try:
        with pytest.raises(StoreError, match=f"as {encoding}: make one with ENCODING 'UTF8'"):
            open_store(url)
    finally:
        postgres.drop(url)


def test_a_database_in_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match="is no file"):
        open_store(":memory:")
    assert not list(tmp_path.iterdir())


def test_sqlite_is_opened_for_keeps(sqlite_url: str) -> None:
    with sqlite3.connect(sqlite_url) as plain:
        plain.execute("PRAGMA journal_mode = DELETE")
    plain.close()
    store = open_store(sqlite_url)
    with store.writer.connect() as connection:
        found = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    with store.reader.connect() as connection:
        reader = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("query_only", "wal_autocheckpoint")
        ]
    store.close()
    assert (found, reader) == (["wal", 2, 1], [1, 0])


WEAK = [
    ("ALTER DATABASE {name} SET synchronous_commit = off", True),
    ("ALTER DATABASE {name} SET synchronous_commit = local", True),
    ("ALTER ROLE CURRENT_USER IN DATABASE {name} SET synchronous_commit = off", True),
    ("ALTER DATABASE {name} SET synchronous_commit = remote_apply", False),
]


def test_postgresql_that_may_lose_a_commit_is_refused(postgres_url: str) -> None:
    name = urlsplit(postgres_url).path[1:]
    for statement, weak in WEAK:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(statement.format(name=name).encode())
        if weak:
            with pytest.raises(WeakDurability, match="can lose acknowledged changes"):
                open_store(postgres_url)
        open_store(postgres_url, accept_loss=weak).close()
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} RESET ALL".encode())
            connection.execute(f"ALTER ROLE CURRENT_USER IN DATABASE {name} RESET ALL".encode())


# --- damage -------------------------------------------------------------------------------------------


@pytest.mark.skipif(SERVER_VARIABLE in os.environ, reason="the files of that server may be anywhere")
def test_postgresql_says_which_pages_it_could_not_believe(postgres: PostgresDatabases) -> None:
    url = postgres.empty()
    store = open_store(url)
    migrate(store)
    with store.writer.begin() as connection:
        add(connection, "shop", START)
    assert integrity.examine(store) == ("no page has failed its checksum", [])
    store.close()
    ruined = postgres.ruined(url, "accounts")
    store = open_store(ruined)
    with pytest.raises(DatabaseFailed, match="invalid page"), store.reader.begin() as connection:
        known(connection)
    words, (fault,) = integrity.examine(store)
    assert (words, fault.split(" (")[0]) == ("damaged", "the database is damaged")
    store.close()
    for one in (url, ruined):
        postgres.drop(one)


# --- accounts -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two_accounts(postgres: PostgresDatabases) -> Iterator[Shop]:
    """A shop of two accounts on PostgreSQL."""
    yield from opened(postgres)


def count(connection: psycopg.Connection[tuple[int]], table: str, where: str = "true") -> int:
    row = connection.execute(f"SELECT COUNT(*) FROM {table} WHERE {where}".encode()).fetchone()
    assert row is not None
    return row[0]


def name(connection: psycopg.Connection[tuple[int]], account: str) -> None:
    connection.execute("SELECT set_config('onhand.account', %s, true)", (account,))


def test_every_table_is_walled(two_accounts: Shop) -> None:
    with psycopg.connect(two_accounts.url) as connection:
        rows = connection.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_policy p ON p.polrelid = c.oid"
            " WHERE c.relrowsecurity AND c.relforcerowsecurity AND p.polcmd = '*'"
        ).fetchall()
    assert sorted(row[0] for row in rows) == GUARDED
    assert sorted(OUTSIDE) == ["accounts", "keys", "wakeups"]


@pytest.mark.parametrize(("account", "items"), [(None, 0), ("", 0), ("1", 9), ("2", 1), ("3", 0)])
def test_raw_sql_sees_one_account(two_accounts: Shop, account: str | None, items: int) -> None:
    with psycopg.connect(two_accounts.url) as connection:
        if account is not None:
            name(connection, account)
        assert count(connection, "items") == items
        for table in GUARDED:
            assert count(connection, table, f"account <> {account or 0}") == 0


def test_raw_sql_cannot_write_into_another_account(two_accounts: Shop) -> None:
    with psycopg.connect(two_accounts.url) as connection:
        name(connection, "1")
        assert connection.execute("UPDATE items SET name = 'mine' WHERE account = 2").rowcount == 0
        assert connection.execute("DELETE FROM locations WHERE account = 2").rowcount == 0
        for statement in (
            "INSERT INTO counters (account, name, value) VALUES (2, 'mine', 1)",
            "UPDATE items SET account = 2 WHERE id = 1",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute(statement.encode())


def test_the_account_is_named_for_one_transaction_only(two_accounts: Shop) -> None:
    """A connection that goes back to the pool takes no account with it."""
    shop = two_accounts
    for _ in range(8):
        with shop.writing() as connection:
            assert connection.exec_driver_sql("SELECT COUNT(*) FROM items").scalar_one() == 9
        with shop.store.writer.begin() as connection:
            assert connection.exec_driver_sql("SELECT COUNT(*) FROM items").scalar_one() == 0
        with shop.reading() as connection:
            assert connection.exec_driver_sql("SELECT COUNT(*) FROM items").scalar_one() == 9
        with shop.store.reader.begin() as connection:
            assert connection.exec_driver_sql("SELECT COUNT(*) FROM items").scalar_one() == 0


def test_the_name_of_an_account_is_its_own(shop: Shop) -> None:
    with pytest.raises(Taken), shop.store.writer.begin() as connection:
        add(connection, "other", START)
    with shop.store.reader.begin() as connection:
        assert [(one.id, one.name) for one in known(connection)] == [(1, "shop"), (2, "other")]
