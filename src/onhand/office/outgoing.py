"""What leaves the ledger as rows for files: levels, and the journal of movements."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from onhand.office.people import BadAsk
from onhand.stock.model import Level
from onhand.store import catalog, levels, lookup

PAGE = 2_000
"""Rows that are in memory at a time."""

LEVEL_COLUMNS = ("sku", "location", "on_hand", "reserved", "available", "infinite")
MOVEMENT_COLUMNS = (
    "seq",
    "recorded_at",
    "effective_at",
    "sku",
    "location",
    "kind",
    "on_hand",
    "reserved",
    "on_hand_after",
    "reserved_after",
    "available_after",
    "infinite",
    "present",
    "version",
    "reason",
    "reference",
    "caller",
    "context",
    "item",
)

Row = dict[str, Any]


def moment(microseconds: int) -> str:
    """A time of the ledger in words: ISO 8601, UTC, to the microsecond."""
    whole, rest = divmod(microseconds, 1_000_000)
    found = datetime.fromtimestamp(whole, UTC).replace(microsecond=rest)
    return found.isoformat(timespec="microseconds").replace("+00:00", "Z")


def level(sku: str | None, location: str, one: Level) -> Row:
    """A level as a row of a file."""
    return {
        "sku": sku,
        "location": location,
        "on_hand": one.on_hand,
        "reserved": one.reserved,
        "available": one.available,
        "infinite": one.infinite,
    }


def mirrored_names(connection: Connection, account: int) -> frozenset[str]:
    """The locations that only channels write to: no import takes a line about them."""
    found = catalog.locations(connection, account)
    return frozenset(one.name for one in found if one.kind == "mirrored")


def all_levels(
    connection: Connection, account: int, now: int, location: int | None = None
) -> Iterator[list[Row]]:
    """Every level that is there, in pages; the sku is None where the item has none."""
    names = {one.id: one.name for one in catalog.locations(connection, account)}
    after = (0, 0)
    while True:
        found = levels.page(connection, account, after, PAGE, now, location)
        skus = lookup.skus(connection, account, {item for item, _ in found})
        yield [level(skus.get(item), names[at], one) for (item, at), one in found.items()]
        if len(found) < PAGE:
            return
        after = max(found)


def movement(one: levels.Written, sku: str | None, location: str) -> Row:
    """A movement as a row of a file."""
    values = one._asdict()
    values["available_after"] = one.on_hand_after - one.reserved_after
    values["recorded_at"] = moment(one.recorded_at)
    values["effective_at"] = moment(one.effective_at)
    values["sku"], values["location"] = sku, location
    return {name: values[name] for name in MOVEMENT_COLUMNS}


def not_ahead(connection: Connection, account: int, after: int) -> None:
    """Refuse a number that the journal does not reach: who keeps it knows of movements that are not there
    any more, and would miss those that come to have their numbers. Raises BadAsk."""
    last = levels.last_seq(connection, account)
    if after > last:
        words = f"{after} is ahead of it, as after an older copy was restored: begin without --after"
        raise BadAsk(f"the account's last movement is number {last}; {words}")


def all_movements(connection: Connection, account: int, after: int = 0) -> Iterator[list[Row]]:
    """The journal of the account behind movement ``after``, in order, in pages."""
    names = {one.id: one.name for one in catalog.locations(connection, account)}
    while True:
        found = levels.movements(connection, account, after, PAGE)
        skus = lookup.skus(connection, account, {one.item for one in found})
        yield [movement(one, skus.get(one.item), names[one.location]) for one in found]
        if len(found) < PAGE:
            return
        after = found[-1].seq
