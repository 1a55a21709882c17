"""Hubs for the tests of the dialects: the demo world in a fresh store, behind a synchronous client.

    with demo_hub(tmp_path, "treet") as hub:
        path = f"/treet/v1/listings/{hub.section['listings'][0]['id']}/inventory"
        answer = hub.client.put(path, headers=hub.section["headers"], json={...})

A dialect takes part with ``onhand.dialects.<name>.setup`` (the `onhand.sample.Setup` protocol: `demo`,
`section`, `curl`) and ``onhand.dialects.<name>.routes.app``; "native" is ``onhand.api``. Each hub has its
own database, its own clock (`hub.clock.ahead(seconds)`), and one event loop in a thread of the client.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import importlib
import json
import shutil
import sqlite3
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import httpx2
from sqlalchemy import Connection
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from onhand import demo
from onhand.clockwork import Clockwork
from onhand.inbox import Applier
from onhand.inventory import Inventory
from onhand.sample import Setup
from onhand.settings import Settings
from onhand.stock.model import AnyCommand, Level
from onhand.store import accounts, catalog, levels
from onhand.store.engine import migrate, open_store
from onhand.work import Group, Recorded, Work

T = TypeVar("T")

BASE_URL = "http://testserver"


class Call(NamedTuple):
    """A request for `Hub.together`; ``options`` are httpx2's (json, content, headers, params)."""

    method: str
    path: str
    options: dict[str, Any] = {}


class Clock:
    """The hub's clock: the real one, moved ahead as a test likes."""

    def __init__(self) -> None:
        self._offset = 0

    def __call__(self) -> int:
        return time.time_ns() // 1000 + self._offset

    def ahead(self, seconds: float) -> None:
        """Let time pass."""
        self._offset += int(seconds * 1_000_000)


class Hub:
    """A running hub with the demo account, on the dialects that a test asked for."""

    def __init__(
        self, client: TestClient, inventory: Inventory, sections: dict[str, Any], clock: Clock
    ) -> None:
        self.client = client
        self.inventory = inventory
        self.sections = sections
        self.clock = clock
        self.account = self.account_of(demo.ACCOUNT)

    @property
    def section(self) -> dict[str, Any]:
        """The first dialect's part of demo.json (with its base_url)."""
        found: dict[str, Any] = next(part for part in self.sections.values() if isinstance(part, dict))
        return found

    def run(self, function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """Run a coroutine function in the hub's loop."""
        assert self.client.portal is not None
        return self.client.portal.call(partial(function, *arguments))

    def read(self, query: Callable[[Connection], T], account: int | None = None) -> T:
        """Run a query on the demo account, or another."""
        found: T = self.run(self.inventory.read, self.account if account is None else account, query)
        return found

    def write(self, unit: Callable[[Connection], T], account: int | None = None) -> T:
        """Run a unit on the writer's connection."""
        found: T = self.run(self.inventory.write, self.account if account is None else account, unit)
        return found

    def record(self, *commands: AnyCommand) -> Recorded:
        """Record commands in one group, as somebody else would."""
        return self.run(self.inventory.record, Work(self.account, (Group(commands),), "test"))

    def levels(self, sku: str) -> dict[str, Level]:
        """The levels of an item that are there, by the location's name."""

        def query(connection: Connection) -> dict[str, Level]:
            item = catalog.items_by_sku(connection, self.account, [sku])[sku]
            names = {one.id: one.name for one in catalog.locations(connection, self.account)}
            found = levels.of_items(connection, self.account, [item.id], self.clock())
            return {names[place[1]]: level for place, level in found.items()}

        return self.read(query)

    def together(self, calls: Sequence[Call]) -> list[httpx2.Response]:
        """Send requests at the same time; the answers in their order."""

        async def send() -> list[httpx2.Response]:
            transport = httpx2.ASGITransport(self.client.app)
            async with httpx2.AsyncClient(transport=transport, base_url=BASE_URL) as client:
                sent = [client.request(one.method, one.path, **one.options) for one in calls]
                return await asyncio.gather(*sent)

        return self.run(send)

    def account_of(self, name: str) -> int:
        """The id of an account."""
        found = self.read(accounts.accounts, 0)
        return {one.name: one.id for one in found}[name]

    def another(self, name: str = "rival") -> dict[str, Any]:
        """The sections of a second account that has the same world, made when first asked for."""
        names = tuple(key for key in self.sections if key != "base_url")
        make = partial(demo.create, self.inventory, BASE_URL, setups(names), name=name)
        return self.run(make)


def setups(names: Sequence[str]) -> dict[str, Setup]:
    """The setup modules of these dialects."""
    return {name: importlib.import_module(f"{_package(name)}.setup") for name in names}


def _package(name: str) -> str:
    return "onhand.api" if name == "native" else f"onhand.dialects.{name}"


@contextlib.contextmanager
def demo_hub(
    where: Path | str,
    *names: str,
    settings: Settings | None = None,
    appliers: Mapping[str, Applier] | None = None,
) -> Iterator[Hub]:
    """A hub that serves the dialects ``names``, each at its usual place (`onhand.demo.mount`).

    ``where`` is a folder for a SQLite file, or the URL of a migrated or empty PostgreSQL. SQLite
    hubs start from a copy of one that was made once for these names in this process. The clockwork
    runs; ``appliers`` (by source) apply what was accepted into the inbox.
    """
    clock = Clock()
    if isinstance(where, Path):
        template, text = _template(names)
        url, sections = _copy(template, where), json.loads(text)
    else:
        url, sections = where, _made(where, names)
    store = open_store(url)
    inventory = Inventory(store, clock)
    try:
        app = application(inventory, names, settings or Settings(), appliers or {})
        with TestClient(app, base_url=BASE_URL, raise_server_exceptions=True) as client:
            yield Hub(client, inventory, sections, clock)
    finally:
        store.close()


def application(
    inventory: Inventory, names: Sequence[str], settings: Settings, appliers: Mapping[str, Applier]
) -> Starlette:
    """The dialects' applications under one roof, with the inventory running while it is open."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        inventory.start()
        clockwork = Clockwork(inventory, appliers)
        await clockwork.start()
        yield
        await clockwork.stop()
        await inventory.stop()

    mounts = [
        Mount(demo.mount(name), importlib.import_module(f"{_package(name)}.routes").app(inventory, settings))
        for name in names
    ]
    return Starlette(routes=mounts, lifespan=lifespan)


def _made(url: str, names: Sequence[str]) -> dict[str, Any]:
    store = open_store(url)
    try:
        migrate(store)
        return asyncio.run(_create(Inventory(store), names))
    finally:
        store.close()


async def _create(inventory: Inventory, names: Sequence[str]) -> dict[str, Any]:
    inventory.start()
    try:
        return await demo.create(inventory, BASE_URL, setups(names))
    finally:
        await inventory.stop()


@cache
def _template(names: tuple[str, ...]) -> tuple[Path, str]:
    folder = tempfile.mkdtemp(prefix="onhand-hub-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / "hub.db"
    return path, json.dumps(_made(str(path), names))


def _copy(template: Path, folder: Path) -> str:
    path = folder / f"{uuid.uuid4().hex[:8]}.db"
    with (
        contextlib.closing(sqlite3.connect(template)) as source,
        contextlib.closing(sqlite3.connect(path)) as target,
    ):
        source.backup(target)
    return str(path)
