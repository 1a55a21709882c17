"""One transaction writes everything: movements, levels, holds, marks, listings, prices, details and plans."""

import pytest
from msgspec.json import encode
from msgspec.structs import replace

from onhand.stock.model import (
    Adjust,
    AnyCommand,
    AnyRefusal,
    Closed,
    Expire,
    Forbidden,
    Forget,
    Insufficient,
    Level,
    Release,
    SetAvailable,
    SetInfinite,
    SetOnHand,
    Ship,
    Transfer,
    Unknown,
)
from onhand.store import catalog, channels, drives, incidents, levels, outgoing, past, requests
from onhand.work import Accepted, Answer, Group, Key, Plan, PutDetail, PutPrice, SetStatus
from shops import DAMAGED, KIT, MIRROR, START, Shop, said, second, shape
from transcript import hold, hold_text, parts, want


def test_a_story(shop: Shop) -> None:
    """A day in the shop, one commit after the other; the books balance at its end."""
    story: list[tuple[AnyCommand, str | AnyRefusal]] = [
        (SetOnHand(1, 1, 10), "counted 1@1 +10+0 10/0"),
        (SetOnHand(1, 1, 10), "nothing"),
        (hold("a", want(1, 12, 1, 2)), Insufficient(1, 1, 12, 10, 10, 0)),
        (hold("a", want(1, 4), until=START + 500), "reserved 1@1 +0+4 10/4"),
        (SetAvailable(1, 1, 6), "nothing"),
        (Transfer(1, 1, 2, 5), "transferred 1@1 -5+0 5/4, transferred 1@2 +5+0 5/0"),
        (hold("b", want(1, 5, 1, 2)), "reserved 1@1 +0+1 5/5, reserved 1@2 +0+4 5/4"),
        (Ship("b", parts((1, 3))), "shipped 1@1 -1-1 4/4, shipped 1@2 -2-2 3/2"),
        (Release("b"), "released 1@2 +0-2 3/0"),
        (Expire("a"), "expired 1@1 +0-4 4/0"),
        (SetInfinite(1, 2, True), "infinite 1@2 +0+0 ~3/0"),
        (Adjust(1, DAMAGED, 2, reason="broken"), f"adjusted 1@{DAMAGED} +2+0 2/0"),
        (Forget(1, DAMAGED), f"forgotten 1@{DAMAGED} -2+0 -"),
    ]
    for command, says in story:
        assert shop.say(command) == says
        shop.check()
    assert shop.level((1, 1)) == Level(4, 0, False, True, 6, START + 500)
    assert shop.level((1, DAMAGED)) is None
    last = len(shop.history())
    with shop.reading() as connection:
        seen = [past.levels(connection, 1, [(1, DAMAGED)], seq) for seq in (0, last - 1, last)]
    assert [[one.on_hand for one in found.values()] for found in seen] == [[], [2], []]
    assert hold_text(shop.hold("b")) == "shipped: 1@1 1s, 1@2 2s2r"
    assert shop.stale() == {1: len(shop.history()) - 2}


def test_a_batch_is_decided_in_order_of_arrival(shop: Shop) -> None:
    works = [
        shop.work(SetOnHand(1, 1, 5)),
        shop.work(Adjust(1, 1, -3)),
        shop.work(Adjust(1, 1, -3)),
        shop.work(Adjust(1, 1, -2)),
    ]
    recorded = shop.commit(*works)
    assert said(recorded) == [
        "counted 1@1 +5+0 5/0",
        "adjusted 1@1 -3+0 2/0",
        Insufficient(1, 1, 3, 2, 2, 0),
        "adjusted 1@1 -2+0 0/0",
    ]
    assert [one.seq for one in recorded[1].outcomes if isinstance(one, Accepted)] == [2]
    assert recorded[1].levels[1, 1].on_hand == 2
    assert recorded[2].levels[1, 1].on_hand == 2
    shop.check()


def test_an_answer_has_seen_what_its_levels_show_and_no_more(shop: Shop) -> None:
    shop.say(SetOnHand(1, 1, 5), hold("a", want(1, 2), until=START + 500))
    shop.now = START + 500
    place = (1, 1)
    recorded = shop.commit(
        shop.works(watch=(place,)),
        shop.work(Adjust(1, 1, -3)),
        shop.work(SetOnHand(2, 1, 4)),
        shop.work(Adjust(1, 1, -3)),
        shop.work(Adjust(1, 1, -1), Adjust(1, 1, -1)),
    )
    assert [one.seq for one in recorded] == [3, 4, 5, 5, 7]
    assert [one.ends for done in recorded for one in done.outcomes if isinstance(one, Accepted)] == [
        (1,),
        (1,),
        (1, 2),
    ]
    with shop.reading() as connection:
        for one in (recorded[0], recorded[1], *recorded[3:]):
            assert shape(levels.as_of_seq(connection, 1, place, one.seq)) == shape(one.levels[place])


