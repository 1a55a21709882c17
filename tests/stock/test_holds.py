"""The life of a reservation as transcripts: what is asked, what the ledger says, how the hold then stands."""

from typing import NamedTuple

import pytest

from onhand.stock.model import (
    QUANTITY_LIMIT,
    AnyCommand,
    AnyRefusal,
    Confirm,
    Exists,
    Expire,
    Expired,
    Extend,
    Forbidden,
    HoldStatus,
    Insufficient,
    Line,
    Release,
    Reserve,
    Return,
    SetInfinite,
    SetOnHand,
    Ship,
    TooLarge,
    Unknown,
)
from transcript import ME, NOW, YOU, hold, hold_text, ledger, levels_text, parts, say, want

HELD, CONFIRMED = HoldStatus.HELD, HoldStatus.CONFIRMED
SHIPPED, RELEASED = HoldStatus.SHIPPED, HoldStatus.RELEASED


class Step(NamedTuple):
    """A command, what the ledger says, and how hold "a" then stands (None: as before)."""

    command: AnyCommand
    says: str | AnyRefusal
    stands: str | None = None
    by: str = ME


four = hold("a", want(1, 4))
first = Step(four, "reserved 1@1 +0+4 10/4", "held: 1@1 4h")
lent = Step(hold("a", want(1, 4), until=1900), "reserved 1@1 +0+4 10/4", "held: 1@1 4h until 1900")
expired = Step(Expire("a"), "expired 1@1 +0-4 10/0", "expired: 1@1 4x until 1900")
NONE = Unknown("reservation", "a")

