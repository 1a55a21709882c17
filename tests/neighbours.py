"""Two accounts that have the same, and what a write changes in all of it.

Connections 1 and 2, listings 1 and 2 on the first and 3 on the second, each with slots "a" and "b", a row in
the outbox, and an open drift for each slot.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, select

from onhand.store import accounts, catalog, channels, drives, feeding, observing, outward, schema
from onhand.store.catalog import Item, Location, Seller
from onhand.store.channels import Link, Listing
from onhand.store.engine import Store, migrate, open_store, set_account
from onhand.store.observing import Known
from stores import Databases

TABLES = (
    *(outward.slots, outward.outbox, outward.drives, outward.drifts, outward.incidents),
    *(schema.listings, schema.connections),
)

Rows = dict[str, dict[str, Any]]
Act = Callable[[Connection], object]


def lived(databases: Databases, fill: Callable[[Connection, int], None] | None = None) -> Iterator[Store]:
    """The two accounts, each with what ``fill`` gives it besides."""
    url = databases.copy(neighbours)
    opened = open_store(url)
    if fill is not None:
        for account in (1, 2):
            with opened.writer.begin() as connection:
                set_account(connection, account)
                fill(connection, account)
    yield opened
    opened.close()
    databases.drop(url)


@contextlib.contextmanager
def undone(store: Store, first: str) -> Iterator[Connection]:
    """A transaction of account 1, taken back in the end; ``first`` has changed what it says everywhere."""
    with store.writer.connect() as connection:
        connection.begin()
        for account in (2, 1):
            set_account(connection, account)
            if first:
                connection.exec_driver_sql(first)
        yield connection
        connection.rollback()


def neighbours(url: str) -> None:
    """Fill the database that copies are taken from."""
    made = open_store(url)
    migrate(made)
    for number in (1, 2):
        with made.writer.begin() as connection:
            assert accounts.add(connection, f"shop {number}", 1).id == number
            set_account(connection, number)
            _fill(connection, number)
    made.close()


def _fill(connection: Connection, account: int) -> None:
    catalog.add_seller(connection, account, Seller(1, "own", own=True), 1)
    for at in (1, 2):
        catalog.add_location(connection, account, Location(at, f"place {at}", 1, "stock"), 1)
    catalog.add_items(connection, account, [Item(at, sku=f"S{at}") for at in (1, 2, 3)], 1)
    for link in (1, 2):
        new = Link(link, "sandbox", f"shop {account}-{link}", connector=True, locations=[1])
        channels.add_link(connection, account, new, 1)
        connection.exec_driver_sql('UPDATE connections SET rules = \'{"places":{"a":[1],"b":[1]}}\'')
        drives.note(connection, account, link, {"words": "was down", "polled_at": 0})
        drives.hint(connection, account, link, [f"v{link}"])
        drives.keep_secrets(connection, account, link, f"sealed {link}")
    for number in (1, 2, 3):
        new_one = Listing(number, 1 + number // 3, f"v{number}", number)
        channels.add_listing(connection, account, new_one, 1)
        feeding.refeed(connection, account, [number])
        feeding.mark(connection, account, [number], 1)
        for place in "ab":
            slot = Known(number, place, 9, 9, 5, 8, 4, None, False)
            observing.report(connection, account, [(slot, observing.LOST_THERE, 8)], 6)
    connection.exec_driver_sql(
        "UPDATE slots SET wanted = 9, wanted_at = 5, acknowledged = 9, acknowledged_at = 5, observed = 8,"
        f" observed_at = 4, token = 't', committed = 1 WHERE account = {account}"
    )
    connection.exec_driver_sql(
        f"UPDATE outbox SET since = 8, seq = 12, marks = 3, due = 70, attempts = 2 WHERE account = {account}"
    )


def rows(connection: Connection) -> Rows:
    found: Rows = {}
    for account in (2, 1):
        set_account(connection, account)
        for table in TABLES:
            for row in connection.execute(select(table).where(table.c.account == account)).mappings():
                key = " ".join(str(row[column.name]) for column in table.primary_key.columns)
                found[f"{table.name} {key}"] = dict(row)
    return found


def _changes(before: Rows, after: Rows) -> dict[str, Mapping[str, Any] | None]:
    changed: dict[str, Mapping[str, Any] | None] = dict.fromkeys(before.keys() - after.keys())
    for name, row in after.items():
        old = before.get(name, {})
        new = {column: value for column, value in row.items() if column not in old or old[column] != value}
        if new:
            changed[name] = new
    return changed


def done(store: Store, act: Act, first: str = "") -> dict[str, Any]:
    """What an act changed, after ``first`` had changed what it says everywhere."""
    with undone(store, first) as connection:
        before = rows(connection)
        act(connection)
        return _changes(before, rows(connection))
