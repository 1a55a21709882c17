"""Stale listings are claimed the same way whether they are of the usual kind or not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from neighbours import lived, undone
from onhand.store import claiming, outgoing
from onhand.store.engine import Store
from stores import Databases

NOW = 70
USUAL = (
    "DELETE FROM slots WHERE account = 1 AND place = 'b'",
    "INSERT INTO levels (account, item, location, on_hand, reserved, infinite, present, version)"
    " VALUES (1, 1, 1, 9, 2, 0, 1, 4), (1, 2, 1, 5, 0, 0, 1, 1), (1, 1, 2, 30, 0, 0, 1, 1)",
)
"""The listings 1 and 2 of the first connection have one slot each, fed by one level that is there."""
FIRST = "WHERE account = 1 AND id = 1"
SLOT = "WHERE account = 1 AND listing = 1"
LEVEL = "WHERE account = 1 AND item = 1 AND location = 1"
MOVED = (
    "INSERT INTO movements (account, seq, item, location, version, kind, on_hand, reserved, on_hand_after,"
    " reserved_after, infinite, present, caller, recorded_at, effective_at, reason, context)"
    " VALUES (1, 12, 1, 1, 4, 'counted', 9, 0, 9, 2, 0, 1, 'me', 5, 5, 'sold', '{}')"
)
CHANGES = {
    "nothing": "",
    "one movement": "UPDATE outbox SET since = 12 WHERE account = 1",
    "not due": f"UPDATE outbox SET due = 71 {SLOT}",
    "told already": f"DELETE FROM outbox {SLOT}",
    "closed": f"UPDATE listings SET status = 'closed' {FIRST}",
    "not ours to set": f"UPDATE listings SET writable = 0 {FIRST}",
    "parked": f"UPDATE listings SET parked = 'no' {FIRST}",
    "with notes": f"""UPDATE listings SET notes = '{{"a":"b"}}' {FIRST}""",
    "with ids": f"""UPDATE listings SET ids = '{{"v":"ä\\"],[","w":""}}', sku = 'Ü"' {FIRST}""",
    "with rules": f"""UPDATE listings SET rules = '{{"cap":3}}' {FIRST}""",
    "a connection's rules": """UPDATE connections SET rules = '{"buffer":3}' WHERE account = 1""",
    "a kit of nothing": "UPDATE items SET kit = 1 WHERE account = 1 AND id = 1",
    "no slot": f"DELETE FROM slots {SLOT}",
    "another slot": "UPDATE slots SET listing = 1, place = 'c' WHERE account = 1 AND listing = 2",
    "two locations": f"UPDATE slots SET locations = '[1,2]' {SLOT}",
    "another location": f"UPDATE slots SET locations = '[2]' {SLOT}",
    "a location that is not there": f"UPDATE slots SET locations = '[77]' {SLOT}",
    "no location": f"UPDATE slots SET locations = '[]' {SLOT}",
    "no place": f"UPDATE slots SET place = '' {SLOT}",
    "seen later": f"UPDATE slots SET observed_at = 60, token = NULL {SLOT}",
    "never told": f"UPDATE slots SET acknowledged = NULL, acknowledged_at = NULL {SLOT}",
    "held": "UPDATE locations SET kind = 'held' WHERE account = 1 AND id = 1",
    "mirrored": "UPDATE locations SET kind = 'mirrored' WHERE account = 1 AND id = 1",
    "without end": f"UPDATE levels SET infinite = 1 {LEVEL}",
    "oversold": f"UPDATE levels SET reserved = 12 {LEVEL}",
    "forgotten": f"UPDATE levels SET present = 0, on_hand = 0, reserved = 0 {LEVEL}",
    "no level": f"DELETE FROM levels {LEVEL}",
    "a hold that ends later": f"UPDATE levels SET next_expiry = {NOW + 1} {LEVEL}",
    "a hold that has ended": f"UPDATE levels SET next_expiry = {NOW} {LEVEL}",
}


@pytest.fixture(scope="module")
def store(kinds: Databases) -> Iterator[Store]:
    yield from lived(kinds)


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("counted", [0, 4])
@pytest.mark.parametrize("change", CHANGES)
def test_the_same_by_either_way(store: Store, change: str, counted: int, early: bool) -> None:
    never = f"UPDATE levels SET version = {counted} WHERE account = 1"
    with undone(store, "") as connection:
        for text in (*USUAL, never, MOVED, CHANGES[change]):
            if text:
                connection.exec_driver_sql(text)
        found = claiming.claim(connection, 1, 1, NOW, [2, 1, 99], early=early)
        assert found == outgoing.claim(connection, 1, 1, NOW, [2, 1, 99], early=early)
        assert [one.stale.listing for one in found.aims] in ([2, 1], [2])


def test_nothing_is_claimed_of_nothing(store: Store) -> None:
    with undone(store, "") as connection:
        assert claiming.claim(connection, 1, 1, NOW, []).aims == ()
        assert claiming.claim(connection, 1, 1, NOW, [99]).aims == ()


def test_nothing_is_claimed_of_what_is_paused(store: Store) -> None:
    with undone(store, "UPDATE connections SET paused = 1 WHERE account = 1") as connection:
        for found in (claim(connection, 1, 1, NOW, [2, 1]) for claim in (claiming.claim, outgoing.claim)):
            assert (found.aims, found.paused) == ((), True)
    with undone(store, "") as connection:
        assert not claiming.claim(connection, 1, 1, NOW, [2, 1]).paused
