"""Orders around the moment of connecting a channel: what ships meanwhile counts, what is past does not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from email.utils import format_datetime
from typing import Any, NamedTuple

import pytest

from fakes import common
from fakes.sandbox import EXAMPLE, Fake
from market import SEALS, Market, ask_for_orders, open_market
from onhand.connectors import flow
from onhand.connectors.auth import Wire
from onhand.connectors.flow import Failed, OrderLine, Response
from onhand.outward import connecting
from onhand.outward.equipment import Equipment
from onhand.sandbox.model import Order
from onhand.settings import Settings
from onhand.store import counters


class Channel:
    """A sandbox whose answers have a date, as a server's have; paths that ``refuses`` names are forbidden."""

    def __init__(self, off: float = 0, *, dated: bool = True, refuses: str = "nothing") -> None:
        self.clock = common.WallClock(timedelta(seconds=off))
        self.fake = Fake(clock=self.clock)
        self.fake.stock(1, 10).sku = "A"
        self.fake.use(self.fake.state)
        self._dated, self.refuses = dated, refuses

    async def send(self, wire: Wire, *, timeout: float) -> Response:
        """Its answer."""
        if self.refuses in wire.url:
            return Response(403, {}, b'{"error": "this token may not read orders"}')
        answer = self.fake(wire)
        date = {"date": format_datetime(self.clock.tick(), usegmt=True)} if self._dated else {}
        return Response(answer.status, dict(answer.headers) | date, answer.body)

    def sell(self, units: int) -> Order:
        """Somebody buys and pays."""
        return self.fake.shop.order(self.fake.sell("A", units))

    def ship(self, order: Order) -> None:
        """All of it leaves."""
        self.fake.shop.ship(order)


class Shop(NamedTuple):
    """The hub and the channel that it is connected with."""

    here: Market
    channel: Channel
    equipment: Equipment

    async def begin(self) -> int:
        """The connection, with no listings yet."""
        began = await connecting.begin(self.equipment, 1, "sandbox", EXAMPLE.settings)
        return began.connection

    async def finish(self, link: int) -> None:
        """Listings, and then what the courier does first."""
        await connecting.page(self.equipment, 1, link)
        await connecting.finish(self.equipment, 1, link)
        await ask_for_orders(self.here, self.equipment, link)


@contextlib.asynccontextmanager
async def shop(url: str, channel: Channel) -> AsyncIterator[Shop]:
    """Ten of A at each location."""
    async with open_market(url) as here:
        await here.inventory.write(1, lambda c: counters.take(c, 1, "connection", 2))
        equipment: Any = Equipment(here.inventory, Settings(), transport=channel)
        equipment.seals = SEALS
        yield Shop(here, channel, equipment)


def test_what_ships_while_listings_are_imported_is_counted(migrated_url: str) -> None:
    async def go() -> None:
        async with shop(migrated_url, Channel()) as one:
            before = one.channel.sell(2)
            link = await one.begin()
            between = one.channel.sell(3)
            one.channel.ship(between)
            await one.here.until(one.here.empty)
            assert await one.here.stock() == "1@1 10/0, 1@2 10/0, 2@1 10/0"
            await one.finish(link)
            assert await one.here.stock() == "1@1 7/2, 1@2 10/0, 2@1 10/0"
            one.channel.ship(before)
            await ask_for_orders(one.here, one.equipment, link)
            assert await one.here.stock() == "1@1 5/0, 1@2 10/0, 2@1 10/0"
            assert await one.here.incidents() == []

    asyncio.run(go())


def test_nothing_is_called_unknown_before_the_listings_are_here(migrated_url: str) -> None:
    async def go() -> None:
        async with shop(migrated_url, Channel()) as one:
            one.channel.fake.stock(7, 10)  # no item of ours
            one.channel.fake.sell("SKU-7", 1)
            link = await one.begin()
            await one.here.until(one.here.empty)
            assert await one.here.incidents() == []
            await one.finish(link)
            (incident,) = await one.here.incidents()
            assert incident.body["lines"][0]["sku"] == "SKU-7"

    asyncio.run(go())


