"""The test databases themselves: fresh, apart from one another, and as strict as an installation's."""

import psycopg
import pytest
from sqlalchemy import text

from onhand.store.engine import head, open_store, revision
from stores import Databases, PostgresDatabases


def test_an_empty_database_has_no_tables(db_url: str) -> None:
    store = open_store(db_url)
    assert revision(store) is None
    store.close()


@pytest.mark.parametrize("turn", [1, 2])
def test_a_migrated_database_is_nobody_elses(migrated_url: str, turn: int) -> None:
    store = open_store(migrated_url)
    assert revision(store) == head()
    with store.writer.begin() as connection:
        connection.execute(text("CREATE TABLE mine (turn INTEGER)"))
    store.close()


def test_copies_differ(databases: Databases) -> None:
    one, two = databases.empty(), databases.empty()
    assert one != two
    databases.drop(one)
    databases.drop(two)


def test_row_level_security_holds_for_the_tests_role(postgres: PostgresDatabases) -> None:
    url = postgres.empty()
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")
        assert row.fetchone() == (False, False)
    postgres.drop(url)
