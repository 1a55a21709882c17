"""What records say besides their stock, remembered as long as nobody writes it: prices and providers."""

from __future__ import annotations

import asyncio
import itertools

from sqlalchemy import Connection

from onhand.dialects.marketplacer import shop
from onhand.dialects.marketplacer.shop import Shop, State
from onhand.inventory import Inventory
from onhand.work import Recorded, Work

_KIND = "marketplacer sayings"
"""What is remembered: prices and providers by item and edition."""

EDITIONS_LIMIT = 100_000
"""Items whose editions are known at most; then all have a new one."""


class Sayings:
    """Prices and providers by item, on SQLite. They are no part of the catalogue: commits write them, and
    all of those are this dialect's.

    So each item has an edition, which is another one from before such a commit and again from after it.
    What is read is remembered, with the catalogue, under the edition that was there before it was read.
    """

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._numbers = itertools.count()
        self._editions: dict[tuple[int, int], int] = {}
        self._first = next(self._numbers)

    async def record(self, work: Work, item: int) -> Recorded:
        """Record a work that comes with prices or providers of an item."""
        name = (work.account, item)
        self._turn(name)
        # Whoever asked may go away, and it is done all the same.
        recording = asyncio.ensure_future(self._inventory.record(work))
        recording.add_done_callback(lambda _: self._turn(name))
        return await asyncio.shield(recording)

    def remembered(self, here: Shop, item: int) -> State | None:
        """The prices and providers of an item, with no levels, where they are remembered."""
        edition = self._editions.get((here.account, item), self._first)
        return self._inventory.remembered(here.account).get(_KIND, {}).get((item, edition))

    async def of(self, here: Shop, item: int) -> State:
        """The same, looked up where need be."""
        name = (item, self._editions.get((here.account, item), self._first))
        found = await self._inventory.recall_many(
            here.account, _KIND, [name], lambda c, _: {name: _said(c, here, item)}
        )
        return found[name]

    def _turn(self, name: tuple[int, int]) -> None:
        if len(self._editions) >= EDITIONS_LIMIT:
            self._editions.clear()
            self._first = next(self._numbers)
        self._editions[name] = next(self._numbers)


def _said(connection: Connection, here: Shop, item: int) -> State:
    # The levels are not kept: before the beginning of time none has lapsed, so this is one statement.
    return shop.state(connection, here, item, 0)._replace(levels={})
