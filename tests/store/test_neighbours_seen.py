"""What is read of a listing, a connection or an order: all of it, in order, and nothing of a neighbour's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection

from neighbours import lived, undone
from onhand.store import drives, observing, orders, outgoing
from onhand.store.engine import Store
from onhand.store.sql import Insert
from stores import Databases

NOW = 60


@pytest.fixture(scope="module")
def store(kinds: Databases) -> Iterator[Store]:
    """The two accounts, on each kind, each with orders "X" and "Y" of its first connection and "X" of its
    second; every test takes back what it wrote."""
    yield from lived(kinds, _fill)


_reservations = Insert(
    "reservations", "account int, reference text, owner text, confirmed int, created_at int, updated_at int"
)
_lines = Insert(
    "reservation_lines",
    "account int, reference text, line int, item int, location int, held int, shipped int, released int,"
    " expired int, returned int, per int",
)
_levels = Insert(
    "levels",
    "account int, item int, location int, on_hand int, reserved int, infinite int, present int, version int",
)
_movements = Insert(
    "movements",
    "account int, seq int, item int, location int, version int, kind text, on_hand int, reserved int,"
    " on_hand_after int, reserved_after int, infinite int, present int, caller text, recorded_at int,"
    " effective_at int, reason text",
)


def _fill(connection: Connection, account: int) -> None:
    """The second account differs in one order more, and in when it counted what."""
    kept: list[Any] = [(1, "X", "r1", "#X", 5, 1, "[]", 1), (1, "Y", "r2", "#Y", 6, 1, "[]", 0)]
    more = [(1, "Z", "r4", "#Z", 7, 1, "[]", 1)] if account == 2 else []
    orders.put(connection, account, [*kept, (2, "X", "r3", "#X", 7, 0, "[]", 1), *more], 50)
    names = ("r1", "r2", "r3", "r4")
    _reservations.run(connection, [(account, name, "o", 1, 1, 1) for name in names])
    held = [("r1", 1, 0), ("r2", 1, 1), ("r2", 2, 1), ("r3", 1, 1), ("r4", 1, 1)]
    _lines.run(
        connection, [(account, name, item, item, 1, units, 0, 0, 0, 0, 1) for name, item, units in held]
    )
    known = [(1, 1, 1, 2), (1, 2, 1, 1), (2, 1, 1, 0), (3, 1, 0, 1)]
    counted = [(1, 1, 30), (1, 1, 40), (1, 2, 45), (3, 1, 20)]
    if account == 2:
        known, counted = [(2, 1, 1, 1), (3, 1, 1, 1)], [(3, 1, 10), (2, 1, 11), (1, 1, 12)]
    _levels.run(connection, [(account, item, at, 5, 0, 0, there, times) for item, at, there, times in known])
    _movements.run(
        connection,
        [
            (
                account,
                number,
                item,
                at,
                number,
                "counted",
                5,
                0,
                5,
                0,
                0,
                1,
                "me",
                when,
                when,
                f"reason {number}",
            )
            for number, (item, at, when) in enumerate(counted, 1)
        ],
    )
    connection.exec_driver_sql(f"UPDATE listings SET sku = 'T1' WHERE account = {account} AND id = 1")
    connection.exec_driver_sql(f"UPDATE listings SET parked = 'no' WHERE account = {account} AND id = 2")


Read = Callable[[Connection], Any]


def _waiting(after: str = "", link: int = 1) -> Read:
    return lambda c: [one.name for one in orders.waiting(c, 1, link, after)]


def _page(after: str = "", link: int = 1, limit: int = 9) -> Read:
    return lambda c: [one.name for one in orders.page(c, 1, link, after, limit)]


def _seen_again(connection: Connection) -> tuple[Any, ...]:
    orders.put(connection, 1, [(1, "X", "r9", "#X2", 8, 0, "[1]", 0)], 70)
    return tuple(orders.kept(connection, 1, [(1, "X")])[1, "X"])


def _missed(after: int = 0, link: int = 1, began: int = 6) -> Read:
    return lambda c: observing.missed(c, 1, link, began, after)


def _drifts(link: int = 0, after: int = 0, ended: bool = False) -> Read:
    return lambda c: [one.id for one in observing.page(c, 1, link, after, ended=ended)]


def _driven(connection: Connection) -> list[tuple[int, bool, bool]]:
    return sorted((one.link, one.stale, one.hinted) for one in drives.due(connection, "me", NOW, 1))


def _status(link: int = 0) -> Read:
    def read(connection: Connection) -> list[tuple[int | None, ...]]:
        found = drives.status(connection, 1, link)
        return [(one.connection, one.backlog, one.oldest, one.parked, one.drifting) for one in found]

    return read


def _due(link: int = 1, until: int = 99) -> Read:
    return lambda c: outgoing.due(c, 1, link, until, 9)


def _claimed(connection: Connection, *listings: int) -> tuple[outgoing.Aim, ...]:
    return outgoing.claim(connection, 1, 1, 70, listings).aims


ALL = [(1, "a"), (1, "b"), (2, "a"), (2, "b")]
OPEN = "UPDATE drives SET open_until = {}"
LEASED = "UPDATE drives SET owner = 'you', until = {}"
BOTH = [(1, True, True), (2, True, True)]
READ: list[tuple[str, str, Read, Any]] = [
    ("orders", "", _page(), ["#X", "#Y"]),
    ("orders behind one", "", _page("X"), ["#Y"]),
    ("the first orders", "", _page(limit=1), ["#X"]),
    ("orders that wait", "", _waiting(), ["#X"]),
    ("orders that wait behind one", "", _waiting("X"), []),
    ("an order", "", lambda c: [one.name for one in orders.kept(c, 1, [(1, "X")]).values()], ["#X"]),
    ("orders that hold units", "", lambda c: orders.holding(c, 1, 1), ["Y"]),
    ("orders that hold units behind one", "", lambda c: orders.holding(c, 1, 1, "Y"), []),
    ("orders that hold units elsewhere", "", lambda c: orders.holding(c, 1, 2), ["X"]),
    (
        "an order is seen again",
        "",
        _seen_again,
        ("X", "r1", "#X2", 8, False, "[1]", False, 50, 70),
    ),
    (
        "listings by name",
        "",
        lambda c: {k: v.listing for k, v in orders.named(c, 1, 1, ["v2", "v3"]).items()},
        {"v2": 2},
    ),
    (
        "listings by our SKU",
        "",
        lambda c: {k: v.listing for k, v in orders.by_sku(c, 1, 1, ["S2", "S3"]).items()},
        {"S2": 2},
    ),
    (
        "listings by their SKU",
        "",
        lambda c: {k: v.listing for k, v in orders.by_sku(c, 1, 1, ["T1"]).items()},
        {"T1": 1},
    ),
    (
        "the first of two listings by SKU",
        "UPDATE listings SET item = 1, sku = 'S1' WHERE id < 3",
        lambda c: orders.by_sku(c, 1, 1, ["S1"])["S1"].listing,
        1,
    ),
    ("slots", "", lambda c: orders.slots(c, 1, [1]), {1: {"a": "[1]", "b": "[1]"}}),
    ("items that are counted", "", lambda c: orders.tracked(c, 1, [1, 2, 3]), {1}),
    ("one item that is not", "", lambda c: orders.tracked(c, 1, [2]), set()),
    ("when items were first counted", "", lambda c: orders.first_counted(c, 1, [1, 2, 3]), {1: 30, 3: 20}),
    ("when one was", "", lambda c: orders.first_counted(c, 1, [1]), {1: 30}),
    ("listings of a connection", "", lambda c: observing.listings_of(c, 1, 1, ["v2", "v3"]), {"v2": 2}),
    ("what is known of slots", "", lambda c: list(observing.known(c, 1, [1])), ALL[:2]),
    (
        "what is parked",
        "",
        lambda c: [one.parked for one in observing.known(c, 1, [1, 2]).values()],
        [False, False, True, True],
    ),
    (
        "what is stale",
        "DELETE FROM outbox WHERE listing <> 1",
        lambda c: [one.marked_at for one in observing.known(c, 1, [1, 2]).values()],
        [1, 1, None, None],
    ),
    ("what a sweep missed", "", _missed(), ALL),
    ("what it missed behind a listing", "", _missed(after=1), ALL[2:]),
    ("nothing that was told since", "", _missed(began=5), []),
    ("nothing that was seen since", "UPDATE slots SET observed_at = 6 WHERE listing = 1", _missed(), ALL[2:]),
    (
        "nothing that was never told",
        "UPDATE slots SET acknowledged = NULL WHERE listing = 2",
        _missed(),
        ALL[:2],
    ),
    ("drifts", "", _drifts(), [1, 2, 3, 4, 5, 6]),
    ("drifts behind one", "", _drifts(after=4), [5, 6]),
    ("drifts of a connection", "", _drifts(link=2), [5, 6]),
    ("drifts that have not ended", "UPDATE drifts SET healed_at = 7 WHERE id < 4", _drifts(), [4, 5, 6]),
    (
        "also those that have",
        "UPDATE drifts SET healed_at = 7 WHERE id < 4",
        _drifts(ended=True),
        [1, 2, 3, 4, 5, 6],
    ),
    ("what is to be driven", "UPDATE outbox SET due = 60", _driven, BOTH),
    ("nothing is due", "", _driven, [(1, False, True), (2, False, True)]),
    (
        "one is due",
        "UPDATE outbox SET due = 1 WHERE listing = 3",
        _driven,
        [(1, False, True), (2, True, True)],
    ),
    (
        "another account's is due",
        "UPDATE outbox SET due = 1 WHERE account = 2",
        _driven,
        [(1, False, True), (2, False, True)],
    ),
    (
        "no hint",
        "UPDATE drives SET hints = NULL WHERE connection = 1",
        _driven,
        [(1, False, False), (2, False, True)],
    ),
    ("paused", "UPDATE connections SET paused = 1 WHERE id = 1", _driven, [(2, False, True)]),
    ("not told by us", "UPDATE connections SET connector = 0 WHERE id = 1", _driven, [(2, False, True)]),
    ("never driven", "DELETE FROM drives", _driven, [(1, False, False), (2, False, False)]),
    ("driven by another", LEASED.format(61), _driven, []),
    (
        "driven by us",
        "UPDATE drives SET owner = 'me', until = 61 WHERE connection = 1",
        _driven,
        [(1, False, True), (2, False, True)],
    ),
    ("until just now", LEASED.format(NOW), _driven, [(1, False, True), (2, False, True)]),
    ("as long as can be", LEASED.format(NOW + drives.LONGEST_LEASE), _driven, []),
    (
        "by a clock that was ahead",
        LEASED.format(NOW + drives.LONGEST_LEASE + 1),
        _driven,
        [(1, False, True), (2, False, True)],
    ),
    ("down", OPEN.format(61), _driven, []),
    ("down until now", OPEN.format(NOW), _driven, [(1, False, True), (2, False, True)]),
    ("down as long as can be", OPEN.format(NOW + drives.LONGEST_OPEN), _driven, []),
    (
        "down by a clock that was ahead",
        OPEN.format(NOW + drives.LONGEST_OPEN + 1),
        _driven,
        [(1, False, True), (2, False, True)],
    ),
    ("a connection", "", lambda c: getattr(drives.driven(c, 1, 2), "name", None), "shop 1-2"),
    (
        "none that we do not tell",
        "UPDATE connections SET connector = 0",
        lambda c: drives.driven(c, 1, 2),
        None,
    ),
    (
        "how it goes",
        "UPDATE outbox SET marked_at = 4 WHERE listing = 2",
        _status(),
        [(1, 2, 1, 1, 4), (2, 1, 1, 0, 2)],
    ),
    ("how one goes", "UPDATE drifts SET healed_at = 7 WHERE id = 5", _status(2), [(2, 1, 1, 0, 1)]),
    (
        "how those go that we tell",
        "UPDATE connections SET connector = 0 WHERE id = 1",
        _status(),
        [(2, 1, 1, 0, 2)],
    ),
    ("who has not heard of a movement", "", lambda c: drives.unseen(c, 1, 8, [1, 2]), {1, 2}),
    ("who has", "", lambda c: drives.unseen(c, 1, 7, [1, 2]), set()),
    (
        "one of them",
        "UPDATE outbox SET since = 3 WHERE connection = 2",
        lambda c: drives.unseen(c, 1, 7, [1, 2]),
        {2},
    ),
    (
        "nothing waits",
        "DELETE FROM outbox WHERE account = 1",
        lambda c: drives.unseen(c, 1, 8, [1, 2]),
        set(),
    ),
    ("secrets", "", lambda c: drives.secrets(c, 1, 2), "sealed 2"),
    ("stale listings", "", _due(), [1, 2]),
    ("longest waiting first", "UPDATE outbox SET due = 9 WHERE listing = 2", _due(), [2, 1]),
    ("that are due", "UPDATE outbox SET due = 71 WHERE listing = 1", _due(until=70), [2]),
    ("when the next is due", "", lambda c: outgoing.next_due(c, 1, 1, 69), 70),
    ("and none is", "", lambda c: outgoing.next_due(c, 1, 1, 70), None),
    (
        "claimed",
        "",
        lambda c: [one.stale.listing for one in outgoing.claim(c, 1, 1, 70, [2, 1]).aims],
        [2, 1],
    ),
    ("not claimed before it is due", "", lambda c: outgoing.claim(c, 1, 1, 69, [1]).aims, ()),
    ("claimed early", "", lambda c: len(outgoing.claim(c, 1, 1, 9, [1], early=True).aims), 1),
    (
        "claimed with its own slots",
        "",
        lambda c: [[s.place for s in one.listed.slots] for one in _claimed(c, 1, 2)],
        [["a", "b"], ["a", "b"]],
    ),
    (
        "why it moved",
        "UPDATE outbox SET since = 2, seq = 2",
        lambda c: _claimed(c, 1)[0].stale.reason,
        "reason 2",
    ),
    (
        "it moved twice",
        "UPDATE outbox SET since = 1, seq = 2",
        lambda c: _claimed(c, 1)[0].stale.reason,
        None,
    ),
    ("one listing", "", lambda c: [one.id for one in outgoing.listed(c, 1, [2], NOW)], [2]),
    (
        "the stock behind it",
        "",
        lambda c: outgoing.listed(c, 1, [1], NOW)[0].sources[0][0].parts[0].level.on_hand,
        5,
    ),
]


@pytest.mark.parametrize(("name", "first", "read", "expected"), READ, ids=[one[0] for one in READ])
def test_what_is_read(store: Store, name: str, first: str, read: Read, expected: Any) -> None:
    with undone(store, first) as connection:
        found = read(connection)
    assert found == expected
