"""The migrations make the code's tables, once, whoever starts at the same time; newer tables are refused."""

from __future__ import annotations

import itertools
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, event

from commands import onhand, started
from onhand.store.engine import MIGRATIONS, Store, head, migrate, open_store, revision, set_account
from onhand.store.outward import orders
from servers import demo_server, start
from stores import PostgresDatabases

METADATA = orders.metadata
REFUSED = 1
PATIENCE_SECONDS = 60
STEP = 5
"""Statements of the migrations between two places where they end halfway."""


def asked(connection: Connection, query: str) -> list[str]:
    return sorted(" ".join(" ".join(map(str, row)).split()) for row in connection.exec_driver_sql(query))


def catalogue(store: Store) -> dict[str, list[str]]:
    """What the database itself says of its tables: columns, defaults, constraints and indexes."""
    with store.reader.connect() as connection:
        if store.sqlite:
            return {"tables": asked(connection, SQLITE)}
        return {name: asked(connection, query) for name, query in POSTGRESQL.items()}


SQLITE = "SELECT tbl_name, sql FROM sqlite_master WHERE tbl_name <> 'alembic_version' AND sql IS NOT NULL"
_OURS = "n.nspname = 'public' AND c.relname <> 'alembic_version'"
_JOINED = "JOIN pg_class c ON c.oid = {} JOIN pg_namespace n ON n.oid = c.relnamespace"
POSTGRESQL = {
    "columns": "SELECT table_name, column_name, data_type, is_nullable, column_default"
    " FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'",
    "constraints": "SELECT c.relname, k.conname, pg_get_constraintdef(k.oid) FROM pg_constraint k "
    + _JOINED.format("k.conrelid")
    + f" WHERE {_OURS} AND k.contype <> 'n'",
    "indexes": "SELECT c.relname, pg_get_indexdef(i.indexrelid) FROM pg_index i "
    + _JOINED.format("i.indrelid")
    + f" WHERE {_OURS}",
}


def configured(script: Path) -> Config:
    """Alembic's settings for the migrations in this folder."""
    config = Config()
    config.set_main_option("script_location", str(script))
    config.set_main_option("path_separator", "os")
    return config


def test_the_frozen_statements_make_the_codes_tables(db_url: str) -> None:
    """Down to defaults, checks and what indexes leave out, which a comparison of names would not see."""
    store = open_store(db_url)
    migrate(store)
    migrated = catalogue(store)
    with store.writer.begin() as connection:
        METADATA.drop_all(connection)
        assert not any(catalogue_here(connection, store).values())
        METADATA.create_all(connection)
    assert catalogue(store) == migrated
    store.close()


def catalogue_here(connection: Connection, store: Store) -> dict[str, list[str]]:
    """The same, inside a transaction that has not ended yet."""
    queries = {"tables": SQLITE} if store.sqlite else POSTGRESQL
    return {name: asked(connection, query) for name, query in queries.items()}


def test_keys_outlive_the_table_that_is_made_anew(db_url: str) -> None:
    """A database of the first version has keys already, some of them without an answer."""
    store = open_store(db_url)
    config = configured(MIGRATIONS)
    kept = [
        (1, "scope", "b", "asked", 200, "1", '{"X-Seq":"1"}', 7),
        (1, "scope", "a", "asked", None, None, None, 8),
    ]
    with store.writer.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        set_account(connection, 1)
        mark = "?" if store.sqlite else "%s"
        into = f"INSERT INTO idempotency VALUES ({', '.join([mark] * 8)})"
        for row in kept:
            connection.exec_driver_sql(into, row)
    migrate(store)
    assert revision(store) == head()
    with store.writer.begin() as connection:
        set_account(connection, 1)
        rows = connection.exec_driver_sql("SELECT * FROM idempotency ORDER BY created_at").all()
        assert [tuple(row) for row in rows] == kept
    store.close()


def test_no_migration_looks_at_the_codes_tables() -> None:
    """What they become later must not change what an old migration did."""
    for path in (MIGRATIONS / "versions").glob("*.py"):
        assert not re.search(r"onhand|metadata", path.read_text(encoding="utf-8").partition('"""\n')[2]), path


AFTER = f"{int(head()) + 1:04}"
NEXT = f'''"""Another table, and another column of one that is there."""

from alembic import op

revision = "{AFTER}"
down_revision = "{head()}"


def upgrade() -> None:
    op.execute("ALTER TABLE items ADD COLUMN shelf TEXT DEFAULT '' NOT NULL")
    op.execute("CREATE TABLE shelves (account BIGINT NOT NULL, name TEXT, PRIMARY KEY (account))")
'''


