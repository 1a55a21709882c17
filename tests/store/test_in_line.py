"""Stale listings wait in line: what moves most is told no later than what moved once."""

from __future__ import annotations

import pytest

from onhand.stock.model import Adjust, SetOnHand
from onhand.store import drives, feeding, outgoing, told
from onhand.store.told import SlotTold, Told
from shops import START, Shop
from swift_door import Door

LINK = 1


def line(shop: Shop) -> list[int]:
    """The listings that are due, the first of them first."""
    with shop.reading() as connection:
        return outgoing.due(connection, 1, LINK, shop.now, 10)


def wait(shop: Shop) -> None:
    """Two listings are stale, and then the first of them moves again."""
    shop.say(SetOnHand(1, 1, 5))
    shop.now += 10
    shop.say(SetOnHand(2, 1, 5))
    shop.now += 10
    shop.say(Adjust(1, 1, -1))


def settle(shop: Shop, found: Told) -> None:
    with shop.writing() as connection:
        drives.take(connection, 1, LINK, "me", shop.now + 1000, shop.now)
        told.settle(connection, 1, LINK, "me", [found], shop.now)


def test_who_moves_again_keeps_the_place(shop: Shop) -> None:
    wait(shop)
    assert line(shop) == [1, 2]
    assert shop.stale() == {1: 3, 2: 2}, "and is told of all that has happened"


def test_who_is_marked_again_keeps_the_place(shop: Shop) -> None:
    wait(shop)
    with shop.writing() as connection:
        feeding.mark(connection, 1, [1], shop.now)
    assert line(shop) == [1, 2]


def test_it_is_kept_when_a_small_batch_is_written_at_once(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shop.store.writer.dialect.name != "sqlite":
        pytest.skip("of SQLite alone")
    door = Door(shop, monkeypatch)
    door.batch(shop.work(SetOnHand(1, 1, 5)))
    shop.now += 10
    door.batch(shop.work(SetOnHand(2, 1, 5)))
    shop.now += 10
    door.batch(shop.work(Adjust(1, 1, -1)))
    assert (door.swift, line(shop)) == (3, [1, 2])
    door.close()
    with shop.writing() as connection:
        connection.exec_driver_sql(f"UPDATE outbox SET due = {shop.now + 900}")
    assert line(shop) == []
    door.batch(shop.work(Adjust(1, 1, -1)))
    assert line(shop) == [1], "what was put off is due once it moves"
    door.close()


TAKEN = SlotTold("", 5, 5)


@pytest.mark.parametrize(
    "verdict",
    [
        Told(1, 1, 0, START + 15, (TAKEN,), accepted=True),
        Told(1, 1, 0, START + 15, (TAKEN, SlotTold("a", 3, 2)), accepted=True),
        Told(1, 1, 0, START + 15, (), parked="no"),
        Told(1, 1, 0, START + 15, (), due=START + 900, words="later"),
    ],
    ids=["taken", "taken as another number", "parked", "put off"],
)
def test_who_moved_while_it_was_told_goes_behind(shop: Shop, verdict: Told) -> None:
    wait(shop)
    settle(shop, verdict)
    assert line(shop) == [2, 1]


def test_what_did_not_move_and_is_put_off_waits(shop: Shop) -> None:
    wait(shop)
    settle(shop, Told(1, 3, 1, shop.now, (), due=START + 900, words="later"))
    assert line(shop) == [2]
    assert shop.sql("SELECT due, attempts FROM outbox WHERE listing = 1") == [(START + 900, 1)]
