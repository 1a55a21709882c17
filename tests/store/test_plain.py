"""The usual batch is decided in a way of its own, and comes to what the general way comes to."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from onhand import plain
from onhand.stock.model import (
    QUANTITY_LIMIT,
    Adjust,
    AnyCommand,
    Floor,
    SetAvailable,
    SetInfinite,
    SetOnHand,
)
from onhand.store import requests
from onhand.store.books import Marked
from onhand.work import Companion, Group, Plan, PutDetail, PutOrder, PutPrice, Recorded, SetStatus, Work
from shops import KIT, MIRROR, Shop, answer, key
from transcript import hold, want

HUGE = QUANTITY_LIMIT
UNKNOWN = 77

number = st.one_of(st.integers(0, 9), st.sampled_from([-3, HUGE - 5, HUGE, HUGE + 1]))
told = st.sampled_from([(None, None), ("broken", None), ("sold", "A-1")])
usual_item, usual_place = st.integers(1, 4), st.integers(1, 2)
odd_item, odd_place = st.sampled_from([1, KIT, UNKNOWN]), st.sampled_from([1, MIRROR, UNKNOWN])


def commands(item: st.SearchStrategy[int], place: st.SearchStrategy[int]) -> st.SearchStrategy[AnyCommand]:
    """The three commands that name one level and a number."""
    new = st.booleans()
    near, floor, some = st.integers(-9, 9) | number, st.sampled_from(Floor), st.none() | st.integers(0, 9)
    return st.one_of(
        st.builds(lambda i, p, n, f, why: Adjust(i, p, n, f, *why), item, place, near, floor, told),
        st.builds(
            lambda i, p, n, why, new: SetOnHand(i, p, n, why[0], why[1], new),
            item,
            place,
            number,
            told,
            new,
        ),
        st.builds(
            lambda i, p, n, is_, why: SetAvailable(i, p, n, is_, *why), item, place, number, some, told
        ),
    )


usual = commands(usual_item, usual_place)
odd = commands(odd_item, odd_place)
caller = st.none() | st.just("another")
sale, detail = st.sampled_from(["0.50", UNSET]), st.none() | st.just("{}")
companion: st.SearchStrategy[Companion] = st.one_of(
    st.builds(
        PutPrice, usual_item, st.just(1), st.sampled_from(["1.00", None]), st.sampled_from(["0.50", UNSET])
    ),
    st.builds(
        PutDetail, st.just("bench"), st.just("place"), usual_item, usual_place, st.none() | st.just("{}")
    ),
    st.builds(SetStatus, st.sampled_from([1, 2, 3, UNKNOWN]), st.sampled_from(["open", "closed"])),
    st.builds(lambda item: Plan(10_000_000, (Adjust(item, 1, 1),)), usual_item),
)


def works(command: st.SearchStrategy[AnyCommand]) -> st.SearchStrategy[Work]:
    """Works of such commands: several groups, levels that are only watched, keys that come twice."""
    group = st.builds(
        lambda some, listing, also, existing, expect, who: Group(
            tuple(some), listing, tuple(also), existing, tuple(expect), who
        ),
        st.lists(command, max_size=3),
        st.sampled_from([None, None, None, 1, 2, UNKNOWN]),
        st.lists(companion, max_size=2),
        st.sampled_from([None, None, None, True, False]),
        st.lists(st.tuples(st.tuples(usual_item, usual_place), st.integers(0, 2)), max_size=1),
        caller,
    )
    return st.builds(
        lambda groups, watch, name, asked, consume, context: Work(
            1,
            tuple(groups),
            "me",
            None if name is None else key(name, asked),
            answer if name and groups else None,
            tuple(watch),
            consume=consume,
            context=context,
        ),
        st.lists(group, max_size=3),
        st.lists(st.tuples(usual_item, usual_place), max_size=2),
        st.sampled_from([None, None, "k1", "k2"]),
        st.sampled_from(["asked", "asked something else"]),
        st.sampled_from([(), (), (1,), (2, 3), (UNKNOWN,)]),
        st.sampled_from([None, "a note"]),
    )


batches = st.lists(
    st.lists(st.one_of(works(usual), works(usual), works(usual), works(odd)), min_size=1, max_size=4),
    max_size=5,
)
opening = st.lists(usual, max_size=6)
SAME_SHOP = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


class Ways:
    """Counts the batches that were decided in the usual way, or sends all the general way."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.usual = 0
        self.general = False
        self._fits, self._record = plain.fits, plain.record
        patch.setattr(plain, "fits", self.fits)
        patch.setattr(plain, "record", self.record)

    def fits(self, works: plain.Fresh) -> bool:
        return not self.general and self._fits(works)

    def record(self, *given: Any) -> set[Marked] | None:
        marked = self._record(*given)
        self.usual += marked is not None
        return marked


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> Ways:
    return Ways(monkeypatch)