def upgraded(store: Store, folder: Path) -> None:
    """Do what a next version does to the tables, with a migration after ours."""
    script = shutil.copytree(MIGRATIONS, folder / "migrations")
    (script / "versions" / f"{AFTER}_next.py").write_text(NEXT, encoding="utf-8")
    config = configured(script)
    with store.writer.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def test_a_next_migration_runs_after_ours(db_url: str, tmp_path: Path) -> None:
    """On an empty database, where all of them run, and it finds the tables as ours left them."""
    store = open_store(db_url)
    upgraded(store, tmp_path)
    assert revision(store) == AFTER
    with store.reader.connect() as connection:
        assert connection.exec_driver_sql("SELECT COUNT(shelf) FROM items").scalar_one() == 0
    store.close()


class Ended(Exception):
    """What runs the migrations is gone."""


def test_migrations_that_end_halfway_leave_nothing(db_url: str) -> None:
    store = open_store(db_url)
    nothing = catalogue(store)
    left = [0]

    def ends(*_: object) -> None:
        left[0] -= 1
        if not left[0]:
            raise Ended

    event.listen(store.writer, "before_cursor_execute", ends)
    try:
        for statements in itertools.count(1, STEP):
            left[0] = statements
            try:
                migrate(store)
            except Ended:
                assert (revision(store), catalogue(store)) == (None, nothing)
            else:
                break
        assert statements > 5 * STEP
        assert revision(store) == head()
    finally:
        store.close()


UNKNOWN = [
    ("UPDATE alembic_version SET version_num = '0001'", "is at revision 0001, and its tables are not what"),
    ("DELETE FROM alembic_version", "has tables and does not say of which version they are"),
    ("UPDATE alembic_version SET version_num = '3f2a91c04d5e'", "is none of onhand's: it is another"),
    ("INSERT INTO alembic_version VALUES ('0001')", "revision 0001 and 0005, which is none of onhand's"),
]


@pytest.mark.parametrize(("change", "said"), UNKNOWN)
def test_tables_that_are_not_of_the_version_that_they_name(migrated_url: str, change: str, said: str) -> None:
    store = open_store(migrated_url)
    with store.writer.begin() as connection:
        connection.exec_driver_sql(change)
    before = catalogue(store)
    store.close()
    ran = onhand("init", "--db", migrated_url)
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (REFUSED, "", 1)
    assert said in ran.err
    store = open_store(migrated_url)
    assert catalogue(store) == before
    store.close()


def test_a_column_that_no_migration_brings(migrated_url: str) -> None:
    """As in a database that was made before the first migration was frozen."""
    store = open_store(migrated_url)
    with store.writer.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE incidents DROP COLUMN earlier")
        if store.sqlite:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0004'")
    store.close()
    if store.sqlite:
        ran = onhand("init", "--db", migrated_url)
        assert (ran.code, ran.err.splitlines()[1:]) == (REFUSED, [])
        assert "has no column incidents.earlier: it was made before the first release" in ran.err
        return
    doctor = onhand("doctor", "--db", migrated_url)
    assert (doctor.code, "has no column incidents.earlier" in doctor.out) == (3, True)


def test_two_hubs_start_on_an_empty_database(postgres: PostgresDatabases, tmp_path: Path) -> None:
    url = postgres.empty()
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    with ThreadPoolExecutor() as pool:
        hubs = list(pool.map(lambda folder: start(url, folder=folder, ONHAND_COURIER="false"), folders))
    try:
        for hub in hubs:
            assert httpx2.get(f"{hub.url}/readyz").status_code == 200
        assert [hub.stop() for hub in hubs] == [0, 0]
    finally:
        for hub in hubs:
            hub.kill()
    store = open_store(url)
    assert revision(store) == head()
    store.close()
    postgres.drop(url)


def test_a_rolling_upgrade(migrated_url: str, tmp_path: Path) -> None:
    """A hub that runs goes on while a newer one extends the tables; an old one does not start on them."""
    with demo_server(tmp_path, migrated_url) as (hub, demo):
        store = open_store(migrated_url)
        upgraded(store, tmp_path)
        store.close()
        headers = {"Authorization": f"Bearer {demo['native']['api_key']}"}
        change = {"op": "adjust", "item": 1, "location": "MAIN", "delta": 3}
        answer = httpx2.post(f"{hub.url}/api/v1/changes", headers=headers, json={"changes": [change]})
        assert answer.status_code == 200, answer.text
        ready = httpx2.get(f"{hub.url}/readyz")  # else a balancer took every old hub away at once
        assert ready.status_code == 200, ready.text
        assert hub.stop() == 0
    sentence = f"onhand: the database is at revision {AFTER}, which is newer than this onhand ({head()})"
    for words in (["serve", "--port", "0"], ["init"], ["verify"], ["accounts", "list"]):
        with started(*words, "--db", migrated_url, ONHAND_COURIER="false") as refused:
            out, err = refused.communicate(timeout=PATIENCE_SECONDS)
        assert (refused.returncode, out) == (REFUSED, "")
        assert err.startswith(sentence)
    doctor = onhand("doctor", "--db", migrated_url)
    assert (doctor.code, AFTER in doctor.out) == (3, True)
