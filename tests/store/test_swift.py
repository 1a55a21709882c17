"""A small batch on SQLite is decided from memory and written in one statement: it comes to what every other
way comes to, whatever was written in between."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from sqlalchemy import Connection

from batches import SAME_SHOP, UNKNOWN, batches, left, opened, opening
from onhand import swift
from onhand.stock.ledger import Refused
from onhand.stock.model import Adjust, AnyCommand, Forget, SetAvailable, SetInfinite, SetOnHand
from onhand.store import catalog, feeding, onestep, shelf
from onhand.ticket import Ticket
from onhand.transact import Transactions
from onhand.work import Accepted, Group, Recorded, SetStatus, Work
from shops import KIT, MIRROR, Shop, answer, key, running
from shops import opened as shops_opened
from stores import SqliteDatabases
from transcript import hold, want

HERE = (1, 1)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, sqlite_templates: Path) -> Iterator[Shop]:
    yield from shops_opened(SqliteDatabases(tmp_path_factory.mktemp("swift"), sqlite_templates))


class Door:
    """What hands batches to the shop's ledger as the hub does, and counts those that went the swift way."""

    def __init__(self, shop: Shop, patch: pytest.MonkeyPatch) -> None:
        self.shop = shop
        self.swift = 0
        self.ordinary = False
        self._decide = swift.decide
        self._transactions = Transactions(shop.store, lambda: shop.now)
        patch.setattr(swift, "decide", self.decide)

    def decide(self, connection: Connection, works: list[Work], now: int) -> swift.Decided | None:
        decided = None if self.ordinary else self._decide(connection, works, now)
        self.swift += decided is not None
        return decided

    def batch(self, *jobs: Work | Callable[[Connection], Any]) -> list[Any]:
        """What became of each; None for what waits for a later batch."""
        tickets = [Ticket(1, job, cast(Any, None), cast(Any, None)) for job in jobs]
        light = all(isinstance(job, Work) for job in jobs)
        self._transactions.run(tickets, self._transactions.open(tickets) if light else None)
        return [ticket.error or ticket.result for ticket in tickets]

    def say(self, *commands: AnyCommand, **options: Any) -> Recorded:
        """One work."""
        (found,) = self.batch(self.shop.work(*commands, **options))
        assert isinstance(found, Recorded)
        return found

    def close(self) -> None:
        self._transactions.close()


