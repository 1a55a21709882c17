"""Many levels as of one moment of the past, read set-wise from the movements."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace
from sqlalchemy import Connection

from onhand.stock.model import Level, Place
from onhand.store.sql import Statement

_PLACES = "account int, item int, location int"
_last = Statement(
    "SELECT m.item, m.location, m.on_hand_after, m.reserved_after, m.infinite, m.present, m.version"
    " FROM {rows} JOIN movements m ON m.account = r.account AND m.seq = ("
    "SELECT n.seq FROM movements n WHERE n.account = r.account AND n.item = r.item"
    " AND n.location = r.location AND n.seq <= :seq ORDER BY n.seq DESC LIMIT 1)",
    rows=_PLACES,
)
_late = Statement(
    "SELECT m.item, m.location, CAST(SUM(m.on_hand) AS BIGINT), CAST(SUM(m.reserved) AS BIGINT)"
    " FROM {rows} JOIN movements m ON m.account = r.account AND m.item = r.item"
    " AND m.location = r.location WHERE m.effective_at <= :at AND m.effective_at < m.recorded_at"
    " AND m.seq > :seq GROUP BY m.item, m.location",
    rows=_PLACES,
)
# What is held beyond its time and not yet written off: nobody has looked since.
_unwritten = Statement(
    "SELECT n.item, n.location, CAST(SUM(n.held) AS BIGINT) FROM {rows}"
    " JOIN reservation_lines n ON n.account = r.account AND n.item = r.item AND n.location = r.location"
    " WHERE n.held > 0 AND n.expires_at <= :at GROUP BY n.item, n.location",
    rows=_PLACES,
)
_ever = Statement(
    "SELECT l.item, l.location FROM levels l WHERE l.account = :account AND l.version > 0"
    " AND (l.item, l.location) > (:item, :location) ORDER BY l.item, l.location LIMIT :limit"
)
_ever_at = Statement(
    "SELECT l.item, l.location FROM levels l WHERE l.account = :account AND l.location = :at"
    " AND l.version > 0 AND l.item > :item ORDER BY l.item LIMIT :limit"
)
_ever_of = Statement(
    "SELECT l.item, l.location FROM {rows} JOIN levels l ON l.account = r.account AND l.item = r.item"
    " WHERE l.version > 0 ORDER BY l.item, l.location",
    rows="account int, item int",
)


def levels(
    connection: Connection, account: int, places: Iterable[Place], seq: int, at: int | None = None
) -> dict[Place, Level]:
    """The levels at ``places`` as movement ``seq`` left them; those that were not there are left out.

    With ``at`` (microseconds UTC), ``seq`` is the last movement recorded by then, and what took
    effect by then without being recorded yet counts too: holds whose expiry was written late.
    """
    rows = [(account, *place) for place in sorted(set(places))]
    if not rows:
        return {}
    found = {
        (row[0], row[1]): Level(row[2], row[3], bool(row[4]), bool(row[5]), row[6])
        for row in _last.run(connection, rows, seq=seq)
    }
    if at is not None:
        for item, location, on_hand, reserved in _late.run(connection, rows, at=at, seq=seq):
            _shift(found, (item, location), on_hand, reserved)
        for item, location, held in _unwritten.run(connection, rows, at=at):
            _shift(found, (item, location), 0, -held)
    return {place: level for place, level in sorted(found.items()) if level.present}


def _shift(found: dict[Place, Level], place: Place, on_hand: int, reserved: int) -> None:
    level = found.get(place)
    if level is not None:
        found[place] = replace(level, on_hand=level.on_hand + on_hand, reserved=level.reserved + reserved)


def page(
    connection: Connection, account: int, after: Place, limit: int, location: int | None = None
) -> list[Place]:
    """Places that ever had a level, in key order behind ``after``; at one location if named."""
    item, place = after
    if location is None:
        rows = _ever.run(connection, account=account, item=item, location=place, limit=limit)
    else:
        rows = _ever_at.run(connection, account=account, item=item, at=location, limit=limit)
    return [(row[0], row[1]) for row in rows]


def of_items(connection: Connection, account: int, items: Iterable[int]) -> list[Place]:
    """Places of these items that ever had a level."""
    rows = [(account, item) for item in sorted(set(items))]
    return [(row[0], row[1]) for row in _ever_of.run(connection, rows)] if rows else []
