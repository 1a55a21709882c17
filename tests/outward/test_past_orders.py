"""Orders that were sent before their channel was connected, and are heard of after: they move nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from email.utils import format_datetime
from typing import Any, NamedTuple

import pytest

from fakes import common
from market import SEALS, Market, ask_for_orders, open_market
from onhand.connectors.auth import Wire
from onhand.connectors.flow import Response
from onhand.outward import connecting
from onhand.outward.equipment import Equipment
from onhand.settings import Settings
from onhand.store import counters
from world.stand import own_settings
from world.trades import TRADES, Trade


def _settings(trade: Trade) -> dict[str, Any]:
    return {**trade.fake.EXAMPLE.settings, **trade.options.get("settings", {})}


class Shop(NamedTuple):
    """A hub, a channel that sells item 1 of it, and what is done at the channel."""

    here: Market
    equipment: Equipment
    channel: str
    fake: Any
    clock: common.WallClock

    @property
    def settings(self) -> dict[str, Any]:
        """What the channel is connected with."""
        return _settings(TRADES[self.channel])

    def sell(self, units: int) -> str:
        """Somebody buys."""
        return TRADES[self.channel].sell(self.fake, 1, units)

    def ship(self, order: str, units: int) -> None:
        """All of an order leaves."""
        TRADES[self.channel].ship(self.fake, order, units, True)

    async def connect(self) -> int:
        """The connection, with its listings and its first orders."""
        self.clock.off = timedelta()
        began = await connecting.begin(self.equipment, 1, self.channel, self.settings)
        await connecting.page(self.equipment, 1, began.connection)
        await connecting.finish(self.equipment, 1, began.connection)
        await ask_for_orders(self.here, self.equipment, began.connection)
        self.clock.off = timedelta(seconds=5)
        return began.connection


@contextlib.asynccontextmanager
async def shop(url: str, channel: str) -> AsyncIterator[Shop]:
    """Ten of SKU-1 at each of two locations, which the channel sells, too."""
    trade, clock = TRADES[channel], common.WallClock(timedelta(days=-3))
    own = {name: value for name, value in trade.options.items() if name != "settings"}
    if own_settings(trade):
        own["settings"] = _settings(trade)
    fake = trade.fake.Fake(**own)
    fake.clock = clock
    trade.stock(fake, 1)
    trade.edit(fake, 1, 20)

    class Way:
        """The way to the channel, whose answers have a date."""

        async def send(self, wire: Wire, *, timeout: float) -> Response:
            """Its answer."""
            answer: Response = fake(wire)
            headers = {"date": format_datetime(clock.tick(), usegmt=True)} | dict(answer.headers)
            return Response(answer.status, headers, answer.body)

    async with open_market(url) as here:
        await here.run("UPDATE items SET sku = 'SKU-1' WHERE id = 1")
        await here.inventory.write(1, lambda c: counters.take(c, 1, "connection", 2))
        equipment: Any = Equipment(here.inventory, Settings(), transport=Way())
        equipment.seals = SEALS
        yield Shop(here, equipment, channel, fake, clock)


def _touched_at_shopify(fake: Any, order: str) -> None:
    fake.orders[order]["updatedAt"] = common.iso(fake.clock.tick())


def _touched_at_wix(fake: Any, order: str) -> None:
    fake.change(order, buyerNote="on the doorstep")


def _back_at_sandbox(fake: Any, order: str) -> None:
    fake.shop.refund(fake.shop.order(order))


TOUCH: dict[str, Callable[[Any, str], object]] = {
    "bigcommerce": lambda fake, order: fake.touch(order),
    "etsy": lambda fake, order: fake.touch(order),
    "sandbox": _back_at_sandbox,
    "shopify": _touched_at_shopify,
    "squarespace": lambda fake, order: fake.change(order, paymentState="REFUNDED"),
    "tiktok": lambda fake, order: fake.move(order, "DELIVERED"),
    "walmart": lambda fake, order: fake.move(order, "Delivered"),
    "wix": _touched_at_wix,
    "woocommerce": lambda fake, order: fake.change(int(order), "refunded"),
}
"""What happens to an order when it is on its way."""


@pytest.mark.parametrize("channel", sorted(TOUCH))
def test_what_was_on_its_way_is_not_sent_once_more_when_it_arrives(sqlite_url: str, channel: str) -> None:
    async def go() -> None:
        async with shop(sqlite_url, channel) as one:
            away = one.sell(3)
            one.ship(away, 3)
            link = await one.connect()
            assert (await one.here.stock()).startswith("1@1 10/0, 1@2 10/0, ")
            TOUCH[channel](one.fake, away)
            new = one.sell(2)
            one.ship(new, 2)
            await ask_for_orders(one.here, one.equipment, link)
            assert (await one.here.stock()).startswith("1@1 8/0, 1@2 10/0, ")

    asyncio.run(go())
