"""Distribution by account: every statement stays with one account's rows, and so on one node.

PostgreSQL's own planner is the judge: the tables are cut into parts by account, as Citus does with nodes, and
each statement that the hub has is planned. A unique constraint without the account cannot even be made there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from sqlalchemy import PrimaryKeyConstraint, Table, UniqueConstraint

from commands import onhand
from onhand.store import accounts, distribution
from onhand.store.catalog import Taken
from onhand.store.engine import migrate, open_store
from onhand.store.outward import orders
from statements import STATEMENTS, Said
from stores import PostgresDatabases

TABLES = {table.name: table for table in orders.metadata.sorted_tables}
SPREAD = {name: table for name, table in TABLES.items() if name in distribution.SPREAD} | {
    distribution.ROOT: TABLES[distribution.ROOT]
}
PARTS = 4
ACCOUNT = 7

ON_SQLITE_ONLY = {
    "store.oversold._accounts": "which accounts have somebody watch over what was oversold",
    "store.drives._release_all": "after a kill, by the one process that may hold the file",
    "store.drives._due_here": "what any account's channels need",
    "store.wakeups._due_everywhere": "who has holds to expire; PostgreSQL has the wake-ups for that",
    "store.requests._accounts_due": "who has plans that are due; the same",
    "store.requests._accounts_waiting": "who has messages waiting; the same",
}
"""Statements over all accounts, which a hub on PostgreSQL does not ask."""


TOUCHES = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE)\s+(\w+)")


def spread(said: Said) -> set[str]:
    """The distributed tables that a statement touches."""
    return {name for name in TOUCHES.findall(said.text) if name in SPREAD}


# --- what lies where ----------------------------------------------------------------------------------


def uniques(table: Table) -> list[list[str]]:
    """The columns of each thing that is unique in a table."""
    kinds = (PrimaryKeyConstraint, UniqueConstraint)
    found = [[column.name for column in one.columns] for one in table.constraints if isinstance(one, kinds)]
    return found + [[column.name for column in index.columns] for index in table.indexes if index.unique]


@pytest.mark.parametrize("name", TABLES)
def test_what_is_unique_is_so_in_its_account(name: str) -> None:
    if name in (*distribution.SHARED, *distribution.LOCAL):
        return
    key = "id" if name == distribution.ROOT else "account"
    without = [columns for columns in uniques(TABLES[name]) if key not in columns]
    # A name is given once under a lock (`accounts.add`); its constraint goes when accounts are spread.
    assert without == ([["name"]] if name == distribution.ROOT else [])


def test_every_table_has_its_place() -> None:
    places = [distribution.ROOT, *distribution.SHARED, *distribution.LOCAL, *distribution.SPREAD]
    assert sorted(places) == sorted(TABLES)
    for at, name in enumerate(distribution.SPREAD):
        earlier = {distribution.ROOT, name, *distribution.SPREAD[:at]}
        for key in TABLES[name].foreign_keys:
            assert key.column.table.name in earlier, f"{name} refers to {key.column.table.name}"
    for table in SPREAD.values():
        for constraint in table.foreign_key_constraints:
            assert "account" in constraint.column_keys, table.name


# --- every statement stays with one account -----------------------------------------------------------


@pytest.fixture(scope="module")
def parted(postgres: PostgresDatabases) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """A database whose tables are cut into parts by account; parts of one number lie together."""
    url = postgres.empty()
    store = open_store(url)
    migrate(store)
    store.close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA parted")
        for name, table in SPREAD.items():
            for statement in cut(name, table):
                connection.execute(statement.encode())
        connection.execute("SET search_path = parted, public")
        yield connection
    postgres.drop(url)


def cut(name: str, table: Table) -> Iterator[str]:
    key = "id" if name == distribution.ROOT else "account"
    yield f"CREATE TABLE parted.{name} (LIKE public.{name} INCLUDING DEFAULTS) PARTITION BY HASH ({key})"
    for number in range(PARTS):
        yield (
            f"CREATE TABLE parted.{name}__{number} PARTITION OF parted.{name}"
            f" FOR VALUES WITH (MODULUS {PARTS}, REMAINDER {number})"
        )
    for columns in uniques(table):
        if key in columns:
            yield f"CREATE UNIQUE INDEX ON parted.{name} ({', '.join(columns)})"


MARK = re.compile(r"%s(::\w+(?:\[\])?)?")


def filled(said: Said) -> str:
    """A statement with values: one account, and a row of it where there are rows."""
    names = iter(said.names)

    def value(mark: re.Match[str]) -> str:
        name, kind = next(names), mark[1] or ""
        word = str(ACCOUNT) if name in ("account", "rows") else "1"
        return f"'{{{word}}}'{kind}" if kind.endswith("[]") else f"'{word}'{kind}"

    return MARK.sub(value, said.text)


def parts(plan: Any) -> Iterator[str]:
    """The numbers of the parts that a plan looks into."""
    if isinstance(plan, dict):
        _, _, part = str(plan.get("Relation Name", "")).partition("__")
        if part:
            yield part
        plan = list(plan.values())
    if isinstance(plan, list):
        for inner in plan:
            yield from parts(inner)


def outer(plan: Any) -> Any:
    """A plan without the queries inside it that name the account through the row outside."""
    if isinstance(plan, dict):
        return {name: outer(value) for name, value in plan.items()}
    if isinstance(plan, list):
        return [
            outer(one)
            for one in plan
            if not (isinstance(one, dict) and one.get("Parent Relationship") in ("SubPlan", "InitPlan"))
        ]
    return plan


@pytest.mark.parametrize("said", STATEMENTS, ids=[said.name for said in STATEMENTS])
def test_a_statement_stays_on_one_node(parted: psycopg.Connection[tuple[Any, ...]], said: Said) -> None:
    """An inner query may name the account through the outer row: then parts are found only when it runs."""
    if said.name in ON_SQLITE_ONLY or not spread(said):
        return
    row = parted.execute(f"EXPLAIN (FORMAT JSON) {filled(said)}".encode()).fetchone()
    assert row is not None
    whole, without = set(parts(row[0])), set(parts(outer(row[0])))
    assert len(without) <= 1, f"parts {without}: {said.text}"
    if len(whole) > 1:
        assert INNER.search(said.text), f"parts {whole}: {said.text}"


INNER = re.compile(r"\(SELECT .*?\baccount = \w\.(account|id)\b")


def test_what_touches_all_accounts_is_known() -> None:
    """It is for SQLite, where one process holds the file; it is still there, and says nothing of accounts."""
    known = {said.name: said for said in STATEMENTS}
    for name in ON_SQLITE_ONLY:
        assert ":account" not in known[name].text
        assert "account" not in known[name].names


# --- the command --------------------------------------------------------------------------------------


def test_it_says_what_it_would_do(postgres_url: str) -> None:
    dry = onhand("init", "--distribute", "--dry-run", "--db", postgres_url)
    assert dry.code == 0, dry.err
    lines = dry.out.splitlines()
    assert lines[2:5] == [
        "SELECT create_distributed_table('accounts', 'id');",
        "SELECT create_reference_table('keys');",
        "SELECT create_distributed_table('counters', 'account', colocate_with => 'accounts');",
    ]
    assert len(lines) == 4 + len(distribution.SPREAD)
    ran = onhand("init", "--distribute", "--db", postgres_url)
    assert (ran.code, ran.out) == (1, dry.out)
    assert "the citus extension is not in this database" in ran.err


def test_its_words_are_sql_that_is_meant(postgres_url: str) -> None:
    """Stand-ins for the two functions, with Citus's names of parameters, write down how they are called."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(STANDINS.encode())
        for statement in distribution.statements("postgres")[1:]:
            connection.execute(statement.encode())
        called = connection.execute("SELECT name, key, beside FROM called ORDER BY at").fetchall()
        names = connection.execute(
            "SELECT conname FROM pg_constraint WHERE conrelid = 'accounts'::regclass AND contype = 'u'"
        ).fetchall()
    assert called == [
        ("accounts", "id", "default"),
        ("keys", None, None),
        *((name, "account", "accounts") for name in distribution.SPREAD),
    ]
    assert names == []


STANDINS = """
CREATE TABLE called (at SERIAL, name TEXT, key TEXT, beside TEXT);
CREATE FUNCTION create_distributed_table(table_name regclass, distribution_column text,
    distribution_type text DEFAULT 'hash', colocate_with text DEFAULT 'default', shard_count int DEFAULT NULL)
RETURNS void LANGUAGE sql AS
$$ INSERT INTO called (name, key, beside) SELECT table_name::text, distribution_column, colocate_with $$;
CREATE FUNCTION create_reference_table(table_name regclass) RETURNS void LANGUAGE sql AS
$$ INSERT INTO called (name) SELECT table_name::text $$;
"""


def test_a_name_is_given_once_without_its_constraint(postgres_url: str) -> None:
    """As it is where accounts are spread: two who add at once wait for one another."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE accounts DROP CONSTRAINT accounts_name_key")
    store = open_store(postgres_url)

    def add(number: int) -> str:
        try:
            with store.writer.begin() as connection:
                return str(accounts.add(connection, "same", number).id)
        except Taken:
            return "taken"

    with ThreadPoolExecutor(4) as pool:
        said = sorted(pool.map(add, range(4)))
    store.close()
    assert said == ["1", "taken", "taken", "taken"]
