"""A shop with two connections to sandbox channels, for the tests of orders that come in.

Items 1 (A), 2 (B), 3 (KIT: two A and one B) and 4 (SERVICE, of which no stock is kept); locations 1 and 2 are
ours and feed both connections in this order, 3 is mirrored. Connection n lists item i as variant "v<i>".
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from onhand import orders_in
from onhand.appliers import appliers
from onhand.clockwork import Beats
from onhand.connectors import sandbox
from onhand.connectors.channel import Channel, Meaning
from onhand.connectors.flow import Order, OrderLine
from onhand.inventory import Inventory
from onhand.outward.equipment import Equipment
from onhand.seals import Key, Seals
from onhand.settings import Settings
from onhand.stock.model import Reservation, SetOnHand
from onhand.store import accounts, books, catalog, channels, drives, feeding, levels, orders
from onhand.store.catalog import Item, Location, Seller
from onhand.store.channels import Link, Listing
from onhand.store.engine import open_store, reading
from onhand.work import Group, Work
from ticking import Clock, World, ticking

GROSS: Channel = msgspec.structs.replace(sandbox.CHANNEL, meaning=Meaning.GROSS)
SEALS = Seals(lambda: [Key(bytes(32))])
SECRET = "webhook-secret-d06a"
SETTINGS = {
    "url": "http://127.0.0.1:8081",
    "client_id": "client",
    "client_secret": "client-secret-77c1",
    "access_token": "access-token-0913",
    "webhook_secret": SECRET,
}
LATER = 4 * 10**18
"""A time of change that lies behind everything: in microseconds, far in the future."""


class Market(World):
    """The shop, and what the tests ask of it."""

    async def take(self, *found: Order, connection: int = 1, channel: Channel = sandbox.CHANNEL) -> None:
        """Accept orders and wait until they are applied."""
        await self.accept_orders(*found, connection=connection, channel=channel)
        await self.until(self.empty)

    async def accept_orders(
        self, *found: Order, connection: int = 1, channel: Channel = sandbox.CHANNEL
    ) -> None:
        """Put orders into the inbox."""
        await orders_in.take(self.inventory, self.account, connection, found, channel)

    async def stock(self) -> str:
        """Every level, as "item@location on_hand/reserved"."""
        found = await self.inventory.read(
            self.account, lambda c: levels.page(c, self.account, (0, 0), 100, self.inventory.now())
        )
        return ", ".join(f"{i}@{at} {one.on_hand}/{one.reserved}" for (i, at), one in sorted(found.items()))

    async def set(self, item: int, location: int, quantity: int) -> None:
        """A count."""
        await self.record(SetOnHand(item, location, quantity))

    async def kept(self, order: str, connection: int = 1) -> orders.KeptOrder | None:
        """An order as it is kept."""
        name = (connection, order)
        found = await self.inventory.read(self.account, lambda c: orders.kept(c, self.account, [name]))
        return found.get(name)

    async def hold(self, order: str, connection: int = 1) -> Reservation | None:
        """An order's reservation."""
        name = (self.account, orders_in.reference(connection, order))
        found = await self.inventory.read(self.account, lambda c: books.reservations(c, [name], lock=False))
        return found.get(name)

    async def ready(self) -> list[str]:
        """Orders of the first connection with something new to stand on."""
        return await self.inventory.read(self.account, lambda c: orders_in.ready(c, self.account, 1))

    def looked(self, before: orders_in.Looked | None) -> tuple[list[str], orders_in.Looked | None]:
        """The same as a poll of the first connection finds it, after what the last one said."""
        catalogue = self.inventory.catalogue(self.account)
        with reading(self.inventory.store, self.account) as connection:
            return orders_in.looked(connection, self.account, 1, catalogue, before)

    async def look_again(self) -> None:
        """What the end of a poll does about orders that wait."""
        await orders_in.look_again(self.inventory, self.account, 1, sandbox.CHANNEL)
        await self.until(self.empty)

    def add_item(self, connection: Connection, number: int) -> None:
        """An item of which no stock is kept yet."""
        catalog.add_items(connection, self.account, [Item(number, sku=f"NEW-{number}")], 1)

    async def of_kind(self, kind: str) -> list[dict[str, Any]]:
        """The bodies of the incidents of a kind."""
        return [one.body for one in await self.incidents() if one.kind == kind]

    async def rows(self, text: str) -> list[tuple[Any, ...]]:
        """Rows of a query."""

        def query() -> list[tuple[Any, ...]]:
            with reading(self.inventory.store, self.account) as connection:
                return [tuple(row) for row in connection.exec_driver_sql(text)]

        return query()

    async def run(self, *statements: str) -> None:
        """Statements of the tests' own."""

        def unit(connection: Connection) -> None:
            for text in statements:
                connection.exec_driver_sql(text)

        await self.inventory.write(self.account, unit)


