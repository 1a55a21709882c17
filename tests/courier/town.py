"""A town for the tests of the courier: items at two locations, listed on connections to stalls of a bazaar.

Listing n of connection c has the channel's id ``c-n`` and offers item n from location 1. The database is a
real one, the channel is `stall.Stall`, and time is real unless a test brings `FakeTime`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection, insert, update

from courier import bazaar
from courier.stall import Stall
from onhand.connectors.auth import Wire
from onhand.connectors.flow import Response
from onhand.connectors.kind import Kind
from onhand.courier.courier import Courier
from onhand.courier.office import Beats
from onhand.inventory import Inventory, clock
from onhand.settings import Settings
from onhand.stock.model import SetOnHand
from onhand.store import accounts, catalog, channels, drives, feeding, schema
from onhand.store.catalog import Item, Location, Seller
from onhand.store.channels import Link
from onhand.store.columns import metadata
from onhand.store.engine import migrate, open_store, reading, set_account
from onhand.work import Group, Work

ITEMS = 20
QUICK = Beats(look=0.02, lease=2.0, linger=0.2, rest=0.02, gather=0.005, again=0.2, grace=2.0)
QUIET = Settings(sweep_seconds=86_400_000, poll_seconds=86_400_000)
PATIENCE = 30.0
START = 1_795_305_600_000_000
"""2026-11-22 00:00 UTC."""


class FakeTime:
    """Time that passes only when a test says so."""

    def __init__(self) -> None:
        self._now = START
        self._sleepers: list[tuple[int, asyncio.Event]] = []

    def now(self) -> int:
        """Microseconds UTC."""
        return self._now

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        """As `ports.Clock`."""
        if event.is_set() or seconds <= 0:
            await asyncio.sleep(0)
            return event.is_set()
        over = asyncio.Event()
        self._sleepers.append((self._now + int(seconds * 1_000_000), over))
        either = [asyncio.ensure_future(one.wait()) for one in (event, over)]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in either:
                one.cancel()
        return event.is_set()

    async def ahead(self, seconds: float, step: float = 0.5) -> None:
        """Let time pass in steps; whatever wakes has a moment of real time to do its work."""
        end = self._now + int(seconds * 1_000_000)
        while self._now < end:
            self._now = min(end, self._now + int(step * 1_000_000))
            for due, over in self._sleepers:
                if due <= self._now:
                    over.set()
            self._sleepers = [one for one in self._sleepers if not one[1].is_set()]
            await asyncio.sleep(0.015)


class PlainSeals:
    """Envelopes that hide nothing, but know whose they are."""

    def open(self, account: int, connection: int, envelope: str) -> dict[str, Any]:
        """The values. Raises ValueError when it is somebody else's."""
        bound, values = json.loads(envelope)
        if bound != [account, connection]:
            raise ValueError("this envelope is another connection's")
        found: dict[str, Any] = values
        return found

    def seal(self, account: int, connection: int, values: Mapping[str, Any]) -> str:
        """An envelope."""
        return json.dumps([[account, connection], values])


class Like:
    """The bazaar, but for some of its CHANNEL's values or its functions."""

    def __init__(self, **changes: Any) -> None:
        names = {name: value for name, value in changes.items() if not callable(value)}
        self.CHANNEL = replace(bazaar.CHANNEL, **names)
        for name, value in changes.items():
            if callable(value):
                setattr(self, name, value)

    def __getattr__(self, name: str) -> Any:
        return getattr(bazaar, name)


class Streets:
    """A transport that brings each token to its stall."""

    def __init__(self, stalls: Mapping[str, Stall]) -> None:
        self._stalls = stalls

    async def send(self, wire: Wire, *, timeout: float) -> Response:
        """The answer of the stall whose name is in the host."""
        return await self._stalls[wire.url.split("://")[1].partition(".")[0]].send(wire, timeout=timeout)