@pytest.fixture
def door(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    found = Door(shop, monkeypatch)
    yield found
    found.close()


@settings(max_examples=40, deadline=None, suppress_health_check=SAME_SHOP)
@given(opening, batches)
def test_both_ways_come_to_the_same(
    shop: Shop, door: Door, first: list[AnyCommand], given_batches: list[list[Work]]
) -> None:
    def played() -> list[object]:
        door.close()
        opened(shop, first)
        found: list[object] = []
        for some in given_batches:
            shop.now += 1
            found.append(door.batch(*some))
        door.close()
        return [*found, *left(shop)]

    door.ordinary = False
    one = played()
    shop.check()
    door.ordinary = True
    assert played() == one


def test_what_goes_the_swift_way(shop: Shop, door: Door) -> None:
    made = door.say(SetOnHand(1, 1, 5))
    assert (made.seq, made.levels[HERE].on_hand, made.levels[HERE].version) == (1, 5, 1)
    made = door.say(Adjust(1, 1, -2))
    assert (made.seq, made.levels[HERE].on_hand, made.levels[HERE].version) == (2, 3, 2)
    refused = door.say(Adjust(1, 1, -9))
    assert isinstance(refused.outcomes[0], Refused)
    assert refused.seq == 2
    several = (shop.work(Adjust(1, 1, 1)), shop.work(Adjust(1, 1, 1)), shop.work(SetAvailable(1, 1, 4)))
    again = door.batch(*several)
    assert (again[2].seq, again[2].levels[HERE].version) == (5, 5)
    assert door.swift == 4
    door.close()
    shop.check()
    assert shop.stale() == {1: 5}


@pytest.mark.parametrize(
    "work",
    [
        Work(1, (Group((SetInfinite(1, 1, True),)),), "me"),
        Work(1, (Group((Adjust(KIT, 1, 1),)),), "me"),
        Work(1, (Group((Adjust(1, MIRROR, 1),)),), "me"),
        Work(1, (Group((Adjust(UNKNOWN, 1, 1),)),), "me"),
        Work(1, (Group((Adjust(1, UNKNOWN, 1),)),), "me"),
        Work(1, (Group((Adjust(1, 1, 1),), also=(SetStatus(1, "closed"),)),), "me"),
        Work(1, (Group((Adjust(1, 1, 1),)),), "me", consume=(1,)),
        Work(1, (Group((Adjust(1, 1, 1),)),), "me", plan=1),
        Work(1, (Group((Adjust(1, 1, -5),)),), "me"),  # it closes a listing
        Work(1, (Group(tuple(Adjust(item, 1, 1) for item in range(1, 9))),), "me"),
    ],
)
def test_what_does_not(door: Door, monkeypatch: pytest.MonkeyPatch, work: Work) -> None:
    monkeypatch.setattr(swift, "LIMIT", 7)
    door.say(SetOnHand(1, 1, 5))
    assert door.swift == 1
    door.batch(work)
    assert door.swift == 1


def test_what_is_too_much_for_one_statement(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onestep, "ROWS_LIMIT", 4)
    for count, swift_then in ((3, 1), (4, 1), (2, 2)):  # and a row for what becomes stale
        door.say(*[Adjust(1, 1, 1)] * count)
        assert door.swift == swift_then


def test_a_key_is_answered_once(shop: Shop, door: Door) -> None:
    door.say(SetOnHand(1, 1, 5))
    door.swift = 0

    def asked(name: str, what: str = "asked") -> Work:
        return shop.work(Adjust(1, 1, -1), key=key(name, what), answer=answer)

    first, other = door.batch(asked("k1"), asked("k2"))
    assert door.swift == 1
    assert (first.fresh.body, other.fresh.body) == ("2", "3")
    again, conflict = door.batch(asked("k1"), asked("k2", "something else"))
    assert (again.replay.body, again.replay.headers) == ("2", {"X-Seq": "2"})
    assert type(conflict.replay).__name__ == "Conflict"
    one, none = door.batch(asked("k3"), asked("k3"))  # the second waits
    assert (one.fresh.body, none) == ("4", None)
    refused = door.batch(shop.work(Adjust(1, 1, -99), key=key("k4"), answer=answer))[0]
    assert refused.fresh.status == 409
    assert door.batch(asked("k4"))[0].fresh.body == "5"  # what is refused leaves its key free
    assert door.swift == 3


@pytest.mark.parametrize(
    "between",
    [
        lambda shop: shop.work(hold("a", want(1, 1, 2))),
        lambda shop: shop.work(SetInfinite(1, 1, True)),
        lambda shop: shop.work(Forget(1, 1)),
        lambda shop: shop.work(Adjust(1, 1, 2), also=(SetStatus(2, "closed"),)),
        lambda shop: shop.work(SetOnHand(2, 2, 2)),
    ],
)
def test_what_other_ways_write_is_seen(shop: Shop, door: Door, between: Callable[[Shop], Work]) -> None:
    found: list[object] = []
    for door.ordinary in (False, True):
        door.close()
        shop.reset()
        for work in (
            shop.work(SetOnHand(1, 1, 5)),
            shop.work(Adjust(1, 1, -1)),
            between(shop),
            shop.work(Adjust(1, 1, -3)),
            shop.work(Adjust(1, 1, 1)),
        ):
            shop.now += 1
            found.append(door.batch(work))
        found.append(left(shop))
    assert found[:6] == found[6:]
    assert door.swift > 0


def test_units_that_change_the_catalogue_are_seen(shop: Shop, door: Door) -> None:
    def made_a_kit(connection: Connection) -> None:
        catalog.set_kit(connection, 1, 9, {1: 1}, shop.now)

    def unmade(connection: Connection) -> None:
        catalog.set_kit(connection, 1, 9, {}, shop.now)

    door.say(SetOnHand(9, 1, 5))
    assert door.swift == 1
    try:
        door.batch(made_a_kit)
        assert isinstance(door.say(Adjust(9, 1, 1)).outcomes[0], Refused)
    finally:
        door.batch(unmade)
    assert isinstance(door.say(Adjust(9, 1, 1)).outcomes[0], Accepted)
    assert door.swift == 2


def test_who_is_told_anew(shop: Shop, door: Door) -> None:
    """Feeds that change are seen, even in a unit that says it changes nothing that is remembered."""
    door.say(SetOnHand(5, 1, 5))
    ticket = Ticket(1, shop.work(Adjust(5, 1, 1)), cast(Any, None), cast(Any, None))
    transactions = Transactions(shop.store, lambda: shop.now)
    door.close()
    transactions.run([ticket], transactions.open([ticket]))
    assert ticket.marked == {(1, 1)}
    unit = Ticket(1, lambda c: feeding.refeed(c, 1, [5]), cast(Any, None), cast(Any, None))
    unit.quiet = True
    transactions.run([unit])
    assert shelf.of(transactions._keep()).known(1).levels == {}
    transactions.close()


def test_a_ledger_that_is_not_where_it_was(shop: Shop, door: Door) -> None:
    """Somebody else wrote between deciding and writing: nothing of it is written, all is decided anew."""
    door.say(SetOnHand(1, 1, 5))
    door.say(Adjust(1, 1, 1))
    ticket = Ticket(1, shop.work(Adjust(1, 1, -2)), cast(Any, None), cast(Any, None))
    transactions = door._transactions
    unwritten = transactions.open([ticket])
    assert unwritten is not None
    with sqlite3.connect(shop.store.path) as other:
        other.execute("UPDATE levels SET on_hand = 3, version = 3 WHERE item = 1 AND location = 1")
        other.execute("UPDATE accounts SET seq = 3 WHERE id = 1")
        other.execute(
            "INSERT INTO movements SELECT account, 3, item, location, 3, kind, -3, 0, 3, 0, infinite,"
            " present, reason, reference, caller, context, recorded_at, effective_at"
            " FROM movements WHERE seq = 2"
        )
    other.close()
    assert transactions.run([ticket], unwritten) == []
    assert ticket.result.levels[HERE].on_hand == 1
    assert ticket.result.seq == 4
    door.close()
    shop.check()


def test_a_write_that_fails_leaves_nothing(shop: Shop, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    door.say(SetOnHand(1, 1, 5))
    door.say(Adjust(1, 1, 1))
    door.swift = 0
    deed = onestep.deed

    def spoilt(advances: Any, movements: Any, *rest: Any) -> onestep.Deed | None:
        return deed(advances, [*movements, *movements], *rest)  # a number twice

    monkeypatch.setattr(onestep, "deed", spoilt)
    made = door.say(Adjust(1, 1, -2))
    assert door.swift == 1
    assert (made.seq, made.levels[HERE].on_hand) == (3, 4)
    monkeypatch.setattr(onestep, "deed", deed)
    assert door.say(Adjust(1, 1, -2)).levels[HERE].on_hand == 2
    assert door.swift == 2
    door.close()
    shop.check()


def test_while_another_process_writes(shop: Shop, door: Door) -> None:
    door.say(SetOnHand(1, 1, 5))
    ticket = Ticket(1, shop.work(Adjust(1, 1, -2)), cast(Any, None), cast(Any, None))
    transactions = door._transactions
    unwritten = transactions.open([ticket])
    other = sqlite3.connect(shop.store.path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.3, other.execute, ["ROLLBACK"])
    release.start()
    transactions.run([ticket], unwritten)
    release.join()
    assert ticket.result.levels[HERE].on_hand == 3
    other.close()


def test_the_shelf_begins_anew(shop: Shop, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "SHELF_LIMIT", 3)
    for item in (1, 2, 3, 4):
        door.say(SetOnHand(item, 1, 5))
    door.swift = 0
    for turn in range(1, 9):
        found = door.say(Adjust(turn % 4 + 1, 1, 1))
        assert found.seq == 4 + turn
    assert 0 < door.swift < 8
    door.close()
    shop.check()


def test_through_the_hub(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop decides, a thread writes, and what is remembered goes with what is committed."""
    threads: list[str] = []
    do = onestep.do

    def watched(connection: Connection, what: onestep.Deed) -> None:
        threads.append(threading.current_thread().name)
        do(connection, what)

    monkeypatch.setattr(onestep, "do", watched)

    async def scenario() -> list[Recorded]:
        async with running(shop) as inventory:
            return [
                await inventory.record(shop.work(command))
                for command in (SetOnHand(1, 1, 5), Adjust(1, 1, -1), Adjust(1, 1, -1))
            ]

    assert [one.levels[HERE].on_hand for one in asyncio.run(scenario())] == [5, 4, 3]
    assert threads == ["writer-0"] * 3
    shop.check()
