"""Copies beside those who work on a database: hubs, killed processes, roles; and one taken out of service."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from backup.trading import trading
from clusters import USER, Postgres, servers
from commands import onhand, started
from copying.whole import Whole, rows
from onhand import settings
from onhand.lock import Held, Lock
from onhand.office import moving
from onhand.office.moving import Moved, Watch, Wish
from onhand.settings import Settings
from onhand.store.engine import StoreError, open_store
from onhand.store.retiring import still
from onhand.store.roles import Roles
from servers import serving
from stores import Databases, PostgresDatabases, SqliteDatabases

PATIENCE_SECONDS = 30
TRADED_SECONDS = 0.5
ROLES = Roles()
FOREVER = (
    "CREATE TRIGGER slow BEFORE INSERT ON orders BEGIN SELECT COUNT(*) FROM (WITH RECURSIVE"
    " n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000000) SELECT i FROM n); END"
)


def filled(made: Whole, databases: Databases) -> str:
    """A database of an engine with everything in it."""
    url = databases.empty()
    ran = onhand("copy", "--db", made.db, "--to", url)
    assert ran.code == 0, ran.err
    return url


def references(db: Path) -> set[str]:
    with closing(sqlite3.connect(db)) as connection:
        return {row[0] for row in connection.execute("SELECT reference FROM movements")}


# --- while a hub serves -----------------------------------------------------------------------------


def test_a_hub_at_work(made: Whole, databases: Databases, tmp_path: Path) -> None:
    """Not without consent; with it, all that was acknowledged before is in the copy."""
    db = filled(made, databases)
    key = str(made.db.with_name("hub.db.key"))
    with serving(db, folder=tmp_path, ONHAND_SECRET_KEY_FILE=key) as hub:
        with trading(hub, made.demo["native"]["api_key"]) as acknowledged:
            time.sleep(TRADED_SECONDS)
            refused = onhand("copy", "--db", db, "--to", tmp_path / "refused.db")
            said = refused.code, "stop" in refused.err, "--while-serving" in refused.err
            assert said == (1, True, True), refused.err
            assert not (tmp_path / "refused.db").exists()
            for number in range(2):
                before = set(acknowledged)
                copy = tmp_path / f"copy{number}.db"
                ran = onhand("copy", "--while-serving", "--db", db, "--to", copy, "--json")
                assert (ran.code, ran.json["equal"], ran.json["clean"]) == (0, True, True), ran.err
                assert before <= references(copy)
            assert len(acknowledged) > len(before)
        both = onhand("copy", "--while-serving", "--retire", "--db", db, "--to", tmp_path / "no.db")
        assert both.code == 2
        # Only a hand in the database could retire it under a hub.
        assert (onhand("retire", "--db", db).code, hub.stop()) == (1, 0)
    last = tmp_path / "last.db"
    ran = onhand("copy", "--db", db, "--to", last)
    assert ran.code == 0, ran.err
    assert set(acknowledged) <= references(last)


def test_nobody_writes_to_a_postgresql_meanwhile(made: Whole, postgres: PostgresDatabases) -> None:
    """A transaction under way is not copied around."""
    url = filled(made, postgres)
    with psycopg.connect(url) as other:
        other.execute("SET LOCAL onhand.account = '1'")
        other.execute("UPDATE accounts SET created_at = created_at")
        for command in (("copy", "--db", url, "--to", postgres.empty()), ("retire", "--db", url)):
            ran = onhand(*command)
            assert (ran.code, "another session is open on it" in ran.err) == (1, True), ran.err


def settings_of(db: Path | str) -> Settings:
    return settings.load({"ONHAND_DB": str(db)})


def moved(source: str, target: Path | str, wish: Wish, meanwhile: Callable[[], None]) -> Moved:
    """Copy, and do something once in the middle of it."""
    left = [meanwhile]

    def step(_: int) -> None:
        if left:
            left.pop()()

    return moving.move(settings_of(source), settings_of(target), wish, Watch(lambda _: None, step))


WAITS = ["UPDATE accounts SET seq = seq + 1", "UPDATE levels SET on_hand = 0", "DELETE FROM outbox"]


@pytest.mark.parametrize(("retire", "doors"), [(False, []), (True, ["SELECT * FROM alembic_version"])])
def test_who_comes_meanwhile_waits(
    made: Whole, postgres: PostgresDatabases, tmp_path: Path, retire: bool, doors: list[str]
) -> None:
    url = filled(made, postgres)

    def come() -> None:
        with psycopg.connect(url, autocommit=True) as other:
            other.execute("SET lock_timeout = '50ms'")
            for statement in WAITS + doors:
                with pytest.raises(psycopg.errors.LockNotAvailable):
                    other.execute(statement.encode())
            assert other.execute("SELECT COUNT(*) FROM accounts").fetchone() == (2,)

    assert moved(url, tmp_path / "new.db", Wish(retire=retire), come).retired == retire
    assert onhand("init", "--db", url).code == int(retire)


@pytest.mark.parametrize("retire", [False, True])
def test_no_hub_starts_meanwhile(made: Whole, sqlite: SqliteDatabases, tmp_path: Path, retire: bool) -> None:
    db = filled(made, sqlite)

    def come() -> None:
        for path in (db, tmp_path / "new.db"):
            with pytest.raises(Held):
                Lock(Path(path)).take()

    assert moved(db, tmp_path / "new.db", Wish(retire=retire), come).equal
    assert onhand("init", "--db", db).code == int(retire)


@pytest.mark.parametrize("side", ["from", "to"])
def test_a_server_that_goes_away(made: Whole, postgres: PostgresDatabases, tmp_path: Path, side: str) -> None:
    url = filled(made, postgres) if side == "from" else postgres.empty()
    source, target = (url, tmp_path / "new.db") if side == "from" else (str(made.db), url)

    def go() -> None:
        with psycopg.connect(url) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid()"
            )

    with pytest.raises(StoreError, match="cannot be copied: "):
        moved(source, target, Wish(while_serving=True), go)
    assert not (tmp_path / "new.db").exists()
    assert onhand("copy", "--db", source, "--to", target, "--while-serving").code == 0


LATE = (
    "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'too late'; END $$;"
    "CREATE CONSTRAINT TRIGGER late AFTER INSERT OR UPDATE ON {table} DEFERRABLE INITIALLY DEFERRED"
    " FOR EACH ROW EXECUTE FUNCTION late()"
)


def test_a_commit_that_fails(made: Whole, postgres: PostgresDatabases, tmp_path: Path) -> None:
    """What is there then is said: the copy without the old one's mark, or nobody knows."""
    old, target = filled(made, postgres), postgres.empty()
    assert onhand("init", "--db", target).code == 0
    for url, table in ((old, "alembic_version"), (target, "accounts")):
        with psycopg.connect(url) as connection:
            connection.execute(LATE.format(table=table).encode())
    ran = onhand("copy", "--retire", "--db", old, "--to", tmp_path / "new.db")
    assert (ran.code, "new.db has all of it, but" in ran.err, "not retired: too late" in ran.err) == (
        1,
        True,
        True,
    )
    assert onhand("verify", "--db", tmp_path / "new.db").code == 0
    assert onhand("init", "--db", old).code == 0
    ran = onhand("copy", "--retire", "--db", tmp_path / "new.db", "--to", target)
    assert (ran.code, "has all of it or nothing" in ran.err) == (1, True), ran.err
    assert onhand("accounts", "list", "--json", "--db", target).json == []
    assert onhand("init", "--db", tmp_path / "new.db").code == 0


