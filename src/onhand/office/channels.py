"""What a command line asks about channels: connect, tell anew, look, release, pause, rules, keys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from sqlalchemy import Connection

from onhand.outward import connecting, leaving, rotation, steering, watching
from onhand.outward.connecting import Began, Finished, Imported
from onhand.outward.equipment import Equipment, Refusal
from onhand.outward.needs import needs, typed
from onhand.stock.offering import PLAIN, Rules, stacked
from onhand.store import drives, linking

LISTINGS_AT_ONCE = 1_000


async def connect_begin(
    equipment: Equipment,
    *,
    account: int,
    channel: str,
    values: dict[str, Any],
    name: str = "",
    rules: dict[str, Any] | None = None,
    feeds: dict[str, list[str]] | None = None,
) -> Began:
    """Make a connection, paused, and ask the channel who we are."""
    made = steering.parse_rules(rules) if rules else None
    return await connecting.begin(equipment, account, channel, values, name=name, rules=made, feeds=feeds)


async def connect_page(
    equipment: Equipment, *, account: int, link: int, cursor: str | None = None
) -> Imported:
    """Import a page of a connection's listings."""
    return await connecting.page(equipment, account, link, cursor)


async def connect_finish(equipment: Equipment, *, account: int, link: int, paused: bool = False) -> Finished:
    """Let the courier tell the connection if it is unfinished."""
    return await connecting.finish(equipment, account, link, paused=paused)


async def disconnect(
    equipment: Equipment, *, account: int, link: int, orders: str | None = None
) -> leaving.Left:
    """Take the next step of removing a connection."""
    return await leaving.step(equipment, account, link, orders)


async def push_listing(equipment: Equipment, *, account: int, listing: int) -> int:
    """Have a listing told anew; its connection."""
    return await steering.push(equipment, account, listing)


async def push_all(equipment: Equipment, *, account: int, link: int, after: int = 0) -> list[int | None]:
    """Have listings of a connection told anew: how many, and where the next begin."""
    return list(await steering.push_all(equipment, account, link, after))


async def release_listing(equipment: Equipment, *, account: int, listing: int) -> str:
    """Release a parked listing; what the channel had said."""
    return await steering.release(equipment, account, listing)


async def sweep_connection(equipment: Equipment, *, account: int, link: int) -> int:
    """Have a channel looked at now; when that was asked."""
    return await steering.sweep(equipment, account, link)


async def change_connection(
    equipment: Equipment,
    *,
    account: int,
    link: int,
    name: str | None = None,
    paused: bool | None = None,
    settings: dict[str, Any] | None = None,
    same_shop: bool = False,
) -> str:
    """Change a connection; its name. Settings may be given as a person types them."""
    if settings is not None:
        found = await equipment.inventory.read(account, lambda c: linking.links(c, account, link))
        wanted = {one.name: one for one in needs(equipment.module(found[0].channel).CHANNEL)} if found else {}
        settings = {
            name: typed(wanted[name], value) if name in wanted and isinstance(value, str) else value
            for name, value in settings.items()
        }
    done = await steering.change(
        equipment,
        account,
        link,
        name=name,
        paused=paused,
        settings=settings,
        same_shop=same_shop,
    )
    return done.name


async def change_rules(
    equipment: Equipment, *, account: int, link: int, listing: int | None = None, values: dict[str, Any]
) -> dict[str, Any]:
    """Change some of the rules of a connection, or of a ``listing`` there, None to drop one; all that it has
    now."""
    if listing is None:
        rules = (await steering.change(equipment, account, link, rules=values)).rules
    else:
        rules = await steering.listing_rules(equipment, account, listing, values)
    told: dict[str, Any] = msgspec.to_builtins(rules)
    return told


async def rotate_secrets(equipment: Equipment) -> rotation.Rotated:
    """Seal all secrets with a new key."""
    return await rotation.rotate(equipment)


async def going(equipment: Equipment, *, account: int, link: int) -> dict[str, Any]:
    """How a connection goes: see `store.drives.Status`."""
    found = await equipment.inventory.read(account, lambda c: drives.status(c, account, link))
    if not found:
        raise Refusal("unknown_connection", "there is no such connection that the hub tells")
    return found[0]._asdict()


def connection_named(connection: Connection, account: int, name: str) -> int:
    """The id of a connection by its id, name, or channel if it is the only one of it. Raises Refusal."""
    links = linking.links(connection, account)
    for one in links:
        if name in (str(one.id), one.name):
            return one.id
    same = [one for one in links if one.channel == name]
    if len(same) == 1:
        return same[0].id
    known = ", ".join(f"{one.id} ({one.name})" for one in links) or "none"
    words = "several connections" if same else "no connection"
    raise Refusal("unknown_connection", f"{words} of the name {name!r}; there are: {known}")


async def connection_id(equipment: Equipment, *, account: int, name: str) -> int:
    """The id of a connection: see `connection_named`."""
    return await equipment.inventory.read(account, lambda c: connection_named(c, account, name))


def rules_of(
    connection: Connection, account: int, name: str | None, listing: int | None
) -> tuple[int, dict[str, Any]]:
    """A connection's rules, or a listing's, as plain values; and the connection. Raises Refusal."""
    if listing is not None:
        found = watching.listing(connection, account, listing)
        return found.connection, msgspec.to_builtins(found.rules)
    link = connection_named(connection, account, name or "")
    return link, msgspec.to_builtins(linking.links(connection, account, link)[0].rules)


def rules_by_sku(connection: Connection, account: int, name: str) -> tuple[str, Rules, dict[str, Rules]]:
    """What a connection is called, its rules, and by SKU those of its listings that have their own, stacked
    on the connection's. Raises Refusal."""
    link = connection_named(connection, account, name)
    above = linking.links(connection, account, link)[0]
    found: dict[str, Rules] = {}
    after = 0
    while page := linking.page(connection, account, link, after, LISTINGS_AT_ONCE):
        after = page[-1].id
        for one in page:
            sku = one.item_sku or one.sku
            if sku and one.rules != PLAIN:
                found[sku] = stacked(above.rules, one.rules)
    return above.name, above.rules, found


OPERATIONS: dict[str, Callable[..., Awaitable[Any]]] = {
    "change_connection": change_connection,
    "change_rules": change_rules,
    "connect_begin": connect_begin,
    "connect_finish": connect_finish,
    "connect_page": connect_page,
    "connection_id": connection_id,
    "disconnect": disconnect,
    "going": going,
    "push_all": push_all,
    "push_listing": push_listing,
    "release_listing": release_listing,
    "rotate_secrets": rotate_secrets,
    "sweep_connection": sweep_connection,
}
"""By name; parameters and answers are JSON."""
