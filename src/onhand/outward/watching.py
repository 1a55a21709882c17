"""How connections and listings stand, and which channels have seen a change."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from onhand.courier.office import Clock
from onhand.outward.equipment import Equipment, Refusal, unknown_connection
from onhand.store import drives, linking, lookup
from onhand.store.drives import Status
from onhand.store.linking import Linked, Numbers

ID_DIGITS, LARGEST_ID = 20, 2**63 - 1
WAIT_LIMIT_SECONDS = 30
LOOK_FIRST, LOOK_LAST = 0.02, 0.25
"""Seconds between two looks while somebody waits: growing, so that a long wait costs little."""


class Stands(NamedTuple):
    """A connection and how it goes."""

    link: Linked
    status: Status


def connections(connection: Connection, account: int, link: int = 0) -> list[Stands]:
    """The connections that the hub tells, by id; or one of them. Raises Refusal when that is not there."""
    states = {one.connection: one for one in drives.status(connection, account, link)}
    found = [Stands(one, states[one.id]) for one in linking.links(connection, account, link)]
    if link and not found:
        unknown_connection()
    return found


def state(one: Numbers, drifting: bool = False) -> str:
    """A listing in one word: what a person looks for first."""
    if not one.writable:
        return "mirrored"
    if one.parked is not None:
        return "parked"
    if one.marked_at is not None:
        return "stale"
    if drifting:
        return "drift"
    told = [slot for slot in one.slots if slot.acknowledged is not None]
    return "told" if len(told) == len(one.slots) and one.slots else "new"


def listing(connection: Connection, account: int, number: int) -> Numbers:
    """One listing. Raises Refusal."""
    found = linking.one(connection, account, number)
    if found is None:
        raise Refusal("unknown_listing", "there is no such listing of a connection that the hub tells")
    return found


def is_id(name: str) -> bool:
    """Whether a person means one listing by its id."""
    return name.isascii() and name.isdigit()


def listings(connection: Connection, account: int, name: str) -> list[Numbers]:
    """The listing of an id, or all of an item by its SKU; digits are an id unless "sku:" stands before them.
    Raises Refusal when there is none."""
    if is_id(name):
        return [listing(connection, account, min(int(name[:ID_DIGITS]), LARGEST_ID))]
    sku = name.removeprefix("sku:")
    item = lookup.items(connection, account, [sku]).get(sku)
    if item is None:
        raise Refusal("unknown_item", f"there is no item {sku} (capitals and blanks count)")
    found = linking.of_item(connection, account, item)
    if not found:
        raise Refusal("unknown_listing", f"{sku} is listed on no connection that the hub tells")
    return found


# --- who has seen a change ----------------------------------------------------------------------------


class Saw(msgspec.Struct, frozen=True):
    """Whether a connection has acknowledged all that was changed up to a movement."""

    connection: int
    channel: str
    name: str
    paused: bool
    seen: bool


def wanted(connection: Connection, account: int, names: Sequence[str]) -> list[Linked]:
    """Connections by id or channel; all that are not paused, where none is named. Raises Refusal."""
    links = linking.links(connection, account)
    if not names:
        return [one for one in links if not one.paused]
    found: dict[int, Linked] = {}
    for name in names:
        matches = [one for one in links if name in (str(one.id), one.channel)]
        if not matches:
            raise Refusal("unknown_connection", f"no connection has the id or channel {name!r}", "channels")
        found |= {one.id: one for one in matches}
    return [found[number] for number in sorted(found)]


async def seen(
    equipment: Equipment, account: int, seq: int, names: Sequence[str], wait: float = 0.0
) -> list[Saw]:
    """Which connections have acknowledged every movement up to ``seq``; returns when all have, after ``wait``
    seconds, or when the process is asked to stop. Raises Refusal."""

    def query(connection: Connection) -> list[Saw]:
        links = wanted(connection, account, names)
        unseen = drives.unseen(connection, account, seq, [one.id for one in links])
        return [Saw(one.id, one.channel, one.name, one.paused, one.id not in unseen) for one in links]

    loop = asyncio.get_running_loop()
    ends, pause = loop.time() + wait, LOOK_FIRST
    while True:
        found = await equipment.inventory.read(account, query)
        left = ends - loop.time()
        if left <= 0 or all(one.seen for one in found):
            return found
        if await Clock(equipment.now).wait(equipment.ending, min(pause, left)):
            return found
        pause = min(pause * 1.5, LOOK_LAST)
