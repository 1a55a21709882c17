"""An oversold level: its own incident is opened, ended and opened again, and no other's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection

from neighbours import Act, done, lived
from onhand.store import oversold
from onhand.store.engine import Store, set_account
from onhand.store.oversold import Turned
from onhand.store.sql import Insert
from stores import Databases

NOW = 60


@pytest.fixture(scope="module")
def store(kinds: Databases) -> Iterator[Store]:
    """Two accounts, each with items 1 to 3 at location 1, five of each, and an order that holds five of one.
    Of 1 and 2 there was too little once: their incidents have ended."""
    yield from lived(kinds, _fill)


def _fill(connection: Connection, account: int) -> None:
    for item in (1, 2, 3):
        connection.exec_driver_sql(f"INSERT INTO levels VALUES ({account}, {item}, 1, 5, 5, 0, 1, 1, NULL)")
        connection.exec_driver_sql(
            "INSERT INTO reservations (account, reference, owner, confirmed, created_at, updated_at)"
            f" VALUES ({account}, 'r{item}', 'o', 1, 1, 1)"
        )
    for line, item, held in ((1, 1, 5), (2, 2, 5), (3, 3, 5), (3, 1, 0)):
        connection.exec_driver_sql(
            "INSERT INTO reservation_lines (account, reference, line, item, location, held, shipped,"
            " released, expired, returned, per) VALUES"
            f" ({account}, 'r{line}', {item}, {item}, 1, {held}, 0, 0, 0, 0, 1)"
        )
    for number, item, location, policy in ((1, 1, 1, "newest"), (2, 2, 1, "oldest"), (3, 1, 2, "newest")):
        body = f'{{"policy":"{policy}"}}'
        connection.exec_driver_sql(
            "INSERT INTO incidents (account, id, kind, body, opened_at, resolved_at, item, location, watched,"
            f" earlier) VALUES ({account}, {number}, 'oversold', '{body}', 3, 7, {item}, {location}, 1, '[]')"
        )
    connection.exec_driver_sql(f"INSERT INTO counters VALUES ({account}, 'incident', 3)")
    _movements.run(
        connection,
        [
            (account, seq, item, at, seq, "counted", 0, 0, left, 5, 0, 1, "me", when, when)
            for seq, (item, at, left) in enumerate(HISTORY, 1)
            for when in [40 + seq + (100 if account == 2 else 0)]
        ],
    )


HISTORY = [
    *((2, 1, 5), (1, 1, 2), (1, 1, 5), (1, 2, 1), (1, 1, 2)),
    *((1, 1, 1), (2, 1, 1), (2, 1, 4), (2, 1, 5), (2, 1, 6)),
]
"""Items, locations, what was left there: the first is short since the 5th, the second good since the 9th."""
SINCE_SHORT, SINCE_GOOD = 45, 49
_movements = Insert(
    "movements",
    "account int, seq int, item int, location int, version int, kind text, on_hand int, reserved int,"
    " on_hand_after int, reserved_after int, infinite int, present int, caller text, recorded_at int,"
    " effective_at int",
)


def _only(before: str, after: str = "item = 1 AND account = 1") -> str:
    return f"UPDATE levels SET {before} WHERE {after}"


SHORT = _only("on_hand = 2")
OPENED = "UPDATE incidents SET resolved_at = NULL"
FEW: list[tuple[str, str, str, list[Turned]]] = [
    ("all is good", "", "", []),
    ("one is short again", SHORT, "", [Turned(1, 1, 1, True, "newest")]),
    ("another is", _only("on_hand = 4", "item = 2"), "", [Turned(2, 2, 1, True, "oldest")]),
    ("it is at another place of theirs", _only("on_hand = 4", "item = 3"), "", []),
    ("it is without limit", _only("on_hand = 2, infinite = 1"), "", []),
    ("another account's is", _only("on_hand = 2", "account = 2"), "", []),
    ("it is as short as it was", SHORT, OPENED + " WHERE item = 1", []),
    ("it is good", "", OPENED + " WHERE item = 1", [Turned(1, 1, 1, False, "newest")]),
    ("it is good, as it is without limit", SHORT.replace("= 2", "= 2, infinite = 1", 1), OPENED, [
        Turned(1, 1, 1, False, "newest"),
        Turned(2, 2, 1, False, "oldest"),
    ]),
    ("nobody watches it", SHORT, "UPDATE incidents SET watched = 0", []),
]  # fmt: skip


@pytest.mark.parametrize(("name", "levels", "incidents", "expected"), FEW, ids=[one[0] for one in FEW])
def test_what_has_turned(store: Store, name: str, levels: str, incidents: str, expected: Any) -> None:
    with store.writer.connect() as connection:
        connection.begin()
        for account in (2, 1):
            set_account(connection, account)
            for text in filter(None, (levels, incidents)):
                connection.exec_driver_sql(text)
        found = oversold.turned(connection, 1)
        connection.rollback()
    assert found == expected


def _report(*references: str) -> Act:
    return lambda c: oversold.report(c, 1, dict.fromkeys(references, "largest"), NOW)


def _said(found: dict[str, Any], incident: int = 1) -> dict[str, Any]:
    """What a changed incident says of its level."""
    body = json.loads(found[f"incidents 1 {incident}"]["body"])
    names = ("item", "sku", "place", "on_hand", "reserved", "missing", "policy")
    return {name: body[name] for name in names} | {"losers": body["losers"]}


LOSES = {"item": 1, "sku": "S1", "place": "place 1", "on_hand": 2, "reserved": 5, "missing": 3}
LOSERS = {"losers": [{"reference": "r1", "units": 3}]}


def test_an_order_that_leaves_a_level_short_opens_that_incident_again(store: Store) -> None:
    found = done(store, _report("r1", "r2"), SHORT)
    assert list(found) == ["incidents 1 1"]
    assert _said(found) == {**LOSES, **LOSERS, "policy": "largest"}
    changed = found["incidents 1 1"]
    assert (changed["opened_at"], changed["resolved_at"]) == (NOW, None)
    assert [one["opened_at"] for one in json.loads(changed["earlier"])] == [3]


def test_an_order_that_holds_nothing_there_opens_none(store: Store) -> None:
    assert done(store, _report("r2", "r3"), SHORT) == {}
    assert done(store, _report("r1"), SHORT.replace("= 2", "= 2, infinite = 1", 1)) == {}
    assert done(store, _report("r1")) == {}


def test_a_level_that_was_never_short_has_an_incident_of_its_own(store: Store) -> None:
    found = done(store, _report("r3"), _only("on_hand = 4", "item = 3"))
    assert list(found) == ["incidents 1 4"]
    assert _said(found, 4)["sku"] == "S3"


def test_settled_by_what_turned_and_when(store: Store) -> None:
    found = done(store, lambda c: oversold.settle(c, 1, NOW), SHORT)
    assert list(found) == ["incidents 1 1"]
    assert _said(found) == {**LOSES, **LOSERS, "policy": "newest"}
    assert found["incidents 1 1"]["opened_at"] == SINCE_SHORT
    for opened in (OPENED + " WHERE item = 2", OPENED + " WHERE item = 2 OR id = 3"):
        found = done(store, lambda c: oversold.settle(c, 1, NOW), opened)
        assert {name: one["resolved_at"] for name, one in found.items()} == {"incidents 1 2": SINCE_GOOD}


def test_levels_that_are_short_together_each_name_their_own_orders(store: Store) -> None:
    both = _only("on_hand = 2", "item IN (1, 2) AND account = 1")
    for act in (_report("r1", "r2"), lambda c: oversold.settle(c, 1, NOW)):
        found = done(store, act, both)
        assert list(found) == ["incidents 1 1", "incidents 1 2"]
        for item, changed in enumerate(found.values(), 1):
            body = json.loads(changed["body"])
            assert [(one["reference"], one["units"]) for one in body["orders"]] == [(f"r{item}", 5)]


@pytest.mark.parametrize(("first", "watched"), [("", True), ("UPDATE incidents SET watched = 0", False)])
def test_whether_an_account_has_something_to_watch(store: Store, first: str, watched: bool) -> None:
    with store.writer.connect() as connection:
        connection.begin()
        set_account(connection, 1)
        if first:
            connection.exec_driver_sql(first + " WHERE account = 1")
        found = oversold.watched(connection, 1)
        connection.rollback()
    assert found is watched


def test_watched_for_a_week(store: Store) -> None:
    week = oversold.WATCH_SECONDS * 1_000_000
    later = "UPDATE incidents SET resolved_at = 8 WHERE item = 2"
    assert done(store, lambda c: oversold.let_go(c, 1, week + 7), later) == {}
    found = done(store, lambda c: oversold.let_go(c, 1, week + 8), later)
    assert found == {"incidents 1 1": {"watched": 0}, "incidents 1 3": {"watched": 0}}
    assert done(store, lambda c: oversold.let_go(c, 1, 2 * week), OPENED) == {}