def test_groups_stand_alone_and_a_group_falls_whole(shop: Shop) -> None:
    bad = Group((SetOnHand(2, 1, 5), Adjust(1, 1, -9)), also=(PutPrice(2, 1, "1.00", None),))
    good = Group((SetOnHand(3, 1, 5),), also=(PutPrice(3, 1, "2.00", None, "EUR"),))
    (recorded,) = shop.commit(shop.works(bad, good, Group(())))
    assert [type(one).__name__ for one in recorded.outcomes] == ["Refused", "Accepted", "Accepted"]
    assert shop.level((2, 1)) is None
    with shop.reading() as connection:
        assert catalog.prices(connection, 1, [2, 3]) == {(3, 1): catalog.Price("2.00", None, "EUR")}
    shop.check()


def test_companions_are_in_the_commit_and_the_last_word_stands(shop: Shop) -> None:
    also = (
        PutPrice(1, 1, "3.00", "2.50"),
        PutDetail("treet", "level", 1, 1, '{"a":1}'),
        PutDetail("treet", "level", 2, 1, '{"b":1}'),
        PutDetail("treet", "level", 2, 1, None),
        SetStatus(5, "closed"),
        SetStatus(5, "open"),
        SetStatus(6, "closed"),
        Plan(START + 900, (Adjust(1, 1, 1),), "soon"),
    )
    shop.say(SetOnHand(1, 1, 5), also=also)
    shop.say(also=(PutPrice(1, 1, sale_price=None),))
    with shop.reading() as connection:
        assert catalog.prices(connection, 1, [1]) == {(1, 1): catalog.Price("3.00", None, None)}
        assert channels.details(connection, 1, "treet", "level", [1, 2]) == {(1, 1): {"a": 1}}
        (plan,) = requests.plans(connection, 1)
        assert requests.due_plans(connection, 1, START + 899) == []
    assert (plan.due, plan.caller, plan.context, plan.status) == (START + 900, "me", "soon", "waiting")
    assert (shop.status(5), shop.status(6)) == ("open", "closed")
    shop.say(also=(PutDetail("treet", "level", 1, 1, None), PutDetail("treet", "level", 3, 1, None)))
    with shop.reading() as connection:
        assert channels.details(connection, 1, "treet", "level", [1, 2, 3]) == {}


def test_a_part_of_a_detail_leaves_the_others(shop: Shop) -> None:
    """Within a commit and after another, whatever was read before: nobody writes back what others said."""

    def part(body: str | None, item: int = 1) -> PutDetail:
        return PutDetail("treet", "level", item, 1, body, part=True)

    def kept() -> dict[tuple[int, int], dict[str, object]]:
        with shop.reading() as connection:
            return channels.details(connection, 1, "treet", "level", [1, 2])

    gone, whole = (PutDetail("treet", "level", 1, 1, body) for body in (None, '{"d":4}'))
    odd = "'\"\\\n\u0001ä\u2028\U0001f4e6{rows}:now"
    shop.say(also=(part('{"a":1}'), part('{"b":"1.50"}'), part(encode({"b": odd}).decode(), 2)))
    assert kept() == {(1, 1): {"a": 1, "b": "1.50"}, (2, 1): {"b": odd}}
    shop.say(
        SetOnHand(1, 1, 5), also=(part('{"b":"2"}'), part('{"c":"0.10"}'), part('{"b":""}'), part("{}", 2))
    )
    assert kept() == {(1, 1): {"a": 1, "b": "", "c": "0.10"}, (2, 1): {"b": odd}}
    assert isinstance(shop.say(Adjust(1, 1, -99), also=(part('{"a":7}'),)), Insufficient)
    assert kept()[1, 1]["a"] == 1
    shop.say(also=(part('{"d":6}'), gone, part('{"f":7}')))
    assert kept()[1, 1] == {"f": 7}
    shop.say(also=(part('{"f":8}'), whole, part('{"e":5}'), part(None, 2)))
    assert kept() == {(1, 1): {"d": 4, "e": 5}}


