"""Least privilege on PostgreSQL: one role owns the tables; what serves can do what it must, no more."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psycopg
import pytest

from clusters import Postgres, servers
from commands import onhand, started
from onhand.store.engine import head, migrate, open_store
from onhand.store.roles import TABLES, VERSION, Roles, rights
from onhand.store.schema import OUTSIDE
from servers import demo_server
from statements import STATEMENTS

ROLES = Roles()
LOADED_SECONDS = 1.0


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A server of its own: roles belong to all databases of a server."""
    with servers("roles") as (made,):
        made.create()
        made.start()
        yield made


class Places:
    """A database as each role reaches it."""

    def __init__(self, server: Postgres, name: str) -> None:
        self.server = server
        self.name = name
        server.ask(f"CREATE DATABASE {name}")
        self.admin = self.of("postgres")
        self.owner = self.of(ROLES.owner)
        self.runtime = self.of(ROLES.runtime)

    def of(self, role: str) -> str:
        """The URL of a role."""
        return f"postgresql://{role}@127.0.0.1:{self.server.port}/{self.name}"


@pytest.fixture(scope="module")
def places(server: Postgres) -> Places:
    """A database with both roles."""
    made = Places(server, "hub")
    ran = onhand("init", "--roles", "--db", made.admin)
    assert ran.code == 0, ran.err
    assert f"is at schema {head()}, in onhand" in ran.out
    return made


@pytest.fixture(scope="module")
def filled(places: Places, tmp_path_factory: pytest.TempPathFactory) -> Places:
    """The same with what a demo of the run-time role's hub leaves, and a second account."""
    folder = tmp_path_factory.mktemp("hub")
    with demo_server(folder, places.runtime) as (hub, demo):
        headers = {"Authorization": f"Bearer {demo['native']['api_key']}"}
        change = {"op": "adjust", "item": 1, "location": "MAIN", "delta": 3}
        for number in range(5):
            keyed = headers | {"Idempotency-Key": f"k{number}"}
            answer = httpx2.post(f"{hub.url}/api/v1/changes", headers=keyed, json={"changes": [change]})
            assert answer.status_code == 200, answer.text
        time.sleep(LOADED_SECONDS)  # the clockwork and the courier write, too
        ready = httpx2.get(f"{hub.url}/readyz")
        assert ready.status_code == 200, ready.text
        assert hub.stop() == 0
        said = hub.err.read_text(encoding="utf-8")
        assert "permission denied" not in said
        assert "Traceback" not in said
    assert onhand("accounts", "create", "second", "--db", places.runtime).code == 0
    for name in ("demo", "second"):
        assert onhand("verify", "--account", name, "--db", places.runtime).code == 0
    return places


def test_it_serves_and_the_doctor_is_content(filled: Places) -> None:
    doctor = onhand("doctor", "--db", filled.runtime)
    assert doctor.code == 0, doctor.out
    assert "walls" not in doctor.out
    # An administrator has another search path, and must not make a second set of tables by mistake.
    again = onhand("init", "--db", filled.admin)
    assert (again.code, "the schema onhand has onhand's tables" in again.err) == (1, True), again.err


def test_what_is_there_stays(filled: Places) -> None:
    """Again, as the administrator; and by the owner, who needs nothing more of one."""
    for url in (filled.admin, filled.owner):
        ran = onhand("init", "--roles", "--db", url)
        assert ran.code == 0, ran.err
        dry = onhand("init", "--roles", "--dry-run", "--db", url)
        assert "nothing: all of it is there" in dry.out
    assert onhand("verify", "--account", "demo", "--db", filled.runtime).code == 0


