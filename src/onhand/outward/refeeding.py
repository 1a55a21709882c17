"""Makes the feeds and slots of a connection's listings anew after its rules have changed, some at a time."""

from __future__ import annotations

from sqlalchemy import Connection

from onhand.outward.equipment import Equipment
from onhand.store import feeding
from onhand.store.books import Marked

AT_ONCE = 5_000
"""Listings in one unit of work."""


async def refeed(equipment: Equipment, account: int, link: int) -> None:
    """All of a connection's listings; they are told."""
    after: int | None = 0

    def unit(connection: Connection) -> tuple[int | None, set[Marked]]:
        ids = feeding.listings_on(connection, account, link, after or 0, AT_ONCE)
        feeding.refeed(connection, account, ids)
        marked = feeding.mark(connection, account, ids, equipment.now())
        return (ids[-1] if len(ids) == AT_ONCE else None), marked

    while after is not None:
        after, marked = await equipment.inventory.write(account, unit)
        if marked:
            equipment.inventory.marked(marked)
