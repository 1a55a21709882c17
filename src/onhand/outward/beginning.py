"""A connection that is begun: made or found again, and whose it is until its places are known.

It is whose who asked last: a request whose answer was lost is made again while the channel is still asked for
the first one, and the second goes on with what the first has begun. From then on the first writes nothing
more of it, and does not take it back when it fails. ``mark`` is the name of a request, and of no other one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection

from onhand.outward import sameness
from onhand.outward.equipment import Equipment, Refusal, unknown_connection
from onhand.store import drives, linking, lookup, unlinking
from onhand.store.linking import Linked

LOCATIONS_LIMIT = 100
AGAIN = "again:"
"""What stands before the mark of a request that has found the connection: it was not made by that one."""
OVERTAKEN = "another request went on with connection {} ({}) meanwhile, or it was started: this one has ended"


def begin(
    connection: Connection,
    equipment: Equipment,
    account: int,
    new: Linked,
    hidden: Mapping[str, Any],
    mark: str,
) -> tuple[int, bool]:
    """Make the connection ``new`` with its secrets, under an id and for locations that it gets here, or go on
    with an unfinished one to the same shop: the id, and whether it was there. Raises Refusal."""
    linking.hold_links(connection, account)
    there = _unfinished(connection, equipment, account, new, hidden)
    link = linking.number(connection, account) if there is None else there.id
    sealed = equipment.seals.seal(account, link, hidden) if hidden else None
    usual = tuple(lookup.usual(connection, account, None, LOCATIONS_LIMIT))
    if there is None:
        made = msgspec.structs.replace(new, id=link, locations=usual)
        linking.add(connection, account, made, sealed, equipment.now())
    else:
        values = {"name": new.name, "locations": usual, "settings": new.settings, "secrets": sealed}
        linking.change(connection, account, link, values)
    drives.connects(connection, account, link, mark if there is None else AGAIN + mark)
    return link, there is not None


def _unfinished(
    connection: Connection, equipment: Equipment, account: int, new: Linked, hidden: Mapping[str, Any]
) -> Linked | None:
    found = sameness.of_the_same_shop(connection, equipment, account, new.channel, new.settings, hidden)
    if found is None:
        return None
    there = linking.held(connection, account, found.id)
    if there is None:  # it was removed this very moment, and is not found again
        return _unfinished(connection, equipment, account, new, hidden)
    if not there.unfinished:
        raise Refusal("not_allowed", sameness.TWICE.format(there.id, there.name), "settings")
    return there


def place(connection: Connection, account: int, link: int, mark: str, *, resumed: bool) -> Linked:
    """The connection, if it is still that request's, whose places are written now: from this commit on
    nothing takes it back. Raises Refusal."""
    found = linking.held(connection, account, link)
    if found is None:
        unknown_connection()
    mine = drives.connected_by(connection, account, AGAIN + mark if resumed else mark) == link
    if not (mine and found.unfinished):
        raise Refusal("not_allowed", OVERTAKEN.format(found.id, found.name))
    drives.connects(connection, account, link, "")
    return found


def take_back(connection: Connection, account: int, mark: str) -> None:
    """Remove the connection that a request has made, if it is still that one's and its places are unknown."""
    linking.hold_links(connection, account)
    link = drives.connected_by(connection, account, mark)
    found = linking.held(connection, account, link)
    if found is not None and found.unfinished and not unlinking.left(connection, account, link):
        unlinking.drop_link(connection, account, link)
