"""What is written about a listing, a connection or an order: exactly that, and nothing of its neighbours'."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection

from neighbours import Act, done, lived
from onhand.store import drives, observing, orders, told
from onhand.store.engine import Store
from onhand.store.observing import Known, Sight
from onhand.store.told import SlotTold, Told
from stores import Databases

NOW = 60
LATER = 2**50
"""A time that lies ahead of every clock."""


@pytest.fixture(scope="module")
def store(kinds: Databases) -> Iterator[Store]:
    """The two accounts, on each kind; every test takes back what it wrote."""
    yield from lived(kinds)


def _settled(*slots: SlotTold, seq: int = 12, marks: int = 3, **more: Any) -> Act:
    one = Told(1, seq, marks, 50, slots, **more)

    def act(connection: Connection) -> None:
        drives.take(connection, 1, 1, "me", LATER, NOW)
        told.settle(connection, 1, 1, "me", [one], NOW)

    return act


HELD = {"drives 1 1": {"owner": "me", "until": LATER}}
ENDED = {"drifts 1 1 1": {"healed_at": NOW}, "drifts 1 1 2": {"healed_at": NOW}}
SLOT, OTHER, ROW = "slots 1 1 a", "slots 1 1 b", "outbox 1 1"

TOLD: dict[str, tuple[Act, dict[str, Any]]] = {
    "acknowledged": (
        _settled(SlotTold("a", 7, 7, None, "u"), accepted=True),
        {
            SLOT: {"wanted": 7, "wanted_at": NOW, "acknowledged": 7, "acknowledged_at": NOW, "token": "u"},
            ROW: None,
            **ENDED,
        },
    ),
    "seen to show another number": (
        _settled(SlotTold("a", 7, None, 3), due=90, words="it sold"),
        {
            SLOT: {"wanted": 7, "wanted_at": NOW, "observed": 3, "observed_at": NOW},
            ROW: {"due": 90, "attempts": 3, "words": "it sold"},
        },
    ),
    "not known to have taken it": (
        _settled(SlotTold("a", 7), due=90),
        {SLOT: {"wanted": 7, "wanted_at": NOW}, ROW: {"due": 90, "attempts": 3}},
    ),
    "put off, but moved meanwhile": (
        _settled(SlotTold("a", 7), seq=11, due=90),
        {SLOT: {"wanted": 7, "wanted_at": NOW}},
    ),
    "put off, but marked by hand meanwhile": (_settled(marks=2, due=90), {}),
    "told, but moved meanwhile": (
        _settled(seq=10, accepted=True),
        {ROW: {"since": 11, "marked_at": 50, "due": 50, "attempts": 0}, **ENDED},
    ),
    "told, but marked by hand meanwhile": (
        _settled(marks=2, accepted=True),
        {ROW: {"since": 13, "marked_at": 50, "due": 50, "attempts": 0}, **ENDED},
    ),
    "told, but moved by that movement alone": (
        _settled(seq=8, accepted=True),
        {ROW: {"since": 9, "marked_at": 50, "due": 50, "attempts": 0}, **ENDED},
    ),
    "told what had been told already": (_settled(seq=7, accepted=True), ENDED),
    "refused": (
        _settled(parked="no such thing"),
        {"listings 1 1": {"parked": "no such thing", "updated_at": NOW}, ROW: None},
    ),
    "with new ids": (
        _settled(due=90, ids={"v": "2"}),
        {"listings 1 1": {"ids": '{"v":"2"}', "updated_at": NOW}, ROW: {"due": 90, "attempts": 3}},
    ),
    "with new notes": (
        _settled(due=90, notes={"n": "1"}),
        {"listings 1 1": {"notes": '{"n":"1"}', "updated_at": NOW}, ROW: {"due": 90, "attempts": 3}},
    ),
}


@pytest.mark.parametrize("name", TOLD)
def test_what_became_of_a_listing(store: Store, name: str) -> None:
    act, expected = TOLD[name]
    assert done(store, act) == {**HELD, **expected}


def test_what_was_refused_and_is_taken_after_all(store: Store) -> None:
    found = done(store, _settled(accepted=True, was_parked=True), "UPDATE listings SET parked = 'no'")
    assert found == {**HELD, **ENDED, ROW: None, "listings 1 1": {"parked": None, "updated_at": NOW}}


def test_words_of_a_channel_are_cut(store: Store) -> None:
    long = told.WORDS_LIMIT * "x"
    for act, key, name in (
        (_settled(parked=long + "y"), "listings 1 1", "parked"),
        (_settled(due=90, words=long + "y"), ROW, "words"),
    ):
        assert done(store, act)[key][name] == long


def _forgotten(connection: Connection) -> None:
    drives.take(connection, 1, 1, "me", LATER, NOW)
    told.before_delta(connection, 1, 1, "me", [1])


UNKNOWN = {"acknowledged": None, "observed": None, "token": None}


def _seen(quantity: int | None = 3, token: str | None = "u", at: int = 6, behind: int = 0) -> Act:
    return lambda c: observing.observe(c, 1, [Sight(1, "a", quantity, token, 2, at)], NOW, behind)


SAW = {SLOT: {"observed": 3, "observed_at": 6, "committed": 2, "token": "u"}}
AHEAD = NOW + drives.AHEAD


def _drift(listing: int = 1, place: str = "a") -> Act:
    slot = Known(listing, place, 10, 11, 5, 8, 4, None, False)
    return lambda c: observing.report(c, 1, [(slot, observing.REFUSED, 3)], NOW)


NEW_DRIFT = {
    "account": 1,
    "id": 7,
    "listing": 1,
    "place": "a",
    "cause": "refused",
    "wanted": 10,
    "acknowledged": 11,
    "observed": 3,
    "found_at": NOW,
    "healed_at": None,
}


def _took(sold: int, updated: int, *, gross: bool = False, change: int = 0) -> Act:
    return lambda c: orders.channel_took(c, 1, [(1, "a", sold, change)], updated, gross=gross)


def _heed(connection: Connection) -> None:
    drives.heeding(connection, 1, 1, '["v1"]')
    drives.heeded(connection, 1, 1, '["v1"]')


WRITTEN: list[tuple[str, str, Act, dict[str, Any]]] = [
    ("forgotten before a delta", "", _forgotten, {**HELD, SLOT: UNKNOWN, OTHER: UNKNOWN}),
    (
        "a channel is back",
        "UPDATE outbox SET due = 50 WHERE listing = 2",
        lambda c: told.revive(c, 1, 1, NOW),
        {ROW: {"due": NOW, "attempts": 0}, "outbox 1 2": {"attempts": 0}},
    ),
    ("seen", "", _seen(), SAW),
    (
        "seen without a token",
        "",
        _seen(token=None),
        {SLOT: {"observed": 3, "observed_at": 6, "committed": 2}},
    ),
    ("seen at the moment it was told", "", _seen(at=5), {SLOT: {**SAW[SLOT], "observed_at": 5}}),
    ("seen before it was told", "", _seen(at=4), {}),
    (
        "told when it may not be shown yet",
        "",
        _seen(behind=2),
        {SLOT: {name: SAW[SLOT][name] for name in ("observed", "observed_at", "token")}},
    ),
    ("told long enough ago to be shown", "", _seen(behind=1), SAW),
    (
        "told by a clock that was set back, where numbers are shown late",
        f"UPDATE slots SET acknowledged_at = {AHEAD + 1}",
        _seen(behind=2),
        SAW,
    ),
    (
        "never told where numbers are shown late",
        "UPDATE slots SET acknowledged_at = NULL",
        _seen(behind=2),
        SAW,
    ),
    ("seen before it was seen", "UPDATE slots SET observed_at = 7", _seen(), {}),
    (
        "seen again at one moment",
        "UPDATE slots SET observed_at = 6",
        _seen(),
        {SLOT: {"observed": 3, "committed": 2, "token": "u"}},
    ),
    ("seen for the first time", "UPDATE slots SET observed_at = NULL, acknowledged_at = NULL", _seen(), SAW),
    ("the clock was set back after it was seen", f"UPDATE slots SET observed_at = {AHEAD + 1}", _seen(), SAW),
    (
        "the clock was set back after it was told",
        f"UPDATE slots SET acknowledged_at = {AHEAD + 1}",
        _seen(),
        SAW,
    ),
    ("another clock is a little ahead", f"UPDATE slots SET acknowledged_at = {AHEAD}", _seen(), {}),
    (
        "cannot be set there",
        "",
        lambda c: observing.set_writable(c, 1, [(1, False)]),
        {"listings 1 1": {"writable": 0}},
    ),
    (
        "is called otherwise",
        "",
        lambda c: observing.set_ids(c, 1, {1: {"v": "2"}}),
        {"listings 1 1": {"ids": '{"v":"2"}'}},
    ),
    (
        "a drift goes on",
        "",
        _drift(),
        {"drifts 1 1 1": {"cause": "refused", "wanted": 10, "acknowledged": 11, "observed": 3}},
    ),
    (
        "a drift after one that was healed",
        "UPDATE drifts SET healed_at = 7",
        _drift(),
        {"drifts 1 1 7": NEW_DRIFT},
    ),
    (
        "another number is confirmed, and drifts had ended",
        "UPDATE drifts SET healed_at = 7",
        _settled(seq=7, accepted=True),
        HELD,
    ),
    (
        "seen, and another clock is a little ahead",
        f"UPDATE slots SET observed_at = {AHEAD}",
        _seen(),
        {},
    ),
    (
        "a drift goes on, and an older one had ended",
        "UPDATE drifts SET healed_at = 7, place = 'a' WHERE id = 2",
        _drift(),
        {"drifts 1 1 1": {"cause": "refused", "wanted": 10, "acknowledged": 11, "observed": 3}},
    ),
    (
        "a drift is healed",
        "",
        lambda c: observing.healed(c, 1, [(1, "a")], NOW),
        {"drifts 1 1 1": {"healed_at": NOW}},
    ),
    (
        "a healed drift stays as it ended",
        "UPDATE drifts SET healed_at = 7",
        lambda c: observing.healed(c, 1, [(1, "a")], NOW),
        {},
    ),
    ("sold there", "", _took(3, 6), {SLOT: {"acknowledged": 6, "observed": 5}}),
    ("sold there, and seen before it was told", "", _took(3, 5), {SLOT: {"observed": 5}}),
    ("sold before it was seen", "", _took(3, 4), {}),
    ("more sold than it showed", "", _took(9, 6), {SLOT: {"acknowledged": 0, "observed": 0}}),
    ("sold, and nothing is known", "UPDATE slots SET acknowledged = NULL, observed = NULL", _took(3, 6), {}),
    (
        "sold, and nobody knows since when",
        "UPDATE slots SET acknowledged_at = NULL, observed_at = NULL",
        _took(3, 6),
        {SLOT: {"acknowledged": 6, "observed": 5}},
    ),
    ("given back there", "", _took(-2, 6), {SLOT: {"acknowledged": 11, "observed": 10}}),
    ("sold where open orders count", "", _took(0, 6, gross=True, change=2), {SLOT: {"committed": 3}}),
    ("shipped where open orders count", "", _took(0, 6, gross=True, change=-2), {SLOT: {"committed": 0}}),
    ("counted before it was seen", "", _took(0, 4, gross=True, change=2), {}),
    ("sold where open orders do not count", "", _took(0, 6, change=2), {}),
    (
        "a lease",
        "",
        lambda c: drives.take(c, 1, 1, "me", 90, NOW),
        {"drives 1 1": {"owner": "me", "until": 90}},
    ),
    (
        "a lease that somebody has",
        "UPDATE drives SET owner = 'you', until = 61",
        lambda c: drives.take(c, 1, 1, "me", 90, NOW),
        {},
    ),
    (
        "a lease that has lapsed",
        "UPDATE drives SET owner = 'you', until = 60",
        lambda c: drives.take(c, 1, 1, "me", 90, NOW),
        {"drives 1 1": {"owner": "me", "until": 90}},
    ),
    (
        "a lease from a clock that was ahead",
        f"UPDATE drives SET owner = 'you', until = {NOW + drives.LONGEST_LEASE + 1}",
        lambda c: drives.take(c, 1, 1, "me", 90, NOW),
        {"drives 1 1": {"owner": "me", "until": 90}},
    ),
    (
        "the longest lease that somebody has",
        f"UPDATE drives SET owner = 'you', until = {NOW + drives.LONGEST_LEASE}",
        lambda c: drives.take(c, 1, 1, "me", 90, NOW),
        {},
    ),
    (
        "a lease is given back",
        "UPDATE drives SET owner = 'me', until = 90",
        lambda c: drives.release(c, 1, 1, "me"),
        {"drives 1 1": {"owner": "", "until": 0}},
    ),
    (
        "a lease of somebody else is not",
        "UPDATE drives SET owner = 'you', until = 90",
        lambda c: drives.release(c, 1, 1, "me"),
        {},
    ),
    (
        "noted",
        "",
        lambda c: drives.note(c, 1, 1, {"failures": 3, "words": None}),
        {"drives 1 1": {"failures": 3, "words": None}},
    ),
    (
        "a poll that was asked for begins",
        "",
        lambda c: drives.polling(c, 1, 1),
        {"drives 1 1": {"polled_at": 1}},
    ),
    ("a poll by the clock begins", "UPDATE drives SET polled_at = 9", lambda c: drives.polling(c, 1, 1), {}),
    (
        "a poll has ended",
        "UPDATE drives SET polled_at = 1",
        lambda c: drives.polled(c, 1, 1, 50),
        {"drives 1 1": {"polled_at": 50}},
    ),
    ("another one was asked for meanwhile", "", lambda c: drives.polled(c, 1, 1, 50), {}),
    (
        "the first poll has ended",
        "UPDATE drives SET polled_at = NULL",
        lambda c: drives.polled(c, 1, 1, 50),
        {"drives 1 1": {"polled_at": 50}},
    ),
    (
        "another hint",
        "",
        lambda c: drives.hint(c, 1, 2, ["v3", "v2"]),
        {"drives 1 2": {"hints": '["v2","v3"]'}},
    ),
    (
        "a hint is seen to",
        "",
        lambda c: drives.heeding(c, 1, 1, '["v1"]'),
        {"drives 1 1": {"hints": '["v1"] '}},
    ),
    (
        "a hint is heeded",
        "",
        _heed,
        {"drives 1 1": {"hints": None}},
    ),
    ("another hint came meanwhile", "", lambda c: drives.heeded(c, 1, 1, '["v0"]'), {}),
    ("the same hint came meanwhile", "", lambda c: drives.heeded(c, 1, 1, '["v1"]'), {}),
    (
        "other secrets",
        "",
        lambda c: drives.keep_secrets(c, 1, 1, "anew"),
        {"connections 1 1": {"secrets": "anew"}},
    ),
]


@pytest.mark.parametrize(
    "first",
    [
        "UPDATE drives SET owner = 'you'",
        "UPDATE drives SET owner = 'me' WHERE connection = 2",
        "UPDATE drives SET owner = 'me' WHERE account = 2",
    ],
)
def test_only_who_has_this_lease_writes(store: Store, first: str) -> None:
    def act(connection: Connection) -> None:
        with pytest.raises(drives.LeaseLost):
            drives.require(connection, 1, 1, "me")

    assert done(store, act, first) == {}


@pytest.mark.parametrize(("name", "first", "act", "expected"), WRITTEN, ids=[one[0] for one in WRITTEN])
def test_what_is_written(store: Store, name: str, first: str, act: Act, expected: dict[str, Any]) -> None:
    assert done(store, act, first) == expected
