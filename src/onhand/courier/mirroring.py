"""Keeps our mirrored locations at what a channel shows of the stock that it owns: never written there.

A location of the channel is mirrored when `external_ids` maps it (space ``connection:<id>``, kind
``location``) to a location of ours whose kind is mirrored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from onhand.connectors.flow import Seen
from onhand.inventory import Inventory
from onhand.stock.model import SetOnHand
from onhand.store import catalog, channels, outgoing
from onhand.work import Group, Work

CALLER = "onhand:courier"
MIRRORED = "mirrored"


class Found(NamedTuple):
    """A listing of ours with what its channel showed of it."""

    listing: int
    seen: Seen


async def mirror(inventory: Inventory, account: int, link: int, found: Sequence[Found]) -> None:
    """Record what the channel shows at the locations that it owns; what is so already changes nothing."""
    commands = await inventory.read(account, lambda c: _commands(c, account, link, found), long=True)
    if commands:
        groups = tuple(Group((command,)) for command in commands)
        await inventory.record(Work(account, groups, CALLER, mirror=True))


def _commands(connection: Connection, account: int, link: int, found: Sequence[Found]) -> list[SetOnHand]:
    places = {shown.location for one in found for shown in one.seen.shown if shown.location}
    mapped = channels.internals(connection, account, f"connection:{link}", "location", places)
    if not mapped:
        return []
    mirrored = {one.id for one in catalog.locations(connection, account) if one.kind == MIRRORED}
    ours = {place: int(here) for place, here in mapped.items() if int(here) in mirrored}
    listed = outgoing.listed(connection, account, [one.listing for one in found], 0) if ours else []
    items = {one.id: one.item for one in listed}
    return [
        SetOnHand(items[one.listing], ours[shown.location], max(0, shown.quantity))
        for one in found
        for shown in one.seen.shown
        if shown.location in ours and shown.quantity is not None
    ]
