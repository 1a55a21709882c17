"""Planned changes as channels see them: which listings they will move, on what day, and by how many units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from onhand.stock.model import Adjust, AnyCommand, Level, Place, SetAvailable, SetOnHand
from onhand.store import feeding
from onhand.store.books import Marked
from onhand.store.sql import Statement

PLANS_LIMIT = 1_000
"""Planned changes of an account that are looked through for what channels are told, soonest first."""

_commands = msgspec.json.Decoder(tuple[AnyCommand, ...])
_waiting = Statement(
    "SELECT due, commands FROM planned WHERE account = :account AND status = 'waiting'"
    " ORDER BY due, id LIMIT :limit"
)
_fed = Statement(
    "SELECT DISTINCT f.listing FROM {rows} JOIN feeds f ON f.account = r.account AND f.item = r.item"
    " AND f.location = r.location",
    rows="account int, item int, location int",
)


class Ahead(NamedTuple):
    """``units`` more at a level from ``day`` (YYYY-MM-DD, UTC) on; less where it is negative."""

    place: Place
    day: str
    units: int


def changes(connection: Connection, account: int, levels: Mapping[Place, Level]) -> list[Ahead]:
    """What is planned for these levels, soonest first. A planned number counts as its difference to the
    level as it is now."""
    found = []
    for due, text in _waiting.run(connection, account=account, limit=PLANS_LIMIT):
        day = datetime.fromtimestamp(due // 1_000_000, UTC).date().isoformat()
        for command in _commands.decode(text):
            place = _place(command)
            if place is not None and place in levels:
                found.append(Ahead(place, day, _units(command, levels[place])))
    return found


def _place(command: AnyCommand) -> Place | None:
    match command:
        case Adjust() | SetAvailable() | SetOnHand():
            return (command.item, command.location)
        case _:
            return None


def _units(command: AnyCommand, level: Level) -> int:
    match command:
        case Adjust(_, _, delta):
            return delta
        case SetAvailable(_, _, quantity):
            return quantity - level.available
        case SetOnHand(_, _, quantity):
            return quantity - level.on_hand
        case _:
            return 0


def _readable(text: str) -> tuple[AnyCommand, ...]:
    """The commands of a plan; none of one that cannot be read, which the clockwork gives up in words."""
    try:
        return _commands.decode(text)
    except msgspec.DecodeError:
        return ()


def mark(connection: Connection, account: int, plans: Iterable[str], now: int) -> set[Marked]:
    """Mark the listings that planned changes (their commands as JSON) will move: they were made, or will
    not come."""
    places = {_place(command) for text in plans for command in _readable(text)}
    rows = [(account, *place) for place in sorted(one for one in places if one is not None)]
    listings = {row[0] for row in _fed.run(connection, rows)} if rows else set()
    return feeding.mark(connection, account, listings, now)
