"""On SQLite a movement of one level is looked for among those of that level, not among the account's."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from onhand.store import levels, past, products, sheets, tallies
from onhand.store.sql import Statement

STATEMENTS = {
    "sellbrite's pages": sheets._page[True, True],
    "sellbrite's count": sheets._count[True, True],
    "sellbrite's records of some items": sheets._of_items[True, True],
    "what a replay began with": tallies._opening,
    "history": levels._history,
    "a level as of a moment": levels._last_before,
    "levels as of a moment": past._last,
    "trackstar's products": products._products._statement,
    "trackstar's product": products._product._statement,
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_the_index_of_the_level_is_used(sqlite_url: str, name: str) -> None:
    statement: Statement = STATEMENTS[name]
    text, names = statement._texts["sqlite"]
    values = ["[[1,1,1]]" if one == "rows" else 1 for one in names]
    with contextlib.closing(sqlite3.connect(sqlite_url)) as connection:
        plan = [row[-1] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", values)]
    looks = [
        step for step in plan if step.split()[1] in {"m", "n", "x"} and "(account=? AND seq=?)" not in step
    ]
    assert looks
    assert all("movements_level (account=? AND item=? AND location=?" in step for step in looks), plan
