"""What a command line asks about incidents: one is closed with a note."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from onhand.inventory import Inventory
from onhand.office.people import BadAsk
from onhand.outward import telling
from onhand.stock.model import TEXT_LIMIT
from onhand.store import incidents
from onhand.store.incidents import Incident

CALLER = "onhand:command line"


async def close(inventory: Inventory, *, account: int, incident: int, note: str) -> dict[str, Any]:
    """Close an incident that was dealt with; it, for programs. Raises BadAsk if it is closed already."""
    words = note.strip()
    if len(words) > TEXT_LIMIT:
        raise BadAsk(f"a note has at most {TEXT_LIMIT} characters")

    def unit(connection: Connection) -> dict[str, Any]:
        found = one(connection, account, incident)
        if not incidents.close(connection, account, incident, words, CALLER, inventory.now()):
            raise BadAsk(f"incident {incident} was closed {telling.moment(found.resolved_at)}")
        return telling.incident_told(one(connection, account, incident))

    return await inventory.write(account, unit, quiet=True)


def one(connection: Connection, account: int, incident: int) -> Incident:
    """An incident. Raises BadAsk if there is none."""
    found = incidents.one(connection, account, incident)
    if found is None:
        raise BadAsk(f"there is no incident {incident}")
    return found
