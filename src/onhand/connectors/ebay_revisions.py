"""Spends the 250 revisions that eBay allows a listing in a day where they matter. Pure.

A listing that sells fast elsewhere has none left in the evening, and then shows units that are gone. So the
last ones are kept for a number that eBay must not go on showing; the others wait until eBay's next day. Who
else revises the listing (other programs, the seller by hand, a price) is counted by eBay alone: its refusal
is waited out, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from onhand.connectors.flow import Later, Rejected, Response, Slot, Target, Verdict
from onhand.connectors.reading import said_at

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


def revision_day(answer: Response) -> str:
    """The number of eBay's day on which an answer was given; empty when it has no date."""
    when = said_at(answer)
    return "" if when is None else str((when - PACIFIC) // DAY)


def counted(target: Target, answer: Response) -> Mapping[str, str]:
    """What a listing remembers after one more revision."""
    today = revision_day(answer)
    day, count = _count(target)
    return {NOTE: f"{today}:{count + 1 if day == today else 1}"} if today else {}


def nearly_spent(target: Target) -> bool:
    """Whether it may have to wait, should it be the same day still as when it was revised last."""
    return _count(target)[1] >= _allowed(target)


def rests(target: Target, answer: Response) -> Later | None:
    """The verdict on a listing that is to wait on the day of this answer; None when it may be told."""
    if not nearly_spent(target) or _count(target)[0] != revision_day(answer):
        return None
    return Later(target, RESTING, _seconds_left(answer))


def tomorrow(verdict: Verdict, answer: Response) -> Verdict:
    """The same verdict; a refusal because of the day's revisions is one until tomorrow and nobody's fault."""
    if not isinstance(verdict, Rejected) or not SPENT.search(verdict.words):
        return verdict
    return Later(verdict.target, f"{verdict.words}; {TOMORROW}", _seconds_left(answer))


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


def _seconds_left(answer: Response) -> float | None:
    """Seconds until eBay's next day."""
    when = said_at(answer)
    return None if when is None else (DAY - (when - PACIFIC) % DAY) / 1_000_000
