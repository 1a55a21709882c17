"""A small shop in a fresh database: nine items, five locations, listings, and batches committed into it.

Items 1 to 9, of which 8 is a kit of two 1 and one 2. Locations 1 to 3 are ours, 4 is mirrored, 5 is for
held goods. Listing n offers item n at location 1 and is fed by locations 1 and 2; listings 1 to 3
close when location 1 shows nothing. Account 2 has an item and a location of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection

from onhand import batch
from onhand.inventory import Inventory
from onhand.stock.ledger import Refused, apply
from onhand.stock.model import ABSENT, AnyCommand, AnyRefusal, Kind, Level, Movement, Place, Reservation
from onhand.store import accounts, books, catalog, channels, levels, verify
from onhand.store.catalog import Item, Location, Seller
from onhand.store.channels import Link, Listing
from onhand.store.engine import migrate, open_store, reading, set_account
from onhand.store.sql import Insert
from onhand.work import Accepted, Answer, Group, Key, Recorded, Work
from stores import Databases
from transcript import entries

START = 1_000_000
PATIENCE_SECONDS = 30.0
KIT, LOOSE = 8, 9
MIRROR, DAMAGED = 4, 5
ITEMS = range(1, 10)
CLOSING = (1, 2, 3)

WRITTEN = [
    "movements",
    "levels",
    "reservation_lines",
    "reservations",
    "outbox",
    "idempotency",
    "inbox",
    "planned",
    "prices",
    "details",
    "incidents",
    "wakeups",
]
"""Tables that commits write."""

_feeds = Insert("feeds", "account int, item int, location int, listing int")


class Shop:
    """The shop's store, its clock ``now`` (microseconds UTC), and what the tests ask of it."""

    def __init__(self, url: str, account: int = 1) -> None:
        self.url = url
        self.account = account
        self.store = open_store(url)
        self.now = START

    def work(self, *commands: AnyCommand, **options: Any) -> Work:
        """A work of one group."""
        group = Group(
            commands, **{name: options.pop(name) for name in ("listing", "also") if name in options}
        )
        return self.works(group, **options)

    def works(self, *groups: Group, caller: str = "me", **options: Any) -> Work:
        """A work of several groups."""
        return Work(options.pop("account", self.account), groups, caller, **options)

    def batch(self, *works: Work) -> list[Recorded | None]:
        """Commit works in one transaction; None for those that must wait."""
        with self.writing() as connection:
            return self.decide(connection, *works)

    def decide(self, connection: Connection, *works: Work) -> list[Recorded | None]:
        """Decide works and write what they do; the transaction is the caller's."""
        return batch.commit(connection, works, self.now)

    def commit(self, *works: Work) -> list[Recorded]:
        """Commit works that do not wait."""
        recorded = self.batch(*works)
        return [one for one in recorded if one is not None]

    def say(self, *commands: AnyCommand, **options: Any) -> str | AnyRefusal:
        """Commit a group: its entries as text, or the refusal."""
        return told(self.commit(self.work(*commands, **options))[0])

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A write of our own on the shop's account."""
        with self.store.writer.begin() as connection:
            set_account(connection, self.account)
            yield connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A snapshot of the shop's account."""
        with reading(self.store, self.account) as connection:
            yield connection

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        """Rows of a query in the account."""
        with self.reading() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(text)]

    def level(self, place: Place) -> Level | None:
        """The level as a read shows it now; None for an absent one."""
        with self.reading() as connection:
            return levels.at(connection, self.account, [place], self.now).get(place)

    def hold(self, reference: str) -> Reservation | None:
        """A reservation as it is stored."""
        name = (self.account, reference)
        with self.reading() as connection:
            return books.reservations(connection, [name], lock=False).get(name)

    def history(self) -> list[levels.Written]:
        """Every movement of the account."""
        with self.reading() as connection:
            return levels.movements(connection, self.account, limit=100_000)

    def kinds(self, after: int = 0) -> list[str]:
        """What the movements behind number ``after`` were."""
        return [one.kind for one in self.history() if one.seq > after]

    def status(self, listing: int) -> str:
        """Whether a listing is open."""
        with self.reading() as connection:
            found = channels.listing(connection, self.account, listing)
        assert found is not None
        return found.status

    def stale(self) -> dict[int, int]:
        """Listings that the outbox marks, with the movement that made them stale."""
        rows = self.sql(f"SELECT listing, seq FROM outbox WHERE account = {self.account} ORDER BY listing")
        return {row[0]: row[1] for row in rows}

    def all_rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """All that commits have written for the account, and its listings."""
        return {
            table: sorted(self.sql(f"SELECT * FROM {table} WHERE account = {self.account}"), key=repr)
            for table in (*WRITTEN, "listings")
        }

    def check(self) -> None:
        """The books balance: numbers without gaps, levels are their movements, what is held is reserved."""
        history = self.history()
        assert [one.seq for one in history] == list(range(1, len(history) + 1))
        assert self.sql(f"SELECT seq FROM accounts WHERE id = {self.account}") == [(len(history),)]
        assert all(one.recorded_at <= after.recorded_at for one, after in pairwise(history))
        folded: dict[Place, Level] = {}
        for one in history:
            place = (one.item, one.location)
            folded[place] = apply(folded.get(place, ABSENT), movement(one))
            after = (one.on_hand_after, one.reserved_after, one.infinite, one.present, one.version)
            assert shape(folded[place]) == after
        stored = self.sql(
            "SELECT item, location, on_hand, reserved, infinite, present, version FROM levels"
            f" WHERE account = {self.account}"
        )
        rows = {(row[0], row[1]): tuple(row[2:]) for row in stored if row[6] > 0}
        assert {place: shape(level) for place, level in folded.items()} == rows
        held = self.sql(
            "SELECT item, location, SUM(held) FROM reservation_lines"
            f" WHERE account = {self.account} GROUP BY item, location"
        )
        promised = {place: row[1] for place, row in rows.items() if row[1]}
        assert {(row[0], row[1]): row[2] for row in held if row[2]} == promised
        with self.reading() as connection:
            assert [one for one in verify.verify(connection, self.account) if one.fault] == []

    def reset(self) -> None:
        """As it was before the first commit: an empty ledger and open listings, for the next test."""
        for account in (1, 2):
            with self.store.writer.begin() as connection:
                set_account(connection, account)
                for table in WRITTEN:
                    connection.exec_driver_sql(f"DELETE FROM {table} WHERE account = {account}")
                connection.exec_driver_sql(f"UPDATE listings SET status = 'open' WHERE account = {account}")
                connection.exec_driver_sql(
                    f"UPDATE accounts SET seq = 0, recorded_at = 0 WHERE id = {account}"
                )
        self.now = START

    def close(self) -> None:
        """Give the connections back."""
        self.store.close()


