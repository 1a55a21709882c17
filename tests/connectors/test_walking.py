"""Walking orders by their time of change: cursors, overlap, seconds with more orders than a page."""

from __future__ import annotations

import pytest

from connectors.driver import NOW, answer
from onhand.connectors.flow import Failed
from onhand.connectors.walking import OVERLAP, SECOND, Walk, need_moment, read, step

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
            Walk(False, NOW + 7 * SECOND, 1, NOW + 7 * SECOND + 9).write(),
        ),
        # A page full of one second is followed by the next page of it.
        (Walk(False, NOW, 1, NOW), [NOW, NOW + 9], True, Walk(False, NOW, 2, NOW + 9).write()),
        (Walk(False, NOW, 2, NOW), [NOW, NOW], True, Walk(False, NOW, 3, NOW).write()),
        # A new connection goes on from the clock of the channel when it first looked.
        (Walk(True, None, 1, 0), [NOW - SECOND], False, "2026-11-22T00:00:30Z"),
        (
            Walk(True, None, 1, 0),
            [NOW - SECOND],
            True,
            Walk(True, NOW - SECOND, 1, NOW + 30 * SECOND).write(),
        ),
        (Walk(True, NOW, 1, NOW + SECOND), [NOW + 60 * SECOND], False, "2026-11-22T00:00:01Z"),
    ],
)
def test_a_step(walk: Walk, changed: list[int], full: bool, cursor: str) -> None:
    assert step(walk, changed, full, SAID) == (cursor, full)


def test_a_new_connection_without_a_clock_begins_at_the_beginning() -> None:
    assert step(Walk(True, None, 1, 0), [NOW], False, answer("")) == ("1970-01-01T00:00:00Z", False)


def test_an_order_needs_a_time() -> None:
    assert need_moment(0) == 0
    with pytest.raises(Failed):
        need_moment(None)
