"""What must be true when a storm is over: listings show their offers, and every order counts once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from sqlalchemy import Connection

from onhand.connectors.channel import Guard
from onhand.stock.model import ABSENT
from onhand.store import levels
from world.shop import Shop
from world.stand import Stand

ITEMS, KIT = 4, 5
"""Items 1 to 4, and a kit of two of item 1 and one of item 2."""
PARTS = {1: {1: 1}, 2: {2: 1}, 3: {3: 1}, 4: {4: 1}, KIT: {1: 2, 2: 1}}


class Outlet(NamedTuple):
    """A connection: its number, the channel behind it, which of our locations feed it, its buffer and cap."""

    link: int
    shop: Shop | Stand
    feeds: tuple[int, ...]
    buffer: int = 0
    cap: int = 10**9


def stock_faults(
    connection: Connection, adjusted: Mapping[int, int], outlets: Mapping[int, Outlet]
) -> list[str]:
    """Every order counts exactly once, in the ledger and in what is reserved. ``adjusted`` is what else was
    done to items."""
    hand, held = Counter(adjusted), Counter[int]()
    for shop in (one.shop for one in outlets.values()):
        for listed, ordered, cancelled, shipped, returned in shop.sales():
            for item, per in PARTS[listed].items():
                held[item] += per * (ordered - cancelled - shipped)
                hand[item] += per * (returned - shipped)
    found = connection.exec_driver_sql(
        "SELECT item, SUM(on_hand) FROM movements WHERE kind = 'found' GROUP BY item"
    )
    for item, units in found:
        hand[item] += units
    rows = connection.exec_driver_sql("SELECT item, SUM(on_hand), SUM(reserved) FROM levels GROUP BY item")
    there = {row[0]: (row[1], row[2]) for row in rows}
    return [
        f"item {item} has {there.get(item)}, and should have {(hand[item], held[item])}"
        for item in range(1, ITEMS + 1)
        if there.get(item, (0, 0)) != (hand[item], held[item])
    ]


def shown_faults(
    connection: Connection, outlets: Mapping[int, Outlet], now: int, *, blind: bool
) -> Iterator[str]:
    """Nothing is stale, nothing is said to drift, and every listing shows what it should."""
    if waiting := connection.exec_driver_sql("SELECT COUNT(*) FROM outbox").scalar_one():
        yield f"{waiting} listings are stale"
    drifting = connection.exec_driver_sql("SELECT listing, cause FROM drifts WHERE healed_at IS NULL").all()
    for listing, cause in drifting:
        yield f"listing {listing} is said to drift: {cause}"
    places = {(item, at) for item in range(1, ITEMS + 1) for at in (1, 2)}
    level = levels.at(connection, 1, places, now)
    for outlet in outlets.values():
        if blind and outlet.shop.module.CHANNEL.guard is Guard.DELTA:
            # A sale while a change is under way shifts what the change is reckoned from.
            continue
        for item, parts in PARTS.items():
            units = sum(
                min(level.get((part, at), ABSENT).available // per for part, per in parts.items())
                for at in outlet.feeds
            )
            offer = max(0, min(units - outlet.buffer, outlet.cap))
            if (shown := outlet.shop.shown(item)) != offer:
                name = outlet.shop.module.CHANNEL.name
                yield f"{name} shows {shown} of item {item}, and should show {offer}"
            if isinstance(outlet.shop, Stand) and not outlet.shop.whole(item):
                yield f"{outlet.shop.module.CHANNEL.name} has lost what is not ours of item {item}"
