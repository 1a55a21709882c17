"""The discrete events of one way of keeping channels up to date, and what came of it. Pure.

Every number that a channel is told is made by the hub's own rules (`stock.offering`), every call waits for
its place in the channel's limit as the courier's do (`courier.pacing`).
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

from onhand.courier.pacing import Bucket
from onhand.simulate.profiles import HUB_SECONDS, Profile, Way
from onhand.simulate.trade import Event, Kind
from onhand.stock.model import Level
from onhand.stock.offering import Part, Source, offer


class Outcome(NamedTuple):
    """What came of it. ``sold`` units were there, ``oversold`` ones a channel sold and nobody had, in
    ``oversold_orders`` orders. ``lost`` units were wanted and there, and the channel did not show them;
    ``none_left`` units were wanted and nobody had them. ``lags`` are the seconds from a sale until each
    other channel showed a number that knew of it, in order; ``untold`` are those that no channel showed yet
    in the end, wherever they were on the way.
    """

    way: str
    sold: int
    oversold: int
    oversold_orders: int
    lost: int
    none_left: int
    calls: int
    lags: Sequence[float]
    untold: int

    def lag(self, percent: float) -> float | None:
        """That percentile of the lags, in seconds."""
        if not self.lags:
            return None
        return self.lags[min(len(self.lags) - 1, int(len(self.lags) * percent / 100))]


class _Outlet:
    """A channel while it is played. ``shown`` is what customers see; ``stale`` listings are to be told,
    with the times of the sales that made them so; ``flying`` ones are on their way."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.bucket = Bucket(profile.limit)
        self.shown: dict[str, int] = {}
        self.stale: dict[str, list[float]] = {}
        self.flying: set[str] = set()
        self.again: dict[str, list[float]] = {}
        self.calling = False


class Market:
    """Plays events one way. ``play`` may be called once."""

    def __init__(self, way: Way, channels: Sequence[Profile]) -> None:
        self._way = way
        self._outlets = [_Outlet(profile) for profile in channels]
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()
        self._now = 0.0
        self._there: dict[str, int] = {}
        self._known: dict[str, int] = {}
        self._sold = self._oversold = self._lost = self._none_left = self._calls = 0
        self._awaited = 0
        self._oversold_orders: set[int] = set()
        self._lags: list[float] = []

    def play(self, events: Sequence[Event]) -> Outcome:
        """What came of it when the last event had happened."""
        first = [one for one in events if one.kind is Kind.STOCK and one.at == 0.0]
        for one in first:
            self._there[one.sku] = self._known[one.sku] = self._there.get(one.sku, 0) + one.units
        for outlet in self._outlets:
            outlet.shown = {sku: self._offer(sku) for sku in self._known}
        for event in events[len(first) :]:
            self._until(event.at)
            self._now = event.at
            if event.kind is Kind.SALE:
                self._sell(event)
            else:
                self._move(event)
        return Outcome(
            self._way.name,
            self._sold,
            self._oversold,
            len(self._oversold_orders),
            self._lost,
            self._none_left,
            self._calls,
            sorted(self._lags),
            self._awaited - len(self._lags),
        )

    # --- what happens -----------------------------------------------------------------------------

    def _sell(self, event: Event) -> None:
        """A customer takes what is shown of it; what nobody has is cancelled by the seller."""
        outlet, sku = self._outlets[event.channel], event.sku
        bought = min(event.units, max(0, outlet.shown.get(sku, 0)))
        there = self._there.get(sku, 0)
        good = min(bought, there)
        away = event.units - bought
        lost = min(away, there - good)
        self._sold += good
        self._lost += lost
        self._none_left += away - lost
        if bought > good:
            self._oversold += bought - good
            self._oversold_orders.add(event.order)
        if bought:
            self._there[sku] = there - good
            outlet.shown[sku] -= bought
            self._awaited += len(self._outlets) - 1
            placed = self._now
            self._at(self._heard(outlet.profile), lambda: self._learn(sku, -good, event.channel, placed))

    def _move(self, event: Event) -> None:
        """The warehouse itself is known to the ledger at once; it is told when this way looks."""
        there = self._there.get(event.sku, 0)
        units = max(event.units, -there)
        self._there[event.sku] = there + units
        self._at(self._look(), lambda: self._learn(event.sku, units, None, 0.0))

    def _heard(self, profile: Profile) -> float:
        """When an order that is placed now is known."""
        if self._way.every is not None:
            return self._look()
        if profile.hears is not None:
            return self._now + profile.hears + HUB_SECONDS
        return _next(self._now, self._way.rules.poll or profile.polls) + HUB_SECONDS

    def _look(self) -> float:
        every = self._way.every
        return self._now + HUB_SECONDS if every is None else _next(self._now, every)

    def _learn(self, sku: str, units: int, channel: int | None, placed: float) -> None:
        self._known[sku] = self._known.get(sku, 0) + units
        for number, outlet in enumerate(self._outlets):
            times = [placed] if channel is not None and number != channel else []
            waiting = outlet.again if sku in outlet.flying else outlet.stale
            waiting.setdefault(sku, []).extend(times)
            self._call(outlet)

    # --- telling ----------------------------------------------------------------------------------

    def _call(self, outlet: _Outlet) -> None:
        if outlet.stale and not outlet.calling:
            outlet.calling = True
            self._at(self._now + outlet.bucket.take(self._now), lambda: self._tell(outlet))

    def _tell(self, outlet: _Outlet) -> None:
        """The numbers are made when they are sent."""
        outlet.calling = False
        batch = list(itertools.islice(outlet.stale, outlet.profile.batch))
        said = [(sku, self._offer(sku), outlet.stale.pop(sku)) for sku in batch]
        outlet.flying.update(batch)
        self._calls += 1
        self._at(self._now + outlet.profile.shows, lambda: self._show(outlet, said))
        self._call(outlet)

    def _show(self, outlet: _Outlet, said: Sequence[tuple[str, int, list[float]]]) -> None:
        for sku, units, times in said:
            outlet.shown[sku] = units
            outlet.flying.discard(sku)
            self._lags += [self._now - placed for placed in times]
            if sku in outlet.again:
                outlet.stale[sku] = outlet.again.pop(sku)
        self._call(outlet)

    def _offer(self, sku: str) -> int:
        level = Level(self._known.get(sku, 0), present=True)
        rules = self._way.by_sku.get(sku, self._way.rules)
        return offer((Source(1, "stock", (Part(1, level),)),), rules).units

    # --- time -------------------------------------------------------------------------------------

    def _at(self, when: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (when, next(self._number), what))

    def _until(self, when: float) -> None:
        while self._queue and self._queue[0][0] <= when:
            self._now, _, what = heapq.heappop(self._queue)
            what()


def _next(now: float, every: float) -> float:
    """The next time that is a multiple of ``every``, later than now."""
    return (now // every + 1) * every
