"""Once and only once: idempotency keys, messages and planned changes, in one batch and in several."""

import pytest

from onhand.stock.model import Adjust, Insufficient, Part, Release, SetOnHand, Ship
from onhand.store import requests
from onhand.store.requests import BODY_KEPT_US, Message
from onhand.store.sql import Statement
from onhand.work import Answer, Conflict, Group, Key, Plan, Recorded, Work
from shops import START, Shop, answer, key, second, told
from transcript import hold, hold_text, want

K = key("k")
OTHER = key("k", "something else")
PLUS, MINUS = Adjust(1, 1, 1), Adjust(1, 1, -9)


def keyed(shop: Shop, command: Adjust, with_key: Key = K, **options: object) -> Work:
    return shop.work(command, key=with_key, answer=answer, **options)


def shape(recorded: Recorded | None) -> str:
    """What became of a work, in a word or two."""
    match recorded:
        case None:
            return "waits"
        case Recorded(done_before=True):
            return "done before"
        case Recorded(outdated=True):
            return "outdated"
        case Recorded(replay=Conflict()):
            return "conflict"
        case Recorded(replay=Answer(status, body)):
            return f"replay {status} {body}"
        case Recorded(fresh=None):
            return "done"
        case Recorded(fresh=Answer(status, body)):
            return f"fresh {status} {body}"
        case _:
            raise AssertionError(recorded)


# --- keys ---------------------------------------------------------------------------------------------


def test_the_same_again_gets_the_stored_answer(shop: Shop) -> None:
    (first,) = shop.commit(keyed(shop, PLUS))
    assert first.fresh == Answer(200, "1", {"X-Seq": "1"})
    (again,) = shop.commit(keyed(shop, PLUS))
    assert again == Recorded(replay=first.fresh)
    assert [shape(one) for one in shop.commit(keyed(shop, PLUS, OTHER))] == ["conflict"]
    assert shop.kinds() == ["adjusted"]


@pytest.mark.parametrize("other", [key("j"), key("k", scope="other scope")])
def test_another_key_or_scope_is_another_request(shop: Shop, other: Key) -> None:
    recorded = shop.commit(keyed(shop, PLUS), keyed(shop, PLUS, other))
    assert [shape(one) for one in recorded] == ["fresh 200 1", "fresh 200 2"]
    shop.check()


def test_keys_are_the_accounts_own(shop: Shop) -> None:
    other = second(shop, account=2)
    assert shape(shop.commit(keyed(shop, PLUS))[0]) == "fresh 200 1"
    assert shape(other.commit(keyed(other, PLUS))[0]) == "fresh 200 1"
    other.close()


def test_a_refused_answer_gives_its_key_back(shop: Shop) -> None:
    (refused,) = shop.commit(keyed(shop, MINUS))
    assert told(refused) == Insufficient(1, 1, 9, 0, 0, 0)
    assert shape(refused) == "fresh 409 0"
    assert shop.sql("SELECT COUNT(*) FROM idempotency") == [(0,)]
    shop.say(SetOnHand(1, 1, 20))
    assert [shape(shop.commit(keyed(shop, MINUS, one))[0]) for one in (OTHER, OTHER, K)] == [
        "fresh 200 2",
        "replay 200 2",
        "conflict",
    ]


TWINS = [
    # the works of one batch, what becomes of them, and of those that wait when they come again
    ([(PLUS, K), (PLUS, K), (PLUS, K)], ["fresh 200 1", "waits", "waits"], ["replay 200 1", "replay 200 1"]),
    ([(PLUS, K), (PLUS, OTHER)], ["fresh 200 1", "waits"], ["conflict"]),
    ([(MINUS, K), (PLUS, OTHER)], ["fresh 409 0", "waits"], ["fresh 200 1"]),
    ([(MINUS, K), (MINUS, K), (PLUS, K)], ["fresh 409 0", "waits", "waits"], ["fresh 409 0", "waits"]),
]


@pytest.mark.parametrize(("given", "first", "then"), TWINS)
def test_twins_in_one_batch(
    shop: Shop, given: list[tuple[Adjust, Key]], first: list[str], then: list[str]
) -> None:
    works = [keyed(shop, command, with_key) for command, with_key in given]
    recorded = shop.batch(*works)
    assert list(map(shape, recorded)) == first
    waiting = [work for work, one in zip(works, recorded, strict=True) if one is None]
    assert list(map(shape, shop.batch(*waiting))) == then
    shop.check()