# --- kill -9 ----------------------------------------------------------------------------------------


def killed(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE_SECONDS)


def until(true: object) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.02)


def test_killed_halfway_on_sqlite(made: Whole, sqlite_url: str) -> None:
    with closing(sqlite3.connect(sqlite_url)) as connection, connection:
        connection.execute(FOREVER)
    process = started("copy", "--db", made.db, "--to", sqlite_url)

    def filling() -> bool:
        with closing(sqlite3.connect(sqlite_url, timeout=0, isolation_level=None)) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
            return False

    until(filling)
    time.sleep(TRADED_SECONDS)
    held = onhand("copy", "--db", made.db, "--to", sqlite_url)
    assert (held.code, "is being written by" in held.err) == (1, True), held.err
    killed(process)
    assert not [name for name, found in rows(sqlite_url).items() if found and name != "alembic_version"]
    with closing(sqlite3.connect(sqlite_url)) as connection, connection:
        connection.execute("DROP TRIGGER slow")
    assert onhand("copy", "--db", made.db, "--to", sqlite_url).code == 0
    assert rows(sqlite_url) == rows(made.db)


def test_killed_halfway_on_postgresql(made: Whole, postgres_url: str) -> None:
    """Two copies into one database wait for one another; of the one that is killed nothing is left."""
    waiting = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted"
    with psycopg.connect(postgres_url) as blocking, psycopg.connect(postgres_url, autocommit=True) as looking:
        blocking.execute("LOCK TABLE orders IN SHARE MODE")
        process = started("copy", "--db", made.db, "--to", postgres_url, "--while-serving")
        until(lambda: looking.execute(waiting).fetchone() == (1,))
        second = started("copy", "--db", made.db, "--to", postgres_url, "--while-serving")
        until(lambda: looking.execute(waiting).fetchone() == (2,))
        assert looking.execute("SELECT COUNT(*) FROM accounts").fetchone() == (0,)
        killed(process)
        blocking.rollback()
        out, err = second.communicate(timeout=PATIENCE_SECONDS)
    assert (second.returncode, "copied" in out) == (0, True), err
    assert onhand("verify", "--db", postgres_url).code == 0


