"""Why a channel shows another number than it should: the cause of a drift, or that there is none. Pure."""

from __future__ import annotations

from onhand.store.drives import past
from onhand.store.observing import CHANGED_THERE, LATE, LOST_THERE, NEVER_SENT, REFUSED, Known

LATE_SECONDS = 300
"""A listing that is stale for longer than this and still not told is late."""
HEALED = frozenset({NEVER_SENT, CHANGED_THERE, LOST_THERE})
"""Causes that telling the channel anew puts right. What it refused it would refuse again, and what is late
is on its way."""


def cause(slot: Known, shown: int | None, offered: int, at: int, now: int) -> str | None:
    """Why ``shown`` (None: the listing is gone) differs from what the slot was told; None when it does
    not, or when it was told while we looked. ``offered`` is what it should show now, ``at`` when the look
    began, both times in microseconds UTC."""
    if at < past(slot.acknowledged_at, now):
        return None
    if shown == offered:
        return None
    if slot.marked_at is not None:
        return LATE if now - slot.marked_at > LATE_SECONDS * 1_000_000 else None
    if slot.parked:
        return REFUSED
    if slot.acknowledged is None or slot.acknowledged_at is None:
        return NEVER_SENT
    if shown is None:
        return LOST_THERE
    before = slot.observed_at is not None and slot.observed_at < slot.acknowledged_at
    return LOST_THERE if before and slot.observed == shown else CHANGED_THERE