PLACES: list[tuple[AnyCommand, AnyRefusal]] = [
    (SetOnHand(99, 1, 5), Unknown("item", "99")),
    (SetOnHand(1, 99, 5), Unknown("location", "99")),
    (SetOnHand(99, 98, 5), Unknown("item", "99")),
    (Transfer(1, 1, 99, 5), Unknown("location", "99")),
    (hold("a", want(1, 1, 1, 99)), Unknown("location", "99")),
    (hold("a", want(99, 1)), Unknown("item", "99")),
    (SetOnHand(KIT, 1, 5), Forbidden("a kit has no stock of its own: set its components")),
    (Adjust(KIT, 1, 5), Forbidden("a kit has no stock of its own: set its components")),
    (SetOnHand(1, MIRROR, 5), Forbidden("a mirrored location is written by its channel alone")),
    (hold("a", want(1, 1, MIRROR, 1)), Forbidden("a mirrored location is written by its channel alone")),
    (Release("a"), Unknown("reservation", "a")),
]


def test_prices_of_one_commit_leave_one_another_what_they_do_not_name(shop: Shop) -> None:
    shop.say(also=(PutPrice(1, 1, "3.00", "2.50"),))
    shop.commit(
        shop.work(also=(PutPrice(1, 1, price="4.00"), PutPrice(2, 1, price="9.00"))),
        shop.work(also=(PutPrice(1, 1, sale_price=None),)),
        shop.work(also=(PutPrice(1, 1, currency="EUR"), PutPrice(1, 1, price="4.10"))),
    )
    with shop.reading() as connection:
        assert catalog.prices(connection, 1, [1, 2]) == {
            (1, 1): catalog.Price("4.10", None, "EUR"),
            (2, 1): catalog.Price("9.00", None, None),
        }


def test_places_that_cannot_be_written(shop: Shop) -> None:
    shop.say(SetOnHand(1, 1, 5))
    for command, refusal in PLACES:
        assert shop.say(command) == refusal
    assert shop.say(SetOnHand(1, MIRROR, 5), mirror=True) == f"counted 1@{MIRROR} +5+0 5/0"
    assert shop.say(Adjust(1, MIRROR, -1)) == PLACES[8][1]
    # What is promised there is the channel's, too, though a reservation's name does not say where it lies.
    shop.say(hold("m", want(1, 2, MIRROR)), mirror=True)
    for command in (Ship("m"), Release("m"), Expire("m")):
        assert shop.say(command) == PLACES[8][1]
    assert shop.say(Ship("m"), mirror=True) == f"shipped 1@{MIRROR} -2-2 3/0"
    with shop.reading() as connection:
        assert incidents.page(connection, 1) == []  # whoever asked was told
    shop.check()


def test_lines_are_written_anew_where_they_changed_and_nowhere_else(shop: Shop) -> None:
    shop.say(SetOnHand(1, 1, 9), SetOnHand(2, 1, 9), SetOnHand(3, 1, 9))
    lines = [
        ((want(1, 2), want(2, 1), want(3, 1)), "held: 1@1 2h, 2@1 1h, 3@1 1h"),
        ((want(1, 2),), "held: 1@1 2h"),
        ((want(KIT, 1),), f"held: 1@1({KIT}x2) 2h, 2@1({KIT}x1) 1h"),
        ((want(2, 1), want(1, 2)), "held: 2@1 1h, 1@1 2h"),
    ]
    for wanted, stands in lines:
        shop.say(hold("a", *wanted))
        assert hold_text(shop.hold("a")) == stands
        shop.check()


def test_a_kit_is_reserved_by_its_components(shop: Shop) -> None:
    shop.say(SetOnHand(1, 1, 5), SetOnHand(2, 1, 5))
    assert shop.say(hold("a", want(KIT, 3))) == Insufficient(1, 1, 6, 5, 5, 0, kit=KIT)
    assert shop.say(hold("a", want(KIT, 2))) == "reserved 1@1 +0+4 5/4, reserved 2@1 +0+2 5/2"
    assert hold_text(shop.hold("a")) == f"held: 1@1({KIT}x2) 4h, 2@1({KIT}x1) 2h"
    assert shop.say(Ship("a", parts((KIT, 1)))) == "shipped 1@1 -2-2 3/2, shipped 2@1 -1-1 4/1"
    mixed = shop.say(SetOnHand(3, 1, 5), Release("a"), hold("b", want(3, 1), want(KIT, 1)))
    assert mixed == (
        "counted 3@1 +5+0 5/0, released 1@1 +0-2 3/0, released 2@1 +0-1 4/0,"
        " reserved 3@1 +0+1 5/1, reserved 1@1 +0+2 3/2, reserved 2@1 +0+1 4/1"
    )
    shop.check()


# --- listings -----------------------------------------------------------------------------------------