# --- out of service ---------------------------------------------------------------------------------


def test_the_old_one_retires(made: Whole, databases: Databases, tmp_path: Path) -> None:
    """No hub, no command that writes; what is in it can still be read, and it can be taken back."""
    old, new = filled(made, databases), tmp_path / "new.db"
    ran = onhand("copy", "--retire", "--db", old, "--to", new)
    assert (ran.code, "is retired: no hub starts on it again" in ran.out) == (0, True), ran.err
    with started("serve", "--port", "0", "--db", old) as hub:
        _, err = hub.communicate(timeout=PATIENCE_SECONDS)
    assert (hub.returncode, "the database is retired" in err, "Traceback" in err) == (1, True, False)
    for words in (("init",), ("init", "--dry-run"), ("accounts", "create", "third")):
        told = onhand(*words, "--db", old)
        assert (told.code, "the database is retired" in told.err) == (1, True), told.out
    taken = onhand("copy", "--db", made.db, "--to", old)
    assert (taken.code, "the database is retired" in taken.err) == (1, True)
    doctor = onhand("doctor", "--db", old)
    assert (doctor.code, "fault: the database is retired" in doctor.out) == (3, True), doctor.out
    assert onhand("verify", "--db", old).code == 0
    assert onhand("export", tmp_path / "stock.csv", "--db", old, "--account", "demo").code == 0
    # A copy of it is no retired one.
    assert onhand("copy", "--db", old, "--to", tmp_path / "again.db").code == 0
    for db in (new, tmp_path / "again.db"):
        assert onhand("init", "--db", db).code == 0
    assert onhand("retire", "--lift", "--db", old).code == 0
    again = onhand("retire", "--lift", "--db", old)
    assert (again.code, "it is not retired" in again.err) == (1, True), again.err
    assert onhand("accounts", "create", "third", "--db", old).code == 0
    assert onhand("retire", "--db", old).out == f"{shown(old)} is retired\n"
    assert onhand("retire", "--db", old).code == 0
    assert onhand("init", "--db", old).code == 1


def shown(url: str) -> str:
    return url.replace(":onhand_tests@", ":***@")


# --- roles ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A server of its own: roles belong to all databases of a server."""
    with servers("copied") as (made,):
        made.create()
        made.start()
        yield made


def url(server: Postgres, role: str, database: str) -> str:
    return f"postgresql://{role}@127.0.0.1:{server.port}/{database}"


