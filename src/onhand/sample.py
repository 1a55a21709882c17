"""The demo account's world: what each dialect adds to it, and what it gets to build on."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec
from sqlalchemy import Connection

from onhand.stock.model import AnyCommand
from onhand.store.catalog import Item, Location, Seller
from onhand.work import Companion

SHARED = 40
"""The item that every dialect offers."""


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
        """The items of a block, and the shared one; in a demo that was changed, those still there."""
        wanted = dict.fromkeys((*range(first, last + 1), SHARED))
        return [self.items[number] for number in wanted if number in self.items]


class Part(msgspec.Struct, frozen=True):
    """What a dialect adds to the world when it is made: the stock it starts with, and writes that
    go with it. It makes no credentials: those come from its `section`, whenever it is asked."""

    commands: tuple[AnyCommand, ...] = ()
    also: tuple[Companion, ...] = ()


class KeyWish(msgspec.Struct, frozen=True):
    """What an operator wants of new credentials. ``scopes`` are words between spaces (our own API,
    or "read" for a read-only key where the dialect has such); ``seller`` binds the key to a seller;
    ``integration`` is the cart behind a Trackstar connection, ``locations`` are its warehouses by the names
    that we have for them, in order; ``label`` is a note."""

    scopes: str = "write"
    seller: int | None = None
    integration: str | None = None
    label: str = ""
    locations: tuple[str, ...] = ()


class Setup(Protocol):
    """The ``setup`` module of a dialect (and of our own API), as the demo and the command line use it."""

    def demo(self, connection: Connection, sample: Sample, now: int) -> Part:
        """Create the connections, listings, external ids and details that the dialect shows.

        Called once, when the demo is made, in the transaction that makes it; ``sample`` has just
        been created. Base stock is there before the part's commands: see `onhand.demo`.
        """

    def section(self, connection: Connection, sample: Sample, now: int) -> dict[str, Any]:
        """Issue fresh credentials, and describe what there is now: the dialect's part of demo.json.

        Called after the stock was recorded, and again on later days: read links, listings and
        levels from the store, and do not count on the stock of the first day. Credentials that were
        issued before stay valid; the principal stays the same. Without ``base_url``.
        """

    def curl(self, section: dict[str, Any], base_url: str) -> str:
        """One line to paste into a shell that works with ``section``; ``base_url`` is the dialect's."""

    def issue(self, connection: Connection, account: int, now: int, wish: KeyWish) -> dict[str, Any]:
        """Make credentials for ``onhand keys create``, in any account, with the dialect's connection
        made first where the account has none (all the account's active locations in order).

        Returns what a client needs, as in the dialect's section (headers, app_id, api_key ...), and
        ``principal``. Raises ValueError in words when the wish does not fit the dialect.
        """