CLOSERS: list[tuple[str, tuple[AnyCommand, ...]]] = [
    ("the last unit is taken", (Adjust(1, 1, -5),)),
    ("the last unit is promised", (hold("a", want(1, 5)),)),
    ("a count of none", (SetOnHand(1, 1, 0),)),
    ("it moves away", (Transfer(1, 1, 2, 5),)),
    ("the level is forgotten", (Forget(1, 1),)),
    ("up and down", (Adjust(1, 1, 1), Adjust(1, 1, -6))),
]


@pytest.mark.parametrize(("commands", "through"), [(c, t) for _, c in CLOSERS for t in (None, 1)])
def test_a_listing_closes_when_its_level_shows_nothing(
    shop: Shop, commands: tuple[AnyCommand, ...], through: int | None
) -> None:
    shop.say(SetOnHand(1, 1, 5), SetOnHand(4, 1, 5))
    assert shop.status(1) == "open"
    shop.say(*commands, listing=through)
    assert (shop.status(1), shop.status(2)) == ("closed", "open")
    assert shop.say(Adjust(1, 1, 1), listing=1) == Closed(1)
    assert shop.say(Adjust(1, 1, 1)) != Closed(1)
    assert shop.status(1) == "closed"
    # One that does not close by itself stays open, whatever its level shows.
    shop.say(SetOnHand(4, 1, 0), listing=4)
    assert shop.status(4) == "open"


def test_a_level_that_showed_nothing_before_closes_the_listing_it_is_set_through(shop: Shop) -> None:
    shop.say(SetOnHand(1, 1, 0))
    assert shop.status(1) == "closed"
    shop.say(also=(SetStatus(1, "open"),))
    assert shop.say(SetAvailable(1, 1, 0), listing=1) == "nothing"
    assert shop.status(1) == "closed"


def test_a_change_elsewhere_does_not_close_a_listing(shop: Shop) -> None:
    shop.say(SetOnHand(1, 1, 5), SetOnHand(1, 2, 5))
    assert shop.say(SetOnHand(1, 2, 0), listing=1) == "counted 1@2 -5+0 0/0"
    assert shop.say(listing=1, also=(PutPrice(1, 1, "1"),)) == "nothing"
    assert shop.status(1) == "open"
    assert shop.say(SetOnHand(1, 1, 2), listing=99) == Closed(99)
    assert shop.say(listing=99) == Closed(99)


IN_ONE_BATCH = [
    # what is done one after the other, what the last of them says, the listing in the end
    ([(Adjust(1, 1, -5), None), (Adjust(1, 1, 1), 1)], Closed(1), "closed"),
    ([(Adjust(1, 1, -5), 1), (Adjust(1, 1, 1), 1)], Closed(1), "closed"),
    ([(Adjust(1, 1, -5), 1), (Adjust(1, 1, 1), None)], "adjusted 1@1 +1+0 1/0", "closed"),
    ([(Adjust(4, 1, -5), 4), (Adjust(4, 1, 1), 4)], "adjusted 4@1 +1+0 1/0", "open"),
    ([("closed", None), (Adjust(1, 1, 1), 1)], Closed(1), "closed"),
    ([(Adjust(1, 1, -5), 1), (Adjust(1, 1, 1), None), ("open", None)], "nothing", "open"),
    (
        [(Adjust(1, 1, -5), 1), ("open", None), (Adjust(1, 1, 1), 1)],
        "adjusted 1@1 +1+0 1/0",
        "open",
    ),
    ([("closed", None), ("open", None), (Adjust(1, 1, -5), 1)], "adjusted 1@1 -5+0 0/0", "closed"),
    ([("open", None), (Adjust(1, 1, -5), None)], "adjusted 1@1 -5+0 0/0", "closed"),
]


@pytest.mark.parametrize(("steps", "says", "status"), IN_ONE_BATCH)
@pytest.mark.parametrize("together", [False, True], ids=["one by one", "in one batch"])
def test_a_batch_is_as_if_one_after_the_other(
    shop: Shop,
    steps: list[tuple[AnyCommand | str, int | None]],
    says: str | AnyRefusal,
    status: str,
    together: bool,
) -> None:
    shop.say(SetOnHand(1, 1, 5), SetOnHand(4, 1, 5))
    works = [
        shop.work(also=(SetStatus(1, step),)) if isinstance(step, str) else shop.work(step, listing=through)
        for step, through in steps
    ]
    recorded = shop.commit(*works) if together else [shop.commit(work)[0] for work in works]
    assert said(recorded)[-1] == says
    assert shop.status(4 if steps[0][1] == 4 else 1) == status


