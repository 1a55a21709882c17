"""Counts how a connection goes: lags from commit to acknowledgement, and what became of what was told."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from onhand.courier.flows import Count

KEPT = 1_000
"""Lags that p50 and p99 are made of: the last ones."""


class Tally:
    """The counts of one connection since its driver began. Lags are microseconds."""

    def __init__(self) -> None:
        self._lags: deque[int] = deque(maxlen=KEPT)
        self.told = self.refused = self.put_off = 0
        self.trouble: str | None = None

    def lag(self, microseconds: int) -> None:
        """A listing was acknowledged so long after it had become stale."""
        self._lags.append(max(0, microseconds))
        self.told += 1

    def stats(self, count: Count) -> dict[str, Any]:
        """As it is stored in `drives.stats`."""
        lags = sorted(self._lags)
        return {
            "p50": _percentile(lags, 50),
            "p99": _percentile(lags, 99),
            "told": self.told,
            "refused": self.refused,
            "put_off": self.put_off,
            "requests": count.requests,
            "errors": count.errors,
            "throttled": count.throttled,
            "error_rate": round(count.errors / count.requests, 4) if count.requests else 0.0,
            "trouble": self.trouble,
        }


def _percentile(ordered: Sequence[int], percent: int) -> int | None:
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else None