def test_a_channel_that_tells_no_orders_is_connected_all_the_same(sqlite_url: str) -> None:
    async def go() -> None:
        async with shop(sqlite_url, Channel(refuses="/v1/orders")) as one:
            order = one.channel.sell(2)
            link = await one.begin()
            with pytest.raises(Failed):
                await one.finish(link)
            one.channel.refuses = "nothing"
            await ask_for_orders(one.here, one.equipment, link)
            assert (await one.here.hold(order.id, link)) is not None

    asyncio.run(go())


@pytest.mark.parametrize("off", [-90, 0, 90])
def test_a_channel_whose_clock_is_off(sqlite_url: str, off: float) -> None:
    """What had shipped a few seconds before is past; what ships after is counted, by whichever clock."""

    async def go() -> None:
        async with shop(sqlite_url, Channel(off - 5)) as one:
            past = one.channel.sell(4)
            one.channel.ship(past)
            one.channel.clock.off += timedelta(seconds=5)
            link = await one.begin()
            one.channel.clock.off += timedelta(seconds=2)
            sold = one.channel.sell(3)
            one.channel.ship(sold)
            await one.finish(link)
            # A poll that looks back behind its cursor, and a webhook that is late, show the past again.
            line = OrderLine("1", {"variant": "v1"}, "A", 4, shipped=4)
            await one.here.take(flow.Order(past.id, past.updated_at, (line,)), connection=link)
            assert await one.here.stock() == "1@1 7/0, 1@2 10/0, 2@1 10/0"

    asyncio.run(go())


@pytest.mark.parametrize("off", [-7200, 7200])
def test_a_date_that_cannot_be(sqlite_url: str, off: float) -> None:
    async def go() -> None:
        async with shop(sqlite_url, Channel(off)) as one:
            link = await one.begin()
            ((made,),) = await one.here.rows(f"SELECT created_at FROM connections WHERE id = {link}")
            assert abs(made - one.here.inventory.now()) < 60_000_000

    asyncio.run(go())


def test_an_import_finds_what_a_listing_sells_by_now(migrated_url: str) -> None:
    async def go() -> None:
        async with shop(migrated_url, Channel()) as one:
            link = await one.begin()
            await one.finish(link)
            mine = f"SELECT item, sku FROM listings WHERE connection = {link}"
            assert await one.here.rows(mine) == [(1, "A")]
            variant = one.channel.fake.state.products[0].variants[0]
            variant.sku = "B"
            again = await connecting.page(one.equipment, 1, link)
            assert (again.created, again.known) == (0, 1)
            assert await one.here.rows(mine) == [(2, "B")]
            assert await one.here.rows("SELECT DISTINCT item FROM feeds WHERE listing > 8") == [(2,)]

    asyncio.run(go())


@pytest.mark.parametrize("off", [0, 300, -300])
def test_a_clock_that_is_off_does_not_hide_a_sale_behind_a_look(sqlite_url: str, off: int) -> None:
    """Whether a number that was seen has a sale in it is judged by one clock."""

    async def go() -> None:
        async with shop(sqlite_url, Channel(off)) as one:
            link = await one.begin()
            before = one.channel.sell(2)
            await asyncio.sleep(1.1)  # a date has no parts of a second
            await one.finish(link)
            seen = f"SELECT observed FROM slots JOIN listings ON id = listing WHERE connection = {link}"
            assert await one.here.rows(seen) == [(8,)], "the look was after the sale"
            one.channel.sell(3)
            await ask_for_orders(one.here, one.equipment, link)
            assert await one.here.rows(seen) == [(5,)]
            one.channel.ship(before)
            await ask_for_orders(one.here, one.equipment, link)
            assert await one.here.stock() == "1@1 8/3, 1@2 10/0, 2@1 10/0"

    asyncio.run(go())
