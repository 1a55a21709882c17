"""Two processes on one PostgreSQL: what one has not yet committed, the other waits for or runs into."""

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import pytest

from onhand.stock.model import (
    Adjust,
    AnyRefusal,
    Closed,
    Confirm,
    Exists,
    Extend,
    Insufficient,
    Release,
    Reserve,
    SetOnHand,
    Ship,
    Transfer,
)
from onhand.store import catalog, requests
from onhand.store.requests import Message
from onhand.work import Answer, Plan, Recorded, Work
from shops import START, Shop, answer, key, opened, running, second, told
from stores import PostgresDatabases
from transcript import hold, hold_text, want

PLUS = Adjust(1, 1, 1)
DUE = START + 500
WAIT_SECONDS = 0.15
"""Long enough for the second to come as far as it gets before the first commits."""


@pytest.fixture(scope="module")
def kept(postgres: PostgresDatabases) -> Iterator[Shop]:
    """A shop on PostgreSQL that these tests share."""
    yield from opened(postgres)


class Two(NamedTuple):
    """The same shop as two processes see it."""

    one: Shop
    other: Shop

    def overlap(self, first: Work, then: Work) -> list[Recorded | None]:
        """``first`` is decided and written; before it commits, the other process is given ``then``."""

        async def main() -> list[Recorded | None]:
            async with running(self.other) as inventory:
                with self.one.writing() as connection:
                    recorded = self.one.decide(connection, first)
                    task = asyncio.ensure_future(inventory.record(then))
                    await asyncio.sleep(WAIT_SECONDS)
                return [*recorded, await asyncio.wait_for(task, 20)]

        return asyncio.run(main())

    def say(self, first: Work, then: Work) -> list[str | AnyRefusal | None]:
        """What became of both."""
        return [None if one is None else told(one) for one in self.overlap(first, then)]


@pytest.fixture
def two(shop: Shop) -> Iterator[Two]:
    """The shop, with ten of item 1 and item 2 at locations 1 and 2, in two processes."""
    shop.say(*(SetOnHand(item, at, 10) for item in (1, 2) for at in (1, 2)))
    other = second(shop)
    yield Two(shop, other)
    shop.check()
    other.close()


def test_the_last_units_are_sold_once(two: Two) -> None:
    first, then = two.one.work(Adjust(1, 1, -7)), two.other.work(Adjust(1, 1, -7))
    assert two.say(first, then) == ["adjusted 1@1 -7+0 3/0", Insufficient(1, 1, 7, 3, 3, 0)]


def test_a_level_that_neither_has_seen(two: Two) -> None:
    first, then = two.one.work(Adjust(3, 3, 2)), two.other.work(Adjust(3, 3, 2))
    assert two.say(first, then) == ["adjusted 3@3 +2+0 2/0", "adjusted 3@3 +2+0 4/0"]


def test_neighbours_do_not_wait_for_one_anothers_levels(two: Two) -> None:
    first, then = two.one.work(PLUS), two.other.work(Adjust(2, 1, 1))
    assert two.say(first, then) == ["adjusted 1@1 +1+0 11/0", "adjusted 2@1 +1+0 11/0"]


SAME_NAME = [
    # the first makes hold "a", the other does this
    (hold("a", want(1, 4)), hold("a", want(1, 4)), "nothing", "held: 1@1 4h"),
    # at a level that the other one does not touch
    (
        hold("a", want(1, 4)),
        hold("a", want(2, 3)),
        "reserved 2@1 +0+3 10/3, released 1@1 +0-4 10/0",
        "held: 2@1 3h",
    ),
    (
        hold("a", want(1, 4), want(1, 2, 2)),
        hold("a", want(2, 3)),
        "reserved 2@1 +0+3 10/3, released 1@1 +0-4 10/0, released 1@2 +0-2 10/0",
        "held: 2@1 3h",
    ),
    # at the same one, where it then finds a second
    (
        hold("a", want(1, 4), want(1, 2, 2)),
        hold("a", want(1, 3)),
        "released 1@1 +0-1 10/3, released 1@2 +0-2 10/0",
        "held: 1@1 3h",
    ),
    # shorter and longer than it was
    (
        hold("a", want(1, 4)),
        hold("a", want(2, 3), want(2, 1, 2), want(1, 1, 2)),
        "reserved 2@1 +0+3 10/3, reserved 2@2 +0+1 10/1, reserved 1@2 +0+1 10/1, released 1@1 +0-4 10/0",
        "held: 2@1 3h, 2@2 1h, 1@2 1h",
    ),
]


@pytest.mark.parametrize(("first", "then", "says", "stands"), SAME_NAME)
def test_the_same_name_at_once(two: Two, first: Reserve, then: Reserve, says: str, stands: str) -> None:
    assert two.say(two.one.work(first), two.other.work(then))[1] == says
    assert hold_text(two.one.hold("a")) == stands


@pytest.mark.parametrize("item", [1, 2])
def test_the_same_name_of_another_owner(two: Two, item: int) -> None:
    first, then = hold("a", want(1, 4)), hold("a", want(item, 4))
    said = two.say(two.one.work(first), two.other.work(then, caller="you"))
    assert said == ["reserved 1@1 +0+4 10/4", Exists("a", None)]


MOVED = [
    # hold "a" has 4 of 1@1; the first moves it away, the other one does this
    (Ship("a"), "shipped 2@2 -3-3 7/0", "shipped: 2@2 3s"),
    (Release("a"), "released 2@2 +0-3 10/0", "released: 2@2 3r"),
    (Confirm("a"), "nothing", "confirmed: 2@2 3h"),
    (Extend("a", DUE), "nothing", f"held: 2@2 3h until {DUE}"),
    (hold("a", want(1, 5)), "reserved 1@1 +0+5 10/5, released 2@2 +0-3 10/0", "held: 1@1 5h"),
]