class Town:
    """The database, its ledger, and the stall behind connection 1."""

    def __init__(self, url: str, now: Callable[[], int] = clock) -> None:
        self.url = url
        self.store = open_store(url)
        self.inventory = Inventory(self.store, now)
        self.stall = Stall()
        self.stall.clock = now

    async def stock(self, item: int, units: int, location: int = 1, reason: str | None = None) -> int:
        """Set what is on hand; the account's seq."""
        work = Work(1, (Group((SetOnHand(item, location, units, reason),)),), "test", mirror=True)
        return (await self.inventory.record(work)).seq

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        """Rows of a query in account 1."""
        with reading(self.store, 1) as connection:
            return [tuple(row) for row in connection.exec_driver_sql(text)]

    async def change(self, table: str, number: int, **values: Any) -> None:
        """Set columns of a connection or a listing; structures become JSON."""
        plain = {n: json.dumps(v) if isinstance(v, (dict, list)) else v for n, v in values.items()}
        where = metadata.tables[table]

        def unit(connection: Connection) -> None:
            connection.execute(update(where).where(where.c.account == 1, where.c.id == number).values(plain))

        await self.inventory.write(1, unit)

    async def refeed(self, *listings: int) -> None:
        """Make feeds and slots anew, and mark."""

        def unit(connection: Connection) -> Any:
            feeding.refeed(connection, 1, listings)
            return feeding.mark(connection, 1, listings, self.inventory.now())

        self.inventory.marked(await self.inventory.write(1, unit))

    def waiting(self) -> int:
        """Listings that are stale."""
        return int(self.sql("SELECT COUNT(*) FROM outbox")[0][0])

    def slot(self, listing: int) -> tuple[int | None, int | None, int | None]:
        """Wanted, acknowledged and observed."""
        rows = self.sql(f"SELECT wanted, acknowledged, observed FROM slots WHERE listing = {listing}")
        return (rows[0][0], rows[0][1], rows[0][2])

    def drifts(self) -> list[tuple[int, str, bool]]:
        """Listing, cause and whether it is over."""
        rows = self.sql("SELECT listing, cause, healed_at FROM drifts ORDER BY id")
        return [(row[0], row[1], row[2] is not None) for row in rows]

    def status(self, link: int = 1) -> drives.Status:
        """How a connection goes."""
        with reading(self.store, 1) as connection:
            return drives.status(connection, 1, link)[0]

    def courier(self, module: Kind | Like = bazaar, **options: Any) -> Courier:
        """A courier of its own, not started."""
        values: dict[str, Any] = {"beats": QUICK, "lots": random.Random(1)} | options
        transport = values.pop("transport", self.stall)
        settings = values.pop("settings", QUIET)
        modules = values.pop("modules", [module])
        return Courier(self.inventory, transport, PlainSeals(), modules, settings, **values)

    @contextlib.asynccontextmanager
    async def driven(self, module: Kind | Like = bazaar, **options: Any) -> AsyncIterator[Courier]:
        """A running courier."""
        courier = self.courier(module, **options)
        await courier.start()
        try:
            yield courier
        finally:
            await courier.stop()

    async def calm(self) -> None:
        """Wait until nothing is stale."""
        await until(lambda: self.waiting() == 0)


async def until(true: Callable[[], Any], seconds: float = PATIENCE) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - what is waited for is in a database
            await asyncio.sleep(0.003)


def play(town: Town, story: Callable[[Town], Coroutine[Any, Any, None]]) -> None:
    """Run a test with the town's ledger open."""

    async def whole() -> None:
        town.inventory.start()
        try:
            await story(town)
        finally:
            await town.inventory.stop()

    asyncio.run(whole())


def built(url: str) -> None:
    """Fill the database that towns are copied from."""
    store = open_store(url)
    try:
        migrate(store)
        with store.writer.begin() as connection:
            _fill(connection)
    finally:
        store.close()


def rebuilt(url: str) -> None:
    """As it was when it was built: emptying a database costs less than making one."""
    store = open_store(url)
    try:
        with store.writer.begin() as connection:
            for one in accounts.accounts(connection):  # a test may have made more
                set_account(connection, one.id)
                for table in reversed(metadata.sorted_tables):
                    connection.execute(table.delete())
            _fill(connection)
    finally:
        store.close()


def _fill(connection: Connection) -> None:
    account = accounts.add(connection, "town", 1).id
    set_account(connection, account)
    seller = catalog.add_seller(connection, account, Seller(0, "own", own=True), 1)
    for name, kind in (("one", "stock"), ("two", "stock"), ("theirs", "mirrored"), ("bad", "held")):
        catalog.add_location(connection, account, Location(0, name, seller.id, kind), 1)
    catalog.add_items(connection, account, [Item(0, sku=f"S{n}") for n in range(1, ITEMS + 1)], 1)
    connect(connection, ITEMS)


def connect(connection: Connection, count: int, name: str = "bazaar", channel: str = "bazaar") -> int:
    """A connection to a stall that lists the first ``count`` items; its id."""
    link = channels.add_link(connection, 1, Link(0, channel, name, connector=True, locations=[1]), 1).id
    table = schema.connections
    envelope = PlainSeals().seal(1, link, {"token": "t0", "refresh": "r0"})
    connection.execute(update(table).where(table.c.account == 1, table.c.id == link).values(secrets=envelope))
    # As if it had been looked at and polled just now, so that only what a test asks for happens.
    drives.note(connection, 1, link, {"swept_at": START, "polled_at": START})
    first = (link - 1) * 1_000_000
    rows: list[dict[str, Any]] = [
        {
            "account": 1,
            "id": first + item,
            "connection": link,
            "external_id": f"{link}-{item}",
            "item": item,
            "ids": json.dumps({"id": f"{link}-{item}"}),
            "created_at": 1,
            "updated_at": 1,
        }
        for item in range(1, count + 1)
    ]
    connection.execute(insert(schema.listings), rows)
    feeding.refeed(connection, 1, [row["id"] for row in rows])
    return link