LIVES: dict[str, tuple[str, list[Step]]] = {
    "ship": (
        "1@1 10/0",
        [
            first,
            Step(Ship("a"), "shipped 1@1 -4-4 6/0", "shipped: 1@1 4s"),
            Step(Ship("a"), "nothing"),
            Step(Release("a"), "nothing"),
            Step(Release("a", parts((1, 1))), Insufficient(1, 1, 1, 0, 6, 0)),
            Step(Extend("a", 1950), Exists("a", SHIPPED)),
            Step(Confirm("a"), Exists("a", SHIPPED)),
            Step(four, Exists("a", SHIPPED)),
            Step(Return("a", parts((1, 5))), Insufficient(1, 1, 5, 4, 6, 0)),
            Step(Return("a", parts((1, 1))), "returned 1@1 +1+0 7/0", "shipped: 1@1 4s1b"),
            Step(Return("a"), "returned 1@1 +3+0 10/0", "shipped: 1@1 4s4b"),
            Step(Return("a"), "nothing"),
        ],
    ),
    "release": (
        "1@1 10/0",
        [
            first,
            Step(Release("a", parts((1, 1))), "released 1@1 +0-1 10/3", "held: 1@1 3h1r"),
            Step(Release("a", parts((1, 2), (1, 2))), Insufficient(1, 1, 2, 1, 10, 3)),
            Step(Release("a"), "released 1@1 +0-3 10/0", "released: 1@1 4r"),
            Step(Release("a"), "nothing"),
            Step(Ship("a"), Exists("a", RELEASED)),
            Step(Confirm("a"), Exists("a", RELEASED)),
            Step(Return("a"), "nothing"),
            Step(four, Exists("a", None), by=YOU),
            Step(four, "reserved 1@1 +0+4 10/4", "held: 1@1 4h"),
        ],
    ),
    "parts": (
        "1@1 10/0",
        [
            first,
            Step(Ship("a", parts((1, 1))), "shipped 1@1 -1-1 9/3", "held: 1@1 3h1s"),
            Step(Ship("a", parts((1, 4))), Insufficient(1, 1, 4, 3, 9, 3)),
            Step(Ship("a", parts((2, 1))), Unknown("line", "2")),
            Step(Ship("a", parts((1, 1, 2))), Unknown("line", "1")),
            Step(Ship("a", parts((1, 0))), Forbidden("a part is at least 1 unit")),
            Step(Release("a", parts((1, -1))), Forbidden("a part is at least 1 unit")),
            Step(Ship("a", ()), "nothing"),
            Step(Release("a", parts((1, 1))), "released 1@1 +0-1 9/2", "held: 1@1 2h1s1r"),
            # What was shipped under the name would be forgotten: it has gone further.
            Step(four, Exists("a", HELD)),
            Step(Ship("a"), "shipped 1@1 -2-2 7/0", "shipped: 1@1 3s1r"),
        ],
    ),
    "expire": (
        "1@1 10/0",
        [
            lent,
            expired,
            Step(Expire("a"), "nothing"),
            Step(Extend("a", 2000), Expired("a", 1900)),
            Step(Confirm("a"), Expired("a", 1900)),
            Step(Release("a"), "nothing"),
            Step(Release("a", parts((1, 1))), Expired("a", 1900)),
            Step(SetOnHand(1, 1, 3), "counted 1@1 -7+0 3/0"),
            Step(Ship("a"), Insufficient(1, 1, 4, 3, 3, 0)),
            Step(SetOnHand(1, 1, 5), "counted 1@1 +2+0 5/0"),
            Step(hold("b", want(1, 2)), "reserved 1@1 +0+2 5/2"),
            Step(Ship("a"), Insufficient(1, 1, 4, 3, 5, 2)),
            Step(Ship("a", parts((1, 3))), "shipped 1@1 -3+0 2/2", "shipped: 1@1 3s1x until 1900"),
            # The last one is still owed: shipping it is checked, and not passed over in silence.
            Step(Ship("a"), Insufficient(1, 1, 1, 0, 2, 2)),
            Step(Release("b"), "released 1@1 +0-2 2/0"),
            Step(Ship("a"), "shipped 1@1 -1+0 1/0", "shipped: 1@1 4s until 1900"),
        ],
    ),
    "ended by hand, without a time of its own": (
        "1@1 10/0",
        [
            first,
            Step(Expire("a"), "expired 1@1 +0-4 10/0", "expired: 1@1 4x"),
            Step(Extend("a", 1900), Expired("a", NOW)),
            Step(Release("a", parts((1, 1))), Expired("a", NOW)),
        ],
    ),
    "extend and confirm": (
        "1@1 10/0",
        [
            Step(Extend("a", 1900), NONE),
            Step(Confirm("a"), NONE),
            lent,
            Step(Extend("a", 1900), "nothing"),
            Step(Extend("a", NOW), Expired("a", NOW)),
            Step(Extend("a", 1500), "nothing", "held: 1@1 4h until 1500"),
            Step(Extend("a", None), "nothing", "held: 1@1 4h"),
            Step(Extend("a", 1600), "nothing", "held: 1@1 4h until 1600"),
            Step(Confirm("a"), "nothing", "confirmed: 1@1 4h"),
            Step(Confirm("a"), "nothing"),
            Step(Extend("a", 1700), Exists("a", CONFIRMED)),
            Step(Expire("a"), Exists("a", CONFIRMED)),
            Step(four, Exists("a", CONFIRMED)),
            Step(Release("a"), "released 1@1 +0-4 10/0", "released: 1@1 4r"),
        ],
    ),
    "replace": (
        "1@1 10/0, 1@2 5/0, 2@1 3/0",
        [
            first,
            Step(four, "nothing"),
            Step(four, Exists("a", None), by=YOU),
            Step(hold("a", want(1, 10)), "reserved 1@1 +0+6 10/10", "held: 1@1 10h"),
            Step(hold("a", want(1, 11)), Insufficient(1, 1, 11, 10, 10, 10)),
            Step(hold("a", want(1, 2)), "released 1@1 +0-8 10/2", "held: 1@1 2h"),
            Step(hold("a", want(1, 2), until=1900), "nothing", "held: 1@1 2h until 1900"),
            Step(
                hold("a", want(2, 3), want(1, 1, 2)),
                "reserved 2@1 +0+3 3/3, reserved 1@2 +0+1 5/1, released 1@1 +0-2 10/0",
                "held: 2@1 3h, 1@2 1h",
            ),
            Step(hold("a", want(2, 4), want(1, 1, 2)), Insufficient(2, 1, 4, 3, 3, 3)),
            Step(Release("a"), "released 2@1 +0-3 3/0, released 1@2 +0-1 5/0", "released: 2@1 3r, 1@2 1r"),
        ],
    ),
    "a channel's facts": (
        "1@1 3/0, 1@2 2/0",
        [
            # What does not fit is promised at the first location all the same.
            Step(
                hold("a", want(1, 9, 1, 2), force=True),
                "reserved 1@1 +0+7 3/7, reserved 1@2 +0+2 2/2",
                "held: 1@1 7h, 1@2 2h",
            ),
            Step(Ship("a"), Insufficient(1, 1, 7, 3, 3, 7)),
            Step(Ship("a", parts((1, 1)), force=True), "shipped 1@1 -1-1 2/6", "held: 1@1 6h1s, 1@2 2h"),
            Step(
                Ship("a", force=True),
                "found 1@1 +4+0 6/6, shipped 1@1 -6-6 0/0, shipped 1@2 -2-2 0/0",
                "shipped: 1@1 7s, 1@2 2s",
            ),
            # More is ordered under the same name: what has left stays on record, and can come back.
            Step(hold("a", want(1, 2), force=True), "reserved 1@1 +0+2 0/2", "held: 1@1 2h7s, 1@2 2s"),
            Step(hold("a", want(1, 2), force=True), Exists("a", None), by=YOU),
            Step(hold("a", want(1, 2)), Exists("a", HELD)),
            Step(Return("a", parts((1, 9))), "returned 1@1 +7+0 7/2, returned 1@2 +2+0 2/0"),
            Step(Ship("a"), "shipped 1@1 -2-2 5/0", "shipped: 1@1 9s7b, 1@2 2s2b"),
        ],
    ),
    "forced at a level in the red": (
        "1@1 -3/0",
        [
            Step(hold("a", want(1, 2), force=True), "reserved 1@1 +0+2 -3/2", "held: 1@1 2h"),
            Step(Ship("a"), Insufficient(1, 1, 2, 0, -3, 2)),
            Step(Ship("a", force=True), "found 1@1 +2+0 -1/2, shipped 1@1 -2-2 -3/0", "shipped: 1@1 2s"),
        ],
    ),
    "forced where there is no level": (
        "",
        [
            Step(hold("a", want(1, 2)), Insufficient(1, 1, 2, 0, 0, 0)),
            Step(hold("a", want(1, 2), force=True), "reserved 1@1 +0+2 0/2", "held: 1@1 2h"),
        ],
    ),
    "endless": (
        "1@1 ~3/0",
        [
            Step(hold("a", want(1, 9)), "reserved 1@1 +0+9 ~3/9", "held: 1@1 9h"),
            Step(Ship("a", parts((1, 8))), "shipped 1@1 +0-8 ~3/1", "held: 1@1 1h8s"),
            Step(Return("a", parts((1, 2))), "returned 1@1 +0+0 ~3/1", "held: 1@1 1h8s2b"),
            Step(SetInfinite(1, 1, False), "finite 1@1 +0+0 3/1"),
            Step(Ship("a"), "shipped 1@1 -1-1 2/0", "shipped: 1@1 9s2b"),
        ],
    ),
    "endless no more, and counted: what left uncounted comes back to the shelf": (
        "1@1 ~3/0",
        [
            Step(hold("a", want(1, 2)), "reserved 1@1 +0+2 ~3/2", "held: 1@1 2h"),
            Step(Ship("a"), "shipped 1@1 +0-2 ~3/0", "shipped: 1@1 2s"),
            Step(SetInfinite(1, 1, False), "finite 1@1 +0+0 3/0"),
            Step(SetOnHand(1, 1, 7), "counted 1@1 +4+0 7/0"),
            Step(Return("a"), "returned 1@1 +2+0 9/0", "shipped: 1@1 2s2b"),
        ],
    ),
    "endless meanwhile: what comes back is found by the count": (
        "1@1 3/0",
        [
            Step(hold("a", want(1, 2)), "reserved 1@1 +0+2 3/2", "held: 1@1 2h"),
            Step(Ship("a"), "shipped 1@1 -2-2 1/0", "shipped: 1@1 2s"),
            Step(SetInfinite(1, 1, True), "infinite 1@1 +0+0 ~1/0"),
            Step(Return("a"), "returned 1@1 +0+0 ~1/0", "shipped: 1@1 2s2b"),
        ],
    ),
    "a recount below what is promised": (
        "1@1 10/0",
        [
            first,
            Step(SetOnHand(1, 1, 3), "counted 1@1 -7+0 3/4"),
            Step(Ship("a"), Insufficient(1, 1, 4, 3, 3, 4)),
            Step(Ship("a", parts((1, 3))), "shipped 1@1 -3-3 0/1", "held: 1@1 1h3s"),
            Step(Release("a"), "released 1@1 +0-1 0/0", "shipped: 1@1 3s1r"),
        ],
    ),
    "unknown": (
        "1@1 10/0",
        [Step(command, NONE) for command in (Release("a"), Ship("a"), Return("a"), Expire("a"))],
    ),
}