def test_every_listing_that_a_level_feeds_is_marked(shop: Shop) -> None:
    shop.say(SetOnHand(1, 1, 5), SetOnHand(2, 1, 5))
    assert shop.stale() == {1: 1, 2: 2}
    with shop.writing() as connection:  # a channel could not be told; what is new does not wait with it
        connection.exec_driver_sql(f"UPDATE outbox SET due = {START + 900}")
    shop.commit(shop.work(SetOnHand(1, 2, 5)), shop.work(SetOnHand(1, 3, 5)), shop.work(SetOnHand(2, 1, 5)))
    assert shop.stale() == {1: 3, 2: 2}
    assert shop.sql("SELECT listing, due FROM outbox ORDER BY 1") == [(1, START), (2, START + 900)]
    assert shop.say(SetOnHand(1, 1, -1, only_absent=True)) == "nothing"
    assert shop.stale() == {1: 3, 2: 2}


def test_a_listing_is_stale_since_the_first_movement_of_a_commit(shop: Shop) -> None:
    first, _ = shop.commit(shop.work(SetOnHand(1, 1, 5)), shop.work(Adjust(1, 1, -1, reason="sold")))
    assert shop.sql("SELECT since, seq, marks FROM outbox") == [(1, 2, 0)]
    with shop.reading() as connection:
        assert drives.unseen(connection, 1, first.seq, [1]) == {1}, "the channel knows nothing of it yet"
        (aim,) = outgoing.claim(connection, 1, 1, START, [1]).aims
    assert aim.stale.reason is None, "the last of several movements does not speak for all"


# --- order --------------------------------------------------------------------------------------------


def test_times_never_run_backwards(shop: Shop) -> None:
    for now in (START, START - 500, START + 10):
        shop.now = now
        shop.say(Adjust(1, 1, 1))
    assert [one.recorded_at for one in shop.history()] == [START, START, START + 10]
    shop.check()


def test_two_accounts_count_for_themselves(shop: Shop) -> None:
    other = second(shop, account=2)
    shop.say(SetOnHand(1, 1, 5))
    assert other.say(SetOnHand(1, 1, 7)) == "counted 1@1 +7+0 7/0"
    assert other.say(SetOnHand(2, 1, 7)) == Unknown("item", "2")
    assert other.say(hold("a", want(1, 1))) == "reserved 1@1 +0+1 7/1"
    assert shop.say(Release("a")) == Unknown("reservation", "a")
    if shop.store.sqlite:  # on PostgreSQL a batch is one account's
        works = shop.work(Adjust(1, 1, 1)), other.work(Adjust(1, 1, 1)), shop.work(Adjust(1, 1, 1))
        assert [one.seq for one in shop.commit(*works)] == [2, 3, 3]
    for one in (shop, other):
        one.check()
    other.close()


def test_what_one_account_does_leaves_no_trace_in_another(shop: Shop) -> None:
    other = second(shop, account=2)
    key = Key("s", "k", "f")
    for one in (shop, other):
        one.say(SetOnHand(1, 1, 5), hold("a", want(1, 2), until=START + 500))
        one.say(Adjust(1, 1, 1), key=key, answer=lambda _: Answer(200, "{}"))
        one.say(also=(PutDetail("treet", "level", 1, 1, "{}"), Plan(START + 900, (Adjust(1, 1, 1),))))
        with one.writing() as connection:
            message = requests.Message(1, "test", "someone", "{}", START)
            requests.receive(connection, one.account, message)
    before = shop.all_rows()
    other.say(hold("a", want(1, 1), until=START + 600), consume=(1,))
    other.say(also=(PutDetail("treet", "level", 1, 1, None), SetStatus(1, "closed")))
    other.now = START + 1000
    other.say(SetOnHand(1, 1, 0), plan=1)
    with other.writing() as connection:
        requests.prune(connection, 2, START + 2 * requests.BODY_KEPT_US)
    assert hold_text(other.hold("a")) == f"expired: 1@1 1x until {START + 600}"
    assert shop.all_rows() == before
    for one in (shop, other):
        one.check()
    other.close()


def test_as_it_was_expected(shop: Shop) -> None:
    shop.say(SetOnHand(1, 1, 5))
    first = Group((Adjust(1, 1, 1),), expect=(((1, 1), 1), ((3, 1), 0)))
    recorded = shop.commit(shop.works(first), shop.works(first))
    assert [type(one.outcomes[0]).__name__ for one in recorded] == ["Accepted", "Refused"]
    elsewhere = replace(first, expect=(((4, 1), 1),))
    assert said(shop.commit(shop.works(elsewhere))) != ["adjusted 1@1 +1+0 7/0"]
    shop.say(SetOnHand(4, 1, 5))
    assert said(shop.commit(shop.works(elsewhere))) == ["adjusted 1@1 +1+0 7/0"]
