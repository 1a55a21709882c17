"""What the usual batch asks of PostgreSQL: the levels and then the account's row, locked in one statement."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, exc

from onhand import faults
from onhand.stock.model import Adjust, Line, Place, Reserve, SetOnHand
from onhand.store import books
from onhand.store.engine import by_index, set_account
from shops import DAMAGED, KIT, MIRROR, PATIENCE_SECONDS, Shop, opened, second
from stores import PostgresDatabases

USUAL = [(1, 1), (2, 1), (9, DAMAGED)]
OURS = "SELECT seq FROM accounts WHERE id = 1 FOR NO KEY UPDATE SKIP LOCKED"
REFERRED = "SELECT seq FROM accounts WHERE id = 1 FOR KEY SHARE SKIP LOCKED"
LEVEL = "SELECT 1 FROM levels WHERE item = 1 AND location = 1 FOR UPDATE SKIP LOCKED"


@pytest.fixture
def shop(postgres: PostgresDatabases) -> Iterator[Shop]:
    for shop in opened(postgres):
        shop.commit(shop.work(*(SetOnHand(*place, 7) for place in USUAL)))
        shop.commit(shop.work(SetOnHand(3, 1, 7), Reserve("R", (Line(3, 1, (1,)),), shop.now + 10)))
        yield shop


def lock(
    connection: Connection, shop: Shop, *places: Place
) -> tuple[dict[books.Spot, books.Spotted], int] | None:
    set_account(connection, 1)
    by_index(connection)
    found = books.lock_usual(connection, [(1, *place) for place in places], shop.now)
    return None if found is None else (found[0], found[1][0])


def free(shop: Shop, query: str) -> bool:
    """Whether another transaction gets what ``query`` locks, and need not wait for it."""
    with shop.writing() as connection:
        return bool(connection.exec_driver_sql(query).all())


def test_it_comes_to_what_each_look_comes_to(shop: Shop) -> None:
    with shop.writing() as connection:
        found = lock(connection, shop, *USUAL)
        assert found == (
            books.lock_levels(connection, [(1, *place) for place in USUAL]),
            books.last(connection, 1)[0],
        )


def test_the_account_is_locked_for_those_who_take_numbers(shop: Shop) -> None:
    with shop.writing() as connection:
        assert lock(connection, shop, *USUAL) is not None
        assert not free(shop, OURS)
        assert not free(shop, LEVEL)
        assert free(shop, REFERRED), "who only refers to the account need not wait"


@pytest.mark.parametrize(
    "odd", [(4, 1), (KIT, 1), (1, MIRROR), (999, 1), (1, 999), (3, 1)],
    ids=["new", "a kit", "mirrored", "unknown", "nowhere", "due"],
)  # fmt: skip
def test_the_account_is_free_where_more_is_to_be_locked(shop: Shop, odd: Place) -> None:
    shop.now += 60
    with shop.writing() as connection:
        assert lock(connection, shop, *USUAL, odd) is None
        assert free(shop, OURS)
        assert not free(shop, LEVEL)


def test_who_waited_sees_what_was_done_meanwhile(shop: Shop) -> None:
    other = second(shop)
    begun, found = threading.Event(), list[object]()

    def sell() -> None:
        begun.set()
        found.extend(other.commit(other.work(Adjust(1, 1, -1))))

    thread = threading.Thread(target=sell)
    with shop.writing() as connection:
        before = lock(connection, shop, (2, 1))  # another level, so that the account is waited for
        assert before is not None
        thread.start()
        assert begun.wait(PATIENCE_SECONDS)
        waited(shop)
        shop.decide(connection, shop.work(Adjust(2, 1, -3)))
    thread.join(PATIENCE_SECONDS)
    assert [getattr(one, "seq", None) for one in found] == [before[1] + 2]
    other.close()
    shop.check()


def waited(shop: Shop) -> None:
    """Until somebody waits for a lock."""
    query = "SELECT 1 FROM pg_locks WHERE NOT granted"
    for _ in range(int(PATIENCE_SECONDS / 0.01)):
        if shop.sql(query):
            return
        threading.Event().wait(0.01)
    raise AssertionError("nobody waits")


def test_two_who_sell_in_both_orders_do_not_lock_each_other_out(shop: Shop) -> None:
    """One has a level that is new, and locks it after those that were there."""
    other = second(shop)
    failed: list[str] = []

    def play(mine: Shop, places: list[Place]) -> None:
        for number in range(20):
            try:
                mine.commit(mine.work(*(Adjust(*place, 1) for place in (*places, (4 + number % 4, 2)))))
            except exc.DBAPIError as error:
                failed.append(faults.state(error))

    threads = [
        threading.Thread(target=play, args=(shop, USUAL)),
        threading.Thread(target=play, args=(other, USUAL[::-1])),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert failed == []
    other.close()
    shop.check()
