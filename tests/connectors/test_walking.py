"""Walking orders by their time of change, and by rows: cursors, overlap, what slips past a page's end."""

from __future__ import annotations

import pytest

from connectors.driver import NOW, answer
from onhand.connectors.flow import Failed
from onhand.connectors.walking import OVERLAP, SECOND, Cursor, Walk, need_moment, read, read_cursor, step

SAID = answer("", date="Sun, 22 Nov 2026 00:00:30 GMT")


@pytest.mark.parametrize(
    ("cursor", "walk"),
    [
        (None, Walk(True, None, 1, 0)),
        ("", Walk(True, None, 1, 0)),
        ("nonsense", Walk(True, None, 1, 0)),
        ("more|x|y|z", Walk(True, None, 1, 0)),
        ("2026-11-22T00:00:00Z", Walk(False, NOW - OVERLAP, 1, NOW)),
        ("1970-01-01T00:00:00Z", Walk(False, 0, 1, 0)),
        (Walk(False, NOW, 3, NOW).write(), Walk(False, NOW, 3, NOW)),
        (Walk(True, None, 2, 5).write(), Walk(True, None, 2, 5)),
        (Walk(False, NOW, 3, NOW, 7).write(), Walk(False, NOW, 3, NOW, 7)),
        (Walk(False, NOW, 1, NOW, 7, True).write(), Walk(False, NOW, 1, NOW, 7, True)),
        (Walk(True, NOW, 2, NOW, 7, True).write(), Walk(True, NOW, 2, NOW, 7, True)),
        ("more||2|5", Walk(False, None, 2, 5)),
        ("more||2|5|x", Walk(True, None, 1, 0)),
    ],
)
def test_a_cursor_is_read(cursor: str | None, walk: Walk) -> None:
    assert read(cursor) == walk


@pytest.mark.parametrize(
    ("walk", "changed", "full", "cursor"),
    [
        (Walk(False, NOW - OVERLAP, 1, NOW), [], False, "2026-11-22T00:00:00Z"),
        (Walk(False, NOW - OVERLAP, 1, NOW), [NOW - SECOND], False, "2026-11-22T00:00:00Z"),
        (Walk(False, NOW - OVERLAP, 1, NOW), [NOW + 5 * SECOND], False, "2026-11-22T00:00:05Z"),
        # A full page goes on from its last second, counted from page 1 again.
        (
            Walk(False, NOW, 1, NOW),
            [NOW, NOW + 7 * SECOND + 9],
            True,
            Walk(False, NOW + 7 * SECOND, 1, NOW + 7 * SECOND + 9, NOW + 30 * SECOND).write(),
        ),
        # What changed after the round began is where it goes on, and not where the next one begins.
        (
            Walk(False, NOW, 1, NOW),
            [NOW, NOW + 60 * SECOND],
            True,
            Walk(False, NOW + 60 * SECOND, 1, NOW + 30 * SECOND, NOW + 30 * SECOND).write(),
        ),
        (
            Walk(False, NOW, 1, NOW + SECOND, NOW + 9 * SECOND),
            [NOW + 60 * SECOND],
            False,
            "2026-11-22T00:00:09Z",
        ),
        (Walk(False, NOW, 1, NOW + 50 * SECOND), [NOW + 60 * SECOND], False, "2026-11-22T00:00:50Z"),
        # A page full of one second is followed by the next page of it.
        (
            Walk(False, NOW, 1, NOW),
            [NOW, NOW + 9],
            True,
            Walk(False, NOW, 2, NOW + 9, NOW + 30 * SECOND).write(),
        ),
        (Walk(False, NOW, 2, NOW, 1), [NOW, NOW], True, Walk(False, NOW, 3, NOW, 1).write()),
        # A new connection goes on from the clock of the channel when it first looked.
        (Walk(True, None, 1, 0), [NOW - SECOND], False, "2026-11-22T00:00:30Z"),
        (
            Walk(True, None, 1, 0),
            [NOW - SECOND],
            True,
            Walk(True, NOW - SECOND, 1, NOW + 30 * SECOND, NOW + 30 * SECOND).write(),
        ),
        (Walk(True, NOW, 1, NOW + SECOND), [NOW + 60 * SECOND], False, "2026-11-22T00:00:01Z"),
    ],
)
def test_a_step(walk: Walk, changed: list[int], full: bool, cursor: str) -> None:
    assert step(walk, changed, full, SAID) == (cursor, full)