def movement(one: levels.Written) -> Movement:
    """What was written, as what the rules know."""
    kind = Kind(one.kind)
    return Movement(one.item, one.location, kind, one.on_hand, one.reserved, one.infinite, one.present)


def shape(level: Level) -> tuple[int, int, bool, bool, int]:
    """A level without its next expiry."""
    return (level.on_hand, level.reserved, level.infinite, level.present, level.version)


def told(recorded: Recorded) -> str | AnyRefusal:
    """The only outcome: its entries as text, or the refusal."""
    (outcome,) = recorded.outcomes
    match outcome:
        case Accepted(made):
            return entries(made)
        case Refused(_, refusal):
            return refusal


def said(recorded: Iterable[Recorded | None]) -> list[str | AnyRefusal | None]:
    """The only outcome of each."""
    return [None if one is None else told(one) for one in recorded]


def key(name: str, asked: str = "asked", scope: str = "scope") -> Key:
    """An idempotency key for something that was asked."""
    return Key(scope, name, asked)


def answer(recorded: Recorded) -> Answer:
    """200 with what was done, or 409 when the first group was refused."""
    outcome = recorded.outcomes[0]
    refused = isinstance(outcome, Refused)
    return Answer(409 if refused else 200, f"{recorded.seq}", {"X-Seq": str(recorded.seq)})


def stocked(url: str) -> None:
    """Fill the database that shops are copied from."""
    migrate_into(url)
    store = open_store(url)
    try:
        with store.writer.begin() as connection:
            _first_account(connection)
            other = accounts.add(connection, "other", START)
            _place(connection, other.id, 1)
            catalog.add_items(connection, other.id, [Item(0, sku="SKU-1")], START)
    finally:
        store.close()


def migrate_into(url: str) -> None:
    """All tables and no rows."""
    store = open_store(url)
    try:
        migrate(store)
    finally:
        store.close()


def _first_account(connection: Connection) -> None:
    account = accounts.add(connection, "shop", START).id
    _place(connection, account, 5)
    catalog.add_items(connection, account, [Item(0, sku=f"SKU-{number}") for number in ITEMS], START)
    catalog.set_kit(connection, account, KIT, {1: 2, 2: 1}, START)
    link = channels.add_link(connection, account, Link(0, "treet", "treet", locations=[1]), START).id
    for number in ITEMS:
        new = Listing(0, link, f"L{number}", number, 1, closes_at_zero=number in CLOSING)
        listing = channels.add_listing(connection, account, new, START).id
        _feeds.run(connection, [(account, number, at, listing) for at in (1, 2)])


def _place(connection: Connection, account: int, count: int) -> None:
    seller = catalog.add_seller(connection, account, Seller(0, "own", own=True), START)
    kinds = {MIRROR: "mirrored", DAMAGED: "held"}
    for number in range(1, count + 1):
        kind = kinds.get(number, "stock")
        catalog.add_location(connection, account, Location(0, f"place {number}", seller.id, kind), START)


def opened(databases: Databases) -> Iterator[Shop]:
    """A shop of its own, for a fixture."""
    url = databases.copy(stocked)
    shop = Shop(url)
    yield shop
    shop.close()
    databases.drop(url)


@contextlib.asynccontextmanager
async def running(shop: Shop, now: Callable[[], int] | None = None) -> AsyncIterator[Inventory]:
    """The door to a shop's ledger, with its writers; the shop's own clock if no other is given."""
    inventory = Inventory(shop.store, now or (lambda: shop.now))
    inventory.start()
    try:
        yield inventory
    finally:
        await inventory.stop()


async def together(inventory: Inventory, *jobs: Callable[[], Awaitable[Any]], account: int = 1) -> list[Any]:
    """Hand over jobs while the writer is held up, so that one batch takes them all; their results."""
    held, go = threading.Event(), threading.Event()

    def hold_up(_: Connection) -> None:
        held.set()
        assert go.wait(PATIENCE_SECONDS)

    first = asyncio.ensure_future(inventory.write(account, hold_up))
    await asyncio.to_thread(held.wait, PATIENCE_SECONDS)
    tasks = [asyncio.ensure_future(job()) for job in jobs]
    await asyncio.sleep(0)
    go.set()
    await first
    return await asyncio.gather(*tasks, return_exceptions=True)


def second(shop: Shop, account: int = 1) -> Shop:
    """Another process's view of the same database."""
    return Shop(shop.url, account)
