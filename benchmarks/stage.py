"""Prepares the databases that workloads ask for, each once, and keeps the PostgreSQL of the run."""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from benchmarks import postgres, seeding
from benchmarks.seeding import Listed
from benchmarks.traffic import PRODUCT_ID, TREET_ID, Scene
from onhand.dialects.sellbrite import warehouses
from onhand.faces import FACES
from onhand.sample import KeyWish
from onhand.store import channels
from onhand.store.channels import Link
from onhand.store.engine import set_account

ITEMS = 10_000
MANY_ITEMS = 1_000_000
SOME_MOVEMENTS, MANY_MOVEMENTS = 100_000, 10_000_000
OTHERS, OTHER_ITEMS = 1_000, 10
"""Accounts besides the first, and the items of each: together as many as the first has."""

POSTGRES_OTHERS = 4
"""As many as there are processes, so that each can have one of its own."""
_DIALECTS = ("treet", "flipkart", "trackstar", "marketplacer", "sellbrite")


class Stage:
    """Databases in a folder; what is asked for first is made first."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self.folder = folder
        self._stack = stack

    @functools.cached_property
    def small(self) -> Scene:
        """10,000 items, listed on every dialect, and as many in 1,000 other accounts; on SQLite."""
        return _shop(str(self.folder / "small.db"), OTHERS, OTHER_ITEMS)

    @functools.cached_property
    def bare(self) -> str:
        """10,000 items on SQLite for loops that have no hub."""
        db = str(self.folder / "bare.db")
        _plain(db, ITEMS)
        return db

    @functools.cached_property
    def postgres(self) -> postgres.Postgres:
        """The PostgreSQL of this run."""
        return self._stack.enter_context(postgres.server())

    @functools.cached_property
    def on_postgres(self) -> Scene:
        """10,000 items, and as many in four other accounts; on PostgreSQL."""
        return _shop(self.postgres.database("hub"), POSTGRES_OTHERS, ITEMS // POSTGRES_OTHERS)

    @functools.cached_property
    def bare_postgres(self) -> str:
        """10,000 items on the same PostgreSQL, as its superuser reaches them."""
        _plain(self.postgres.database("bare"), ITEMS)
        url = self.postgres.as_superuser("bare")
        seeding.sequence(url, "bench_seq", ITEMS + 1)
        return url

    def listed(self, items: int) -> Scene:
        """So many items, each listed on a channel that has been told of none, on SQLite."""
        db = str(self.folder / f"listed-{items}.db")
        link, keys = seeding.fresh(db, _channel)
        with seeding.filling(db) as run:
            seeding.stock(run, 1, items)
            seeding.stale(run, 1, items, link)
        return Scene(db, items, {"native": keys}, link=link)

    @functools.cached_property
    def few_listed(self) -> Scene:
        """10,000 of them."""
        return self.listed(ITEMS)

    @functools.cached_property
    def many_listed(self) -> Scene:
        """A million of them."""
        return self.listed(MANY_ITEMS)

    def history(self, movements: int) -> Scene:
        """10,000 items that have moved so often, on SQLite."""
        db = str(self.folder / f"history-{movements}.db")
        return Scene(db, ITEMS, {"native": _plain(db, ITEMS, movements)})


def _issue(connection: Connection, account: int, now: int, dialect: str) -> dict[str, Any]:
    setup = next(face.setup for face in FACES if face.name == dialect)
    wish = KeyWish(integration="shopify" if dialect == "trackstar" else None)
    made: dict[str, Any] = setup.issue(connection, account, now, wish)
    return made


def _plain(db: str, items: int, movements: int | None = None) -> dict[str, Any]:
    def unit(connection: Connection, now: int) -> dict[str, Any]:
        seeding.people(connection, 1, now)
        return _issue(connection, 1, now, "native")

    key: dict[str, Any] = seeding.fresh(db, unit)
    with seeding.filling(db) as run:
        seeding.stock(run, 1, items, movements=movements)
    return key


def _channel(connection: Connection, now: int) -> tuple[int, dict[str, Any]]:
    seeding.people(connection, 1, now)
    link = Link(0, "sandbox", "bench", connector=True, locations=[1])
    return channels.add_link(connection, 1, link, now).id, _issue(connection, 1, now, "native")


def _shop(db: str, others: int, other_items: int) -> Scene:
    """Account 1 with a client of every API, and ``others`` with one of our own each."""

    def unit(connection: Connection, now: int) -> tuple[dict[str, dict[str, Any]], list[str]]:
        seeding.people(connection, others + 1, now)
        more = []
        for account in range(2, others + 2):
            set_account(connection, account)
            more.append(_issue(connection, account, now, "native"))
        set_account(connection, 1)
        keys = _clients(connection, now)
        return keys, [made["api_key"] for made in more]

    keys, more = seeding.fresh(db, unit)
    product = f'{{"product_id":"{PRODUCT_ID}"}}'
    listed = [
        Listed(keys["treet"]["link"], f"'{TREET_ID}' || CAST(100000000000 + i AS TEXT)", bound=True),
        Listed(keys["flipkart"]["link"], "'S' || i", attributes=product),
        Listed(keys["trackstar"]["link"], "'T' || i"),
        Listed(keys["marketplacer"]["link"], "CAST(i AS TEXT)"),
        Listed(keys["sellbrite"]["link"], "'S' || i"),
    ]
    with seeding.filling(db) as run:
        seeding.stock(run, 1, ITEMS)
        seeding.listings(run, 1, ITEMS, listed)
        seeding.records(run, 1, ITEMS)
        for account in range(2, others + 2):
            seeding.stock(run, account, other_items)
    return Scene(db, ITEMS, keys, tuple(more))


def _clients(connection: Connection, now: int) -> dict[str, dict[str, Any]]:
    keys = {name: _issue(connection, 1, now, name) for name in ("native", *_DIALECTS)}
    for name in _DIALECTS:
        keys[name]["link"] = channels.links(connection, 1, name)[0].id
    keys["flipkart"]["location"] = channels.externals(connection, 1, "flipkart", "location", ["1"])["1"]
    keys["sellbrite"]["warehouse"] = next(iter(warehouses.by_uuid(connection, 1, None)))
    return keys