@pytest.mark.parametrize("later", [0, 1, 5])
@pytest.mark.parametrize("moment", range(8))
def test_many_orders_of_one_second_of_which_one_changes(moment: int, later: int) -> None:
    """The page has three rows; before that of this number is read, the first order changes."""
    changed = dict.fromkeys(range(8), NOW) | {100 + name: NOW + SECOND * 9 for name in range(later)}
    cursor, seen, more = Walk(False, NOW - SECOND, 1, NOW).write(), set[int](), True
    for number in range(100):
        if number == moment:
            changed[0] = NOW + SECOND * 5
        walk = read(cursor)
        rows = sorted((when, name) for name, when in changed.items() if when >= (walk.since or 0))
        page = rows[(walk.page - 1) * 3 : walk.page * 3]
        seen |= {name for _, name in page}
        cursor, more = step(walk, [when for when, _ in page], len(page) == 3, SAID)
        if not more:
            break
    assert not more and seen == set(changed)


def test_a_round_without_a_clock_goes_by_the_last_change() -> None:
    assert step(Walk(False, NOW, 1, NOW), [NOW + SECOND], False, answer(""))[0] == "2026-11-22T00:00:01Z"


def test_a_new_connection_without_a_clock_begins_at_the_beginning() -> None:
    assert step(Walk(True, None, 1, 0), [NOW], False, answer("")) == ("1970-01-01T00:00:00Z", False)


def test_an_order_needs_a_time() -> None:
    assert need_moment(0) == 0
    with pytest.raises(Failed):
        need_moment(None)


@pytest.mark.parametrize(
    ("cursor", "here"),
    [
        (None, Cursor("", "")),
        ("nonsense", Cursor("", "")),
        ("a|b|c|d", Cursor("", "")),
        ("a|b|1|2|3", Cursor("", "")),
        ("2026-11-22T00:00:00Z", Cursor("2026-11-22T00:00:00Z", "2026-11-22T00:00:00Z")),
        ("|high|20", Cursor("", "high", 20)),
        (Cursor("since", "high", 20, 300).write(), Cursor("since", "high", 20, 300)),
    ],
)
def test_a_cursor_by_rows_is_read(cursor: str | None, here: Cursor) -> None:
    assert read_cursor(cursor) == here


@pytest.mark.parametrize(
    ("since", "rows", "page", "following"),
    [
        # Rows are the offset and the total so far, a page its number of rows and the total told with it.
        ("since", (0, 0), (0, 0), None),
        ("since", (0, 0), (100, 100), None),
        ("since", (0, 0), (100, 250), (100, 250)),
        ("since", (100, 250), (100, 250), (200, 250)),
        ("since", (200, 250), (50, 250), None),
        # Thirty rows have left: as many before the page may have been stepped over.
        ("since", (100, 250), (100, 220), (70, 220)),
        ("since", (200, 250), (0, 190), (140, 190)),
        ("since", (200, 250), (50, 150), (100, 150)),
        ("since", (200, 250), (0, 0), None),
        ("since", (20, 250), (100, 150), (0, 150)),
        # What was read from the first row on has nothing before it.
        ("since", (0, 250), (100, 150), (100, 150)),
        # A total that rises and falls leads back once for each row.
        ("since", (100, 220), (100, 250), (200, 220)),
        ("since", (200, 220), (20, 220), None),
        # A list that says there is more and gives nothing is at its end.
        ("since", (100, 250), (0, 250), None),
        ("", (0, 0), (100, 250), (80, 250)),
        ("", (80, 250), (100, 240), (70, 240)),
        ("", (80, 100), (20, 100), None),
        ("", (0, 0), (20, 25), (20, 25)),
    ],
)
def test_the_rows_after_a_page(
    since: str, rows: tuple[int, int], page: tuple[int, int], following: tuple[int, int] | None
) -> None:
    expected = None if following is None else Cursor(since, "high", *following)
    assert Cursor(since, "high", *rows).after(*page) == expected
