"""Fills a fresh database with rows at once: accounts, items with stock and history, listings that are stale.

What is written is what the hub would have written: `onhand verify` finds nothing.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from onhand.store import accounts, catalog, together
from onhand.store.catalog import Location, Seller
from onhand.store.engine import is_postgresql, migrate, open_store, set_account

OPENING = 1_000_000
"""Units of every item."""

Run = Callable[[str, Mapping[str, Any]], object]
"""Runs a statement with named parameters."""

_COUNT = (
    " WITH RECURSIVE n(i) AS (SELECT CAST(:first AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < :last)"
)
_ITEMS = (
    "INSERT INTO items (account, id, sku, created_at, updated_at)"
    f"{_COUNT} SELECT :account, i, 'S' || i, :now, :now FROM n"
)
_LEVELS = (
    "INSERT INTO levels (account, item, location, on_hand, reserved, infinite, present, version)"
    f"{_COUNT} SELECT :account, i, 1, {OPENING} + :each - 1, 0, 0, 1, :each FROM n"
)
# The first movement of an item counts what there is, each later one adds a unit; items take turns.
_MOVEMENTS = (
    "INSERT INTO movements (account, seq, item, location, version, kind, on_hand, reserved, on_hand_after,"
    " reserved_after, infinite, present, caller, recorded_at, effective_at)"
    f"{_COUNT} SELECT :account, i, (i - 1) % :items + 1, 1, (i - 1) / :items + 1,"
    " CASE WHEN i <= :items THEN 'counted' ELSE 'adjusted' END,"
    f" CASE WHEN i <= :items THEN {OPENING} ELSE 1 END, 0, {OPENING} + (i - 1) / :items, 0, 0, 1, 'bench',"
    " :now - (:last - i) * :step, :now - (:last - i) * :step FROM n"
)
_SEQ = "UPDATE accounts SET seq = :last, recorded_at = :now WHERE id = :account"
_COUNTER = "INSERT INTO counters (account, name, value) VALUES (:account, :name, :value)"
_LISTINGS = (
    "INSERT INTO listings (account, id, connection, external_id, item, location, closes_at_zero, attributes,"
    f" sku, created_at, updated_at){_COUNT}"
    " SELECT :account, :offset + i, :link, {name}, i, {location}, 0, '{attributes}', 'S' || i, :now, :now"
    " FROM n"
)
_RECORDS = (
    "INSERT INTO external_ids (account, space, kind, external, internal)"
    f"{_COUNT} SELECT :account, 'marketplacer', 'inventory', CAST(i AS TEXT), i || CAST(:own AS TEXT) FROM n"
)
_FEEDS = f"INSERT INTO feeds (account, item, location, listing){_COUNT} SELECT :account, i, 1, i FROM n"
_SLOTS = (
    f"INSERT INTO slots (account, listing, place, locations){_COUNT} SELECT :account, i, '', '[1]' FROM n"
)
_STALE = (
    "INSERT INTO outbox (account, listing, connection, since, seq, due, attempts, marks, marked_at)"
    f"{_COUNT} SELECT :account, i, :link, i, i, :now, 0, 0, :now FROM n"
)
STEP_US = 1_000
"""Between two movements of the history."""


class Listed(NamedTuple):
    """How a dialect names the listings that an account has on one of its connections: ``name`` is SQL with
    the item's number ``i``; ``bound`` ones belong to a location."""

    link: int
    name: str
    bound: bool = False
    attributes: str = "{}"


def people(connection: Connection, names: int, now: int) -> None:
    """Accounts 1 to ``names``, each with its seller and its one location, "main"."""
    for number in range(1, names + 1):
        account = accounts.add(connection, f"bench-{number}", now).id
        seller = catalog.add_seller(connection, account, Seller(0, "own", own=True), now)
        place = catalog.add_location(connection, account, Location(0, "main", seller.id), now)
        default = "UPDATE sellers SET default_location = :place WHERE account = :account"
        connection.execute(text(default), {"place": place.id, "account": account})


