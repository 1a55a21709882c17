"""What is decided from memory is not written where the file is another one by then, and never twice."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from typing import Any, NoReturn, cast

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from onhand import faults
from onhand.stock.ledger import Refused
from onhand.stock.model import Adjust, SetOnHand
from onhand.store import onestep, shelf
from onhand.ticket import Ticket
from onhand.work import PutDetail, PutPrice
from shops import Shop
from swift_door import HERE, Door

pytestmark = pytest.mark.parametrize("kinds", ["sqlite"], indirect=True, scope="module")


def moved_elsewhere(shop: Shop, seq: int, units: int) -> None:
    """What another process that wrote would leave: item 1, of which there were six, has so many more."""
    with contextlib.closing(sqlite3.connect(shop.store.path)) as other, other:
        other.execute(
            "UPDATE levels SET on_hand = 6 + ?, version = 3 WHERE item = 1 AND location = 1", (units,)
        )
        other.execute("UPDATE accounts SET seq = ? WHERE id = 1", (seq,))
        other.execute(
            "INSERT INTO movements SELECT account, ?, item, location, 3, kind, ?, 0, 6 + ?, 0, infinite,"
            " present, reason, reference, caller, context, recorded_at, effective_at"
            " FROM movements WHERE seq = 2",
            (seq, units, units),
        )


def test_a_ledger_that_is_not_where_it_was(shop: Shop, door: Door) -> None:
    """Somebody else wrote between deciding and writing: nothing of it is written, all is decided anew."""
    door.fill(SetOnHand(1, 1, 5))
    door.say(Adjust(1, 1, 1))
    ticket = Ticket(1, shop.work(Adjust(1, 1, -2)), cast(Any, None), cast(Any, None))
    transactions = door._transactions
    unwritten = transactions.open([ticket])
    assert unwritten is not None
    moved_elsewhere(shop, 3, -3)
    assert not transactions.run([ticket], set(), unwritten)
    assert ticket.result.levels[HERE].on_hand == 1
    assert ticket.result.seq == 4
    door.close()
    shop.check()


def test_a_level_that_is_not_where_it_was(shop: Shop, door: Door) -> None:
    """The account's number was looked up anew since: it tells nobody that the level is an old one."""
    door.fill(SetOnHand(1, 1, 5))
    door.say(Adjust(1, 1, 1))
    moved_elsewhere(shop, 3, -3)
    door.fill(SetOnHand(2, 1, 5))  # not the swift way: the level is new
    made = door.say(Adjust(1, 1, -1))
    assert door.swift == 1
    assert (made.seq, made.levels[HERE].on_hand) == (5, 2)
    door.close()
    shop.check()


def test_nothing_is_remembered_of_what_failed(shop: Shop, door: Door) -> None:
    """Of no level: what was written elsewhere may have been any."""
    for item in (1, 2):
        door.fill(SetOnHand(item, 1, 5))
    door.say(Adjust(2, 1, 1))
    door.say(Adjust(1, 1, 1))
    moved_elsewhere(shop, 5, 3)
    door.say(Adjust(2, 1, 1))
    assert door.swift == 2
    assert door.say(Adjust(1, 1, -9)).levels[HERE].on_hand == 0