def test_a_key_without_an_answer_is_kept_too(shop: Shop) -> None:
    work = shop.work(PLUS, key=K)
    assert [shape(shop.commit(work)[0]) for _ in range(2)] == ["done", "replay 0 "]
    assert shape(shop.commit(shop.work(PLUS, key=OTHER))[0]) == "conflict"
    refused = shop.work(MINUS, key=key("j"))
    assert [told(shop.commit(refused)[0]) for _ in range(2)] == [Insufficient(1, 1, 9, 1, 1, 0)] * 2
    assert shop.kinds() == ["adjusted"]
    # One of two groups was done: doing it again would do that twice.
    mixed = shop.works(Group((PLUS,)), Group((MINUS,)), key=key("i"))
    assert [shape(shop.commit(mixed)[0]) for _ in range(2)] == ["done", "replay 0 "]


def test_bodies_are_forgotten_and_keys_are_not(shop: Shop) -> None:
    shop.commit(keyed(shop, PLUS))
    for now, shown in ((START + BODY_KEPT_US, "replay 200 1"), (START + BODY_KEPT_US + 1, "replay 200 ")):
        with shop.writing() as connection:
            requests.prune(connection, 1, now)
        assert shape(shop.commit(keyed(shop, PLUS))[0]) == shown
    assert shape(shop.commit(keyed(shop, PLUS, OTHER))[0]) == "conflict"


def test_bodies_are_forgotten_in_pieces(shop: Shop) -> None:
    count = requests.PRUNED_AT_ONCE + 1
    with shop.writing() as connection:
        old = [(1, "s", str(n), "f", 200, "1", None, START + n) for n in range(count)]
        requests.keep(connection, [*old, (1, "s", "young", "f", 200, "1", None, START + BODY_KEPT_US)])
    later = START + BODY_KEPT_US + count
    for more, left in ((True, 2), (False, 1)):
        with shop.writing() as connection:
            assert requests.prune(connection, 1, later) is more
        assert shop.sql("SELECT COUNT(*) FROM idempotency WHERE body IS NOT NULL") == [(left,)]
    assert shop.sql("SELECT COUNT(*) FROM idempotency") == [(count + 1,)]


def test_a_look_without_a_work(shop: Shop) -> None:
    shop.commit(keyed(shop, PLUS))
    with shop.reading() as connection:
        assert requests.look_up(connection, (1, "scope", "j")) is None
        found = requests.look_up(connection, (1, "scope", "k"))
    assert found == requests.Stored("asked", 200, "1", '{"X-Seq":"1"}')


# --- messages -----------------------------------------------------------------------------------------


def receive(shop: Shop, *numbers: int) -> None:
    with shop.writing() as connection:
        for number in numbers:
            requests.receive(connection, shop.account, Message(number, "test", "someone", "{}", START))


def waiting(shop: Shop) -> list[int]:
    with shop.reading() as connection:
        return [message.id for message in requests.waiting(connection, shop.account)]


def test_a_message_ends_with_what_it_does(shop: Shop) -> None:
    receive(shop, 1, 2, 3)
    assert shape(shop.commit(shop.work(PLUS, consume=(1, 2)))[0]) == "done"
    assert waiting(shop) == [3]
    assert shape(shop.commit(shop.work(PLUS, consume=(1,)))[0]) == "done before"
    # It comes too late for one of its messages, and leaves the other for whoever is in time.
    assert shape(shop.commit(shop.work(PLUS, consume=(2, 3)))[0]) == "done before"
    assert waiting(shop) == [3]
    assert shape(shop.commit(shop.work(MINUS, consume=(3,)))[0]) == "done"
    assert waiting(shop) == []
    assert shop.kinds() == ["adjusted"]


def test_a_message_ends_once_in_a_batch(shop: Shop) -> None:
    receive(shop, 1, 2)
    recorded = shop.batch(
        shop.work(PLUS, consume=(1,)), shop.work(PLUS, consume=(1,)), shop.work(PLUS, consume=(1, 2))
    )
    assert list(map(shape, recorded)) == ["done", "done before", "done before"]
    assert waiting(shop) == [2]
    assert shop.kinds() == ["adjusted"]


