"""What an account reads is its own: on SQLite nothing but a statement's condition keeps the others out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection

from onhand.stock.model import Adjust, Expire, Ship, Transfer
from onhand.store import (
    books,
    catalog,
    channels,
    incidents,
    levels,
    listed,
    past,
    requests,
    tallies,
    verify,
    wakeups,
)
from onhand.work import Plan, PutDetail, PutPrice
from shops import KIT, START, Shop, answer, key, second
from transcript import hold, want

LATE = START + 1_000
HERE = (1, 1)
NUMBERS = range(1, 20)
Read = Callable[[Connection, int], Any]

READS: dict[str, Read] = {
    "levels at": lambda c, a: levels.at(c, a, [HERE, (2, 1)], LATE),
    "levels of items": lambda c, a: levels.of_items(c, a, [1, 2], LATE),
    "levels, a page": lambda c, a: levels.page(c, a, (0, 0), 99, LATE),
    "levels, a page at a location": lambda c, a: levels.page(c, a, (0, 0), 99, LATE, 1),
    "levels as rows": lambda c, a: levels.standing(c, a, (0, 0), 99, LATE),
    "levels as rows at a location": lambda c, a: levels.standing(c, a, (0, 0), 99, LATE, 1),
    "one level": lambda c, a: levels.one(c, a, HERE, LATE),
    "the last movement": levels.last_seq,
    "the history of a level": lambda c, a: levels.history(c, a, HERE),
    "movements": levels.movements,
    "the last movement by then": lambda c, a: levels.seq_at(c, a, LATE),
    "a level as of a movement": lambda c, a: levels.as_of_seq(c, a, HERE, 3),
    "a level as of a moment": lambda c, a: levels.as_of(c, a, HERE, LATE),
    "past levels": lambda c, a: past.levels(c, a, [HERE, (2, 1)], 99, LATE),
    "past levels and what was written late": lambda c, a: past.levels(c, a, [HERE], 4, LATE),
    "a level before what was written late": lambda c, a: levels.as_of(c, a, HERE, START + 600),
    "places ever": lambda c, a: past.page(c, a, (0, 0), 99),
    "places ever at a location": lambda c, a: past.page(c, a, (0, 0), 99, 1),
    "places ever of items": lambda c, a: past.of_items(c, a, [1, 2]),
    "what moved": lambda c, a: list(tallies.moves(c, a, 1, 0)),
    "what was there": lambda c, a: tallies.on_hand_at(c, a, 1, [1, 2], 99),
    "what comes": wakeups.ahead,
    "due levels": lambda c, a: wakeups.due_levels(c, a, LATE),
    "due holds": lambda c, a: books.due_references(c, [(a, 1, 1), (a, 2, 1)], LATE),
    "next expiries": lambda c, a: list(books.next_expiries(c, [(a, 1, 1)], START).values()),
    "holds": lambda c, a: list(books.reservations(c, [(a, "a"), (a, "b")], lock=False).values()),
    "kits": lambda c, a: list(books.components(c, [(a, KIT)]).values()),
    "listings": lambda c, a: list(listed.guards(c, [(a, 1), (a, 2)]).values()),
    "messages": requests.waiting,
    "the ends of the inbox": requests.ends,
    "a key": lambda c, a: requests.look_up(c, (a, "scope", "k")),
    "planned changes": requests.plans,
    "one planned change": lambda c, a: [requests.one_plan(c, a, number) for number in NUMBERS],
    "planned changes that are due": lambda c, a: requests.due_plans(c, a, LATE),
    "incidents": incidents.page,
    "one incident": lambda c, a: [incidents.one(c, a, number) for number in NUMBERS],
    "prices": lambda c, a: catalog.prices(c, a, [1, 2]),
    "details": lambda c, a: channels.details(c, a, "treet", "level", [1, 2]),
    "items": lambda c, a: catalog.items(c, a, [1, 2]),
    "a listing": lambda c, a: channels.listing(c, a, 1),
    "extent": verify.extent,
    "findings": lambda c, a: list(verify.verify(c, a)),
}
SAME = {"findings"}
"""Reads that tell of both accounts alike."""


def trade(shop: Shop, more: int) -> None:
    """Something of everything; ``more`` makes it other numbers."""
    shop.now = START
    shop.say(Adjust(1, 1, 9 + more), hold("a", want(1, 1 + more), until=START + 500 + more))
    shop.say(also=(PutPrice(1, 1, f"{more}.00", None), PutDetail("treet", "level", 1, 1, f'{{"n":{more}}}')))
    for number in range(1 + more):
        shop.say(also=(Plan(START + 700 + more, (Adjust(1, 1, number),)),))
    with shop.writing() as connection:
        for number in range(1, 2 + more):
            message = requests.Message(number, "test", "someone", f"{more}", START)
            requests.receive(connection, shop.account, message)


def refused(shop: Shop) -> None:
    """One message more, which cannot be done: an incident."""
    with shop.writing() as connection:
        requests.receive(connection, shop.account, requests.Message(9, "test", "someone", "{}", START))
    shop.commit(shop.work(Adjust(1, 1, -99), consume=(9,)))


@pytest.mark.parametrize("empty", [False, True], ids=["trades too", "is empty"])
def test_reads_say_the_same_whatever_others_do(shop: Shop, empty: bool) -> None:
    other = second(shop, account=2)
    if not empty:
        trade(other, 0)

    def read() -> dict[str, Any]:
        with other.reading() as connection:
            return {name: one(connection, other.account) for name, one in READS.items()}

    before = read()
    shop.now = START
    shop.say(Adjust(2, 1, 5), Adjust(2, 1, 5))  # the same number is not the same place
    trade(shop, 2)
    shop.now = LATE
    shop.commit(shop.work(Adjust(1, 1, 1), key=key("k"), answer=answer))
    shop.say(Adjust(2, 1, 5), hold("b", want(2, 2), until=START + 600), Transfer(1, 1, 2, 1))
    shop.say(Adjust(2, 1, 3), hold("c", want(2, 1)), Ship("c"), hold("d", want(2, 1)), Expire("d"))
    refused(shop)
    shop.now = START
    shop.say(hold("e", want(1, 1), want(2, 1), until=START + 650))
    assert read() == before
    with shop.reading() as connection:
        mine = {name: one(connection, shop.account) for name, one in READS.items()}
    assert {name for name in READS if mine[name] == before[name]} == SAME
    other.close()
