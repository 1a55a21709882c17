"""A fake channel in the world: what is sold there, the weather, and a clock that goes with the world's.

The connector is the real one. What the fake itself finds wrong with a request ends the seed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fakes import common
from onhand.connectors.auth import Wire
from onhand.connectors.flow import Order, Response
from onhand.connectors.kind import Kind
from world.loop import START
from world.trades import AS_EXAMPLE, Trade


class Ticking(common.Clock):
    """A channel's clock: whole seconds in what it tells, several changes of which may have the same."""

    def __init__(self, now: Callable[[], int]) -> None:
        super().__init__()
        self._now = now
        self._last = common.START

    def tick(self) -> datetime:
        """The time; it does not go back."""
        made = common.START + timedelta(microseconds=self._now() - START)
        self._last = max(self._last, made)
        return self._last


@dataclass
class Sale:
    """An order of one item, and what became of its units."""

    name: str
    item: int
    units: int
    counts: dict[str, int] = field(default_factory=lambda: {"cancelled": 0, "shipped": 0, "returned": 0})

    @property
    def left(self) -> int:
        """Units that are still to be sent."""
        return self.units - self.counts["cancelled"] - self.counts["shipped"]


def own_settings(trade: Trade) -> bool:
    """Whether the fake goes by settings that are not its example's."""
    fields = getattr(trade.fake.Fake, "__dataclass_fields__", {})
    return "settings" in fields and "settings" in trade.options


class Stand:
    """A channel of the sixteen. ``weather`` is fine, slow, down, throttled, failing, lossy or lying."""

    def __init__(self, module: Kind, trade: Trade, now: Callable[[], int], lots: random.Random) -> None:
        self.module, self.trade, self.lots = module, trade, lots
        own = {name: value for name, value in trade.options.items() if name != "settings"}
        self.values = dict(trade.fake.EXAMPLE.settings) | trade.options.get("settings", {})
        if own_settings(trade):
            own["settings"] = self.values
        self.fake = trade.fake.Fake(**own)
        self.fake.clock = Ticking(now)
        self.place = trade.fake.EXAMPLE.location if trade.place == AS_EXAMPLE else trade.place
        self.orders: list[Sale] = []
        self.weather = "fine"
        self.swept = True
        """Whether somebody looks at what it has: else what it takes away without a word is never known."""
        self._items: list[int] = []

    # --- trade ------------------------------------------------------------------------------------

    def put_up(self, items: list[int]) -> None:
        """Put items up for sale."""
        self._items = items
        for item in items:
            self.trade.stock(self.fake, item)

    def shown(self, item: int) -> int:
        """What a customer sees."""
        return self.trade.shown(self.fake, item)

    def whole(self, item: int) -> bool:
        """Whether what others keep with a listing is still there."""
        return self.trade.whole(self.fake, item)

    def sell(self, basket: list[tuple[int, int]]) -> Sale | None:
        """An order of what is there; None when there is nothing of it."""
        item, units = basket[0]
        taken = min(units, self.shown(item))
        if taken <= 0:
            return None
        self.orders.append(Sale(self.trade.sell(self.fake, item, taken), item, taken))
        return self.orders[-1]

    def amend(self, sale: Sale) -> None:
        """Units of an order are sent, come back, or all of it is called off, or vanishes."""
        counts = sale.counts
        can = ["shipped"] * 2 * (sale.left > 0) + ["cancelled"] * (sale.left == sale.units)
        can += ["returned"] * (self.trade.back is not None and counts["shipped"] > counts["returned"])
        can += ["vanished"] * (self.swept and self.trade.vanish is not None and sale.left == sale.units > 0)
        if not can:
            return
        what = self.lots.choice(can)
        units = sale.left
        if what == "shipped":
            units = self.lots.randint(1, units) if self.trade.partly else units
            self.trade.ship(self.fake, sale.name, units, units == sale.left)
        elif what == "cancelled":
            self.trade.cancel(self.fake, sale.name, sale.item, units)
        elif what == "vanished" and self.trade.vanish is not None:
            self.trade.vanish(self.fake, sale.name)
            what = "cancelled"
        elif self.trade.back is not None:
            units = self.lots.randint(1, counts["shipped"] - counts["returned"])
            self.trade.back(self.fake, sale.name, units)
        counts[what] += units

    def edit(self, item: int) -> None:
        """Somebody there sets another number."""
        self.trade.edit(self.fake, item, self.lots.randint(0, 30))

    def sales(self) -> Iterator[tuple[int, int, int, int, int]]:
        """Item, ordered, cancelled, shipped and returned of every line."""
        for sale in self.orders:
            counts = sale.counts
            yield sale.item, sale.units, counts["cancelled"], counts["shipped"], counts["returned"]

    def message(self, changed: Sale) -> Order | None:
        """A webhook here only says that something happened."""
        return None

    def hint(self) -> list[str]:
        """What a webhook says to look at, in half of them; the others say that an order changed."""
        if self.lots.random() < 0.5:
            return []
        ids = self.trade.fake.EXAMPLE.ids(self.lots.choice(self._items))
        return [next(iter(ids.values()))]

    def refuse(self, item: int) -> None:
        """These refuse by their own rules."""

    poison = refuse

    def calm(self) -> None:
        """All is well from now on."""
        self.weather = "fine"

    # --- the wire ---------------------------------------------------------------------------------

    async def send(self, wire: Wire) -> Response:
        """An answer, as the weather is."""
        weather, lots = self.weather, self.lots
        await asyncio.sleep(lots.uniform(5, 25) if weather == "slow" else lots.uniform(0, 0.4))
        if weather == "down":
            return Response(0)
        struck = lots.random() < 0.6
        if weather == "failing" and struck:
            return Response(lots.choice((500, 502, 503)))
        if weather == "throttled" and struck:
            if not isinstance(self.fake.faults, common.Faults):
                return Response(429, {"retry-after": str(lots.randint(1, 9))})
            self.fake.faults.throttle = 1
        answer = self._answer(wire, lying=weather == "lying" and lots.random() < 0.5)
        await asyncio.sleep(lots.uniform(0, 0.4))
        return Response(0) if weather == "lossy" and lots.random() < 0.5 else answer

    def _answer(self, wire: Wire, *, lying: bool) -> Response:
        """What the fake says; a liar says so and lets everything be as it was."""
        before = [self.shown(item) for item in self._items] if lying else []
        answer: Response = self.fake(wire)
        for item, units in zip(self._items, before, strict=False):
            if self.shown(item) != units:
                self.trade.edit(self.fake, item, units)
        return answer