FORBIDDEN = [
    "ALTER TABLE items ADD COLUMN mine TEXT",
    "DROP TABLE items",
    "TRUNCATE movements",
    "CREATE TABLE mine (id BIGINT)",
    "CREATE TEMPORARY TABLE mine (id BIGINT)",
    "ALTER TABLE items DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE items NO FORCE ROW LEVEL SECURITY",
    "DROP POLICY account ON items",
    "CREATE POLICY mine ON items USING (true)",
    "UPDATE movements SET on_hand = 0",
    "DELETE FROM movements",
    "UPDATE alembic_version SET version_num = '9999'",
    "DELETE FROM levels",
    "DELETE FROM accounts",
    "DELETE FROM items",
    "UPDATE external_ids SET internal = '1'",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION mine() RETURNS bigint LANGUAGE sql AS 'SELECT 1'",
    "SET ROLE onhand_owner",
    "ALTER ROLE onhand_runtime BYPASSRLS",
    "SELECT pg_read_file('/etc/passwd')",
    "COPY items TO PROGRAM 'cat'",
    "SELECT lo_import('/etc/passwd')",
]


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_what_serves_may_not(filled: Places, statement: str) -> None:
    with psycopg.connect(filled.runtime) as connection:
        connection.execute("SET LOCAL onhand.account = '1'")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.encode())


@pytest.mark.parametrize("role", ["runtime", "owner"])
@pytest.mark.parametrize(("account", "items"), [(None, 0), (1, 40), (2, 0), (3, 0)])
def test_one_account_is_seen(filled: Places, role: str, account: int | None, items: int) -> None:
    """Also by the owner: the walls hold for whoever owns them."""
    with psycopg.connect(filled.of(getattr(ROLES, role))) as connection:
        if account is not None:
            connection.execute(f"SET LOCAL onhand.account = '{account}'".encode())
        row = connection.execute("SELECT COUNT(*) FROM items").fetchone()
        assert row is not None
        assert row[0] >= items if items else row[0] == 0
        for table in sorted({*TABLES} - OUTSIDE):
            query = f"SELECT COUNT(*) FROM {table} WHERE account <> {account or 0}"
            assert connection.execute(query.encode()).fetchone() == (0,)


@pytest.mark.parametrize("role", ["runtime", "owner"])
@pytest.mark.parametrize(("account", "changed"), [(None, 0), (1, 1), (2, 1), (3, 0)])
def test_one_account_is_numbered(filled: Places, role: str, account: int | None, changed: int) -> None:
    """All accounts are seen, and the numbers of one are taken by its own transactions only."""
    with psycopg.connect(filled.of(getattr(ROLES, role))) as connection:
        if account is not None:
            connection.execute(f"SET LOCAL onhand.account = '{account}'".encode())
        assert connection.execute("SELECT COUNT(*) FROM accounts").fetchone() == (2,)
        assert connection.execute("UPDATE accounts SET seq = seq").rowcount == changed
        assert (
            connection.execute("UPDATE accounts SET seq = seq WHERE id <> %s", (account or 0,)).rowcount == 0
        )


def test_neither_role_passes_the_walls(filled: Places) -> None:
    rows = filled.server.ask(
        "SELECT rolname FROM pg_roles WHERE rolname LIKE 'onhand%'"
        " AND (rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole OR rolreplication)"
    )
    assert rows == []
    owned = filled.server.ask("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'onhand'", "hub")
    assert owned == [(ROLES.owner,)]


def test_a_table_of_the_same_name_elsewhere_is_not_taken(filled: Places) -> None:
    filled.server.ask("CREATE TABLE public.accounts AS SELECT 1 AS id", "hub")
    try:
        assert [one["name"] for one in onhand("accounts", "list", "--json", "--db", filled.runtime).json] == [
            "demo",
            "second",
        ]
    finally:
        filled.server.ask("DROP TABLE public.accounts", "hub")


def test_a_right_that_is_missing_is_named(filled: Places) -> None:
    filled.server.ask("REVOKE DELETE ON onhand.keys FROM onhand_runtime", "hub")
    try:
        with started("serve", "--port", "0", "--db", filled.runtime) as hub:
            _, err = hub.communicate(timeout=30)
        assert (hub.returncode, "no right to DELETE on keys: run 'onhand init --roles'" in err) == (1, True)
        assert "DELETE on keys" in onhand("doctor", "--db", filled.runtime).out
    finally:
        assert onhand("init", "--roles", "--db", filled.owner).code == 0


