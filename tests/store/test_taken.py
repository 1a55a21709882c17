"""What channels took is written in one statement on SQLite, and comes to what each table's own comes to."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from onhand.store import drives, told
from onhand.store.told import SlotTold, Told
from shops import Shop, opened
from stores import SqliteDatabases

LINK, LISTINGS = 1, range(1, 4)
PLACES = ("", "a")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, sqlite_templates: Path) -> Iterator[Shop]:
    """Of SQLite alone: PostgreSQL has one way."""
    yield from opened(SqliteDatabases(tmp_path_factory.mktemp("taken"), sqlite_templates))


@pytest.mark.parametrize("seed", range(40))
def test_both_ways_write_the_same(shop: Shop, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    dice = random.Random(seed)
    before = [_outbox_row(dice, one) for one in LISTINGS if dice.random() < 0.9]
    found = [_told(dice, one) for one in LISTINGS if dice.random() < 0.9]
    usual = _settled(shop, before, found)
    monkeypatch.setattr(told, "_short", lambda connection, account, said, now: said)
    assert usual == _settled(shop, before, found)


def test_what_was_made_in_a_transaction_that_is_undone_is_made_again(shop: Shop) -> None:
    before = [(1, 3, 7, 0)]
    found = [Told(1, 7, 0, 90, (SlotTold("", 5, 5),), accepted=True)]
    first = _settled(shop, before, found)
    assert first == _settled(shop, before, found)
    assert first[0] == [] and first[1][0][4:8] == (5, 100, 5, 100)


def _outbox_row(dice: random.Random, listing: int) -> tuple[int, int, int, int]:
    """Since, seq and marks may be later than what is told."""
    since = dice.choice([3, 7, 8])
    return (listing, since, max(since, dice.choice([7, 9])), dice.choice([0, 0, 1]))


def _told(dice: random.Random, listing: int) -> Told:
    slots = tuple(_slot(dice, place) for place in PLACES if dice.random() < 0.8)
    due = dice.choice([None, None, None, 500])
    words = None if due is None else "later"
    return Told(listing, 7, 0, 90, slots, due, due is None and dice.random() < 0.8, words=words)


def _slot(dice: random.Random, place: str) -> SlotTold:
    wanted = dice.randrange(4)
    said = dice.choice([wanted, wanted, wanted, None, 9])
    return SlotTold(place, wanted, said, dice.choice([None, None, None, 2]), dice.choice([None, "t"]))


def _settled(
    shop: Shop, before: Sequence[tuple[int, int, int, int]], found: Sequence[Told]
) -> tuple[list[Any], list[Any]]:
    """The outbox and the slots after it; all is taken back."""
    with shop.store.writer.connect() as connection:
        connection.begin()
        _fill(connection, before)
        told.settle(connection, 1, LINK, "me", found, 100)
        tables = [
            [tuple(row) for row in connection.exec_driver_sql(f"SELECT * FROM {table} ORDER BY 1, 2, 3")]
            for table in ("outbox", "slots")
        ]
        connection.rollback()
    return tables[0], tables[1]


def _fill(connection: Connection, before: Sequence[tuple[int, int, int, int]]) -> None:
    drives.take(connection, 1, LINK, "me", 1000, 1)
    connection.exec_driver_sql("DELETE FROM outbox")
    connection.exec_driver_sql("DELETE FROM slots")
    for listing, since, seq, marks in before:
        connection.exec_driver_sql(
            "INSERT INTO outbox (account, listing, connection, since, seq, due, marks, attempts)"
            " VALUES (1, ?, 1, ?, ?, 50, ?, 2)",
            (listing, since, seq, marks),
        )
    for listing in LISTINGS:
        for place in PLACES:
            connection.exec_driver_sql(
                "INSERT INTO slots (account, listing, place, token) VALUES (1, ?, ?, 'old')", (listing, place)
            )
