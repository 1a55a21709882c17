"""Prepared statements of PostgreSQL: where they are, and what happens when they are not what they were."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from onhand.inventory import clock
from onhand.stock.model import Adjust, SetOnHand
from onhand.store import pipeline
from onhand.store.engine import WRITERS, open_store, set_account
from onhand.store.sql import Insert, Statement
from shops import Shop, opened, running
from stores import PostgresDatabases

_put = Insert("counters", "account int, name text, value int", prepared=True)
_sum = Statement("SELECT SUM(value) FROM counters WHERE name = :name", prepared=True)
_value = Statement("SELECT value FROM counters WHERE account = :account AND name = 'a'", prepared=True)


@pytest.fixture(scope="module")
def kept(postgres: PostgresDatabases) -> Iterator[Shop]:
    """A shop on PostgreSQL that these tests share."""
    yield from opened(postgres)


@pytest.fixture(autouse=True)
def empty(shop: Shop) -> None:
    shop.store.close()
    shop.store = open_store(shop.store.url)
    with shop.writing() as connection:
        connection.exec_driver_sql("DELETE FROM counters")


def names(connection: Connection) -> set[str]:
    """What is prepared in the session of a connection."""
    found = connection.exec_driver_sql("SELECT name FROM pg_prepared_statements").scalars()
    return set(found)


def known(connection: Connection) -> set[str]:
    return {name.decode() for name in pipeline.of(connection).prepared}


def sums(connection: Connection) -> int:
    """What `_sum` finds, prepared where it may be."""
    set_account(connection, 1)
    return int(_sum.run(connection, name="a")[0][0] or 0)


def prepared(connection: Connection) -> None:
    """Ask until everything that may be is prepared."""
    for _ in range(3):
        with connection.begin():
            sums(connection)


def test_a_statement_is_prepared_once(shop: Shop) -> None:
    with shop.store.writer.connect() as connection:
        found = []
        for number in range(4):
            with connection.begin():
                set_account(connection, 1)
                _put.later(connection, [(1, "a" * (number + 1), 3)])
                _sum.run(connection, name="a")
            with connection.begin():
                found.append(names(connection))
                assert found[-1] == known(connection)
    # With the first transaction it is asked whose session it is.
    assert [len(one) for one in found] == [0, 2, 2, 2]
    assert found[1] == found[3]


def test_not_where_it_is_switched_off(shop: Shop) -> None:
    store = open_store(shop.store.url, prepares=False)
    with store.writer.connect() as connection:
        for _ in range(3):
            with connection.begin():
                assert sums(connection) == 0
                assert names(connection) == set()
    store.close()


def test_not_in_a_session_of_another_number(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psycopg.ConnectionInfo, "backend_pid", 7)
    with shop.store.writer.connect() as connection:
        for _ in range(3):
            with connection.begin():
                assert sums(connection) == 0
                assert names(connection) == set()


def test_what_was_not_done_is_not_taken_for_prepared(shop: Shop) -> None:
    with shop.store.writer.connect() as connection:
        with connection.begin():
            sums(connection)
        with pytest.raises(IntegrityError), connection.begin():
            set_account(connection, 1)
            for _ in range(2):
                _put.later(connection, [(1, "a", 3)])
            _value.later(connection, account=1)
            sums(connection)
        with connection.begin():
            assert known(connection) == names(connection)
            set_account(connection, 1)
            assert _value.run(connection, account=1) == []


def test_a_text_that_cannot_be_sent(shop: Shop) -> None:
    with pytest.raises(DataError, match="NUL"), shop.writing() as connection:
        _put.later(connection, [(1, "a\0", 3)])
        sums(connection)
    with shop.writing() as connection:
        assert sums(connection) == 0


def test_what_was_forgotten_behind_our_back(shop: Shop) -> None:
    """As somebody between us and the server would do it: it is done all the same, and prepared no more."""
    with shop.store.writer.connect() as connection:
        prepared(connection)
        with connection.begin():
            connection.exec_driver_sql("DEALLOCATE ALL")
        with pytest.raises(DBAPIError) as failed, connection.begin():
            sums(connection)
        assert failed.value.connection_invalidated
    with shop.store.writer.connect() as connection:
        for _ in range(3):
            with connection.begin():
                sums(connection)
                assert names(connection) == set()


def forget(shop: Shop) -> None:
    """Have every session of the store's that is kept forget what is prepared."""
    connections = [shop.store.writer.connect() for _ in range(4)]
    for connection in connections:
        with connection.begin():
            connection.exec_driver_sql("DEALLOCATE ALL")
    for connection in connections:
        connection.close()


