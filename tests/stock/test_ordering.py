"""A channel's order as state: every effect that is stated, and that the last snapshot alone decides."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onhand.stock import ordering
from onhand.stock.ledger import Draft
from onhand.stock.model import HoldLine, Level, Line, Reservation, Reserve
from onhand.stock.ordering import Footing, Ground, Snapshot, State, Told
from order_book import OWNER, REF, STOCK, Book, line, on, play, snap
from transcript import hold_text, ledger, levels_text

CASES: dict[str, tuple[list[Snapshot], dict[str, Ground], str, str]] = {
    "placed": ([snap(1, line("a", 3))], {"a": on(1)}, "1@1 10/3, 1@2 10/0, 2@1 10/0", "confirmed: 1@1 3h"),
    "twice": (
        [snap(1, line("a", 3)), snap(1, line("a", 3))],
        {"a": on(1)},
        "1@1 10/3, 1@2 10/0, 2@1 10/0",
        "confirmed: 1@1 3h",
    ),
    "older is ignored": (
        [snap(2, line("a", 3, c=3)), snap(1, line("a", 3))],
        {"a": on(1)},
        STOCK,
        "-",
    ),
    "cancelled": (
        [snap(1, line("a", 3)), snap(2, line("a", 3, c=3))],
        {"a": on(1)},
        STOCK,
        "released: 1@1 3r",
    ),
    "cancelled in part": (
        [snap(1, line("a", 3)), snap(2, line("a", 3, c=1))],
        {"a": on(1)},
        "1@1 10/2, 1@2 10/0, 2@1 10/0",
        "confirmed: 1@1 2h1r",
    ),
    "shipped": (
        [snap(1, line("a", 3)), snap(2, line("a", 3, s=3))],
        {"a": on(1)},
        "1@1 7/0, 1@2 10/0, 2@1 10/0",
        "shipped: 1@1 3s",
    ),
    "shipped in part, twice told": (
        [snap(1, line("a", 3)), snap(2, line("a", 3, s=1)), snap(2, line("a", 3, s=1))],
        {"a": on(1)},
        "1@1 9/2, 1@2 10/0, 2@1 10/0",
        "confirmed: 1@1 2h1s",
    ),
    "shipped in part, the rest cancelled": (
        [snap(1, line("a", 3)), snap(2, line("a", 3, s=1)), snap(3, line("a", 3, c=2, s=1))],
        {"a": on(1)},
        "1@1 9/0, 1@2 10/0, 2@1 10/0",
        "shipped: 1@1 1s2r",
    ),
    "refunded with restock": (
        [snap(1, line("a", 3)), snap(2, line("a", 3, s=3)), snap(3, line("a", 3, s=3, r=2))],
        {"a": on(1)},
        "1@1 9/0, 1@2 10/0, 2@1 10/0",
        "shipped: 1@1 3s2b",
    ),
    "refunded without restock": (
        [snap(1, line("a", 3, s=3)), snap(2, line("a", 3, c=2, s=3))],
        {"a": on(1)},
        "1@1 7/0, 1@2 10/0, 2@1 10/0",
        "shipped: 1@1 3s",
    ),
    "first seen shipped": (
        [snap(5, line("a", 3, s=3))],
        {"a": on(1)},
        "1@1 7/0, 1@2 10/0, 2@1 10/0",
        "shipped: 1@1 3s",
    ),
    "first seen cancelled": ([snap(5, line("a", 3, c=3))], {"a": on(1)}, STOCK, "-"),
    "first seen returned": (
        [snap(5, line("a", 3, s=3, r=1))],
        {"a": on(1)},
        "1@1 8/0, 1@2 10/0, 2@1 10/0",
        "shipped: 1@1 3s1b",
    ),
    "unpaid holds nothing until it is paid": (
        [snap(1, line("a", 3), holds=False)],
        {"a": on(1)},
        STOCK,
        "-",
    ),
    "paid later": (
        [snap(1, line("a", 3), holds=False), snap(2, line("a", 3))],
        {"a": on(1)},
        "1@1 10/3, 1@2 10/0, 2@1 10/0",
        "confirmed: 1@1 3h",
    ),
    "payment failed after all": (
        [snap(1, line("a", 3)), snap(2, line("a", 3), holds=False)],
        {"a": on(1)},
        STOCK,
        "released: 1@1 3r",
    ),
    "edited up": (
        [snap(1, line("a", 3)), snap(2, line("a", 5))],
        {"a": on(1)},
        "1@1 10/5, 1@2 10/0, 2@1 10/0",
        "confirmed: 1@1 5h",
    ),
    "edited down and up again": (
        [snap(1, line("a", 3)), snap(2, line("a", 1)), snap(3, line("a", 4))],
        {"a": on(1)},
        "1@1 10/4, 1@2 10/0, 2@1 10/0",
        "confirmed: 1@1 4h",
    ),
    "a line added": (
        [snap(1, line("a", 3)), snap(2, line("a", 3), line("b", 2))],
        {"a": on(1), "b": on(2)},
        "1@1 10/3, 1@2 10/0, 2@1 10/2",
        "confirmed: 1@1 3h, 2@1 2h",
    ),
    "a line taken out": (
        [snap(1, line("a", 3), line("b", 2)), snap(2, line("a", 3))],
        {"a": on(1), "b": on(2)},
        "1@1 10/3, 1@2 10/0, 2@1 10/0",
        "confirmed: 1@1 3h, 2@1 2r",
    ),
    "two lines of one item": (
        [snap(1, line("a", 2), line("b", 3)), snap(2, line("a", 2, s=2), line("b", 3, c=1))],
        {"a": on(1), "b": on(1)},
        "1@1 8/2, 1@2 10/0, 2@1 10/0",
        "confirmed: 1@1 2h2s1r",
    ),
    "lines that name their locations": (
        [snap(1, line("a", 2), line("b", 3)), snap(2, line("a", 2), line("b", 3, s=3))],
        {"a": on(1, 1), "b": on(1, 2)},
        "1@1 10/2, 1@2 7/0, 2@1 10/0",
        "confirmed: 1@1 2h, 1@2 3s",
    ),
    "units move between lines that name their locations": (
        [snap(1, line("a", 3), line("b", 3)), snap(2, line("a", 2), line("b", 4))],
        {"a": on(1, 1), "b": on(1, 2)},
        "1@1 10/2, 1@2 10/4, 2@1 10/0",
        "confirmed: 1@1 2h, 1@2 4h",
    ),
    "split over locations": (
        [snap(1, line("a", 14)), snap(2, line("a", 14, c=2)), snap(3, line("a", 14, c=2, s=11))],
        {"a": on(1, 1, 2)},
        "1@1 0/0, 1@2 9/1, 2@1 10/0",
        "confirmed: 1@1 10s, 1@2 1h1s",
    ),
    "oversold goes to the first": (
        [snap(1, line("a", 25))],
        {"a": on(1, 1, 2)},
        "1@1 10/15, 1@2 10/10, 2@1 10/0",
        "confirmed: 1@1 15h, 1@2 10h",
    ),
    "oversold and shipped all the same": (
        [snap(1, line("a", 12)), snap(2, line("a", 12, s=12))],
        {"a": on(1)},
        "1@1 0/0, 1@2 10/0, 2@1 10/0",
        "shipped: 1@1 12s",
    ),
    "unknown": ([snap(1, line("a", 3))], {}, STOCK, "-"),
    "untracked": ([snap(1, line("a", 3))], {"a": Ground(Footing.UNTRACKED, 1, (1,))}, STOCK, "-"),
    "theirs": ([snap(1, line("a", 3, s=1))], {"a": Ground(Footing.THEIRS, 1)}, STOCK, "-"),
    "one of two is unknown": (
        [snap(1, line("a", 3), line("b", 1))],
        {"a": on(1)},
        "1@1 10/3, 1@2 10/0, 2@1 10/0",
        "confirmed: 1@1 3h",
    ),
    "shipped is never taken back": (
        [snap(1, line("a", 3, s=2)), snap(2, line("a", 3, s=0))],
        {"a": on(1)},
        "1@1 8/1, 1@2 10/0, 2@1 10/0",
        "confirmed: 1@1 1h2s",
    ),
    "a line id that comes twice": (
        [snap(1, line("a", 2, s=1), line("a", 1, s=1))],
        {"a": on(1)},
        "1@1 8/1, 1@2 10/0, 2@1 10/0",
        "confirmed: 1@1 1h2s",
    ),
    "one moment is told in three ways": (
        [snap(1, line("a", 3)), snap(1, line("a", 4, s=2)), snap(1, line("a", 3, c=1))],
        {"a": on(1)},
        "1@1 8/1, 1@2 10/0, 2@1 10/0",
        "confirmed: 1@1 1h2s1r",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_effect(name: str) -> None:
    snapshots, grounds, levels, held = CASES[name]
    book = Book(ledger(STOCK), grounds)
    play(book, snapshots)
    assert (levels_text(book.draft), hold_text(book.draft.reservations.get(REF))) == (levels, held)


def test_what_shipped_before_the_connection_was_made_is_the_past() -> None:
    book = Book(ledger(STOCK), {"a": on(1)})
    state = play(book, [snap(5, line("a", 5, s=2))], since=10)
    assert levels_text(book.draft).startswith("1@1 10/3")
    play(book, [snap(20, line("a", 5, s=4, r=3))], state)
    # Two of the four left the ledger, so no more than two of the three came back to it.
    assert levels_text(book.draft).startswith("1@1 10/1")


@pytest.mark.parametrize(("sent", "levels"), [(9, "1@1 10/3"), (10, "1@1 8/3"), (None, "1@1 8/3")])
def test_what_was_sent_before_the_connection_is_the_past_when_it_arrives(
    sent: int | None, levels: str
) -> None:
    book = Book(ledger(STOCK), {"a": on(1)})
    state = play(book, [snap(50, line("a", 5, s=2), sent=sent)], since=10)
    assert levels_text(book.draft).startswith(levels)
    play(book, [snap(60, line("a", 5, s=5), sent=55)], state, since=10)
    assert levels_text(book.draft).startswith("1@1 7/0" if sent == 9 else "1@1 5/0")


def test_an_unknown_line_is_taken_when_there_is_a_listing() -> None:
    book = Book(ledger(STOCK), {"a": Ground(Footing.UNKNOWN)})
    state = play(book, [snap(1, line("a", 5, s=2))])
    assert state is not None and state.waiting
    book.grounds["a"] = on(1)
    state = play(book, [snap(1, line("a", 5, s=2))], state)
    assert state is not None and not state.waiting
    assert levels_text(book.draft).startswith("1@1 8/3")


def test_what_an_untracked_item_shipped_before_its_first_count_is_the_past() -> None:
    book = Book(ledger(STOCK), {"a": Ground(Footing.UNTRACKED, 1, (1,))})
    state = play(book, [snap(1, line("a", 5, s=2))])
    book.grounds["a"] = on(1)
    play(book, [snap(2, line("a", 5, s=2)), snap(3, line("a", 5, s=3))], state)
    assert levels_text(book.draft).startswith("1@1 9/2")


def test_a_line_that_is_taken_keeps_its_item() -> None:
    book = Book(ledger(STOCK), {"a": on(1)})
    state = play(book, [snap(1, line("a", 2))])
    book.grounds["a"] = on(2)
    play(book, [snap(2, line("a", 3))], state)
    assert levels_text(book.draft) == "1@1 10/3, 1@2 10/0, 2@1 10/0"


def test_what_another_hand_shipped_is_not_shipped_again() -> None:
    held = Reservation(REF, OWNER, (HoldLine(1, 1, 1, shipped=2),), True)
    state = ordering.merged(None, snap(1, line("a", 3)))
    assert state is not None
    state = ordering.grounded(state, {"a": on(1)})
    assert ordering.commands(REF, state, held) == ()
    later = ordering.merged(state, snap(2, line("a", 3, s=2)))
    assert later is not None
    assert ordering.commands(REF, later, held) == ()


def test_kits_hold_and_ship_their_components() -> None:
    lines = (HoldLine(1, 1, 4, kit=8, per=2), HoldLine(2, 1, 2, kit=8, per=1))
    book = Book(Draft({(1, 1): Level(10, 4, present=True), (2, 1): Level(10, 2, present=True)}, {}), {})
    book.draft.reservations[REF] = Reservation(REF, OWNER, lines, True)
    state = ordering.merged(None, snap(1, line("a", 2)))
    assert state is not None
    state = ordering.grounded(state, {"a": on(8)})
    assert ordering.commands(REF, state, book.draft.reservations[REF]) == ()
    play(book, [snap(2, line("a", 2, s=1)), snap(3, line("a", 2, c=1, s=1))], state)
    assert levels_text(book.draft) == "1@1 8/0, 2@1 9/0"


def test_a_kit_whose_component_is_split_over_locations_is_counted_whole() -> None:
    lines = (HoldLine(1, 1, 3, kit=8, per=2), HoldLine(1, 2, 5, kit=8, per=2), HoldLine(2, 1, 4, kit=8))
    hold = Reservation(REF, OWNER, lines, True)
    state = ordering.merged(None, snap(1, line("a", 4)))
    assert state is not None
    state = ordering.grounded(state, {"a": on(8, 1, 2)})
    assert ordering.commands(REF, state, hold) == ()
    fewer = ordering.merged(state, snap(2, line("a", 4, c=1)))
    assert fewer is not None
    wanted = (Line(8, 3, (1, 2)),)
    assert ordering.commands(REF, fewer, hold) == (Reserve(REF, wanted, confirmed=True, force=True),)


TAKEN: list[tuple[list[Snapshot], list[tuple[int, str, int, int]]]] = [
    ([snap(1, line("a", 3))], [(10, "", 3, 3)]),
    ([snap(1, line("a", 3)), snap(1, line("a", 3))], []),
    ([snap(1, line("a", 3)), snap(2, line("a", 3, s=2))], [(10, "", 0, -2)]),
    ([snap(1, line("a", 3)), snap(2, line("a", 3, c=2))], [(10, "", -2, -2)]),
    ([snap(1, line("a", 3), holds=False)], []),
    ([snap(1, line("a", 3), holds=False), snap(2, line("a", 3))], [(10, "", 3, 3)]),
    ([snap(1, line("a", 3, s=3))], [(10, "", 3, 0)]),
    ([snap(1, line("a", 1), line("b", 2))], [(10, "", 3, 3)]),
]


@pytest.mark.parametrize(("snapshots", "expected"), TAKEN)
def test_what_the_channel_took_off_its_own_number(snapshots: list[Snapshot], expected: Any) -> None:
    states: list[State | None] = [None]
    for one in snapshots:
        made = ordering.merged(states[-1], one)
        assert made is not None
        states.append(ordering.grounded(made, {"a": on(1), "b": on(1)}))
    last = states[-1]
    assert last is not None
    assert ordering.took(states[-2], last) == expected


# --- any order, any repetition ------------------------------------------------------------------------

PLACED = {"a": on(1, 1), "b": on(2, 1), "c": on(1, 2)}
ANYWHERE = {"a": on(1, 1, 2), "b": on(2, 1, 2), "c": on(1, 1, 2)}


@st.composite
def histories(draw: st.DrawFn) -> list[Snapshot]:
    """The life of an order: quantities are edited, what is shipped or returned only grows."""
    lines = {name: Told(name, draw(st.integers(0, 6))) for name in draw(st.sets(st.sampled_from("abc")))}
    made = []
    for moment in range(1, draw(st.integers(1, 6)) + 1):
        for name, one in lines.items():
            off = draw(st.integers(0, max(0, one.ordered - one.shipped)))
            out = draw(st.integers(one.shipped, max(one.shipped, one.ordered - off)))
            more = draw(st.integers(0, 2))
            lines[name] = Told(
                name, one.ordered + more, off, out, draw(st.integers(one.returned, max(one.returned, out)))
            )
        holds = draw(st.integers(0, 4)) > 0
        made.append(snap(moment, *lines.values(), holds=holds))
    return made


@settings(max_examples=300, deadline=None)
@given(histories(), st.data())
def test_the_last_snapshot_alone_decides(history: list[Snapshot], data: st.DataObject) -> None:
    heard = data.draw(st.permutations([*history, *data.draw(st.lists(st.sampled_from(history)))]))
    stock = "1@1 50/0, 1@2 50/0, 2@1 50/0"
    book, alone = Book(ledger(stock), PLACED), Book(ledger(stock), PLACED)
    play(book, heard)
    play(alone, history[-1:])
    assert levels_text(book.draft) == levels_text(alone.draft)


@pytest.mark.parametrize("grounds", [PLACED, ANYWHERE])
@settings(max_examples=200, deadline=None)
@given(history=histories(), data=st.data())
def test_also_where_not_all_is_there(
    history: list[Snapshot], data: st.DataObject, grounds: dict[str, Ground]
) -> None:
    """What is found, and where, depends on the way; what is promised of an item does not."""
    heard = data.draw(st.permutations(history))
    stock = "1@1 2/0, 1@2 1/0, 2@1 0/0, 2@2 3/0"
    book, alone = Book(ledger(stock), grounds), Book(ledger(stock), grounds)
    play(book, heard)
    play(alone, history[-1:])
    assert promised(book.draft) == promised(alone.draft)


def promised(draft: Draft) -> dict[int, tuple[int, int, int]]:
    """Units held, shipped and returned by item."""
    hold = draft.reservations.get(REF)
    sums: dict[int, tuple[int, int, int]] = {}
    for one in hold.lines if hold else ():
        had = sums.get(one.item, (0, 0, 0))
        sums[one.item] = (had[0] + one.held, had[1] + one.shipped, had[2] + one.returned)
    return {item: units for item, units in sums.items() if any(units)}
