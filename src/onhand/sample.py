"""The demo account's world: what each dialect adds to it, and what it gets to build on."""

from __future__ import annotations

from typing import Any

import msgspec

from onhand.stock.model import AnyCommand
from onhand.store.catalog import Item, Location, Seller
from onhand.work import Companion


class Sample(msgspec.Struct, frozen=True):
    """The demo's items (ids 1 to 40), three locations and three sellers (ids 1 to 3).

    Seller n owns location n. Items are in blocks so that the dialects' first steps do not disturb
    one another: 1 to 6 Marketplacer, 7 to 12 Treet, 13 to 20 Flipkart, 21 to 30 Trackstar, 31 to 40
    Sellbrite. Every dialect also offers item 40, the one that shows that there is one ledger.
    Items 21 and 22 are the parent and its first variant (22 to 24 are variants of 21).
    """

    account: int
    items: dict[int, Item]
    locations: list[Location]
    sellers: list[Seller]

    def block(self, first: int, last: int) -> list[Item]:
        """The items of a block, and the shared one."""
        return [self.items[number] for number in dict.fromkeys((*range(first, last + 1), 40))]


class Part(msgspec.Struct, frozen=True):
    """What a dialect adds: its section of demo.json (without ``base_url``), the stock it starts
    with, and writes that go with it."""

    section: dict[str, Any]
    commands: tuple[AnyCommand, ...] = ()
    also: tuple[Companion, ...] = ()
