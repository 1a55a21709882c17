"""Removes a connection, a step at a time: what it holds in the ledger is settled first, then it is forgotten.

The channel is told nothing: it goes on showing its last numbers. Movements stay, and so do incidents. Killed
between two steps, the connection stays, paused, and the next step goes on.
"""

from __future__ import annotations

import asyncio
from functools import partial

import msgspec
from sqlalchemy import Connection

from onhand.outward.equipment import Equipment, Refusal, unknown_connection
from onhand.stock.model import Release, SetOnHand
from onhand.store import catalog, drives, levels, linking, unlinking
from onhand.store.linking import Linked
from onhand.work import Group, Work

RELEASE, KEEP = "release", "keep"
"""What becomes of units that its orders hold: available again, or still held under their references."""

CALLER = "onhand:disconnect"
AT_ONCE = 5_000
ORDERS_AT_ONCE = 200
LEVELS_AT_ONCE = 500
LEASE_SECONDS = 60
PATIENCE_SECONDS, LOOK_SECONDS = 40.0, 0.1
"""How long a courier may take to let go of a connection that was paused: its lease ends before that."""


class Left(msgspec.Struct, frozen=True):
    """What a step did; ``done`` when the connection is gone."""

    connection: int
    name: str
    listings: int = 0
    orders: int = 0
    released: int = 0
    done: bool = False


async def leave(equipment: Equipment, account: int, link: int, orders: str | None = None) -> Left:
    """All steps; what they did together. Raises Refusal."""
    whole = await step(equipment, account, link, orders)
    while not whole.done:
        whole = together(whole, await step(equipment, account, link, orders))
    return whole


def together(before: Left, one: Left) -> Left:
    """What steps did, with the last one."""
    counts = {name: getattr(before, name) + getattr(one, name) for name in ("listings", "orders", "released")}
    return msgspec.structs.replace(one, **counts)


async def step(equipment: Equipment, account: int, link: int, orders: str | None = None) -> Left:
    """The next step. ``orders`` says what becomes of units that its orders hold: `RELEASE` or `KEEP`; with
    neither, nothing is done while there are some. Raises Refusal."""
    if orders not in (None, RELEASE, KEEP):
        raise Refusal("not_allowed", f"orders are to {RELEASE} or to {KEEP} what they hold", "orders")
    found, held = await equipment.inventory.write(
        account, partial(_begin, account=account, link=link, orders=orders)
    )
    await _lease(equipment, account, link)
    if held and orders == RELEASE:
        await _release(equipment, account, [reference for reference, _ in held])
        return Left(link, found.name, released=len(held))
    gone = partial(unlinking.drop_listings, account=account, link=link, limit=AT_ONCE)
    if listings := await equipment.inventory.write(account, gone, quiet=True):
        return Left(link, found.name, listings=listings)
    forget = partial(_forget, account=account, link=link, orders=orders)
    if forgotten := await equipment.inventory.write(account, forget, quiet=True):
        return Left(link, found.name, orders=forgotten)
    await _empty(equipment, account, link)
    done = await equipment.inventory.write(account, partial(_end, account=account, link=link))
    equipment.forget(account, link)
    return Left(link, found.name, done=done)


def _begin(
    connection: Connection, account: int, link: int, orders: str | None
) -> tuple[Linked, list[tuple[str, int]]]:
    """Pause it, if nothing stands against its removal."""
    found = linking.held(connection, account, link)
    if found is None:
        unknown_connection()
    held = unlinking.held(connection, account, link, ORDERS_AT_ONCE)
    if held and orders is None:
        count = f"{len(held)}{'' if len(held) < ORDERS_AT_ONCE else ' or more'}"
        words = (
            f"{count} orders of it hold {sum(units for _, units in held)} units: ship or cancel them first,"
        )
        words += f" or say that they are to {RELEASE} or to {KEEP} them"
        raise Refusal("not_allowed", words, "orders")
    linking.change(connection, account, link, {"paused": True})
    return found, held


async def _lease(equipment: Equipment, account: int, link: int) -> None:
    """Take the connection from the courier that drives it: what is under way there ends first."""
    equipment.inventory.marked({(account, link)})
    loop = asyncio.get_running_loop()
    ends = loop.time() + PATIENCE_SECONDS
    while True:
        now = equipment.now()
        until = now + LEASE_SECONDS * 1_000_000
        take = partial(_take, account=account, link=link, until=until, now=now)
        if await equipment.inventory.write(account, take, quiet=True):
            return
        if loop.time() > ends:
            words = "a courier has it still, and it is paused now: try again in a moment"
            raise Refusal("not_allowed", words, "connection")
        await asyncio.sleep(LOOK_SECONDS)


def _take(connection: Connection, account: int, link: int, until: int, now: int) -> bool:
    if linking.held(connection, account, link) is None:
        unknown_connection()  # somebody else has removed it
    return drives.take(connection, account, link, CALLER, until, now)


async def _release(equipment: Equipment, account: int, references: list[str]) -> None:
    """An order that somebody else has ended meanwhile holds nothing, which is as good."""
    groups = tuple(Group((Release(one, reason="disconnected"),)) for one in references)
    await equipment.inventory.record(Work(account, groups, CALLER))


async def _empty(equipment: Equipment, account: int, link: int) -> None:
    """Let nobody count on stock that the channel owns: nobody watches it any more."""
    inventory = equipment.inventory
    for place in await inventory.read(account, partial(unlinking.mirrored, account=account, link=link)):
        after = (0, place)
        while True:
            read = partial(
                levels.page,
                account=account,
                after=after,
                limit=LEVELS_AT_ONCE,
                now=equipment.now(),
                location=place,
            )
            found = await inventory.read(account, read)
            if not found:
                break
            after = max(found)
            groups = tuple(
                Group((SetOnHand(item, at, 0, reason="disconnected"),))
                for (item, at), level in found.items()
                if level.on_hand
            )
            await inventory.record(Work(account, groups, CALLER, mirror=True))


def _forget(connection: Connection, account: int, link: int, orders: str | None) -> int:
    """Forget kept orders, unless one holds units that nobody has decided about: it came in meanwhile."""
    if orders != KEEP and unlinking.held(connection, account, link, 1):
        return 0
    return unlinking.drop_orders(connection, account, link, AT_ONCE)


def _end(connection: Connection, account: int, link: int) -> bool:
    """Delete it; False when something has come in meanwhile."""
    linking.hold(connection, account, link)
    if unlinking.left(connection, account, link):
        return False
    for place in unlinking.mirrored(connection, account, link):
        catalog.change(connection, "location", account, place, {"active": False})
    unlinking.drop_link(connection, account, link)
    return True