def played(shop: Shop, first: list[AnyCommand], given: list[list[Work]]) -> list[object]:
    """What all the batches came to in a shop where units are held, some of them soon for no longer."""
    shop.reset()
    with shop.writing() as connection:
        connection.exec_driver_sql(f"DELETE FROM counters WHERE account = {shop.account}")
    for command in (SetOnHand(1, 1, 5), SetOnHand(2, 1, 3), SetInfinite(3, 2, True), *first):
        shop.commit(shop.work(command))
    shop.commit(shop.work(hold("a", want(1, 2, 1), until=shop.now + 2)))
    shop.commit(shop.work(hold("b", want(2, 1, 1))))
    with shop.writing() as connection:
        messages = [requests.Message(number, "bench", "me", "{}", shop.now) for number in (1, 2, 3)]
        requests.receive(connection, shop.account, *messages)
    found: list[object] = []
    for some in given:
        shop.now += 1
        found.append(shop.batch(*some))
    return [*found, shop.all_rows(), shop.sql("SELECT id, seq, recorded_at FROM accounts ORDER BY id")]


@settings(max_examples=25, deadline=None, suppress_health_check=SAME_SHOP)
@given(opening, batches)
def test_both_ways_come_to_the_same(
    shop: Shop, ways: Ways, first: list[AnyCommand], given_batches: list[list[Work]]
) -> None:
    ways.general = False
    one = played(shop, first, given_batches)
    shop.check()
    ways.general = True
    assert played(shop, first, given_batches) == one


def test_what_is_usual(shop: Shop, ways: Ways) -> None:
    shop.commit(shop.work(SetOnHand(1, 1, 5)), shop.work(Adjust(1, 1, -2)), shop.work(SetAvailable(2, 2, 1)))
    assert ways.usual == 1
    before = len(shop.history())
    held = hold("a", want(1, 1, 1), until=shop.now + 10)
    for command in (
        held,
        SetInfinite(2, 1, True),
        Adjust(KIT, 1, 1),
        Adjust(1, MIRROR, 1),
        Adjust(UNKNOWN, 1, 1),
    ):
        shop.commit(shop.work(command))
        shop.commit(shop.work(Adjust(1, 2, 1)), shop.work(command))
    shop.now += 10  # what is held has run out
    shop.commit(shop.work(Adjust(1, 1, 1)))
    assert ways.usual == 1
    shop.commit(shop.work(Adjust(1, 1, 1)))
    assert ways.usual == 2
    assert len(shop.history()) > before


@pytest.mark.parametrize(
    "work",
    [
        Work(1, (Group((Adjust(1, 1, 1), SetInfinite(1, 1, True))),), "me"),
        Work(1, (Group((), also=(PutOrder(1, "o", "o", "o", 1, False, "[]"),)),), "me"),
        Work(1, (), "me", mirror=True),
        Work(1, (), "me", holds=("a",)),
    ],
)
def test_what_is_not(work: Work) -> None:
    assert plain.fits([(0, Work(1, (Group((Adjust(1, 1, 1),)),), "me"))])
    assert not plain.fits([(0, Work(1, (Group((Adjust(1, 1, 1),)),), "me")), (1, work)])


def test_several_accounts_in_one_batch(shop: Shop, ways: Ways) -> None:
    if shop.store.writer.dialect.name != "sqlite":
        pytest.skip("there a batch is of one account")
    given = [shop.work(SetOnHand(1, 1, 4)), Work(2, (Group((SetOnHand(1, 1, 7), Adjust(1, 1, 2))),), "you")]
    found: list[Recorded] = []
    for ways.general in (False, True):
        shop.reset()
        found.extend(shop.commit(*given))
    assert ways.usual == 1
    assert found[:2] == found[2:]
    assert [one.seq for one in found[:2]] == [1, 2]
