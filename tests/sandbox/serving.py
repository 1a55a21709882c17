"""A sandbox as a real server on a free port of this machine, and a connector's way to it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import Any

from starlette.types import ASGIApp

from onhand import frontdoor
from onhand.connectors import sandbox as connector
from onhand.connectors.channel import read_settings
from onhand.courier.flows import Session, Way
from onhand.courier.office import Clock
from onhand.sandbox import card, catalogue
from onhand.sandbox.app import Sandbox, fresh, now
from onhand.sandbox.card import Card
from onhand.transport import ChannelTransport


def usual() -> Sandbox:
    """A sandbox with the usual assortment."""
    return Sandbox(fresh(catalogue.assortment(1)))


@contextlib.asynccontextmanager
async def listening(app: ASGIApp) -> AsyncIterator[str]:
    """An application answers while the block runs; its address."""
    stop, ports = asyncio.Event(), asyncio.Queue[int]()
    serving = asyncio.ensure_future(
        frontdoor.serve(app, "127.0.0.1", 0, bulk=lambda path: True, on_ready=ports.put_nowait, stop=stop)
    )
    try:
        yield f"http://127.0.0.1:{await ports.get()}"
    finally:
        stop.set()
        await serving


@contextlib.asynccontextmanager
async def served(sandbox: Sandbox) -> AsyncIterator[Card]:
    """A sandbox answers while the block runs; its card."""
    async with sandbox.running(), listening(sandbox) as url:
        yield card.card(sandbox.state, url)


@contextlib.asynccontextmanager
async def spoken(made: Card) -> AsyncIterator[Session]:
    """The connector's session with a sandbox, with no token yet."""
    values: dict[str, Any] = {
        "url": made.url,
        "client_id": made.client_id,
        "client_secret": made.client_secret,
        "webhook_secret": made.webhook_secret,
    }
    transport = ChannelTransport(private=True)
    way = Way(transport, Clock(now), asyncio.Event(), random.Random(1))
    try:
        yield Session(connector, read_settings(connector.Settings, values), way)
    finally:
        await transport.close()
