"""The demo's sales channel: a sandbox inside the hub, connected to the demo account like any other channel.

It answers below `PREFIX` of the hub's own address. The courier talks to it over HTTP as it does to every
channel; the guard against private addresses lets it through to exactly these paths (`Neighbour`).
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

import msgspec
import structlog
from sqlalchemy import Connection

from onhand import demo, hooks, merchandise
from onhand.connectors.auth import Wire
from onhand.connectors.flow import Response
from onhand.connectors.sandbox import CHANNEL
from onhand.courier.ports import Transport
from onhand.outward import connecting
from onhand.outward.equipment import Equipment, Refusal
from onhand.sandbox import card, catalogue
from onhand.sandbox.app import Sandbox, fresh, load
from onhand.sandbox.card import Card
from onhand.sandbox.model import PLACE_MAIN, Place, State
from onhand.settings import Settings
from onhand.stock.offering import Rules
from onhand.store import accounts, feeding, linking
from onhand.store.books import Marked
from onhand.store.engine import is_postgresql
from onhand.transport import ChannelTransport
from onhand.wire import encode

PREFIX = "/sandbox"
NAME = "Sandbox shop"
FIRST, LAST = 31, 40
"""The items that it sells, by number."""
SHOWN = 35
"""The item of the lines to paste."""
FEEDS = {PLACE_MAIN: ("MAIN",)}
RULES = Rules(poll=2, sweep=30)
ANYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - compared with, not listened on

log = structlog.get_logger(__name__)


class Outward(Transport, Protocol):
    """A transport that can be closed."""

    async def close(self) -> None:
        """Close every connection."""


class Neighbour:
    """A transport that also reaches what is below one address of this process, once that is known."""

    def __init__(self, outer: Outward) -> None:
        self._outer, self._inner = outer, ChannelTransport(private=True)
        self._own: str | None = None

    def open(self, url: str) -> None:
        """Let requests to paths below ``url`` through."""
        self._own = url + "/"

    async def send(self, wire: Wire, *, timeout: float = 30.0) -> Response:
        """See `courier.ports.Transport`."""
        ours = self._own is not None and wire.url.startswith(self._own)
        ours = ours and ".." not in unquote(wire.url)
        return await (self._inner if ours else self._outer).send(wire, timeout=timeout)

    async def close(self) -> None:
        """Close every connection."""
        await self._inner.close()
        await self._outer.close()


class DemoChannel:
    """The sandbox, and the way to it. On SQLite its state is in a file beside the database; elsewhere it
    begins anew with the process, and the courier tells it everything again."""

    def __init__(self, settings: Settings) -> None:
        file = None if is_postgresql(settings.db) else Path(settings.db + ".sandbox")
        self.sandbox = Sandbox(_kept(file) or _new(), file)
        self.transport = Neighbour(ChannelTransport(private=settings.allow_private_channels))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Webhooks are sent while the block runs."""
        try:
            async with self.sandbox.running():
                yield
        finally:
            await self.transport.close()

    async def connect(self, equipment: Equipment, url: str) -> Card:
        """Connect it to the demo account, or bring the connection up to date; ``url`` is the hub's. Raises
        Refusal, and ValueError where secrets cannot be sealed."""
        base = _reachable(url)
        made = card.card(self.sandbox.state, base + PREFIX)
        self.transport.open(made.url)
        account = await equipment.inventory.read(0, _account)
        link = await _link(equipment, account)
        if link is None:
            values = _settings(made)
            began = await connecting.begin(
                equipment, account, CHANNEL.name, values, name=NAME, rules=RULES, feeds=FEEDS
            )
            link = began.connection
        else:
            await _renew(equipment, account, link, made)
        self.sandbox.state.keys.hook_url = base + hooks.address(account, link)
        self.sandbox.keep()
        await _import(equipment, account, link)
        return made


def lines(made: Card, native: dict[str, Any]) -> list[tuple[str, str]]:
    """What to paste, each with what it shows; ``native`` is our own API's section of the demo."""
    sku = merchandise.GOODS[SHOWN - 1].sku
    change = {"op": "adjust", "sku": sku, "location": "MAIN", "delta": 5, "reason": "receipt"}
    receipt = (
        f"curl -X POST {native['base_url']}/changes -H 'Authorization: Bearer {native['api_key']}'"
        f" -H 'Content-Type: application/json' -d '{encode({'changes': [change]}).decode()}'"
    )
    return [
        (f"A sale on a channel lowers the ledger (watch {made.url}/)", card.sell_line(made, sku, 2)),
        ("A receipt raises what the channel shows", receipt),
    ]


def _new() -> State:
    goods = [(good.sku, good.name) for good in merchandise.GOODS[FIRST - 1 : LAST]]
    products = catalogue.of_skus(goods)
    for product in products:
        for variant in product.variants:
            variant.levels = {PLACE_MAIN: variant.levels[PLACE_MAIN]}
    state = fresh(products)
    state.places = [Place(PLACE_MAIN, "Main warehouse", default=True)]
    return state


def _kept(file: Path | None) -> State | None:
    try:
        return load(file) if file is not None else None
    except msgspec.DecodeError as error:
        log.warning("the sandbox's file cannot be read, it begins anew", file=str(file), why=str(error))
        return None


def _reachable(url: str) -> str:
    scheme, _, rest = url.partition("://")
    host, colon, port = rest.rpartition(":")
    return f"{scheme}://{ANYWHERE.get(host, host)}{colon}{port}"


def _settings(made: Card) -> dict[str, Any]:
    return {
        "url": made.url,
        "client_id": made.client_id,
        "client_secret": made.client_secret,
        "webhook_secret": made.webhook_secret,
    }


def _account(connection: Connection) -> int:
    found = next((one.id for one in accounts.accounts(connection) if one.name == demo.ACCOUNT), None)
    if found is None:
        raise Refusal("unknown_account", "there is no demo account")
    return found


async def _link(equipment: Equipment, account: int) -> int | None:
    found = await equipment.inventory.read(account, lambda c: linking.links(c, account))
    return next((one.id for one in found if (one.channel, one.name) == (CHANNEL.name, NAME)), None)


async def _renew(equipment: Equipment, account: int, link: int, made: Card) -> None:
    """The port may be another than last time, and so may the keys be."""
    shown, hidden = connecting.split(equipment.module(CHANNEL.name), _settings(made))
    envelope = equipment.seals.seal(account, link, hidden)
    change = {"settings": shown, "secrets": envelope}
    await equipment.inventory.write(account, lambda c: linking.change(c, account, link, change))
    equipment.forget(account, link)


async def _import(equipment: Equipment, account: int, link: int) -> None:
    """What it shows, and then that all of it is stale: it may have forgotten what it was told."""
    cursor: str | None = None
    while True:
        page = await connecting.page(equipment, account, link, cursor)
        cursor = page.cursor
        if cursor is None:
            break

    def stale(connection: Connection) -> set[Marked]:
        found = feeding.listings_on(connection, account, link)
        return feeding.mark(connection, account, found, equipment.now())

    await equipment.inventory.write(account, stale)
    await connecting.finish(equipment, account, link)
