"""Levels read over our own API while a shop's ledger runs, and the history they are held against."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from sqlalchemy import Connection

import shops
from onhand import auth
from onhand.api import routes
from onhand.inventory import Inventory
from onhand.settings import Settings
from onhand.stock.ledger import apply
from onhand.stock.model import (
    ABSENT,
    Adjust,
    AnyCommand,
    Confirm,
    Extend,
    Forget,
    Level,
    Place,
    Release,
    SetInfinite,
    SetOnHand,
    Ship,
    Transfer,
)
from onhand.store import catalog, keys
from shops import START, Shop, movement, running
from stores import SqliteDatabases
from transcript import hold, want

SECRET = "oh_test"
SECOND = 1_000_000
HOLDS = ("h1", "h2", "h3")


def opened(databases: SqliteDatabases) -> Iterator[Shop]:
    """A shop whose ledger is read with `SECRET`."""
    for shop in shops.opened(databases):
        with shop.writing() as connection:
            row = ("native", auth.digest(SECRET), None, 1, "key", "me", "read write", None, None, "", START)
            keys.add(connection, [keys.Stored(*row, None, None)])
        yield shop


class Reader:
    """The API over a shop's ledger, called as the server calls it."""

    def __init__(self, shop: Shop, inventory: Inventory) -> None:
        self.shop = shop
        self.inventory = inventory
        self._app = routes.app(inventory, Settings())

    async def get(self, path: str, **headers: str) -> tuple[int, dict[bytes, bytes], Any]:
        """Status, headers and body of a GET."""
        path, _, query = path.partition("?")
        sent: list[Any] = []
        fields = {"authorization": f"Bearer {SECRET}"} | {k.replace("_", "-"): v for k, v in headers.items()}
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
        }

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "http.request", "body": b""}

        await self._app(scope, receive, send)
        body = sent[1]["body"]
        found = json.loads(body) if body else None
        assert body in (b"", msgspec.json.encode(found))
        return sent[0]["status"], dict(sent[0]["headers"]), found

    def anew(self) -> Reader:
        """One that remembers nothing."""
        return Reader(self.shop, self.inventory)

    async def level(self, item: int, at: int) -> tuple[int, dict[str, Any] | None]:
        """A level as it is answered, and what that has seen; the number is 0 where there is none."""
        status, headers, body = await self.get(f"/levels/{item}/{at}")
        if status == 404:
            return 0, None
        assert status == 200
        assert headers[b"etag"] == b'"%d"' % body["version"]
        return body.pop("as_of_seq"), body

    async def page(self, query: str) -> tuple[int, list[dict[str, Any]], str | None]:
        """What a page has seen, its rows, and where it goes on."""
        status, _, body = await self.get(f"/levels?{query}")
        assert status == 200
        return body["as_of_seq"], body["data"], body["next_cursor"]


@asynccontextmanager
async def reading(shop: Shop) -> AsyncIterator[Reader]:
    """The API while the ledger runs."""
    async with running(shop) as inventory:
        yield Reader(shop, inventory)


class Past:
    """All levels as each movement left them."""

    def __init__(self, shop: Shop) -> None:
        self.at: list[dict[Place, Level]] = [{}]
        for one in shop.history():
            place, before = (one.item, one.location), self.at[-1]
            self.at.append(before | {place: apply(before.get(place, ABSENT), movement(one))})

    def holds(self, seq: int, row: dict[str, Any]) -> bool:
        """Whether a level was like this."""
        level = self.at[seq].get((row["item"], row["location"]), ABSENT)
        return level.present and shape(level) == tuple(row[name] for name in _SHAPE)

    def places(self, seq: int, at: int | None = None) -> list[Place]:
        """Those where there was one."""
        levels = self.at[seq].items()
        return sorted(place for place, level in levels if level.present and at in (None, place[1]))


_SHAPE = ("on_hand", "reserved", "available", "infinite", "version")


def shape(level: Level) -> tuple[int, int, int, bool, int]:
    """A level without its next expiry, as it is answered."""
    return level.on_hand, level.reserved, level.available, level.infinite, level.version


def command(dice: random.Random, now: int) -> AnyCommand:
    """Something that moves a level, begins or ends one, or holds units."""
    item, at, to, name = (
        dice.randint(1, 6),
        dice.choice((1, 2, 3)),
        dice.choice((1, 2, 3)),
        dice.choice(HOLDS),
    )
    line = want(item, dice.randint(1, 2), at)
    ends = now + dice.randint(1, 400) * SECOND
    kinds: list[Callable[[], AnyCommand]] = [
        lambda: Adjust(item, at, dice.randint(-3, 5)),
        lambda: Adjust(item, at, dice.randint(-3, 5)),
        lambda: SetOnHand(item, at, dice.randint(0, 20)),
        lambda: Forget(item, at),
        lambda: SetInfinite(item, at, dice.random() < 0.2),
        lambda: Transfer(item, at, to, 1),
        lambda: hold(name, line, until=dice.choice((None, ends))),
        lambda: Extend(name, ends),
        lambda: Confirm(name),
        lambda: Release(name),
        lambda: Ship(name),
    ]
    return dice.choice(kinds)()


def rename(item: int, sku: str) -> Callable[[Connection], None]:
    """A unit that gives an item another SKU."""

    def unit(connection: Connection) -> None:
        catalog.change_item(connection, 1, item, {"sku": sku}, START)

    return unit
