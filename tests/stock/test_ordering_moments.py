"""A channel's order told twice in one moment, with lines that come twice or are gone: nothing is lost."""

from __future__ import annotations

import pytest

from onhand.stock import ordering
from onhand.stock.ordering import Footing, Ground, Snapshot
from order_book import REF, STOCK, Book, line, on, play, snap
from transcript import hold_text, ledger, levels_text

ONE_MOMENT: dict[str, tuple[list[Snapshot], str]] = {
    "all that either tells of a line has happened": (
        [snap(1, line("a", 5, c=1, s=1)), snap(1, line("a", 4, s=2, r=1))],
        "confirmed: 1@1 2h2s1b",
    ),
    "either may be returned": (
        [snap(1, line("a", 3, s=2, r=2)), snap(1, line("a", 3, s=3))],
        "shipped: 1@1 3s2b",
    ),
    "a line that one of them leaves out is still there": (
        [snap(1, line("a", 3), line("b", 2)), snap(1, line("a", 3))],
        "confirmed: 1@1 3h, 2@1 2h",
    ),
    "held if either holds": (
        [snap(1, line("a", 3), holds=False), snap(1, line("a", 3))],
        "confirmed: 1@1 3h",
    ),
}


@pytest.mark.parametrize("name", ONE_MOMENT)
def test_two_snapshots_of_one_moment(name: str) -> None:
    snapshots, held = ONE_MOMENT[name]
    for heard in (snapshots, snapshots[::-1]):
        book = Book(ledger(STOCK), {"a": on(1), "b": on(2)})
        play(book, heard)
        assert hold_text(book.draft.reservations.get(REF)) == held


def test_a_line_that_comes_twice_in_a_snapshot_is_the_sum_of_both() -> None:
    book = Book(ledger(STOCK), {"a": on(1)})
    play(book, [snap(1, line("a", 4, c=1, s=2, r=1), line("a", 3, c=1, s=1, r=1))])
    assert levels_text(book.draft).startswith("1@1 9/2")


def test_no_more_comes_back_than_left() -> None:
    book = Book(ledger(STOCK), {"a": on(1)})
    state = play(book, [snap(1, line("a", 5, r=2))])
    play(book, [snap(2, line("a", 5, s=3))], state)
    assert levels_text(book.draft).startswith("1@1 7/2"), "what had not left had not come back"


ANYWHERE = Ground(Footing.TAKEN, 1, (1,), 10, None)
TOOK = [
    # before, after, the ground of the line, what the channel took
    (snap(1, line("a", 5, c=1, s=2)), snap(2), on(1), [(10, "", -2, -2)]),
    (snap(1, line("a", 5, s=2)), snap(2, line("a", 5, s=2), holds=False), on(1), [(10, "", -5, -3)]),
    (snap(1, line("a", 5)), snap(2, line("a", 7)), Ground(Footing.THEIRS, 1, (), 10, ""), []),
    (snap(1, line("a", 5)), snap(2, line("a", 7)), Ground(Footing.TAKEN, 1, (1,), None, None), []),
    (snap(1, line("a", 5)), snap(2, line("a", 7)), ANYWHERE, [(10, None, 2, 2)]),
]


@pytest.mark.parametrize(("before", "after", "ground", "expected"), TOOK)
def test_what_the_channel_put_back_or_never_had(
    before: Snapshot, after: Snapshot, ground: Ground, expected: list[tuple[int, str | None, int, int]]
) -> None:
    old = ordering.merged(None, before)
    assert old is not None
    old = ordering.grounded(old, {"a": ground})
    new = ordering.merged(old, after)
    assert new is not None
    assert ordering.took(old, new) == expected
