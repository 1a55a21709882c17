"""Spends the 250 revisions that eBay allows a listing in a day where they matter. Pure.

A listing that sells fast elsewhere has none left in the evening, and then shows units that are gone. So the
last ones are kept for a number that eBay must not go on showing; the others wait until eBay's next day. Who
else revises the listing (other programs, the seller by hand, a price) is counted by eBay alone: its refusal
is waited out, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from onhand.connectors.flow import Later, Rejected, Slot, Target, Verdict

REVISIONS = 250
"""eBay lets a listing be revised this often in a day, by whatever interface."""
KEPT = 50
"""So many of them are kept back. A number that is halved each time is 0 long before they are spent."""
NOTE = "revised"
DAY = 24 * 3600 * 1_000_000
PACIFIC = 8 * 3600 * 1_000_000
"""eBay's day begins at midnight in California; an hour more or less in summer does no harm."""
TOMORROW = "it is told again after midnight in California"
RESTING = (
    f"eBay lets a listing be revised {REVISIONS} times a day, and the last {KEPT} are kept for when it sells "
    f"out or its number halves: {TOMORROW}"
)
SPENT = re.compile(
    r"(?=.*\brevis)(?=.*\b(?:limit|maximum|exceed|times|number|many))(?=.*\b(?:day|daily|today|24|250)\b)",
    re.IGNORECASE | re.DOTALL,
)
"""How eBay's words are known that a listing was revised too often today: no published number is known."""


def counted(target: Target) -> Mapping[str, str]:
    """What a listing remembers after one more revision."""
    today = _day(target)
    day, count = _count(target)
    return {NOTE: f"{today}:{count + 1 if day == today else 1}"} if today else {}


def rests(target: Target) -> Later | None:
    """The verdict on a listing that is to wait for eBay's next day; None when it may be told."""
    day, count = _count(target)
    if not day or day != _day(target) or count < _allowed(target):
        return None
    return Later(target, RESTING, _seconds_left(target))


def tomorrow(verdict: Verdict) -> Verdict:
    """The same verdict; a refusal because of the day's revisions is one until tomorrow and nobody's fault."""
    if not isinstance(verdict, Rejected) or not SPENT.search(verdict.words):
        return verdict
    return Later(verdict.target, f"{verdict.words}; {TOMORROW}", _seconds_left(verdict.target))


def _day(target: Target) -> str:
    """The number of eBay's day on which the target was computed; empty when nobody says."""
    return str((target.at - PACIFIC) // DAY) if target.at else ""


def _count(target: Target) -> tuple[str, int]:
    """On which day and how often it has been revised, by the note of the last time."""
    day, _, count = target.notes.get(NOTE, "").partition(":")
    return day, int(count) if count.isdigit() else 0


def _allowed(target: Target) -> int:
    return REVISIONS if any(map(_matters, target.slots)) else REVISIONS - KEPT


def _matters(slot: Slot) -> bool:
    """Whether eBay shows at least twice what there is, or nothing although there is something."""
    shown = slot.acknowledged if slot.observed is None else slot.observed
    return shown is None or (slot.offer < shown and 2 * slot.offer <= shown) or (shown == 0 < slot.offer)


def _seconds_left(target: Target) -> float | None:
    """Seconds until eBay's next day."""
    return (DAY - (target.at - PACIFIC) % DAY) / 1_000_000 if target.at else None
