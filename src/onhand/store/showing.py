"""What people are shown beside listings: their drifts, and the reservations behind a level."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection

from onhand.stock.model import Place
from onhand.store.observing import Drift
from onhand.store.sql import Statement


class Promised(NamedTuple):
    """Units of a level that a reservation holds, with all its lines there."""

    reference: str
    owner: str
    held: int
    expires_at: int | None


class Held(NamedTuple):
    """How many reservations hold units of a level, and how many units."""

    reservations: int
    held: int


class Drifted(NamedTuple):
    """A drift with what its listing is called."""

    drift: Drift
    connection: int
    sku: str | None
    external_id: str


_promised = Statement(
    "SELECT l.reference, h.owner, SUM(l.held), MIN(l.expires_at) FROM reservation_lines l"
    " JOIN reservations h ON h.account = l.account AND h.reference = l.reference"
    " WHERE l.account = :account AND l.item = :item AND l.location = :location AND l.held > 0"
    " AND (l.expires_at IS NULL OR l.expires_at > :now)"
    " GROUP BY l.reference, h.owner ORDER BY l.reference LIMIT :limit"
)
_held = Statement(
    "SELECT CASE WHEN expires_at <= :now THEN 1 ELSE 0 END, COUNT(DISTINCT reference), SUM(held)"
    " FROM reservation_lines WHERE account = :account AND item = :item AND location = :location AND held > 0"
    " GROUP BY 1"
)
_DRIFT = ", ".join(f"d.{name}" for name in Drift._fields)
_drifts = Statement(
    f"SELECT {_DRIFT}, g.connection, COALESCE(g.sku, i.sku), g.external_id FROM drifts d"
    " JOIN listings g ON g.account = d.account AND g.id = d.listing"
    " JOIN items i ON i.account = g.account AND i.id = g.item"
    " WHERE d.account = :account AND d.id > :after AND (:link = 0 OR g.connection = :link)"
    " AND (:ended = 1 OR d.healed_at IS NULL) ORDER BY d.id LIMIT :limit"
)
_drifting = Statement(
    "SELECT DISTINCT d.listing FROM {rows} JOIN drifts d ON d.account = r.account AND d.listing = r.id"
    " AND d.healed_at IS NULL",
    rows="account int, id int",
)


def promised(connection: Connection, account: int, place: Place, now: int, limit: int) -> list[Promised]:
    """Reservations that hold units of a level and whose time is not up, by reference."""
    item, location = place
    found = _promised.run(connection, account=account, item=item, location=location, now=now, limit=limit)
    return [Promised(reference, owner, int(held), until) for reference, owner, held, until in found]


def held(connection: Connection, account: int, place: Place, now: int) -> tuple[Held, Held]:
    """What holds units of a level: all whose time is not up, and those whose time is, but whose expiry is
    not written yet."""
    item, location = place
    found = {
        bool(lapsed): Held(count, int(units))
        for lapsed, count, units in _held.run(
            connection, account=account, item=item, location=location, now=now
        )
    }
    return found.get(False, Held(0, 0)), found.get(True, Held(0, 0))


def drifts(
    connection: Connection, account: int, link: int, after: int, limit: int, *, ended: bool = False
) -> list[Drifted]:
    """Drifts by id; of one connection (0: all), and those that are healed too if ``ended``."""
    found = _drifts.run(connection, account=account, link=link, after=after, limit=limit, ended=int(ended))
    size = len(Drift._fields)
    return [Drifted(Drift(*row[:size]), *row[size:]) for row in found]


def drifting(connection: Connection, account: int, listings: Iterable[int]) -> set[int]:
    """Those of some listings that have a drift which is not healed."""
    rows = [(account, one) for one in sorted(set(listings))]
    return {row[0] for row in _drifting.run(connection, rows)} if rows else set()
