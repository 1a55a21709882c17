"""What a slot is told, and what a verdict of its channel makes of it: the number, the time and the words."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from onhand.connectors import sandbox
from onhand.connectors.flow import (
    Accepted,
    Future,
    Later,
    Rejected,
    Slot,
    Stale,
    Target,
    Unsure,
    Verdict,
    Whole,
)
from onhand.courier import aiming, settling
from onhand.courier.pacing import BACKOFF_FIRST
from onhand.stock.model import Level
from onhand.stock.offering import PLAIN, Part, Rules, Source
from onhand.store import outgoing
from onhand.store.ahead import Ahead
from onhand.store.drives import AHEAD
from onhand.store.outgoing import Aim, Listed, SlotRow
from onhand.store.told import SlotTold, Told

SECOND = 1_000_000
NOW = 1_000 * SECOND
SANDBOX = sandbox.CHANNEL
ONE = Target(1, {}, (Slot(7, None),), "key")
TWO = Target(1, {}, (Slot(7, "a"), Slot(4, "b")), "key")
WANTED = (SlotTold("", 7),)


def aim(
    *slots: SlotRow,
    attempts: int = 0,
    parked: str | None = None,
    ahead: tuple[Ahead, ...] = (),
    units: int = 9,
) -> Aim:
    """A stale listing whose slots are fed by location 1, which has so many units."""
    rows = slots or (SlotRow("", (1,)),)
    sources = tuple((Source(1, "stock", [Part(1, Level(units, present=True))]),) for _ in rows)
    notes = {"n": "1", "m": "2"}
    listed = Listed(1, 1, {"v": "1"}, None, "A", notes, Rules(), True, False, parked, rows, sources)
    return Aim(outgoing.Stale(1, 12, 3, attempts, 1), listed, 50, ahead=ahead)


def moved(one: Aim, **values: Any) -> Aim:
    """The same with another row of the outbox."""
    return replace(one, stale=replace(one.stale, **values))


TOLD: list[tuple[str, Verdict, Aim, dict[str, Any]]] = [
    ("taken", Accepted(ONE), aim(), {"slots": (SlotTold("", 7, 7),), "accepted": True}),
    (
        "taken after all",
        Accepted(ONE),
        aim(parked="no"),
        {"slots": (SlotTold("", 7, 7),), "accepted": True, "was_parked": True},
    ),
    (
        "taken, with a new revision, a new id and a note that is done with",
        Accepted(ONE, {None: "u"}, {"w": "2"}, {"n": ""}),
        aim(),
        {
            "slots": (SlotTold("", 7, 7, None, "u"),),
            "accepted": True,
            "ids": {"w": "2"},
            "notes": {"n": ""},
        },
    ),
    (
        "taken, with what is known",
        Accepted(ONE, {}, {"v": "1"}, {"n": "1"}),
        aim(),
        {"slots": (SlotTold("", 7, 7),), "accepted": True},
    ),
    (
        "taken, with the revision of one place",
        Accepted(TWO, {"b": "u"}),
        aim(),
        {"slots": (SlotTold("a", 7, 7), SlotTold("b", 4, 4, None, "u")), "accepted": True},
    ),
    (
        "overtaken at one place",
        Stale(TWO, {"a": 3}, "it sold", {"a": "u"}),
        aim(),
        {"slots": (SlotTold("a", 7, None, 3, "u"), SlotTold("b", 4)), "due": NOW, "words": "it sold"},
    ),
    (
        "overtaken, and the channel calls its only place otherwise",
        Stale(ONE, {"warehouse": 3}),
        aim(attempts=settling.STALE_AT_ONCE - 1),
        {
            "slots": (SlotTold("", 7, None, 3),),
            "due": NOW,
            "words": "it shows another number by now",
        },
    ),
    (
        "overtaken at a place that we do not know",
        Stale(TWO, {"c": 3}, "it sold"),
        aim(),
        {"slots": (SlotTold("a", 7), SlotTold("b", 4)), "due": NOW, "words": "it sold"},
    ),
    (
        "put off for as long as it said",
        Later(ONE, "busy", 9.5, {"job": "3"}),
        aim(attempts=7),
        {
            "slots": WANTED,
            "due": NOW + 9_500_000,
            "notes": {"job": "3"},
            "words": "busy",
        },
    ),
    (
        "refused at two places",
        Rejected(TWO, "no"),
        aim(),
        {"slots": (SlotTold("a", 7), SlotTold("b", 4)), "parked": "no"},
    ),
    ("refused", Rejected(ONE, "no such thing", "404"), aim(), {"slots": WANTED, "parked": "no such thing"}),
    ("refused with a code", Rejected(ONE, "", "404"), aim(), {"slots": WANTED, "parked": "404"}),
    ("refused without a word", Rejected(ONE, ""), aim(), {"slots": WANTED, "parked": "refused"}),
    ("refused with all others", Whole(ONE, "no"), aim(), {"slots": WANTED, "parked": "no"}),
]


@pytest.mark.parametrize(("name", "verdict", "before", "expected"), TOLD, ids=[one[0] for one in TOLD])
def test_what_a_verdict_makes(name: str, verdict: Verdict, before: Aim, expected: dict[str, Any]) -> None:
    found = settling.told(before, verdict.target, verdict, NOW, random.Random(1))
    assert found == Told(1, 12, 3, 50, **expected)


@pytest.mark.parametrize(
    ("verdict", "attempts", "pauses"),
    [
        (Later(ONE, "busy"), 0, 1),
        (Later(ONE, "busy"), 3, 8),
        (Unsure(ONE), 0, 1),
        (Unsure(ONE), 3, 8),
        (Stale(ONE), settling.STALE_AT_ONCE, 1),
        (Stale(ONE), settling.STALE_AT_ONCE + 2, 4),
    ],
)
def test_pauses_grow(verdict: Verdict, attempts: int, pauses: int) -> None:
    for seed in range(20):
        found = settling.told(aim(attempts=attempts), ONE, verdict, NOW, random.Random(seed))
        assert found.due is not None
        assert found.slots == WANTED
        assert found.words
        assert BACKOFF_FIRST * pauses / 2 <= (found.due - NOW) / SECOND <= BACKOFF_FIRST * pauses


def test_nothing_to_tell_ends_it() -> None:
    assert settling.unsent(aim()) == Told(1, 12, 3, 50, ())


# --- what is told ---------------------------------------------------------------------------------------


def test_all_that_a_target_says() -> None:
    row = SlotRow("a", (1,), acknowledged=5, token="u", committed=2)
    made = aiming.target(moved(aim(row), reason="recount", context='{"reason": "other"}'), PLAIN, SANDBOX)
    assert made.slots == (Slot(9, "a", acknowledged=5, token="u", committed=2),)
    assert (made.listing, made.ids, made.sku, made.reason, made.notes, made.at, made.futures) == (
        *(1, {"v": "1"}, "A", "recount", {"n": "1", "m": "2"}, 50, ()),
    )


@pytest.mark.parametrize(("theirs", "ours", "sku"), [("T", "A", "T"), (None, "A", "A"), ("T", None, "T")])
def test_the_channels_sku_goes_before_ours(theirs: str | None, ours: str | None, sku: str) -> None:
    one = aim()
    one = replace(one, listed=replace(one.listed, sku=theirs, item_sku=ours))
    assert aiming.target(one, PLAIN, SANDBOX).sku == sku


def test_a_closed_listing_is_told_nothing_is_left() -> None:
    one = aim()
    closed = replace(one.listed, closed=True)
    assert aiming.target(replace(one, listed=closed), PLAIN, SANDBOX).slots[0].offer == 0
    assert [offer.units for offer in aiming.offers(closed, PLAIN)] == [0]
    assert [offer.units for offer in aiming.offers(one.listed, PLAIN)] == [9]


@pytest.mark.parametrize(
    ("rules", "units", "infinite"), [(PLAIN, 999, True), (Rules(cap=1), 1, True), (Rules(cap=0), 0, False)]
)
def test_stock_without_end_is_told_as_such_but_on_an_emptied_shelf(
    rules: Rules, units: int, infinite: bool
) -> None:
    one = aim()
    endless = ((Source(1, "stock", [Part(1, Level(0, infinite=True, present=True))]),),)
    (slot,) = aiming.target(replace(one, listed=replace(one.listed, sources=endless)), rules, SANDBOX).slots
    assert (slot.offer, slot.infinite) == (units, infinite)


SLOTS: list[tuple[str, SlotRow, int | None]] = [
    ("never told", SlotRow("", (1,), observed=3, observed_at=5), 3),
    ("seen since", SlotRow("", (1,), 9, 4, 3, 5), 3),
    ("told since", SlotRow("", (1,), 9, 5, 3, 4), None),
    ("told and seen at one moment", SlotRow("", (1,), 9, 5, 3, 5), None),
    ("never seen", SlotRow("", (1,), 9, 5), None),
    ("told by a clock that was ahead", SlotRow("", (1,), 9, 50 + AHEAD + 1, 3, 5), 3),
]


@pytest.mark.parametrize(("name", "row", "observed"), SLOTS, ids=[one[0] for one in SLOTS])
def test_what_was_seen_is_given_where_it_is_news(name: str, row: SlotRow, observed: int | None) -> None:
    (slot,) = aiming.target(aim(row), PLAIN, SANDBOX).slots
    assert (slot.offer, slot.observed, slot.acknowledged) == (9, observed, row.acknowledged)


@pytest.mark.parametrize(("units", "told"), [(6, 6), (7, 7), (8, 7)])
def test_no_more_than_the_channel_takes(units: int, told: int) -> None:
    small = msgspec.structs.replace(sandbox.CHANNEL, largest=7)
    (slot,) = aiming.target(aim(units=units), PLAIN, small).slots
    assert slot.offer == told


def test_a_request_is_another_after_a_change_a_look_or_a_persons_word() -> None:
    first = aim()
    others = [
        first,
        moved(first, seq=13),
        moved(first, marks=4),
        moved(first, listing=2),
        moved(first, marked_at=41),
        aim(units=8),
        aim(SlotRow("", (1,), token="u")),
    ]
    assert len({aiming.target(one, PLAIN, SANDBOX).key for one in others}) == len(others)
    again = replace(moved(first, attempts=2), at=51)
    assert aiming.target(again, PLAIN, SANDBOX).key == aiming.target(first, PLAIN, SANDBOX).key


def test_more_is_told_ahead_only_where_it_feeds_a_slot() -> None:
    planned = tuple(Ahead((1, at), day, units) for at, day, units in ((1, "d1", 1), (3, "d3", 5)))
    made = aiming.target(aim(SlotRow("a", (1,)), SlotRow("b", (2,)), ahead=planned), PLAIN, SANDBOX)
    assert made.futures == (Future("d1", 1, "a"),)


@pytest.mark.parametrize(
    ("context", "reason", "shop"),
    [
        ('{"reason": "recount", "shop_id": "s1"}', "recount", "s1"),
        ('{"reason": 5}', None, None),
        ("{ not JSON", None, None),
        ("words", None, None),
    ],
)
def test_what_a_dialect_noted_of_the_change(context: str, reason: str | None, shop: str | None) -> None:
    made = aiming.target(moved(aim(), context=context), PLAIN, SANDBOX)
    assert (made.reason, made.shop) == (reason, shop)