def test_who_may_not_migrate_says_so(places: Places) -> None:
    """A run-time role of a newer version meets the tables of an older one; here: none."""
    older = Places(places.server, "older")
    ran = onhand("init", "--db", older.runtime)
    assert (ran.code, "may not change tables" in ran.err) == (1, True), ran.err
    assert "as the role that owns them" in ran.err


def test_what_is_printed_can_be_run_by_hand(server: Postgres, tmp_path: Path) -> None:
    places = Places(server, "byhand")
    printed = onhand("init", "--roles", "--dry-run", "--db", places.admin).out
    told = onhand("init", "--roles", "--dry-run", "--db", places.admin, "--json").json
    assert (list(told), told["done"]) == (["before", "after", "done"], False)
    assert all(f"{statement};" in printed for statement in told["after"])
    before, _, after = printed.partition("-- As onhand_owner")
    psql(places.admin, before)
    assert onhand("init", "--db", places.owner).code == 0
    psql(places.owner, f"-- {after}")
    with demo_server(tmp_path, places.runtime) as (hub, _):
        assert hub.stop() == 0
    assert onhand("verify", "--db", places.runtime).code == 0


def psql(url: str, script: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(script.encode())


def test_tables_that_are_there_change_hands(server: Postgres, tmp_path: Path) -> None:
    """A database that was made without roles gets them, with all that is in it."""
    places = Places(server, "moved")
    with demo_server(tmp_path, places.admin) as (hub, _):
        assert hub.stop() == 0
    assert onhand("init", "--roles", "--db", places.admin).code == 0
    left = server.ask("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", "moved")
    assert left == []
    assert onhand("verify", "--db", places.runtime).code == 0
    store = open_store(places.owner)
    migrate(store)
    store.close()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--owner", "Robert'; DROP TABLE"], "use lower-case letters"),
        (["--owner", "me", "--runtime", "me"], "must be two"),
        (["--schema", "my schema"], "use lower-case letters"),
    ],
)
def test_names_that_cannot_be(server: Postgres, words: list[str], says: str) -> None:
    ran = onhand("init", "--roles", *words, "--db", server.url)
    assert (ran.code, says in ran.err) == (1, True)


@pytest.mark.parametrize("what", ["--roles", "--distribute"])
def test_a_file_has_neither_roles_nor_nodes(sqlite_url: str, what: str) -> None:
    ran = onhand("init", what, "--db", sqlite_url)
    assert (ran.code, "for PostgreSQL" in ran.err) == (1, True)


def test_every_table_has_its_rights(filled: Places) -> None:
    rows = filled.server.ask(
        "SELECT table_name, string_agg(privilege_type, ' ' ORDER BY privilege_type)"
        " FROM information_schema.role_table_grants WHERE grantee = 'onhand_runtime' GROUP BY 1",
        "hub",
    )
    granted = {str(table): str(verbs) for table, verbs in rows}
    assert set(granted) == {*TABLES, VERSION}
    assert granted["movements"] == "INSERT SELECT"
    assert not [table for table, verbs in granted.items() if {"TRUNCATE", "REFERENCES"} & {*verbs.split()}]


WRITES = {
    "INSERT": re.compile(r"\bINSERT INTO (\w+)"),
    "DELETE": re.compile(r"\bDELETE FROM (\w+)"),
    "UPDATE": re.compile(r"\bUPDATE (\w+) (?:\w+ )?SET\b|\bINSERT INTO (\w+) .*\bDO UPDATE\b"),
}
BY_CORE = {("kit_components", "DELETE")}
"""What is deleted by a statement that is no value."""


def test_what_is_granted_is_what_the_statements_need() -> None:
    needed = set(BY_CORE)
    for said in STATEMENTS:
        for verb, words in WRITES.items():
            needed |= {(name, verb) for found in words.finditer(said.text) for name in found.groups() if name}
    granted = {(table, verb) for table in TABLES for verb in rights(table)}
    assert needed - granted == set()
    deleting = {one for one in granted - needed if one[1] == "DELETE"}
    assert deleting == set()
    assert {verb for table, verb in granted if table == "movements"} == {"SELECT", "INSERT"}