@pytest.mark.parametrize("name", LIVES)
def test_life(name: str) -> None:
    before, steps = LIVES[name]
    draft = ledger(before)
    for number, (command, says, stands, by) in enumerate(steps, 1):
        was = (levels_text(draft), hold_text(draft.reservations.get("a")))
        assert say(draft, command, by=by) == says, f"step {number}"
        now = (levels_text(draft), hold_text(draft.reservations.get("a")))
        if stands is not None:
            assert now[1] == stands, f"step {number}"
        elif says == "nothing" or not isinstance(says, str):
            assert now == was, f"step {number}"


def kit_hold(quantity: int, *locations: int) -> Reserve:
    """``quantity`` of kit 9, which is two of item 1 and one of item 2, and one loose item 1."""
    pair = want(1, quantity * 2, *locations), want(2, quantity, *locations)
    lines = [
        type(line)(line.item, line.quantity, line.locations, 9, line.quantity // quantity) for line in pair
    ]
    return hold("a", *lines, want(1, 1, *locations))


KITS = [
    ("1@1 10/0, 2@1 5/0", (1,), "held: 1@1(9x2) 6h, 2@1(9x1) 3h, 1@1 1h"),
    ("1@1 6/0, 1@2 9/0, 2@1 1/0, 2@2 5/0", (1, 2), "held: 1@1(9x2) 6h, 2@1(9x1) 1h, 2@2(9x1) 2h, 1@2 1h"),
    ("1@1 6/0, 2@1 5/0", (1,), Insufficient(1, 1, 1, 0, 6, 0)),
    ("1@1 9/0, 2@1 2/0", (1,), Insufficient(2, 1, 3, 2, 2, 0, 9)),
]


@pytest.mark.parametrize(("before", "locations", "stands"), KITS)
def test_kit(before: str, locations: tuple[int, ...], stands: str | AnyRefusal) -> None:
    draft = ledger(before)
    said = say(draft, kit_hold(3, *locations))
    assert (hold_text(draft.reservations.get("a")) if isinstance(said, str) else said) == stands


def test_a_part_of_a_kit_is_a_part_of_each_component() -> None:
    draft = ledger("1@1 10/0, 2@1 5/0")
    say(draft, kit_hold(3, 1))
    assert say(draft, Release("a", parts((9, 1)))) == "released 1@1 +0-2 10/5, released 2@1 +0-1 5/2"
    assert say(draft, Ship("a", parts((9, 3)))) == Insufficient(1, 1, 6, 4, 10, 5, 9)
    assert say(draft, Ship("a", parts((9, 2)))) == "shipped 1@1 -4-4 6/1, shipped 2@1 -2-2 3/0"
    assert say(draft, Ship("a", parts((2, 1)))) == Unknown("line", "2")
    assert say(draft, Ship("a", parts((1, 1)))) == "shipped 1@1 -1-1 5/0"


def test_two_lines_at_one_level_leave_one_after_the_other() -> None:
    draft = ledger("1@1 7/0, 2@1 3/0")
    say(draft, kit_hold(3, 1))
    say(draft, SetOnHand(1, 1, 6))
    assert say(draft, Ship("a")) == Insufficient(1, 1, 1, 0, 0, 1)
    told = "shipped 1@1 -6-6 0/1, shipped 2@1 -3-3 0/0, found 1@1 +1+0 1/1, shipped 1@1 -1-1 0/0"
    assert say(draft, Ship("a", force=True)) == told


SPLITS = [
    # stock, ordered, in this order of locations, where it is promised
    ("1@1 5/0, 1@2 5/0", 4, (1, 2), "1@1 4h"),
    ("1@1 5/0, 1@2 5/0", 7, (1, 2), "1@1 5h, 1@2 2h"),
    ("1@1 5/0, 1@2 5/0", 7, (2, 1), "1@2 5h, 1@1 2h"),
    ("1@1 5/0, 1@2 5/0", 7, (1, 1, 2), "1@1 5h, 1@2 2h"),
    ("1@1 2/3, 1@2 5/0", 5, (1, 2), "1@2 5h"),
    ("1@2 5/0", 5, (1, 2), "1@2 5h"),
    ("1@1 5/0, 1@2 ~0/0", 9, (1, 2), "1@1 5h, 1@2 4h"),
    ("1@1 5/0, 1@2 5/0", 11, (1, 2), Insufficient(1, 1, 11, 10, 10, 0)),
    ("1@1 5/2, 1@2 2/3", 4, (1, 2), Insufficient(1, 1, 4, 3, 7, 5)),
]


@pytest.mark.parametrize(("before", "ordered", "locations", "promised"), SPLITS)
@pytest.mark.parametrize("force", [False, True])
def test_split(
    before: str, ordered: int, locations: tuple[int, ...], promised: str | AnyRefusal, force: bool
) -> None:
    draft = ledger(before)
    said = say(draft, hold("a", want(1, ordered, *locations), force=force))
    if isinstance(promised, str):
        assert hold_text(draft.reservations["a"]) == f"held: {promised}"
    elif not force:
        assert said == promised
    else:
        lines = draft.reservations["a"].lines
        assert sum(line.held for line in lines) == ordered
        assert lines[0].location == locations[0]


def test_lines_for_one_level_are_summed() -> None:
    draft = ledger("1@1 5/0, 1@2 9/0")
    assert say(draft, hold("a", want(1, 3), want(1, 3))) == Insufficient(1, 1, 3, 2, 5, 0)
    said = say(draft, hold("a", want(1, 3), want(1, 3, 1, 2)))
    assert said == "reserved 1@1 +0+5 5/5, reserved 1@2 +0+1 9/1"
    assert hold_text(draft.reservations["a"]) == "held: 1@1 5h, 1@2 1h"


TOP = QUANTITY_LIMIT
NOBODY = Unknown("location", "")
LEAST = Forbidden("a reserved quantity is at least 1")

# Each has every fault of those below it: the first to be named is the one that no stock can cure.
PRECEDENCE = [
    (Reserve("a", (), NOW), Forbidden("a reservation needs at least one line")),
    (Reserve("a", (want(1, 0), want(1, TOP + 1)), NOW), LEAST),
    (Reserve("a", (want(1, -1),), NOW), LEAST),
    (Reserve("a", (want(1, TOP + 1),), NOW), TooLarge(TOP + 1)),
    (hold("b", want(1, TOP)), Insufficient(1, 1, TOP, 6, 10, 4)),
    (Reserve("a", (Line(1, 99, ()),), NOW), NOBODY),
    (hold("a", want(1, 99), until=NOW), Expired("a", NOW)),
    (hold("a", want(1, 99), until=NOW - 1), Expired("a", NOW - 1)),
    (hold("a", want(1, 99), until=NOW + 1), Exists("a", None)),
    (hold("b", want(1, 99), until=NOW + 1), Insufficient(1, 1, 99, 6, 10, 4)),
    (hold("b", want(1, TOP - 3), force=True), TooLarge(TOP + 1)),
    (hold("b", want(1, 6), until=NOW + 1), "reserved 1@1 +0+6 10/10"),
]


@pytest.mark.parametrize(("command", "says"), PRECEDENCE)
def test_first_refusal(command: Reserve, says: str | AnyRefusal) -> None:
    draft = ledger("1@1 10/0")
    say(draft, four, by=YOU)
    assert say(draft, command) == says


@pytest.mark.parametrize("force", [False, True])
def test_a_refused_group_leaves_no_trace(force: bool) -> None:
    draft = ledger("1@1 10/0, 2@1 1/0")
    say(draft, hold("a", want(1, 4), until=1900))
    before = (dict(draft.levels), dict(draft.reservations), list(draft.entries))
    more = hold("a", want(1, 9), force=force), hold("c", want(1, 1), until=1500)
    assert say(draft, Extend("a", 1100), Release("a"), *more, Ship("x")) == Unknown("reservation", "x")
    assert (draft.levels, draft.reservations, draft.entries) == before


def test_next_expiry_is_never_later_than_a_hold() -> None:
    draft = ledger("1@1 10/0, 1@2 10/0")
    for reference, until in ("a", 1900), ("b", 1500), ("c", 1700), ("d", None):
        say(draft, hold(reference, want(1, 2), until=until))
    assert draft.levels[1, 1].next_expiry == 1500
    say(draft, Extend("c", 1200))
    assert draft.levels[1, 1].next_expiry == 1200
    assert draft.levels[1, 2].next_expiry is None
