"""Counts how a connection goes: lags from commit to acknowledgement, and what became of what was told."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from onhand.courier.flows import Count

KEPT = 1_000
"""Lags that p50 and p99 are made of: the last ones."""


class Tally:
    """The counts of one connection while the process lives: a driver ends whenever there is nothing to do.
    Lags are microseconds; ``troubles`` are the words of sweeps, polls and looks that failed last."""

    def __init__(self) -> None:
        self._lags: deque[int] = deque(maxlen=KEPT)
        self.told = self.refused = self.put_off = 0
        self.count = Count()
        self.troubles: dict[str, str] = {}

    def lag(self, microseconds: int) -> None:
        """A listing was acknowledged so long after it had become stale."""
        self._lags.append(max(0, microseconds))
        self.told += 1

    def stats(self) -> dict[str, Any]:
        """As it is stored in `drives.stats`."""
        lags, count = sorted(self._lags), self.count
        return {
            "p50": _percentile(lags, 50),
            "p99": _percentile(lags, 99),
            "told": self.told,
            "refused": self.refused,
            "put_off": self.put_off,
            "requests": count.requests,
            "errors": count.errors,
            "throttled": count.throttled,
            "error_rate": round(count.failing, 4),
            "trouble": "; ".join(f"{name}: {words}" for name, words in self.troubles.items()) or None,
        }


def _percentile(ordered: Sequence[int], percent: int) -> int | None:
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else None
