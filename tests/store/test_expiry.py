"""Expiry is exact: a read, a decision and the past all know of it, whether it was written down or not."""

import pytest
from sqlalchemy import Connection

from onhand.stock.model import (
    Adjust,
    AnyCommand,
    Confirm,
    Expired,
    Extend,
    Forget,
    Insufficient,
    Level,
    Release,
    SetInfinite,
    SetOnHand,
    Ship,
    Unknown,
)
from onhand.store import levels, past, wakeups
from onhand.work import Work
from shops import START, Shop, told
from transcript import hold, hold_text, parts, want

DUE = START + 500


@pytest.fixture
def lent(shop: Shop) -> Shop:
    """Ten of item 1 at location 1, of which hold "a" has 4 until DUE, and as many at location 2."""
    shop.say(SetOnHand(1, 1, 10), SetOnHand(1, 2, 4))
    assert shop.say(hold("a", want(1, 4), want(1, 4, 2), until=DUE)) != "nothing"
    return shop


def sweep(shop: Shop) -> None:
    """What the clockwork does: touch every level that has a due hold."""
    with shop.reading() as connection:
        due = wakeups.due_levels(connection, shop.account, shop.now)
    shop.commit(Work(shop.account, (), "onhand:clock", watch=tuple(due)))


def test_a_hold_is_made_anew_in_the_commit_that_finds_its_time_up(lent: Shop) -> None:
    lent.now = DUE
    assert lent.say(hold("a", want(1, 3), until=DUE + 400)) == "reserved 1@1 +0+3 10/3"
    assert hold_text(lent.hold("a")) == f"held: 1@1 3h until {DUE + 400}"
    lent.check()


def test_a_read_knows_it_before_it_is_written(lent: Shop) -> None:
    assert [now_reserved(lent, now) for now in (DUE - 1, DUE, DUE + 1)] == [4, 0, 0]
    assert lent.kinds() == ["counted", "counted", "reserved", "reserved"]
    with lent.reading() as connection:
        pages = (
            levels.of_items(connection, 1, [1], DUE),
            levels.page(connection, 1, (0, 0), 10, DUE),
            levels.page(connection, 1, (0, 0), 10, DUE, location=1),
        )
        assert [[level.reserved for level in page.values()] for page in pages] == [[0, 0], [0, 0], [0]]
        assert standing(connection, DUE - 1) == [(1, 1, 10, 4, 0, 2, DUE), (1, 2, 4, 4, 0, 2, DUE)]
        assert standing(connection, DUE) == [(1, 1, 10, 0, 0, 3, None), (1, 2, 4, 0, 0, 3, None)]
        assert standing(connection, DUE, 1) == [(1, 1, 10, 0, 0, 3, None)]


def standing(connection: Connection, now: int, location: int | None = None) -> list[levels.Standing]:
    return levels.standing(connection, 1, (0, 0), 10, now, location)


@pytest.mark.parametrize("now", [DUE - 1, DUE, DUE + 1, DUE + 2_000])
def test_one_level_is_what_many_are(lent: Shop, now: int) -> None:
    lent.say(hold("b", want(1, 3), until=DUE + 1_000))
    lent.say(Release("a", parts((1, 1, 2))))
    with lent.reading() as connection:
        found = levels.at(connection, 1, [(1, 1), (1, 2)], now)
        last = levels.last_seq(connection, 1)
        for place in ((1, 1), (1, 2), (2, 1)):
            assert levels.one(connection, 1, place, now) == (last, found.get(place))
        assert levels.one(connection, 404, (1, 1), now) == (0, None)
        rows = standing(connection, now)
    assert [(row[:2], row[3], row[6]) for row in rows] == [
        (place, level.reserved, level.next_expiry) for place, level in found.items()
    ]


def now_reserved(shop: Shop, now: int) -> int:
    shop.now = now
    level = shop.level((1, 1))
    assert level is not None
    return level.reserved


