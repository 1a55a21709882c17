"""What a large batch on SQLite leaves is remembered for the next one: what is committed, while it is so."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from batches import FILLED, SAME_SHOP, batches, left, opened, opening
from onhand import mixed
from onhand.stock.ledger import Refused
from onhand.stock.model import Adjust, AnyCommand, SetOnHand
from onhand.store import books, catalog, shelf
from onhand.store.books import Spot, Spotted
from onhand.work import Accepted, Group, Work
from shops import Shop
from swift_door import HERE, Door
from transcript import hold, want

pytestmark = pytest.mark.parametrize("kinds", ["sqlite"], indirect=True, scope="module")

FEW = 3


class Looks:
    """Counts the levels that large batches look up."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.levels = 0
        self._lock = books.lock_levels
        patch.setattr(books, "lock_levels", self.lock)

    def lock(self, connection: Connection, spots: Iterable[Spot]) -> dict[Spot, Spotted]:
        wanted = list(spots)
        self.levels += len(wanted)
        return self._lock(connection, wanted)

    def new(self) -> int:
        """How many since it was asked last."""
        levels, self.levels = self.levels, 0
        return levels


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    return Looks(monkeypatch)


@pytest.fixture(autouse=True)
def ordinary(door: Door) -> None:
    door.ordinary = True


@settings(max_examples=40, deadline=None, suppress_health_check=SAME_SHOP)
@given(st.just(FILLED) | opening, batches, st.lists(st.booleans(), min_size=4, max_size=4))
def test_it_comes_to_what_is_read_each_time(
    shop: Shop, door: Door, first: list[AnyCommand], given_batches: list[list[Work]], turns: list[bool]
) -> None:
    """Whether small batches go their own way in between or not."""

    def played(limit: int) -> list[object]:
        door.close()
        opened(shop, first)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shelf, "COUNTED_LIMIT", limit)
            found: list[object] = []
            for turn, some in enumerate(given_batches):
                shop.now += 1
                door.ordinary = turns[turn % len(turns)]
                found += [door.batch(*some), door.marked]
        door.close()
        return [*found, *left(shop)]

    one = played(shelf.COUNTED_LIMIT)
    shop.check()
    assert played(-1) == one


def test_levels_are_looked_up_once(shop: Shop, door: Door, looks: Looks) -> None:
    door.say(SetOnHand(1, 1, 5), SetOnHand(2, 1, 5), Adjust(3, 1, 0))
    assert looks.new() == 3
    made = door.say(Adjust(1, 1, -2), Adjust(2, 1, 1), Adjust(3, 1, 7), Adjust(1, 2, 1))
    assert looks.new() == 1
    assert [entry.level.version for entry in outcome(made).entries] == [2, 2, 1, 1]
    assert made.seq == 6
    door.close()
    shop.check()
    door.say(Adjust(1, 1, 1))
    assert looks.new() == 1


def outcome(made: Any) -> Accepted:
    (found,) = made.outcomes
    assert isinstance(found, Accepted)
    return found


def test_small_batches_see_what_large_ones_left(shop: Shop, door: Door, looks: Looks) -> None:
    door.say(SetOnHand(1, 1, 5))
    door.ordinary = False
    assert door.say(Adjust(1, 1, -2)).levels[HERE].on_hand == 3
    assert door.swift == 1
    door.ordinary = True
    looks.new()
    assert door.say(Adjust(1, 1, -2)).levels[HERE].on_hand == 1
    assert looks.new() == 0
    door.ordinary = False
    assert isinstance(door.say(Adjust(1, 1, -2)).outcomes[0], Refused)
    assert door.swift == 2
    door.close()
    shop.check()


def test_what_was_undone_is_not_remembered(
    shop: Shop, door: Door, looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    door.say(SetOnHand(1, 1, 5), SetOnHand(2, 1, 5))

    def failing(*given: Any) -> list[Any]:
        made(*given)
        raise DBAPIError.instance("", (), sqlite3.OperationalError("interrupted"), sqlite3.Error)

    made = mixed.results
    with monkeypatch.context() as patch:
        patch.setattr(mixed, "results", failing)
        (found,) = door.batch(shop.work(Adjust(1, 1, -4)))
        assert isinstance(found, DBAPIError)
    looks.new()
    door.say(Adjust(2, 1, 1))
    assert looks.new() == 0
    assert door.say(Adjust(1, 1, -1)).levels[HERE].on_hand == 4
    assert looks.new() == 1
    door.close()
    shop.check()


@pytest.mark.parametrize("fails", [True, False])
def test_what_units_decide_is_looked_up_again(shop: Shop, door: Door, looks: Looks, fails: bool) -> None:
    """They may be undone, each for itself."""

    def unit(connection: Connection) -> None:
        shop.decide(connection, shop.work(Adjust(1, 1, -4)))
        if fails:
            raise ValueError("not now")

    door.say(SetOnHand(1, 1, 5), SetOnHand(2, 1, 5))
    done, _ = door.batch(unit, shop.work(Adjust(2, 1, 1)))
    assert isinstance(done, ValueError) is fails
    looks.new()
    assert door.say(Adjust(2, 1, 1)).levels[2, 1].on_hand == 7
    assert looks.new() == 0
    assert door.say(Adjust(1, 1, 1)).levels[HERE].on_hand == (6 if fails else 2)
    assert looks.new() == 1
    door.close()
    shop.check()


def test_holds_that_are_made_and_run_out_are_seen(shop: Shop, door: Door) -> None:
    door.say(SetOnHand(1, 1, 5))
    door.say(hold("a", want(1, 4), until=shop.now + 2))
    assert isinstance(door.say(Adjust(1, 1, -2)).outcomes[0], Refused)
    shop.now += 2
    made = door.say(Adjust(1, 1, -2))
    assert (made.levels[HERE].on_hand, made.levels[HERE].reserved) == (3, 0)
    door.close()
    shop.check()


def test_units_that_change_the_catalogue_are_seen(shop: Shop, door: Door) -> None:
    def become(kind: str) -> None:
        unit = partial(catalog.change, kind="location", account=1, number=1, fields={"kind": kind})
        assert not isinstance(door.batch(unit)[0], Exception)

    door.say(SetOnHand(1, 1, 5))
    door.say(Adjust(1, 1, 1))
    become("mirrored")
    try:
        assert isinstance(door.say(Adjust(1, 1, 1)).outcomes[0], Refused)
    finally:
        become("stock")
    assert door.say(Adjust(1, 1, 1)).levels[HERE].on_hand == 7
    door.close()
    shop.check()


def test_no_more_are_remembered_than_there_is_room_for(
    shop: Shop, door: Door, looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "COUNTED_LIMIT", FEW)

    def touched(*items: int) -> int:
        door.say(*[Adjust(item, 1, 1) for item in items])
        return looks.new()

    assert [touched(1, 2), touched(1, 2), touched(1, 2, 3)] == [2, 0, 1]
    assert touched(1, 2, 3) == 0
    ones = Group(tuple(Adjust(item, 1, 1) for item in (1, 2, 3)))
    door.batch(Work(1, (ones,), "me"), Work(2, (Group((Adjust(1, 1, 1),)),), "me"))
    assert looks.new() == 1
    assert [touched(3), touched(2, 3), touched(1, 2)] == [1, 1, 1]  # there was no room for four
    assert [touched(1, 4), touched(4), touched(1), touched(2)] == [1, 0, 0, 1]  # it began anew
    door.close()
    shop.check()
