"""A small batch on SQLite may be decided while the one before it is being written: it comes to what it would
have come to behind that, and is decided again where that was not written as it was decided."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from batches import FILLED, SAME_SHOP, batches, left, opened, opening, quickly
from onhand import commits, transact
from onhand.stock.ledger import Refused
from onhand.stock.model import Adjust, AnyCommand, SetOnHand
from onhand.store import onestep, shelf
from onhand.ticket import Ticket
from onhand.work import Work
from shops import Shop, answer, key, running
from swift_door import HERE, Door

pytestmark = pytest.mark.parametrize("kinds", ["sqlite"], indirect=True, scope="module")

mixed = st.tuples(quickly, batches, quickly).map(lambda parts: [batch for part in parts for batch in part])


def tickets(*works: Work) -> list[Ticket]:
    return [Ticket(1, work, cast(Any, None), cast(Any, None)) for work in works]


@settings(max_examples=60, deadline=None, suppress_health_check=SAME_SHOP)
@given(st.just(FILLED) | opening, mixed)
def test_it_comes_to_the_same(
    shop: Shop, door: Door, first: list[AnyCommand], given_batches: list[list[Work]]
) -> None:
    def played(*, ahead: bool) -> list[object]:
        door.close()
        opened(shop, first)
        found: list[object] = []
        rest = list(given_batches)
        while rest:
            shop.now += 1
            one, two = rest.pop(0), rest.pop(0) if rest else []
            found += (
                door.ahead(one, two)
                if ahead and two
                else [*door.batch(*one), *(door.batch(*two) if two else ())]
            )
        door.close()
        return [*found, *left(shop)]

    door.ordinary = False
    one = played(ahead=True)
    shop.check()
    door.ordinary = True
    assert played(ahead=False) == one


def test_it_sees_what_is_not_written_yet(shop: Shop, door: Door) -> None:
    door.fill(SetOnHand(1, 1, 5), SetOnHand(2, 1, 5))
    sale, other = shop.work(Adjust(1, 1, -3)), shop.work(Adjust(2, 1, -1))
    made, elsewhere, refused = door.ahead([sale], [other, sale])
    assert (made.seq, made.levels[HERE].on_hand) == (3, 2)
    assert (elsewhere.seq, elsewhere.levels[2, 1].on_hand) == (4, 4)
    assert isinstance(refused.outcomes[0], Refused)
    assert (door.swift, door.followed) == (2, 1)
    assert door._transactions.last(1) == (4, shop.now)
    door.close()
    shop.check()


def test_nobody_is_told_of_a_last_movement_meanwhile(shop: Shop, door: Door) -> None:
    """Not between the two commits either: what is answered from memory would be older than the file."""
    door.fill(SetOnHand(1, 1, 5))
    transactions = door._transactions
    sale = shop.work(Adjust(1, 1, -1))
    first, second = tickets(sale), tickets(sale)
    one = transactions.open(first)
    assert one is not None
    two = transactions.open(second, one)
    assert two is not None
    assert transactions.last(1) is None
    transactions.run(first, set(), one)
    transactions.ended(one, two)
    assert transactions.last(1) is None
    transactions.run(second, set(), two)
    assert transactions.last(1) is None
    transactions.ended(two, None)
    assert transactions.last(1) == (3, shop.now)


def test_a_key_of_what_is_being_written_is_waited_for(shop: Shop, door: Door) -> None:
    door.fill(SetOnHand(1, 1, 5))
    keyed = shop.work(Adjust(1, 1, -1), key=key("a"), answer=answer)
    other = shop.work(Adjust(1, 1, -1), key=key("b"), answer=answer)
    once, again = door.ahead([keyed], [keyed])
    assert (door.followed, once.replay is None, again.replay is None) == (0, True, False)
    again, fresh = door.ahead([other], [keyed])
    assert (door.followed, again.replay, fresh.replay is None) == (0, None, False)
    third, fourth = door.ahead(
        [shop.work(Adjust(1, 1, -1), key=key("c"), answer=answer)],
        [shop.work(Adjust(1, 1, -1), key=key("d"), answer=answer)],
    )
    assert (door.followed, third.levels[HERE].on_hand, fourth.levels[HERE].on_hand) == (1, 2, 1)
    door.close()
    shop.check()


@pytest.mark.parametrize(
    ("sold", "moved", "left"),
    [
        (-1, -4, [1, 0]),  # the first is refused: the level has the version that the second was decided on
        (-3, 3, [5, 2]),  # the second was refused, and nothing of it was to be written
    ],
)
def test_what_it_rests_on_was_not_written(
    shop: Shop, door: Door, sold: int, moved: int, left: list[int]
) -> None:
    """Another process has written in between: both are decided again."""
    door.fill(SetOnHand(1, 1, 5), SetOnHand(2, 1, 5))
    transactions = door._transactions
    first, second = tickets(shop.work(Adjust(1, 1, -3))), tickets(shop.work(Adjust(1, 1, sold)))
    one = transactions.open(first)
    assert one is not None
    two = transactions.open(second, one)
    assert two is not None and two.unwritten is not None
    assert (two.unwritten.deed is None) is (sold == -3)
    with contextlib.closing(sqlite3.connect(shop.store.path)) as other, other:
        other.execute(
            "UPDATE levels SET on_hand = 5 + ?, version = 2 WHERE item = 1 AND location = 1", (moved,)
        )
        other.execute("UPDATE accounts SET seq = 3 WHERE id = 1")
        other.execute(
            "INSERT INTO movements SELECT account, 3, item, location, 2, kind, ?, 0, 5 + ?, 0, infinite,"
            " present, reason, reference, caller, context, recorded_at, effective_at FROM movements"
            " WHERE seq = 1",
            (moved, moved),
        )
    transactions.run(first, set(), one)
    transactions.ended(one, two)
    transactions.run(second, set(), two)
    transactions.ended(two, None)
    assert [one.result.levels[HERE].on_hand for one in (*first, *second)] == left
    assert door.swift == 0
    door.close()
    shop.check()


def test_the_disk_is_full_for_both(shop: Shop, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    def do(connection: Connection, what: onestep.Deed) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise DBAPIError.instance("", (), error, sqlite3.Error)

    door.fill(SetOnHand(1, 1, 5))
    sale = shop.work(Adjust(1, 1, -1))
    with monkeypatch.context() as patch:
        patch.setattr(onestep, "do", do)
        one, two = door.ahead([sale], [sale])
    assert isinstance(one, transact.StoreFull)
    assert two.levels[HERE].on_hand == 4, "there was room again"
    door.close()
    shop.check()


def test_what_is_forgotten_in_between(shop: Shop, door: Door) -> None:
    door.fill(SetOnHand(1, 1, 5))
    transactions = door._transactions
    first, second = (tickets(shop.work(Adjust(1, 1, -1))) for _ in range(2))
    one = transactions.open(first)
    assert one is not None
    two = transactions.open(second, one)
    transactions.run(first, set(), one)
    shelf.of(transactions._keep()).forget()
    transactions.ended(one, two)
    transactions.run(second, set(), two)
    assert (second[0].result.seq, second[0].result.levels[HERE].on_hand) == (3, 3)
    assert transactions.last(1) is None
    door.close()
    shop.check()


def test_many_clients_at_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches overlap, and all that was acknowledged is there, once, in the order of its numbers."""
    followed = []
    usual = transact.Transactions.open

    def open_(self: transact.Transactions, some: Any, before: Any = None) -> Any:
        found = usual(self, some, before)
        if before is not None:
            followed.append(found is not None)
        return found

    monkeypatch.setattr(transact.Transactions, "open", open_)
    monkeypatch.setattr(commits, "AHEAD", 0.0)

    async def client(inventory: Any, number: int) -> list[int]:
        seqs = []
        for turn in range(40):
            work = shop.work(
                Adjust(1 + (number + turn) % 4, 1, 1), key=key(f"{number}-{turn}"), answer=answer
            )
            if number % 2:
                work = shop.work(Adjust(1 + (number + turn) % 4, 1, 1))
            seqs.append((await inventory.record(work)).seq)
            for _ in range(number % 7):  # so that not all come at once
                await asyncio.sleep(0)
        return seqs

    async def story() -> list[int]:
        async with running(shop) as inventory:
            await inventory.record(shop.work(*[SetOnHand(item, 1, 1) for item in range(1, 5)]))
            found = await asyncio.gather(*[client(inventory, number) for number in range(24)])
            assert inventory.settled(1) == (4 + 24 * 40, shop.now)
        return [seq for seqs in found for seq in seqs]

    seqs = asyncio.run(story())
    assert sorted(seqs) == list(range(5, 5 + 24 * 40))
    assert any(followed)
    assert shop.sql("SELECT SUM(on_hand) FROM levels") == [(4 + 24 * 40,)]
    shop.check()
