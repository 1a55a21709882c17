"""What a slot of a listing should show: available at its locations, less a buffer, capped, at least 0."""

from __future__ import annotations

from collections.abc import Iterable

from onhand.stock.model import INFINITE_SHOWN, Level


def offer(levels: Iterable[Level], buffer: int = 0, cap: int | None = None) -> int:
    """Units to show for stock fed by ``levels``; an infinite one shows ``cap``, else 999."""
    available = 0
    for level in levels:
        if level.infinite:
            return INFINITE_SHOWN if cap is None else cap
        available += level.available
    shown = max(0, available - buffer)
    return shown if cap is None else min(shown, cap)


def kits(components: Iterable[tuple[Level, int]]) -> int:
    """How many kits can be made of ``(level, units per kit)`` components; the cap when all are infinite."""
    counts = [max(0, level.available) // per for level, per in components if not level.infinite]
    return min(counts, default=INFINITE_SHOWN)