def stock(run: Run, account: int, items: int, *, movements: int | None = None) -> None:
    """Items S1 to S<items> with their levels, and as many movements (a multiple of items; one each)."""
    last = movements or items
    count = {"account": account, "first": 1, "now": time.time_ns() // 1000}
    run(_ITEMS, count | {"last": items})
    run(_LEVELS, count | {"last": items, "each": last // items})
    run(_MOVEMENTS, count | {"last": last, "items": items, "step": STEP_US})
    run(_SEQ, {"last": last, "now": count["now"], "account": account})
    run(_COUNTER, {"account": account, "name": "item", "value": items})


def listings(run: Run, account: int, items: int, listed: list[Listed]) -> None:
    """A listing of every item on each of these connections."""
    now = time.time_ns() // 1000
    for number, one in enumerate(listed):
        statement = _LISTINGS.replace("{name}", one.name).replace("{attributes}", one.attributes)
        statement = statement.replace("{location}", "1" if one.bound else "NULL")
        count = {"account": account, "first": 1, "last": items, "now": now}
        run(statement, count | {"link": one.link, "offset": number * items})
    run(_COUNTER, {"account": account, "name": "listing", "value": items * len(listed)})


def records(run: Run, account: int, items: int) -> None:
    """The id that Marketplacer's record of each item gets with its first update; later ones find it."""
    run(_RECORDS, {"account": account, "first": 1, "last": items, "own": ":1"})
    run(_COUNTER, {"account": account, "name": "marketplacer.inventory", "value": items})


def stale(run: Run, account: int, items: int, link: int) -> None:
    """A channel that shows every item and has been told of none: all its listings wait. It is paused, so
    that nobody tells it."""
    run(
        "UPDATE connections SET paused = 1 WHERE account = :account AND id = :link",
        {"account": account, "link": link},
    )
    listings(run, account, items, [Listed(link, "'L' || i")])
    count = {"account": account, "first": 1, "last": items, "now": time.time_ns() // 1000}
    for statement in (_FEEDS, _SLOTS):
        run(statement, count)
    run(_STALE, count | {"link": link})


@contextlib.contextmanager
def filling(db: str) -> Iterator[Run]:
    """A way to write rows fast: without durability and without foreign keys on SQLite, where the one index
    of movements that is not in their order is made at the end."""
    if is_postgresql(db):
        store = open_store(db)
        with store.writer.begin() as connection:

            def run(statement: str, values: Mapping[str, Any]) -> object:
                set_account(connection, values["account"])
                return connection.execute(text(statement), dict(values))

            yield run
        options: dict[str, Any] = {together.BEGINS: together.NOT_AT_ALL}
        with store.writer.connect().execution_options(**options) as connection:
            connection.execute(text("VACUUM (ANALYZE)"))
        store.close()
        return
    with contextlib.closing(sqlite3.connect(db, isolation_level=None)) as file:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -400000"):
            file.execute(f"PRAGMA {pragma}")
        (index,) = file.execute("SELECT sql FROM sqlite_master WHERE name = 'movements_level'").fetchone()
        file.execute("DROP INDEX movements_level")
        file.execute("BEGIN")
        yield lambda statement, values: file.execute(statement, dict(values))
        file.execute(index)
        file.execute("COMMIT")
        file.execute("PRAGMA journal_mode = WAL")


def fresh(db: str, unit: Callable[[Connection, int], Any]) -> Any:
    """Make the tables, then run ``unit(connection, now)`` in one transaction; what it returns."""
    store = open_store(db)
    try:
        migrate(store)
        with store.writer.begin() as connection:
            return unit(connection, time.time_ns() // 1000)
    finally:
        store.close()


def sequence(db: str, name: str, start: int) -> None:
    """A sequence on a PostgreSQL, for statements that number their rows without an account."""
    store = open_store(db)
    with store.writer.begin() as connection:
        connection.execute(text(f"CREATE SEQUENCE {name} START {start}"))
    store.close()
