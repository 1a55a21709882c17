"""A shop and its channel, whose answers come when a test lets them: for requests that cross one another.

async with crossing(url) as one:
    held = one.channel.hold("/v1/shop")
    first = asyncio.create_task(one.begin())
    await held.reached.wait()       # the hub has asked
    ...                             # what somebody else does meanwhile
    held.answer(502)                # and now the channel answers, well unless told otherwise
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from fakes.sandbox import EXAMPLE, Fake
from market import SEALS, Market, market
from onhand.connectors.auth import Wire
from onhand.connectors.flow import Response
from onhand.outward import connecting, steering
from onhand.outward.connecting import Began
from onhand.outward.equipment import Equipment
from onhand.settings import Settings
from onhand.store import counters, linking
from onhand.store.linking import Linked


class Held:
    """The next request to a path. ``reached`` is set when it has come."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.reached = asyncio.Event()
        self._status: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def answer(self, status: int = 200) -> None:
        """Let the channel answer it; with another status than 200 in place of what it would say."""
        self._status.set_result(status)

    async def status(self) -> int:
        """What it is to be answered with."""
        self.reached.set()
        return await self._status


class Channel:
    """A sandbox with one product, of our item A."""

    def __init__(self) -> None:
        self.fake = Fake()
        self.fake.stock(1, 10).sku = "A"
        self._held: list[Held] = []

    def hold(self, path: str) -> Held:
        """Keep the next request to a path waiting."""
        self._held.append(held := Held(path))
        return held

    async def send(self, wire: Wire, *, timeout: float) -> Response:
        """Its answer."""
        held = next((one for one in self._held if one.path in wire.url), None)
        if held is not None:
            self._held.remove(held)
            if (status := await held.status()) != 200:
                return Response(status, {}, b'{"error": "not now"}')
        return self.fake(wire)


class Crossing(NamedTuple):
    """A hub's process, and the channel."""

    here: Market
    channel: Channel
    equipment: Equipment

    async def begin(self, **more: Any) -> Began:
        """Begin a connection, or go on with it."""
        return await connecting.begin(self.equipment, 1, "sandbox", EXAMPLE.settings, **more)

    async def start(self, link: int) -> None:
        """What a person does with a connection whose listings are in."""
        await connecting.page(self.equipment, 1, link)
        await steering.change(self.equipment, 1, link, paused=False)

    async def links(self) -> list[Linked]:
        """The connections to the channel."""
        found = await self.here.inventory.read(1, lambda c: linking.links(c, 1))
        return [one for one in found if one.id > 2]


@contextlib.asynccontextmanager
async def crossing(url: str, channel: Channel | None = None) -> AsyncIterator[Crossing]:
    """The shop of `market`, as one process has it; another one is given the same ``channel``."""
    async with market(url) as here:
        await here.inventory.write(1, lambda c: counters.at_least(c, 1, "connection", 2))
        channel = channel or Channel()
        equipment: Any = Equipment(here.inventory, Settings(), transport=channel)
        equipment.seals = SEALS
        yield Crossing(here, channel, equipment)