def test_a_write_that_fails_leaves_nothing(shop: Shop, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    door.fill(SetOnHand(1, 1, 5))
    door.say(Adjust(1, 1, 1))
    spoilt = onestep.deed

    def deed(advances: Any, movements: Any, *rest: Any) -> onestep.Deed | None:
        return spoilt(advances, [*movements, *movements], *rest)  # a number twice

    monkeypatch.setattr(onestep, "deed", deed)
    made = door.say(Adjust(1, 1, -2))
    assert door.swift == 1
    assert (made.seq, made.levels[HERE].on_hand) == (3, 4)
    monkeypatch.setattr(onestep, "deed", spoilt)
    assert door.say(Adjust(1, 1, -2)).levels[HERE].on_hand == 2
    assert door.swift == 2
    door.close()
    shop.check()


def test_what_goes_along_is_not_written_without_its_commands(shop: Shop, door: Door) -> None:
    """Nor twice: what is decided anew says nothing of it where it is refused now."""
    door.fill(SetOnHand(1, 1, 5))
    door.say(Adjust(1, 1, 1))
    also = (PutPrice(1, 1, "1.00"), PutDetail("bench", "place", 1, 1, "{}"))
    ticket = Ticket(1, shop.work(Adjust(1, 1, -4), also=also), cast(Any, None), cast(Any, None))
    transactions = door._transactions
    unwritten = transactions.open([ticket])
    assert unwritten is not None and unwritten.unwritten is not None
    moved_elsewhere(shop, 3, -3)
    assert not transactions.run([ticket], set(), unwritten)
    assert isinstance(ticket.result.outcomes[0], Refused)
    assert shop.sql("SELECT * FROM prices") == shop.sql("SELECT * FROM details") == []
    door.close()
    shop.check()


def test_what_is_forgotten_meanwhile_is_written_once(shop: Shop, door: Door) -> None:
    """After the commit nothing may fail any more: the batch would be done again."""
    door.fill(SetOnHand(1, 1, 5))
    ticket = Ticket(1, shop.work(Adjust(1, 1, -2)), cast(Any, None), cast(Any, None))
    transactions = door._transactions
    unwritten = transactions.open([ticket])
    shelf.of(transactions._keep()).forget()
    assert not transactions.run([ticket], set(), unwritten)
    assert (ticket.error, ticket.result.levels[HERE].on_hand) == (None, 3)
    assert door.say(Adjust(1, 1, -2)).levels[HERE].on_hand == 1
    door.close()
    shop.check()


def test_who_has_the_connection_next_may_write_by_other_ways(shop: Shop, door: Door) -> None:
    door.fill(SetOnHand(1, 1, 5))
    door.say(Adjust(1, 1, 1))
    door.close()
    with shop.writing() as connection:
        connection.exec_driver_sql("UPDATE items SET kit = 1 WHERE id = 1")
    try:
        assert isinstance(door.say(Adjust(1, 1, -2)).outcomes[0], Refused)
    finally:
        door.close()
        with shop.writing() as connection:
            connection.exec_driver_sql("UPDATE items SET kit = 0 WHERE id = 1")


def test_a_new_connection_is_prepared_anew(shop: Shop, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever of it went wrong before."""
    door.fill(SetOnHand(1, 1, 5))
    door.say(Adjust(1, 1, 1))
    door.close()
    shop.store.writer.dispose()
    *most, last = whole = onestep._PREPARE
    monkeypatch.setattr(onestep, "_PREPARE", (*most, last[:-9]))
    door.say(Adjust(1, 1, 1))
    assert door.swift == 1
    monkeypatch.setattr(onestep, "_PREPARE", whole)
    assert door.say(Adjust(1, 1, 1)).levels[HERE].on_hand == 8
    assert door.swift == 2


def test_a_disk_that_fails_stops_the_process(shop: Shop, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have kept what it was given: nothing is tried again."""

    class Stopped(BaseException):
        pass

    def stop(words: str) -> NoReturn:
        raise Stopped(words)

    def do(connection: Connection, what: onestep.Deed) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        raise DBAPIError.instance("", (), error, sqlite3.Error)

    door.fill(SetOnHand(1, 1, 5))
    monkeypatch.setattr(faults, "stop_now", stop)
    monkeypatch.setattr(onestep, "do", do)
    with pytest.raises(Stopped, match="disk I/O error"):
        door.say(Adjust(1, 1, -2))
    door.close()
    assert shop.kinds() == ["counted"]


def test_while_another_process_writes(shop: Shop, door: Door) -> None:
    door.fill(SetOnHand(1, 1, 5))
    ticket = Ticket(1, shop.work(Adjust(1, 1, -2)), cast(Any, None), cast(Any, None))
    transactions = door._transactions
    unwritten = transactions.open([ticket])
    other = sqlite3.connect(shop.store.path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.3, other.execute, ["ROLLBACK"])
    release.start()
    transactions.run([ticket], set(), unwritten)
    release.join()
    assert ticket.result.levels[HERE].on_hand == 3
    other.close()
