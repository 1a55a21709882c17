"""Random batches of works, most of them of the usual kind, for the ways through a commit that must agree."""

from hypothesis import HealthCheck
from hypothesis import strategies as st
from msgspec import UNSET

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
from onhand.work import Companion, Group, Plan, PutDetail, PutPrice, SetStatus, Work
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
money = st.sampled_from(["0.50", "1.00", None, UNSET])
body = st.sampled_from(["{}", '{"status":"ENABLED"}', '{"bin":"A","status":"x"}', None])
written: st.SearchStrategy[Companion] = st.one_of(
    st.builds(PutPrice, usual_item, st.just(1), money, money, st.sampled_from(["EUR", None, UNSET])),
    st.builds(
        PutDetail, st.sampled_from(["a", "b"]), st.just("place"), usual_item, usual_place, body, st.booleans()
    ),
)
"""Companions that are rows and nothing else."""
companion: st.SearchStrategy[Companion] = st.one_of(
    written,
    written,
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


def opened(shop: Shop, first: list[AnyCommand]) -> None:
    """An empty shop with some stock, where units are held, some of them soon for no longer."""
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


def left(shop: Shop) -> list[object]:
    """All that the batches have written."""
    return [shop.all_rows(), shop.sql("SELECT id, seq, recorded_at FROM accounts ORDER BY id")]


FILLED = [SetOnHand(item, place, 20) for item in (1, 2, 3, 4) for place in (1, 2)]
few = st.builds(Adjust, usual_item, usual_place, st.integers(-4, 4) | st.just(-99))
along: st.SearchStrategy[list[Companion]] = st.just([]) | st.lists(written, max_size=3)
group = st.builds(lambda some, also: Group(tuple(some), also=tuple(also)), st.lists(few, max_size=3), along)
quick = st.builds(lambda groups: Work(1, tuple(groups), "me"), st.lists(group, min_size=1, max_size=2))
quickly = st.lists(st.lists(quick, min_size=1, max_size=3), max_size=3)
"""Batches that mostly go the swift way."""