def test_a_decision_knows_it_and_writes_it(lent: Shop) -> None:
    lent.now = DUE - 1
    assert lent.say(Adjust(1, 1, -7)) == Insufficient(1, 1, 7, 6, 10, 4)
    lent.now = DUE
    assert lent.say(Adjust(1, 1, -7)) == "adjusted 1@1 -7+0 3/0"
    expired, adjusted = lent.history()[-2:]
    assert (expired.kind, expired.reserved, expired.caller, expired.reference) == (
        "expired",
        -4,
        "onhand:clock",
        "a",
    )
    assert (expired.effective_at, expired.recorded_at) == (DUE, DUE)
    assert adjusted.caller == "me"
    # The other line is at a level that nobody has touched yet.
    assert hold_text(lent.hold("a")) == f"held: 1@1 4x, 1@2 4h until {DUE}"
    assert lent.stale()[1] == adjusted.seq
    lent.check()
    lent.now = DUE + 300
    assert lent.say(Ship("a", parts((1, 4, 2)))) == "shipped 1@2 -4+0 0/0"
    assert lent.kinds(after=6) == ["expired", "shipped"]
    assert hold_text(lent.hold("a")) == f"shipped: 1@1 4x, 1@2 4s until {DUE}"
    lent.check()


def test_a_refusal_writes_it_too(lent: Shop) -> None:
    lent.now = DUE
    assert lent.say(Extend("a", DUE + 9)) == Expired("a", DUE)
    assert lent.say(Confirm("a")) == Expired("a", DUE)
    assert lent.kinds(after=4) == ["expired", "expired"]
    assert hold_text(lent.hold("a")) == f"expired: 1@1 4x, 1@2 4x until {DUE}"
    lent.check()


def test_the_sweep_writes_all_that_is_due_and_nothing_else(lent: Shop) -> None:
    lent.say(hold("b", want(1, 1), until=DUE + 100))
    lent.say(hold("c", want(1, 1), until=DUE))
    lent.say(Release("c"))
    lent.now = DUE + 50
    sweep(lent)
    assert lent.kinds(after=7) == ["expired", "expired"]
    assert [one.effective_at for one in lent.history()[-2:]] == [DUE, DUE]
    level = lent.level((1, 1))
    assert level == Level(10, 1, False, True, level.version if level else 0, DUE + 100)
    sweep(lent)
    lent.now = DUE + 100
    sweep(lent)
    assert lent.kinds(after=9) == ["expired"]
    assert lent.sql("SELECT COUNT(*) FROM levels WHERE next_expiry IS NOT NULL") == [(0,)]
    lent.check()


def test_what_was_extended_confirmed_or_is_endless(lent: Shop) -> None:
    lent.say(SetInfinite(1, 2, True))
    lent.say(hold("b", want(1, 2), until=DUE), hold("c", want(1, 2), until=DUE))
    lent.say(Extend("b", DUE + 100), Confirm("c"))
    lent.now = DUE
    sweep(lent)
    assert lent.kinds(after=7) == ["expired", "expired"]
    assert [lent.level((1, at)) for at in (1, 2)] == [
        Level(10, 4, False, True, 5, DUE + 100),
        Level(4, 0, True, True, 4, None),
    ]
    lent.check()


def test_shipping_what_has_expired_is_checked_again(lent: Shop) -> None:
    lent.say(hold("b", want(1, 6)))
    lent.now = DUE
    lent.say(hold("c", want(1, 3)))
    assert lent.say(Ship("a")) == Insufficient(1, 1, 4, 1, 10, 9)
    assert lent.say(Ship("a", force=True)) == "shipped 1@1 -4+0 6/9, shipped 1@2 -4+0 0/0"
    assert lent.say(Ship("b"), Ship("c", force=True)) == (
        "shipped 1@1 -6-6 0/3, found 1@1 +3+0 3/3, shipped 1@1 -3-3 0/0"
    )
    lent.check()


def test_in_one_batch(lent: Shop) -> None:
    """Several works meet the same due hold: it is written once, before the first of them."""
    lent.now = DUE + 7
    recorded = lent.commit(
        lent.work(Adjust(1, 1, -10)),
        lent.work(Ship("a", parts((1, 1, 1)))),
        lent.work(Ship("a", parts((1, 1, 2)))),
        lent.work(hold("a", want(1, 1, 2))),
    )
    assert told(recorded[0]) == "adjusted 1@1 -10+0 0/0"
    assert told(recorded[1]) == Insufficient(1, 1, 1, 0, 0, 0)
    assert told(recorded[2]) == "shipped 1@2 -1+0 3/0"
    assert str(told(recorded[3])).startswith("Exists")
    assert lent.kinds(after=4) == ["expired", "expired", "adjusted", "shipped"]
    lent.check()