def test_who_waits_for_a_key_keeps_its_message(shop: Shop) -> None:
    receive(shop, 1, 2)
    works = keyed(shop, MINUS, consume=(1,)), keyed(shop, PLUS, OTHER, consume=(2,))
    assert list(map(shape, shop.batch(*works))) == ["fresh 409 0", "waits"]
    assert waiting(shop) == [2]
    assert list(map(shape, shop.batch(works[1]))) == ["fresh 200 1"]
    assert waiting(shop) == []


def test_a_known_key_ends_the_message_that_brings_it_again(shop: Shop) -> None:
    receive(shop, 1, 2)
    assert shape(shop.batch(keyed(shop, PLUS, consume=(1,)))[0]) == "fresh 200 1"
    assert shape(shop.batch(keyed(shop, PLUS, consume=(2,)))[0]) == "replay 200 1"
    assert waiting(shop) == []


def test_a_work_that_is_not_done_keeps_no_key(shop: Shop) -> None:
    assert shape(shop.batch(keyed(shop, PLUS, consume=(7,)))[0]) == "done before"
    assert shop.sql("SELECT COUNT(*) FROM idempotency") == [(0,)]
    assert shape(shop.batch(keyed(shop, PLUS))[0]) == "fresh 200 1"


def test_a_work_that_has_seen_an_older_hold_is_not_done(shop: Shop) -> None:
    """Nor does anything of it end, while its neighbours are done."""
    shop.say(SetOnHand(1, 1, 10))
    shop.say(hold("a", want(1, 4)))
    before = shop.hold("a")
    receive(shop, 1, 2)
    works = [
        shop.work(Release("a", (Part(1, 1),))),
        shop.works(Group((Ship("a"),)), Group((PLUS,)), consume=(1,), seen=(("a", before),), key=K),
        shop.work(PLUS, consume=(2,), seen=(("b", None),)),
    ]
    assert list(map(shape, shop.batch(*works))) == ["done", "outdated", "done"]
    assert waiting(shop) == [1]
    assert shop.kinds(after=2) == ["released", "adjusted"]
    assert (
        shop.sql("SELECT COUNT(*) FROM incidents") == shop.sql("SELECT COUNT(*) FROM idempotency") == [(0,)]
    )
    again = shop.works(*works[1].groups, consume=(1,), seen=(("a", shop.hold("a")),), key=K)
    assert list(map(shape, shop.batch(again))) == ["done"]
    assert waiting(shop) == []
    assert hold_text(shop.hold("a")) == "shipped: 1@1 3s1r"
    shop.check()


# --- planned changes ----------------------------------------------------------------------------------


def test_a_plan_is_applied_once(shop: Shop) -> None:
    shop.say(also=(Plan(START + 5, (PLUS,)), Plan(START + 5, (PLUS,))))
    with shop.reading() as connection:
        one, two = [plan.id for plan in requests.due_plans(connection, 1, START + 5)]
    recorded = shop.batch(shop.work(PLUS, plan=one), shop.work(PLUS, plan=one), shop.work(PLUS, plan=99))
    assert list(map(shape, recorded)) == ["done", "done before", "done before"]
    with shop.writing() as connection:
        assert requests.end_plan(connection, 1, two, "cancelled", START)
    assert shape(shop.batch(shop.work(PLUS, plan=two))[0]) == "done before"
    with shop.reading() as connection:
        assert [plan.status for plan in requests.plans(connection, 1)] == ["applied", "cancelled"]
    assert shop.kinds() == ["adjusted"]


def test_a_plan_that_waits_for_a_key_stays_a_plan(shop: Shop) -> None:
    shop.say(also=(Plan(START, (PLUS,)),))
    with shop.reading() as connection:
        (plan,) = requests.plans(connection, 1)
    works = keyed(shop, MINUS), keyed(shop, PLUS, plan=plan.id)
    assert list(map(shape, shop.batch(*works))) == ["fresh 409 0", "waits"]
    assert list(map(shape, shop.batch(works[1]))) == ["fresh 200 1"]


@pytest.mark.parametrize("statement", [requests._due_plans, requests._accounts_due])
def test_sqlite_looks_at_due_plans_alone(shop: Shop, statement: Statement) -> None:
    """Plans that have ended are kept, and the clock asks several times a second."""
    if not shop.store.sqlite:
        pytest.skip("PostgreSQL has statistics to go by")
    text, names = statement._texts["sqlite"]
    with shop.reading() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", tuple(1 for _ in names)).fetchall()
    assert "USING INDEX planned_due (due<?)" in plan[0][-1]