def order(name: str, updated: int, *lines: OrderLine, **more: Any) -> Order:
    """A snapshot, ``updated`` in microseconds behind `LATER`."""
    return Order(name, LATER + updated, lines, name=f"#{name}", **more)


def line(item: int, ordered: int, *, c: int = 0, s: int = 0, r: int = 0, **more: Any) -> OrderLine:
    """A line of listing "v<item>"; its id is the item's unless given."""
    name = more.pop("id", f"line-{item}")
    sku = more.pop("sku", None)
    return OrderLine(name, {"variant": f"v{item}"}, sku, ordered, c, s, r, **more)


@contextlib.asynccontextmanager
async def market(url: str) -> AsyncIterator[Market]:
    """The shop on a migrated database, without its clockwork; the second time the same shop."""
    store = open_store(url)
    inventory = Inventory(store, Clock())
    inventory.start()
    try:
        yield Market(inventory, await inventory.write(0, make))
    finally:
        await inventory.stop()
        store.close()


@contextlib.asynccontextmanager
async def open_market(url: str, **settings: Any) -> AsyncIterator[Market]:
    """The shop, with its clockwork, and stock: ten of A at each location, ten of B at the first."""
    async with market(url) as here, ticking(here, dict(appliers(Settings(**settings))), FAST):
        await here.inventory.record(Work(here.account, (Group(STOCK),), "test"))
        yield here


STOCK = (SetOnHand(1, 1, 10), SetOnHand(1, 2, 10), SetOnHand(2, 1, 10))
FAST = Beats(look=0.02, settle=0.02, scan=5, prune=60, first_prune=60)


async def ask_for_orders(here: Market, equipment: Equipment, link: int) -> None:
    """Ask a connection's channel for orders, and wait until they are applied."""
    session = await equipment.session(1, link)
    while await orders_in.Polls(here.inventory).poll(1, link, session):
        pass
    await here.until(here.empty)


def make(connection: Connection) -> int:
    """Fill the database, if nobody did before."""
    known = accounts.accounts(connection)
    if known:
        return known[0].id
    account = accounts.add(connection, "shop", 1).id
    catalog.add_seller(connection, account, Seller(1, "own", own=True), 1)
    for number, kind in ((1, "stock"), (2, "stock"), (3, "mirrored")):
        catalog.add_location(connection, account, Location(number, f"place {number}", 1, kind), 1)
    skus = ("A", "B", "KIT", "SERVICE")
    catalog.add_items(connection, account, [Item(at, sku=sku) for at, sku in enumerate(skus, 1)], 1)
    catalog.set_kit(connection, account, 3, {1: 2, 2: 1}, 1)
    for number in (1, 2):
        new = Link(number, "sandbox", f"shop {number}", connector=True, locations=[1, 2])
        channels.add_link(connection, account, new, 1)
        drives.keep_secrets(connection, account, number, SEALS.seal(account, number, SETTINGS))
        add_listings(connection, account, number, range(1, 5))
    channels.map_ids(connection, account, "connection:1", "location", {"east": "2", "fba": "3"})
    return account


def add_listings(connection: Connection, account: int, link: int, items: Sequence[int]) -> None:
    """Listings "v<item>" of these items, with their slots."""
    made = [
        channels.add_listing(connection, account, Listing(0, link, f"v{item}", item), 1).id for item in items
    ]
    feeding.refeed(connection, account, made)
