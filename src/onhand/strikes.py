"""How often something failed in a row, and what follows: a pause, and in the end giving it up."""

from __future__ import annotations

from sqlalchemy.exc import InterfaceError, OperationalError

from onhand.transact import Busy, StoreFull, Unknowable

STRIKES = 5
"""Failures of its own after which a message or a planned change is given up."""
STRIKES_OF_OURS = 200
"""The same while the database or the hub is what fails: that may last, and passes."""
PAUSES = (0.02, 0.1, 0.25, 0.5, 1.0)
"""Seconds before the next try; the last one stays."""

OURS = (Busy, StoreFull, Unknowable, OperationalError, InterfaceError)

Thing = tuple[int, int]
"""(account, id)."""


class Strikes:
    """Counts failures. What went well, or is gone, is to be forgotten."""

    def __init__(self) -> None:
        self._counts: dict[Thing, list[int]] = {}
        """Failures of its own, and ours: after an outage, the first of its own is no reason to give it up."""

    def strike(self, thing: Thing, error: BaseException) -> bool:
        """Count a failure; True when the thing is to be given up, which a full disk is never a reason for:
        giving it up may be all that there is still room for."""
        ours = isinstance(error, OURS)
        counts = self._counts.setdefault(thing, [0, 0])
        counts[ours] += 1
        enough = STRIKES_OF_OURS if ours else STRIKES
        return counts[ours] >= enough and not isinstance(error, StoreFull)

    def pause(self, thing: Thing) -> float:
        """Seconds to wait before it is tried again."""
        count = sum(self._counts.get(thing, (1,)))
        return PAUSES[min(count, len(PAUSES)) - 1]

    def forget(self, thing: Thing) -> None:
        """Start counting anew."""
        self._counts.pop(thing, None)