def test_into_a_database_with_roles(made: Whole, server: Postgres, tmp_path: Path) -> None:
    server.ask("CREATE DATABASE hub")
    runtime, owner = url(server, ROLES.runtime, "hub"), url(server, ROLES.owner, "hub")
    assert onhand("init", "--roles", "--db", url(server, USER, "hub")).code == 0
    as_admin = onhand("copy", "--db", made.db, "--to", url(server, USER, "hub"))
    assert (as_admin.code, "does not look into it" in as_admin.err) == (1, True), as_admin.err
    server.ask("REVOKE INSERT ON onhand.prices FROM onhand_runtime", "hub")
    lacking = onhand("copy", "--db", made.db, "--to", runtime)
    assert (lacking.code, "no right to INSERT on prices" in lacking.err) == (1, True), lacking.err
    assert onhand("init", "--roles", "--db", owner).code == 0
    ran = onhand("copy", "--db", made.db, "--to", runtime, "--json")
    assert (ran.code, ran.json["equal"]) == (0, True), ran.err
    key = str(made.db.with_name("hub.db.key"))
    with serving(runtime, folder=tmp_path, ONHAND_SECRET_KEY_FILE=key) as hub:
        with trading(hub, made.demo["native"]["api_key"]) as acknowledged:
            time.sleep(TRADED_SECONDS)
        assert hub.stop() == 0
    assert acknowledged
    assert onhand("verify", "--db", runtime).code == 0
    for number, role in enumerate((ROLES.runtime, ROLES.owner)):
        back = onhand("copy", "--db", url(server, role, "hub"), "--to", tmp_path / f"{number}.db", "--json")
        assert (back.code, back.json["equal"]) == (0, True), back.err
    assert rows(tmp_path / "0.db") == rows(tmp_path / "1.db")
    assert set(acknowledged) <= references(tmp_path / "0.db")
    # Who serves may not take it out of service; who owns it may.
    for words in (("retire",), ("copy", "--retire", "--to", tmp_path / "no.db")):
        ran = onhand(*words, "--db", runtime)
        assert (ran.code, "only the role that owns the tables" in ran.err) == (1, True), ran.err
    assert not (tmp_path / "no.db").exists()
    assert onhand("copy", "--retire", "--db", owner, "--to", tmp_path / "new.db").code == 0
    ran = onhand("init", "--roles", "--db", owner)
    assert (ran.code, "the database is retired" in ran.err) == (1, True), ran.err


def test_into_an_empty_database_by_the_owner(
    made: Whole, server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables come with the rows, in one transaction; who serves is granted its rights after it."""
    server.ask("CREATE DATABASE bare")
    assert onhand("init", "--roles", "--db", url(server, USER, "bare")).code == 0
    ran = onhand("copy", "--db", made.db, "--to", url(server, ROLES.owner, "bare"))
    assert ran.code == 0, ran.err
    monkeypatch.setenv("ONHAND_SECRET_KEY_FILE", str(made.db.with_name("hub.db.key")))
    ran = onhand("doctor", "--db", url(server, ROLES.runtime, "bare"))
    assert ran.code == 0, ran.out


@pytest.mark.parametrize("retire", [False, True])
def test_one_moment_is_copied(made: Whole, postgres_url: str, *, retire: bool) -> None:
    assert onhand("copy", "--db", made.db, "--to", postgres_url).code == 0
    store = open_store(postgres_url)
    store.writer.dispose()
    with still(store, retire=retire) as connection:
        found = [
            connection.exec_driver_sql(f"SHOW transaction_{what}").scalar()
            for what in ("isolation", "read_only")
        ]
    store.close()
    assert found == ["repeatable read", "off" if retire else "on"]


def test_who_may_make_no_tables(made: Whole, server: Postgres) -> None:
    server.ask("CREATE DATABASE closed")
    server.ask("CREATE ROLE nobody LOGIN")
    ran = onhand("copy", "--db", made.db, "--to", url(server, "nobody", "closed"))
    assert (ran.code, "may not change tables" in ran.err) == (1, True), ran.err
    ran = onhand("copy", "--db", url(server, "nobody", "closed"), "--to", made.db.with_name("no.db"))
    assert (ran.code, "the database is empty" in ran.err) == (1, True), ran.err