@pytest.mark.parametrize(("then", "says", "stands"), MOVED)
def test_a_hold_that_moves_away(two: Two, then: Ship, says: str, stands: str) -> None:
    two.one.say(hold("a", want(1, 4)))
    assert two.say(two.one.work(hold("a", want(2, 3, 2))), two.other.work(then))[1] == says
    assert hold_text(two.one.hold("a")) == stands
    assert two.one.sql("SELECT COUNT(*) FROM reservation_lines") == [(1,)]


def test_a_hold_expires_at_two_levels_at_once(two: Two) -> None:
    two.one.say(hold("a", want(1, 4), want(2, 3), until=DUE))
    two.one.now = two.other.now = DUE
    said = two.say(two.one.work(PLUS), two.other.work(Adjust(2, 1, 1)))
    assert said == ["adjusted 1@1 +1+0 11/0", "adjusted 2@1 +1+0 11/0"]
    assert hold_text(two.one.hold("a")) == f"expired: 1@1 4x, 2@1 3x until {DUE}"
    assert two.one.kinds(after=6) == ["expired", "adjusted", "expired", "adjusted"]


@pytest.mark.parametrize("first", ["level", "hold"])
def test_a_hold_is_shipped_while_it_expires(two: Two, first: str) -> None:
    two.one.say(hold("a", want(1, 4), want(2, 3), until=DUE))
    two.one.now = two.other.now = DUE
    works = [two.one.work(PLUS), two.other.work(Ship("a"))]
    two.say(*(works if first == "level" else works[::-1]))
    assert hold_text(two.one.hold("a")) == f"shipped: 1@1 4s, 2@1 3s until {DUE}"
    assert sorted(two.one.kinds(after=6)) == ["adjusted", "expired", "expired", "shipped", "shipped"]


def test_a_listing_that_closes(two: Two) -> None:
    works = two.one.work(Adjust(1, 1, -10)), two.other.work(PLUS, listing=1)
    assert two.say(*works)[1] == Closed(1)


@pytest.mark.parametrize(("command", "replay"), [(PLUS, Answer(200, "5", {"X-Seq": "5"})), (Ship("x"), None)])
def test_the_same_key_at_once(two: Two, command: Adjust, replay: Answer | None) -> None:
    first = two.one.work(command, key=key("k"), answer=answer)
    then = two.other.work(PLUS, key=key("k"), answer=answer)
    recorded = two.overlap(first, then)[1]
    assert recorded is not None
    assert recorded.replay == replay
    assert recorded.fresh == (None if replay else Answer(200, "5", {"X-Seq": "5"}))
    assert two.one.kinds(after=4) == ["adjusted"]


def test_the_same_message_or_plan_at_once(two: Two) -> None:
    two.one.say(also=(Plan(START, (PLUS,)),))
    with two.one.writing() as connection:
        requests.receive(connection, 1, Message(1, "test", "someone", "{}", START))
        (plan,) = requests.plans(connection, 1)
    for options in {"consume": (1,)}, {"plan": plan.id}:
        recorded = two.overlap(two.one.work(PLUS, **options), two.other.work(PLUS, **options))
        assert [one is not None and one.done_before for one in recorded] == [False, True]
    assert two.one.kinds(after=4) == ["adjusted", "adjusted"]


@pytest.mark.parametrize("there", [True, False])
def test_a_hold_that_is_not_as_it_was_seen(two: Two, there: bool) -> None:
    if there:
        two.one.say(hold("a", want(1, 4)))
    with two.one.writing() as connection:
        requests.receive(connection, 1, Message(1, "test", "someone", "{}", START))
    seen = (("a", two.one.hold("a")),)
    first = two.one.work(hold("a", want(1, 5)))
    for outdated in (True, False):
        then = two.other.work(hold("a", want(2, 6)), Ship("a"), consume=(1,), seen=seen)
        recorded = two.overlap(first, then)[1]
        assert recorded is not None
        assert (recorded.outdated, recorded.done_before) == (outdated, False)
        first, seen = two.one.work(PLUS), (("a", two.one.hold("a")),)
    assert hold_text(two.one.hold("a")) == "shipped: 2@1 6s"


def test_the_same_new_items_at_once(two: Two) -> None:
    """Both have found them missing; the second gets those that the first has made."""
    skus = ["NEW-1", "NEW-2"]

    async def main() -> tuple[dict[str, int], dict[str, int]]:
        async with running(two.other) as inventory:
            with two.one.writing() as connection:
                first = catalog.ensure_items(connection, 1, skus, START)
                unit = partial(catalog.ensure_items, account=1, skus=["NEW-3", *skus], now=START)
                task = asyncio.ensure_future(inventory.write(1, unit))
                await asyncio.sleep(WAIT_SECONDS)
            return first, await asyncio.wait_for(task, 20)

    first, then = asyncio.run(main())
    assert then == {"NEW-3": max(first.values()) + 1} | first


def test_crossing_orders_do_not_deadlock(two: Two) -> None:
    """Many transfers both ways, in works of many groups, from two processes at once."""

    async def main() -> None:
        async with running(two.one) as here, running(two.other) as there:
            ways = [Transfer(item, at, 3 - at, 1) for item in (1, 2) for at in (1, 2)]
            works = [two.one.work(*(ways if number % 2 else ways[::-1])) for number in range(30)]
            jobs = [inventory.record(work) for work in works for inventory in (here, there)]
            await asyncio.wait_for(asyncio.gather(*jobs), 20)

    asyncio.run(main())
    assert [level[0] for level in two.one.sql("SELECT on_hand FROM levels WHERE version > 0")] == [10] * 4
