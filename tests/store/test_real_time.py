"""What was answered before something was asked comes before it, for all who ask and in whatever process."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from onhand.inventory import Inventory
from onhand.stock.model import Adjust
from onhand.store import levels
from shops import Shop, opened, running, second
from stores import Databases

CLIENTS = 8
CHANGES = 25


@pytest.fixture
def shop(databases: Databases) -> Iterator[Shop]:
    """A shop on each kind."""
    yield from opened(databases)


class Event(NamedTuple):
    """A change, or a look, between two moments: all moments are of one order. ``seq`` is the account's last
    movement that it saw or made."""

    asked: int
    answered: int
    seq: int
    change: bool


def test_answers_are_in_the_order_of_time(shop: Shop) -> None:
    moments = itertools.count()
    found: list[Event] = []

    async def ask(me: int, doors: list[Inventory]) -> None:
        seen = 0
        for number in range(CHANGES):
            door = doors[(me + number) % len(doors)]
            asked = next(moments)
            recorded = await door.record(shop.work(Adjust(me % 3 + 1, 1, 1)))
            found.append(Event(asked, next(moments), recorded.seq, True))
            door = doors[(me + number + 1) % len(doors)]
            asked = next(moments)
            seq = await door.read(1, lambda c: levels.last_seq(c, 1))
            found.append(Event(asked, next(moments), seq, False))
            assert seen <= recorded.seq <= seq, "nobody goes back in time"
            seen = seq

    async def main(doors: list[Shop]) -> None:
        async with contextlib.AsyncExitStack() as stack:
            open_doors = [await stack.enter_async_context(running(door)) for door in doors]
            await asyncio.gather(*(ask(me, open_doors) for me in range(CLIENTS)))

    others = [] if shop.store.sqlite else [second(shop)]
    try:
        asyncio.run(main([shop, *others]))
    finally:
        for other in others:
            other.close()
    out_of_order(found)
    assert max(one.seq for one in found) == CLIENTS * CHANGES
    shop.check()


def test_what_is_out_of_order_is_found() -> None:
    out_of_order([Event(0, 2, 5, True), Event(1, 3, 4, False), Event(4, 5, 5, False)])
    for late in (Event(4, 5, 4, False), Event(4, 5, 5, True)):
        with pytest.raises(AssertionError):
            out_of_order([Event(0, 2, 5, True), late])


def out_of_order(found: list[Event]) -> None:
    """Whatever was asked after an answer has seen at least what that answer knew."""
    by_answer = sorted(found, key=lambda one: one.answered)
    known, at = 0, 0
    for one in sorted(found, key=lambda one: one.asked):
        while by_answer[at].answered < one.asked:
            known = max(known, by_answer[at].seq)
            at += 1
        assert one.seq >= known + one.change, one
