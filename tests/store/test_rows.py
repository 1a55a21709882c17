"""Rows that travel as arrays, or as values, arrive as they left, on both engines, whatever their text is."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import SQLAlchemyError

from onhand.store.sql import CHUNK, LISTED, STEPPED, Insert, Statement
from shops import Shop

_echo = Statement(
    "SELECT r.account, r.number, r.words FROM {rows} ORDER BY r.account, r.number",
    rows="account int, number int, words text",
)
_listed = Statement(
    "SELECT r.account, r.number, r.words, :mark AS mark FROM {rows} WHERE :limit > 0 ORDER BY 1, 2",
    rows="account int, number int, words text",
    listed=True,
)
_put = Insert(
    "counters",
    "account int, name text, value int",
    "ON CONFLICT (account, name) DO UPDATE SET value = counters.value + excluded.value",
    listed=True,
)
_single = Statement("SELECT r.words FROM {rows}", rows="words text")
_text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
_number = st.none() | st.integers(-(2**63), 2**63 - 1)


@pytest.mark.parametrize(
    "words",
    [
        "",
        " ",
        "NULL",
        "null",
        "a,b",
        "{a}",
        "{",
        '"',
        '""',
        "\\",
        '\\"',
        '"\\',
        "\\n",
        "\n",
        "\t",
        "'",
        "é€😀",
    ],
)
def test_text_that_means_something_in_an_array(shop: Shop, words: str) -> None:
    with shop.reading() as connection:
        assert [tuple(row) for row in _single.run(connection, [(words,), (None,)])] == [(words,), (None,)]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=st.lists(st.tuples(_number, st.none() | _text), min_size=1, max_size=20))
def test_any_row(shop: Shop, found: list[tuple[int | None, str | None]]) -> None:
    rows = [(1, number, words) for number, words in found]
    with shop.reading() as connection:
        got = [tuple(row) for row in _echo.run(connection, rows)]
        listed = [tuple(row) for row in _listed.run(connection, rows, mark=7, limit=1)]
    assert sorted(got, key=repr) == sorted(rows, key=repr)
    assert sorted(listed, key=repr) == sorted([(*row, 7) for row in rows], key=repr)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 64, 65, LISTED - 1, LISTED, LISTED + 1, CHUNK + 1])
def test_any_number_of_rows(shop: Shop, count: int) -> None:
    rows = [(1, number, f"row {number}") for number in range(count)]
    with shop.reading() as connection:
        got = [tuple(row) for row in _listed.run(connection, rows, mark=7, limit=1)]
        none = _listed.run(connection, rows, mark=7, limit=0)
    assert got == [(*row, 7) for row in rows]
    assert none == []


@pytest.mark.parametrize("count", [0, 1, STEPPED, STEPPED + 1, LISTED, LISTED + 1, 3 * LISTED])
def test_any_number_of_rows_is_written(shop: Shop, count: int) -> None:
    rows = [(1, f"{count}: {number}", number) for number in range(count)]
    with shop.writing() as connection:
        _put.run(connection, rows)
        _put.run(connection, rows)
    with shop.reading() as connection:
        found = connection.exec_driver_sql("SELECT name, value FROM counters").fetchall()
    mine = {name: value for name, value in found if name.startswith(f"{count}: ")}
    assert mine == {name: 2 * number for _, name, number in rows}


@pytest.mark.parametrize("number", [1.5, "x", True, 2**63])
def test_what_is_no_number_is_not_taken_for_one(shop: Shop, number: object) -> None:
    if shop.store.sqlite:
        pytest.skip("SQLite's strict tables look at what is written, not at what is asked")
    with shop.reading() as connection, pytest.raises(SQLAlchemyError):
        _echo.run(connection, [(1, number, "a")])