# --- the past -----------------------------------------------------------------------------------------


def test_as_of_a_number_and_a_time(shop: Shop) -> None:
    commands: list[AnyCommand] = [SetOnHand(1, 1, 10), SetOnHand(2, 1, 5), Adjust(1, 1, -3), Adjust(1, 1, 1)]
    for at, command in enumerate(commands):
        shop.now = START + at * 100
        shop.say(command)
    with shop.reading() as connection:
        by_seq = [levels.as_of_seq(connection, 1, (1, 1), seq).on_hand for seq in range(6)]
        times = (
            START - 1,
            START,
            START + 99,
            START + 199,
            START + 200,
            START + 299,
            START + 300,
            START + 999,
        )
        by_time = [levels.as_of(connection, 1, (1, 1), at).on_hand for at in times]
        seqs = [levels.seq_at(connection, 1, at) for at in times]
        assert levels.last_seq(connection, 1) == 4
        assert not levels.as_of(connection, 1, (3, 1), START).present
    assert by_seq == [0, 10, 10, 7, 8, 8]
    assert by_time == [0, 10, 10, 10, 7, 7, 8, 8]
    assert seqs == [0, 1, 1, 2, 3, 3, 4, 4]


@pytest.mark.parametrize("written_at", [DUE, DUE + 90, None])
def test_the_past_knows_when_a_hold_expired_whenever_that_was_written(
    lent: Shop, written_at: int | None
) -> None:
    if written_at is not None:
        lent.now = written_at
        sweep(lent)
    lent.now = DUE + 100
    with lent.reading() as connection:
        moments = (START - 1, START, DUE - 1, DUE, DUE + 50, DUE + 90, DUE + 100)
        places = (1, 1), (1, 2)  # what is written down of the second is the last movement that there is
        found = {place: [levels.as_of(connection, 1, place, at) for at in moments] for place in places}
        many = [past.levels(connection, 1, places, levels.seq_at(connection, 1, at), at) for at in moments]
    for place in places:
        assert [level.reserved for level in found[place]] == [0, 4, 4, 0, 0, 0, 0]
        assert [page.get(place, Level()) for page in many] == found[place]


def test_pages_of_the_past(shop: Shop) -> None:
    """Every place that ever had a level comes once, whatever became of it, and no other."""
    places = [(item, at) for item in (1, 2, 3) for at in (1, 2)]
    shop.say(*(SetOnHand(item, at, 10 * item + at) for item, at in places))
    shop.say(Forget(2, 2), hold("a", want(3, 1, 2), until=DUE))
    assert shop.say(Forget(1, 3)) == Unknown("level", "1@3")
    with shop.reading() as connection:
        assert past.page(connection, 1, (0, 0), 4) == places[:4]
        assert past.page(connection, 1, places[3], 4) == places[4:]
        assert past.page(connection, 1, (0, 0), 2, location=2) == [(1, 2), (2, 2)]
        assert past.page(connection, 1, (2, 2), 2, location=2) == [(3, 2)]
        assert past.of_items(connection, 1, [3, 1, 3]) == [*places[:2], *places[4:]]
        assert past.of_items(connection, 1, []) == []
        last = levels.last_seq(connection, 1)
        before, after = (past.levels(connection, 1, places, last, DUE + at) for at in (-1, 0))
    assert [(place, one.on_hand) for place, one in before.items()] == [
        (place, 10 * place[0] + place[1]) for place in places if place != (2, 2)
    ]
    assert [page[3, 2].reserved for page in (before, after)] == [1, 0]


def test_many_movements_at_one_instant(shop: Shop) -> None:
    shop.commit(*(shop.work(Adjust(1, 1, 1)) for _ in range(40)))
    shop.now += 1
    shop.commit(*(shop.work(Adjust(1, 1, 1)) for _ in range(27)))
    with shop.reading() as connection:
        found = [levels.as_of(connection, 1, (1, 1), START + at).on_hand for at in (-1, 0, 1, 2)]
        newest = levels.history(connection, 1, (1, 1), limit=2)
        older = levels.history(connection, 1, (1, 1), before=newest[-1].seq, limit=2)
        stream = levels.movements(connection, 1, after=64, limit=10)
    assert found == [0, 40, 67, 67]
    assert [one.on_hand_after for one in newest + older] == [67, 66, 65, 64]
    assert [one.seq for one in stream] == [65, 66, 67]
