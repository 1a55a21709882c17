"""A connector with the settings of one account, asked again and again by tests against its fake."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, Protocol, TypeVar

from connectors.driver import NOW, talk
from onhand.connectors.flow import Order, Seen, Target

STOCK = 10


class Stocks(Protocol):
    """A fake that can be given stock."""

    def stock(self, number: int, quantity: int, /) -> Any:
        """Item ``number`` shows ``quantity``."""


Shop = TypeVar("Shop", bound=Stocks)


class Account:
    """What tests ask of a connector. ``before`` is done to the fake before every flow: a fake that refuses a
    nonce for the second time forgets the ones of the flow before."""

    def __init__(
        self, module: ModuleType, settings: Any, before: Callable[[Any], object] = lambda fake: None
    ) -> None:
        self._module = module
        self._settings = settings
        self._before = before

    def push(self, fake: Any, *targets: Target, settings: Any = None, now: int = NOW) -> list[Any]:
        """The verdicts on some targets."""
        mine = settings or self._settings
        verdicts: list[Any] = talk(self._module.push(mine, targets), self._module, mine, fake, now)
        return verdicts

    def pulled(self, fake: Any, settings: Any = None) -> list[Seen]:
        """All that the channel shows, page by page."""
        mine = settings or self._settings
        seen: list[Seen] = []
        cursor = None
        while True:
            self._before(fake)
            page = talk(self._module.pull(mine, cursor), self._module, mine, fake)
            seen += page.seen
            cursor = page.cursor
            if cursor is None:
                self._before(fake)
                return seen

    def polled(self, fake: Any, cursor: str | None = None) -> tuple[list[Order], str]:
        """All orders since a cursor, page by page, and the cursor behind them."""
        found: list[Order] = []
        while True:
            self._before(fake)
            some = talk(self._module.orders(self._settings, cursor), self._module, self._settings, fake)
            found += some.orders
            cursor = some.cursor
            if not some.more:
                return found, cursor

    def counted(self, fake: Any, cursor: str | None = None) -> tuple[dict[str, tuple[int, int, int]], str]:
        """The same as how many units of each order's first line are ordered, cancelled and shipped; the last
        word of each order."""
        found, ahead = self.polled(fake, cursor)
        lines = ((order.id, order.lines[0]) for order in found)
        return {name: (line.ordered, line.cancelled, line.shipped) for name, line in lines}, ahead


def stocked(fake: Shop, count: int = 3) -> Shop:
    """The fake with items 1 to ``count``, `STOCK` of each."""
    for number in range(1, count + 1):
        fake.stock(number, STOCK)
    return fake
