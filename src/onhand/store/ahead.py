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
    """``units`` more at a level from ``day`` (YYYY-MM-DD, UTC) on than can be sold there until then."""

    place: Place
    day: str
    units: int


def changes(connection: Connection, account: int, levels: Mapping[Place, Level]) -> list[Ahead]:
    """What is planned to come to these levels, soonest first. Each plan goes on from where those before it
    lead, and what makes up for units that are missing, or will be, is nothing more to sell."""
    left = {place: level.available for place, level in levels.items() if not level.infinite}
    most = {place: max(0, units) for place, units in left.items()}
    found = []
    for due, text in _waiting.run(connection, account=account, limit=PLANS_LIMIT):
        day = datetime.fromtimestamp(due // 1_000_000, UTC).date().isoformat()
        for place in _moved(text, left, levels):
            if left[place] > most[place]:
                found.append(Ahead(place, day, left[place] - most[place]))
                most[place] = left[place]
    return found


def _moved(text: str, left: dict[Place, int], levels: Mapping[Place, Level]) -> list[Place]:
    """Bring ``left`` to what is available after a plan, all of whose commands are done at once; where."""
    moved = []
    for command in _readable(text):
        place = _place(command)
        if place in left:
            left[place] = _left(command, left[place], levels[place].reserved)
            moved.append(place)
    return moved


def _place(command: AnyCommand) -> Place | None:
    match command:
        case Adjust() | SetAvailable() | SetOnHand():
            return (command.item, command.location)
        case _:
            return None


def _left(command: AnyCommand, before: int, reserved: int) -> int:
    match command:
        case Adjust(_, _, delta):
            return before + delta
        case SetAvailable(_, _, quantity):
            return quantity
        case SetOnHand(_, _, quantity):
            return quantity - reserved
        case _:
            return before


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
