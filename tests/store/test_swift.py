"""A small batch on SQLite is decided from memory and written in one statement: it comes to what every other
way comes to, whatever was written in between."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from batches import (
    FILLED,
    SAME_SHOP,
    UNKNOWN,
    batches,
    left,
    opened,
    opening,
    quickly,
)
from onhand import swift
from onhand.stock.ledger import Refused
from onhand.stock.model import Adjust, AnyCommand, Forget, SetAvailable, SetInfinite, SetOnHand
from onhand.store import catalog, feeding, onestep, shelf
from onhand.store.books import Marked
from onhand.ticket import Ticket
from onhand.transact import Transactions
from onhand.work import (
    Accepted,
    Answer,
    Arrival,
    Group,
    Plan,
    PutDetail,
    PutPrice,
    Recorded,
    SetStatus,
    Work,
)
from shops import KIT, MIRROR, Shop, answer, key, running
from swift_door import HERE, Door
from transcript import hold, want

pytestmark = pytest.mark.parametrize("kinds", ["sqlite"], indirect=True, scope="module")


mixed = st.tuples(quickly, batches, quickly).map(lambda parts: [batch for part in parts for batch in part])
ticks = st.lists(st.integers(-2, 3), min_size=5, max_size=5)


@settings(max_examples=40, deadline=None, suppress_health_check=SAME_SHOP)
@given(st.just(FILLED) | opening, mixed, ticks)
def test_both_ways_come_to_the_same(
    shop: Shop, door: Door, first: list[AnyCommand], given_batches: list[list[Work]], passed: list[int]
) -> None:
    """Also where the clock is set back meanwhile."""

    def played() -> list[object]:
        door.close()
        opened(shop, first)
        found: list[object] = []
        for turn, some in enumerate(given_batches):
            shop.now += passed[turn % len(passed)]
            found += [door.batch(*some), door.marked]
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
    assert (door.swift, refused.seq) == (3, 2)
    again = door.batch(
        shop.work(Adjust(1, 1, 1)), shop.work(Adjust(1, 1, 1)), shop.work(SetAvailable(1, 1, 4))
    )
    assert (door.swift, again[2].seq, again[2].levels[HERE].version) == (4, 5, 5)
    assert door.marked == {(1, 1)}
    known = "SELECT listing, since, seq, due, marks, marked_at FROM outbox"
    assert shop.sql(known) == [(1, 1, 5, shop.now, 2, shop.now)]
    door.close()
    with shop.writing() as connection:
        connection.exec_driver_sql("DELETE FROM outbox")
    start = shop.now
    for shop.now in (start + 3, start + 4):
        door.batch(shop.work(Adjust(1, 1, 1)), shop.work(Adjust(1, 1, 1)))
    assert shop.sql(known) == [(1, 6, 9, start + 3, 1, start + 3)]
    assert door.swift == 6
    door.close()
    shop.check()


@pytest.mark.parametrize(
    "work",
    [
        Work(1, (Group((SetInfinite(1, 1, True),)),), "me"),
        Work(1, (Group((Adjust(KIT, 1, 1),)),), "me"),
        Work(1, (Group((Adjust(1, MIRROR, 1),)),), "me"),
        Work(1, (Group((Adjust(UNKNOWN, 1, 1),)),), "me"),
        Work(1, (Group((Adjust(1, UNKNOWN, 1),)),), "me"),
        Work(1, (Group((Adjust(1, 1, 1),), also=(SetStatus(1, "closed"),)),), "me"),
        Work(1, (Group((Adjust(1, 1, 1),), also=(Plan(9, (Adjust(1, 1, 1),)),)),), "me"),
        Work(1, (Group((Adjust(1, 1, 1),)),), "me", consume=(1,)),
        Work(1, (Group((Adjust(1, 1, 1),)),), "me", plan=1),
        Work(1, (Group((Adjust(1, 1, -5),)),), "me"),  # it closes a listing
        Work(1, (Group(tuple(Adjust(item, 1, 1) for item in (1, 2, 3))),), "me"),  # too much
    ],
)
def test_what_does_not(door: Door, monkeypatch: pytest.MonkeyPatch, work: Work) -> None:
    monkeypatch.setattr(swift, "LIMIT", 2)
    door.batch(Work(1, tuple(Group((SetOnHand(item, 1, 5),)) for item in (1, 2, 3)), "me"))
    door.batch(Work(1, (Group((SetOnHand(1, MIRROR, 5),)),), "me", mirror=True))
    door.say(Adjust(1, 1, 0))
    door.say(Adjust(2, 1, 0), Adjust(3, 1, 0))
    assert door.swift == 2
    door.batch(work)
    assert door.swift == 2


def test_holds_that_are_due_do_not(shop: Shop, door: Door) -> None:
    door.fill(SetOnHand(1, 1, 5))
    door.say(hold("a", want(1, 2), until=shop.now + 2))
    shop.now += 1
    assert door.say(Adjust(1, 1, 1)).levels[HERE].reserved == 2
    assert door.swift == 1
    shop.now += 1
    assert door.say(Adjust(1, 1, 1)).levels[HERE].reserved == 0
    assert door.swift == 1
    assert door.say(Adjust(1, 1, 1)).levels[HERE].next_expiry is None
    assert door.swift == 2
    door.close()
    shop.check()


def test_what_was_recorded_is_never_earlier(shop: Shop, door: Door) -> None:
    """The clock was set back: time stands still until it has caught up."""
    door.fill(SetOnHand(1, 1, 5))
    start = shop.now
    times = []
    for shop.now in (start + 5, start - 5, start - 4, start + 6):
        times += [
            door.say(Adjust(1, 1, 1)).recorded_at - start,
            door.say(Adjust(1, 1, -99)).recorded_at - start,
        ]
    assert times == [5, 5, 5, 5, 5, 5, 6, 6]
    assert door.swift == 8
    door.close()
    shop.check()


def test_a_listing_that_work_comes_through(shop: Shop, door: Door) -> None:
    door.fill(SetOnHand(1, 1, 5))
    assert isinstance(door.say(Adjust(1, 1, -1), listing=1).outcomes[0], Accepted)
    assert door.swift == 1
    door.say(Adjust(2, 1, 1), also=(SetStatus(1, "closed"),))
    assert isinstance(door.say(Adjust(1, 1, -1), listing=1).outcomes[0], Refused)
    assert door.swift == 2


def test_several_accounts_in_a_batch(shop: Shop, door: Door) -> None:
    def both(*commands: AnyCommand) -> list[Recorded]:
        return door.batch(*(Work(account, (Group(commands),), "me") for account in (1, 2, 1)))

    both(SetOnHand(1, 1, 5))
    door.swift = 0
    door.say(Adjust(1, 1, 1))
    found = both(Adjust(1, 1, 2))
    assert [(one.seq, one.levels[HERE].on_hand) for one in found] == [(3, 8), (2, 7), (4, 10)]
    assert door.swift == 2
    assert door.marked == {(1, 1)}
    door.ordinary = True
    both(Adjust(1, 1, 2))
    door.ordinary = False
    found = both(Adjust(1, 1, 2))
    assert [(one.seq, one.levels[HERE].version) for one in found] == [(7, 7), (4, 4), (8, 8)]
    assert door.swift == 3
    stale = shop.stale()
    door.fill(SetOnHand(2, 1, 5))
    door.batch(shop.work(Adjust(2, 1, 1)), Work(2, (Group((Adjust(1, 1, 1),)),), "me"))
    assert door.swift == 4
    assert shop.stale() == stale | {2: 10}
    door.close()
    shop.check()


def test_what_is_too_much_for_one_statement(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onestep, "ROWS_LIMIT", 4)
    for count, swift_then in ((3, 1), (4, 1), (2, 2)):  # and a row for what becomes stale
        door.say(*[Adjust(1, 1, 1)] * count)
        assert door.swift == swift_then


def test_a_key_is_answered_once(shop: Shop, door: Door) -> None:
    door.fill(SetOnHand(1, 1, 5))

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
    unmoved = shop.work(Adjust(1, 1, 0), key=key("k5"), answer=answer)
    assert [door.batch(unmoved)[0].fresh.body, door.batch(unmoved)[0].replay.body] == ["4", "4"]
    assert door.swift == 2
    refused = door.batch(shop.work(Adjust(1, 1, -99), key=key("k4"), answer=answer))[0]
    assert refused.fresh.status == 409
    assert door.batch(asked("k4"))[0].fresh.body == "5"  # what is refused leaves its key free
    assert door.swift == 4


ODD_TEXTS = [
    "",
    "a\0b",
    "\0",
    "\\u0000",
    '"\\',
    "null",
    "1",
    "[1]",
    "\x01\x1f\x7f\u2028\ufffe",
    "\U0001f600",
    "é" * 70_000,
]


@pytest.mark.parametrize("text", ODD_TEXTS, ids=range(len(ODD_TEXTS)))
def test_a_text_is_kept_as_it_is(shop: Shop, door: Door, text: str) -> None:
    """Whatever is in it."""
    known = msgspec.structs.replace(key(text), scope=text)
    stored = Answer(200, text, {"X-Odd": text})

    def work() -> Work:
        change = Adjust(1, 1, -1, reason=text, reference=text)
        also = (PutDetail(text, text, 1, 1, text), PutPrice(1, 1, text, text, text))
        return Work(1, (Group((change,), also=also),), text, known, lambda _: stored, context=text)

    door.say(SetOnHand(1, 1, 5))
    assert door.batch(work())[0].fresh == stored
    assert door.swift == 2
    assert door.batch(work())[0].replay == stored
    door.close()
    columns = "reason, reference, caller, context"
    assert shop.sql(f"SELECT {columns} FROM movements WHERE seq > 1") == [(text,) * 4]
    assert shop.sql("SELECT scope, key, body FROM idempotency") == [(text,) * 3]
    assert shop.sql("SELECT dialect, kind, body FROM details") == [(text,) * 3]
    assert shop.sql("SELECT price, sale_price, currency FROM prices") == [(text,) * 3]
    shop.check()


@pytest.mark.parametrize(
    "between",
    [
        lambda shop: shop.work(hold("a", want(1, 2))),
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

    door.fill(SetOnHand(9, 1, 5))
    door.say(Adjust(9, 1, 1))
    assert door.swift == 1
    try:
        door.batch(made_a_kit)
        assert isinstance(door.say(Adjust(9, 1, 1)).outcomes[0], Refused)
    finally:
        door.batch(unmade)
    assert isinstance(door.say(Adjust(9, 1, 1)).outcomes[0], Accepted)
    assert door.swift == 2


@pytest.mark.parametrize("account", [0, 1])
def test_units_that_change_no_feed_are_seen(shop: Shop, door: Door, account: int) -> None:
    """Of one account, or of whichever they like."""

    def become(kind: str) -> None:
        unit = partial(catalog.change, kind="location", account=1, number=1, fields={"kind": kind})
        jobs: list[tuple[int, Any]] = [(1, shop.work(Adjust(2, 1, 0))), (account, unit)]
        door._transactions.run([Ticket(*job, cast(Any, None), cast(Any, None)) for job in jobs], set())

    door.fill(SetOnHand(1, 1, 5))
    door.say(Adjust(1, 1, 1))
    try:
        become("mirrored")
        assert isinstance(door.say(Adjust(1, 1, 1)).outcomes[0], Refused)
    finally:
        become("stock")
    assert isinstance(door.say(Adjust(1, 1, 1)).outcomes[0], Accepted)
    assert door.swift == 2


def test_a_message_beside_a_work(shop: Shop, door: Door) -> None:
    door.fill(SetOnHand(1, 1, 5))
    number, made = door.batch(Arrival("bench", "me", "{}"), shop.work(Adjust(1, 1, 1)))
    assert (number, made.levels[HERE].on_hand) == (shop.sql("SELECT id FROM inbox")[0][0], 6)
    door.close()
    shop.check()


def test_who_is_told_anew(shop: Shop, door: Door) -> None:
    """Feeds that change are seen, even in a unit that says it changes nothing that is remembered."""
    door.fill(SetOnHand(5, 1, 5))
    ticket = Ticket(1, shop.work(Adjust(5, 1, 1)), cast(Any, None), cast(Any, None))
    transactions = Transactions(shop.store, lambda: shop.now)
    door.close()
    marked: set[Marked] = set()
    transactions.run([ticket], marked, transactions.open([ticket]))
    assert marked == {(1, 1)}
    unit = Ticket(1, lambda c: feeding.refeed(c, 1, [5]), cast(Any, None), cast(Any, None))
    unit.quiet = True
    transactions.run([unit], set())
    assert shelf.of(transactions._keep()).known(1).levels == {}
    transactions.close()


def test_the_shelf_begins_anew(shop: Shop, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "SHELF_LIMIT", 3)
    for item in (1, 2, 3, 4):
        door.fill(SetOnHand(item, 1, 5))
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