def retype(shop: Shop, kind: str) -> None:
    """Change the type of a column that every commit reads, as a migration may."""
    with shop.writing() as connection:
        connection.exec_driver_sql(f"ALTER TABLE levels ALTER COLUMN version TYPE {kind}")


def test_commits_go_on_when_statements_are_gone_or_outdated(shop: Shop) -> None:
    async def main() -> list[int]:
        found = []
        async with running(shop, clock) as inventory:

            async def sell(times: int) -> None:
                for _ in range(times):
                    found.append((await inventory.record(shop.work(Adjust(1, 1, -1)))).seq)

            first = await inventory.record(shop.work(SetOnHand(1, 1, 50)))
            await sell(8)
            retype(shop, "integer")
            await sell(8)
            retype(shop, "bigint")
            await sell(4)
            forget(shop)
            await sell(4)
        return [one - first.seq for one in found]

    assert asyncio.run(main()) == list(range(1, 25))
    shop.check()


def test_a_connection_that_is_made_anew_has_nothing(shop: Shop) -> None:
    with shop.store.writer.connect() as connection:
        prepared(connection)
        with connection.begin():
            number = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        with shop.writing() as other:
            other.exec_driver_sql(f"SELECT pg_terminate_backend({number})")
        with pytest.raises(DBAPIError) as failed, connection.begin():
            sums(connection)
        assert failed.value.connection_invalidated
    with shop.store.writer.connect() as connection:
        for _ in range(3):
            with connection.begin():
                assert sums(connection) == 0
            with connection.begin():
                assert names(connection) == known(connection)


def test_a_failure_is_that_of_its_statement(shop: Shop) -> None:
    """COMMIT is sent with what waits: what is refused before it is no COMMIT that nobody answered."""
    connection = shop.store.writer.connect()
    connection.begin()
    set_account(connection, 1)
    _put.later(connection, [(1, "a", 3)])
    _put.later(connection, [(1, "a", 3)])
    with pytest.raises(IntegrityError) as failed:
        connection.commit()
    assert failed.value.statement is not None
    assert failed.value.statement.startswith("INSERT INTO counters")
    connection.rollback()
    connection.begin()
    assert sums(connection) == 0
    _put.later(connection, [(1, "a", 3)])
    connection.commit()
    server: Any = connection.connection.driver_connection
    assert server.info.transaction_status == TransactionStatus.IDLE
    connection.close()
    with shop.reading() as reading:
        assert sums(reading) == 3


def test_the_usual_commit_is_planned_once(shop: Shop) -> None:
    """Also by one who sells one at a time, of which a plan of its own would be a little better each time."""

    async def main() -> None:
        async with running(shop, clock) as inventory:
            await inventory.record(shop.work(SetOnHand(1, 1, 50)))
            for _ in range(8 * WRITERS):
                await inventory.record(shop.work(Adjust(1, 1, -1)))
            query = "SELECT statement, generic_plans, custom_plans FROM pg_prepared_statements"
            with shop.store.writer.connect() as connection, connection.begin():
                found = connection.exec_driver_sql(query).all()
        often = {text: special for text, general, special in found if general + special > WRITERS}
        (turn,) = [text for text in often if "advisory" in text]
        assert any("INTO movements" in text for text in often)
        del often[turn]  # it is asked for before that is said, and PostgreSQL has nothing to plan there
        assert max(often.values()) <= 1, often  # a level that is new is not of the usual kind

    asyncio.run(main())


def test_what_cannot_be_said_with_commit_leaves_nothing_open(shop: Shop) -> None:
    """The connection is given back as it would be found: what was done before is not done with the next."""
    with pytest.raises(UnicodeEncodeError), shop.writing() as connection:
        _put.run(connection, [(1, "a", 3)])
        _put.later(connection, [(1, "\ud800", 3)])
    connection = shop.store.writer.connect()
    connection.begin()
    set_account(connection, 1)
    _put.run(connection, [(1, "a", 3)])
    _put.later(connection, [(1, "\ud800", 3)])
    with pytest.raises(UnicodeEncodeError):
        connection.commit()
    connection.close()
    with shop.writing() as connection:
        assert sums(connection) == 0
        server: Any = connection.connection.driver_connection
        assert server.info.transaction_status == TransactionStatus.INTRANS
    with shop.reading() as connection:
        assert sums(connection) == 0
