"""What nobody waits for is sent with the next statement: in order, in its own transaction, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from onhand.store.engine import set_account
from onhand.store.sql import Insert, Statement
from shops import Shop, opened
from stores import PostgresDatabases

_put = Insert("counters", "account int, name text, value int")
_raise = Statement(
    "UPDATE counters c SET value = c.value + r.value FROM {rows} WHERE c.account = r.account",
    rows="account int, value int",
)


@pytest.fixture(scope="module")
def kept(postgres: PostgresDatabases) -> Iterator[Shop]:
    """A shop on PostgreSQL that these tests share."""
    yield from opened(postgres)


@pytest.fixture(autouse=True)
def empty(shop: Shop) -> None:
    with shop.writing() as connection:
        connection.exec_driver_sql("DELETE FROM counters")


def values(shop: Shop) -> list[tuple[str, int]]:
    found = shop.sql("SELECT name, value FROM counters WHERE account = 1 ORDER BY name")
    return [(str(name), int(value)) for name, value in found]


def sent(connection: Connection) -> int:
    """What the account of this transaction has under the name."""
    query = "SELECT COALESCE(SUM(value), 0) FROM counters WHERE name = 'a'"
    return int(connection.exec_driver_sql(query).scalar_one())


def test_the_next_statement_sees_it(shop: Shop) -> None:
    with shop.writing() as connection:
        _put.later(connection, [(1, "a", 3)])
        _raise.later(connection, [(1, 4)])
        assert sent(connection) == 7
    assert values(shop) == [("a", 7)]


def test_the_commit_takes_the_rest_along(shop: Shop) -> None:
    with shop.writing() as connection:
        _put.later(connection, [(1, "a", 3)])
        _put.later(connection, [(1, "b", 4)])
    assert values(shop) == [("a", 3), ("b", 4)]


def test_a_transaction_begins_with_its_first_statement(shop: Shop) -> None:
    for engine in (shop.store.writer, shop.store.reader):
        with engine.connect() as connection, connection.begin():
            server: Any = connection.connection.driver_connection
            set_account(connection, 1)
            begun = [server.info.transaction_status]
            sent(connection)
            begun.append(server.info.transaction_status)
        assert begun == [TransactionStatus.IDLE, TransactionStatus.INTRANS]


def test_a_rollback_takes_it_away(shop: Shop) -> None:
    connection = shop.store.writer.connect()
    for _ in range(2):
        connection.begin()
        set_account(connection, 1)
        _put.later(connection, [(1, "a", 3)])
        connection.rollback()
    connection.begin()
    set_account(connection, 1)
    assert sent(connection) == 0
    connection.close()
    assert values(shop) == []


@pytest.mark.parametrize("ends", ["statement", "commit"])
def test_what_fails_fails_the_transaction(shop: Shop, ends: str) -> None:
    with pytest.raises(IntegrityError) as failed, shop.writing() as connection:
        _put.later(connection, [(1, "a", 3)])
        _put.later(connection, [(1, "a", 4)])
        _put.later(connection, [(1, "b", 5)])
        if ends == "statement":
            sent(connection)
    assert getattr(failed.value.orig, "sqlstate", "") == "23505"
    assert values(shop) == []


def test_an_account_is_of_its_transaction_alone(shop: Shop) -> None:
    with shop.writing() as connection:
        _put.later(connection, [(1, "a", 3)])
    for engine in (shop.store.writer, shop.store.reader):
        with engine.connect() as connection:
            with connection.begin():
                set_account(connection, 1)  # nothing follows
            with connection.begin():
                assert sent(connection) == 0
            with connection.begin():
                set_account(connection, 2)
                assert sent(connection) == 0
                set_account(connection, 1)
                assert sent(connection) == 3


def test_reads_are_read_only_and_of_one_moment(shop: Shop) -> None:
    with shop.reading() as connection:
        assert sent(connection) == 0
        with shop.writing() as writing:
            _put.later(writing, [(1, "a", 3)])
        assert sent(connection) == 0
        modes = [
            connection.exec_driver_sql(f"SHOW transaction_{what}").scalar()
            for what in ("isolation", "read_only")
        ]
    assert modes == ["repeatable read", "on"]
